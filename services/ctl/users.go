package ctl

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

// users creates users in the database itself: the first one has no key to ask
// the API with.
func (t *tool) users() *cobra.Command {
	var email, name, role string
	create := &cobra.Command{Use: "create --email ADDRESS", Short: "Create a user and print their API key, once", Args: exactly(0, "only flags"),
		Long: `Create a user and print their API key, once: only its hash is kept.

It writes to the database (EA_MONGO_URI, EA_MONGO_DATABASE) and needs no API key.`,
		Example: `  eactl users create --email ops@example.com --role admin
  export EA_API_KEY=$(eactl users create --email me@example.com)`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if email == "" {
				return &usageError{errors.New("--email ADDRESS is missing")}
			}
			now := time.Now().UTC()
			plain, key, err := user.NewKey(now)
			if err != nil {
				return err
			}
			u := user.User{ID: uuid.NewString(), Email: email, Name: name, Role: user.Role(role), APIKeys: []user.APIKey{key}, CreatedAt: now, UpdatedAt: now,
				Preferences: user.Preferences{NotificationChannels: []string{}, EventTypes: []string{}}}
			if err := u.Validate(); err != nil {
				return &usageError{err}
			}
			err = t.withStore(cmd.Context(), func(s *store.Store) error {
				if err := s.EnsureIndexes(cmd.Context()); err != nil {
					return err
				}
				return s.CreateUser(cmd.Context(), u)
			})
			if errors.Is(err, store.ErrConflict) {
				return fmt.Errorf("%s is a user already; choose another address: a lost key cannot be shown again", email)
			}
			if err != nil {
				return err
			}
			created := struct {
				UserID string `json:"user_id"`
				Email  string `json:"email"`
				Role   string `json:"role"`
				APIKey string `json:"api_key"`
			}{u.ID, u.Email, role, plain}
			return t.print(created, func() error {
				_, err := fmt.Fprintln(t.out, plain)
				return err
			})
		}}
	create.Flags().StringVar(&email, "email", "", "the user's `ADDRESS`")
	create.Flags().StringVar(&name, "name", "", "the user's `NAME`")
	create.Flags().StringVar(&role, "role", string(user.Plain), "admin (may change rules and replay) or user (reads)")
	return group("users", "Keep users", create)
}
