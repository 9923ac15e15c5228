package ctl

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/client"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

func (t *tool) users() *cobra.Command {
	return group("users", "Keep users", t.usersCreate(), listed(t.usersList()), t.usersGet(), t.usersUpdate(), t.usersDelete(), t.usersRotateKey())
}

// usersCreate goes through the API when there is a key for it, else to the
// database itself: the first user has no key to ask the API with.
func (t *tool) usersCreate() *cobra.Command {
	var email, name, role string
	var database bool
	c := &cobra.Command{Use: "create --email ADDRESS", Short: "Create a user and print their API key, once", Args: exactly(0, "only flags"),
		Long: `Create a user and print their API key, once: only its hash is kept.

With EA_API_KEY (an admin's) it asks the API. Without, or with --database, it writes to the database (EA_MONGO_URI,
EA_MONGO_DATABASE) and needs no API key: that is how the first admin is made.`,
		Example: `  eactl users create --email ops@example.com --role admin
  export EA_API_KEY=$(eactl users create --email me@example.com)`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if email == "" {
				return &usageError{errors.New("--email ADDRESS is missing")}
			}
			u := user.User{ID: uuid.NewString(), Email: user.Address(email), Name: name, Role: user.Role(role), CreatedBy: "eactl"}
			if err := u.Validate(); err != nil {
				return &usageError{err}
			}
			create := t.createByAPI
			if database || t.env("EA_API_KEY", "") == "" {
				create = t.createInDatabase
			}
			made, err := create(cmd, u)
			var refused *client.Problem
			if errors.Is(err, store.ErrConflict) || errors.As(err, &refused) && refused.Status == http.StatusConflict {
				return fmt.Errorf("%s is a user already; choose another address, or make a new key with `eactl keys create --user %s`: a lost one cannot be shown again", u.Email, u.Email)
			}
			if err != nil {
				return err
			}
			return t.print(made, func() error {
				_, err := fmt.Fprintln(t.out, made.APIKey)
				return err
			})
		}}
	c.Flags().StringVar(&email, "email", "", "the user's `ADDRESS`")
	c.Flags().StringVar(&name, "name", "", "the user's `NAME`")
	c.Flags().StringVar(&role, "role", string(user.Plain), "admin (may change rules and replay) or user (reads)")
	c.Flags().BoolVar(&database, "database", false, "write to the database itself, also when EA_API_KEY is set")
	return c
}

// createdUser is what is printed of a new one.
type createdUser struct {
	UserID string    `json:"user_id"`
	Email  string    `json:"email"`
	Role   user.Role `json:"role"`
	APIKey string    `json:"api_key"`
}

func (t *tool) createByAPI(cmd *cobra.Command, u user.User) (made createdUser, err error) {
	api, err := t.api()
	if err != nil {
		return made, err
	}
	created, err := api.CreateUser(cmd.Context(), client.NewUser{Email: u.Email, Name: u.Name, Role: client.Role(u.Role), Key: &client.KeyWish{}})
	return createdUser{created.UserID, created.Email, user.Role(created.Role), created.APIKey}, err
}

func (t *tool) createInDatabase(cmd *cobra.Command, u user.User) (made createdUser, err error) {
	now := time.Now().UTC()
	plain, key, err := user.NewKey(now)
	if err != nil {
		return made, err
	}
	u.APIKeys, u.CreatedAt, u.UpdatedAt = []user.APIKey{key}, now, now
	u.Preferences = user.Preferences{NotificationChannels: []string{}, EventTypes: []string{}}
	err = t.withStore(cmd.Context(), func(s *store.Store) error {
		if err := s.EnsureIndexes(cmd.Context()); err != nil {
			return err
		}
		return s.CreateUser(cmd.Context(), u)
	})
	return createdUser{u.ID, u.Email, u.Role, plain}, err
}

func (t *tool) usersList() *cobra.Command {
	var p client.ListUsersParams
	c := &cobra.Command{Use: "list", Short: "List users", Args: exactly(0, "no arguments"),
		Example: `  eactl users list
  eactl users list --role admin -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := t.api()
			if err != nil {
				return err
			}
			return list(t, api.AllUsers(cmd.Context(), p), 0, "user_id", "email", "name", "role", "created_at")
		}}
	c.Flags().StringVar(&p.Role, "role", "", "only these: admin or user")
	return c
}

func (t *tool) usersGet() *cobra.Command {
	return &cobra.Command{Use: "get USER", Short: "Show a user with preferences and keys (never the keys themselves)", Args: exactly(1, "a user's address or id, or me"),
		Example: `  eactl users get ops@example.com
  eactl users get me`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, id, err := t.namedUser(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			one, err := api.GetUser(cmd.Context(), id)
			if err != nil {
				return err
			}
			return t.print(one, func() error { return t.printJSON(one) })
		}}
}

// namedUser is the API, and the id of a user that is named by address or id;
// `me` is one.
func (t *tool) namedUser(ctx context.Context, name string) (api *client.Client, id string, err error) {
	if api, err = t.api(); err != nil {
		return nil, "", err
	}
	id, err = userID(ctx, api, name)
	return api, id, err
}

func userID(ctx context.Context, api *client.Client, name string) (string, error) {
	if !strings.Contains(name, "@") {
		return name, nil
	}
	found, err := api.ListUsers(ctx, client.ListUsersParams{Email: name, Limit: 1})
	if err != nil {
		return "", err
	}
	if len(found.Items) == 0 {
		return "", fmt.Errorf("no user has the address %s (`eactl users list` shows them): %w", name, errNothing)
	}
	return found.Items[0].UserID, nil
}

func (t *tool) usersUpdate() *cobra.Command {
	var email, name, role string
	var channels, types []string
	c := &cobra.Command{Use: "update USER", Short: "Change a user; what no flag names stays", Args: exactly(1, "a user's address or id, or me"),
		Example: `  eactl users update ops@example.com --role admin
  eactl users update me --channel mail --event-type PAYMENT_FAILED
  eactl users update me --channel ""    # the default channel again`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var change client.UserChange
			var preferences client.NewPreferences
			given := func(flag string) bool { return cmd.Flags().Changed(flag) }
			if given("email") {
				change.Email = client.To(email)
			}
			if given("name") {
				change.Name = client.To(name)
			}
			if given("role") {
				change.Role = client.To(client.Role(role))
			}
			if given("channel") {
				preferences.NotificationChannels = filled(channels)
			}
			if given("event-type") {
				preferences.EventTypes = filled(types)
			}
			if given("channel") || given("event-type") {
				change.Preferences = client.To(preferences)
			}
			if change == (client.UserChange{}) {
				return &usageError{errors.New("nothing to change: name it with --email, --name, --role, --channel or --event-type")}
			}
			api, id, err := t.namedUser(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			u, err := api.PatchUser(cmd.Context(), id, client.PatchUserParams{}, change)
			if err != nil {
				return err
			}
			return t.print(u, func() error {
				_, err := fmt.Fprintf(t.out, "%s (%s) is saved, version %d\n", u.Email, u.Role, u.Version)
				return err
			})
		}}
	c.Flags().StringVar(&email, "email", "", "another `ADDRESS`")
	c.Flags().StringVar(&name, "name", "", "another `NAME`")
	c.Flags().StringVar(&role, "role", "", "admin or user")
	c.Flags().StringArrayVar(&channels, "channel", nil, "a `CHANNEL` on which they are told, several times for several; empty: the default")
	c.Flags().StringArrayVar(&types, "event-type", nil, "a `TYPE` that they want to hear of, several times for several; empty: all")
	return c
}

// filled leaves empty names out of a list, which may then be empty.
func filled(list []string) []string {
	out := []string{}
	for _, one := range list {
		if one != "" {
			out = append(out, one)
		}
	}
	return out
}

func (t *tool) usersDelete() *cobra.Command {
	return &cobra.Command{Use: "delete USER", Short: "Delete a user; their keys stop working", Args: exactly(1, "a user's address or id"),
		Example: `  eactl users delete former@example.com`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, id, err := t.namedUser(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return t.sayDeleted(args[0], api.DeleteUser(cmd.Context(), id, client.DeleteUserParams{}))
		}}
}

// usersRotateKey is `keys rotate` for those who have one key, as most do.
func (t *tool) usersRotateKey() *cobra.Command {
	var overlap string
	c := &cobra.Command{Use: "rotate-key USER", Short: "Replace a user's only key and print the new one, once", Args: exactly(1, "a user's address or id, or me"),
		Example: `  eactl users rotate-key me --overlap 1h`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, id, err := t.namedUser(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			u, err := api.GetUser(cmd.Context(), id)
			if err != nil {
				return err
			}
			var inForce []string
			for _, k := range u.APIKeys {
				if k.ExpiresAt.IsZero() || k.ExpiresAt.After(time.Now()) {
					inForce = append(inForce, k.ID)
				}
			}
			if len(inForce) != 1 {
				return &usageError{fmt.Errorf("%s has %d keys in force; `eactl keys list --user %s` shows them, `eactl keys rotate KEY_ID` replaces one", u.Email, len(inForce), u.Email)}
			}
			made, err := api.RotateKey(cmd.Context(), inForce[0], &client.RotateKeyBody{Overlap: overlap})
			return t.sayKey(made, err)
		}}
	c.Flags().StringVar(&overlap, "overlap", "24h", "how long the old key still works: 0s, 1h, 7d")
	return c
}
