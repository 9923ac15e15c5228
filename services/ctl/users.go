package ctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

func (t *tool) users() *cobra.Command {
	return group("users", "Keep users", t.usersCreate(), t.usersList(), t.usersGet(), t.usersUpdate(), t.usersDelete(), t.usersRotateKey())
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
			var refused problem
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
	api, err := t.client()
	if err != nil {
		return made, err
	}
	body, err := json.Marshal(map[string]any{"email": u.Email, "name": u.Name, "role": u.Role, "key": map[string]any{}})
	if err != nil {
		return made, err
	}
	err = api.do(cmd.Context(), http.MethodPost, "/users", nil, body, &made)
	return made, err
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
	var role string
	c := &cobra.Command{Use: "list", Short: "List users", Args: exactly(0, "no arguments"),
		Example: `  eactl users list
  eactl users list --role admin -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := t.client()
			if err != nil {
				return err
			}
			query := url.Values{}
			if role != "" {
				query.Set("role", role)
			}
			l := t.list("user_id", "email", "name", "role", "created_at")
			defer l.end()
			return api.all(cmd.Context(), "/users", query, 0, l.add)
		}}
	c.Flags().StringVar(&role, "role", "", "only these: admin or user")
	return c
}

func (t *tool) usersGet() *cobra.Command {
	return &cobra.Command{Use: "get USER", Short: "Show a user with preferences and keys (never the keys themselves)", Args: exactly(1, "a user's address or id, or me"),
		Example: `  eactl users get ops@example.com
  eactl users get me`,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := t.userID(cmd, args[0])
			if err != nil {
				return err
			}
			return t.showOne(cmd, "/users/"+url.PathEscape(id))
		}}
}

// userID is the id of a user that is named by address or id; `me` is one.
func (t *tool) userID(cmd *cobra.Command, name string) (string, error) {
	if !strings.Contains(name, "@") {
		return name, nil
	}
	api, err := t.client()
	if err != nil {
		return "", err
	}
	id := ""
	err = api.all(cmd.Context(), "/users", url.Values{"email": {name}}, 1, func(item json.RawMessage) error {
		m, err := decoded(item)
		id = cell(m, "user_id")
		return err
	})
	if errors.Is(err, errNothing) {
		return "", fmt.Errorf("no user has the address %s (`eactl users list` shows them): %w", name, errNothing)
	}
	return id, err
}

func (t *tool) usersUpdate() *cobra.Command {
	var email, name, role string
	var channels, types []string
	c := &cobra.Command{Use: "update USER", Short: "Change a user; what no flag names stays", Args: exactly(1, "a user's address or id, or me"),
		Example: `  eactl users update ops@example.com --role admin
  eactl users update me --channel mail --event-type PAYMENT_FAILED
  eactl users update me --channel ""    # the default channel again`,
		RunE: func(cmd *cobra.Command, args []string) error {
			change, preferences := map[string]any{}, map[string]any{}
			for flag, value := range map[string]string{"email": email, "name": name, "role": role} {
				if cmd.Flags().Changed(flag) {
					change[flag] = value
				}
			}
			for flag, list := range map[string][]string{"channel": channels, "event-type": types} {
				if cmd.Flags().Changed(flag) {
					preferences[map[string]string{"channel": "notification_channels", "event-type": "event_types"}[flag]] = filled(list)
				}
			}
			if len(preferences) > 0 {
				change["preferences"] = preferences
			}
			if len(change) == 0 {
				return &usageError{errors.New("nothing to change: name it with --email, --name, --role, --channel or --event-type")}
			}
			id, err := t.userID(cmd, args[0])
			if err != nil {
				return err
			}
			body, err := json.Marshal(change)
			if err != nil {
				return err
			}
			api, err := t.client()
			if err != nil {
				return err
			}
			var answer json.RawMessage
			if err := api.do(cmd.Context(), http.MethodPatch, "/users/"+url.PathEscape(id), nil, body, &answer); err != nil {
				return err
			}
			return t.print(answer, func() error {
				m, err := decoded(answer)
				if err == nil {
					_, err = fmt.Fprintf(t.out, "%s (%s) is saved, version %s\n", cell(m, "email"), cell(m, "role"), cell(m, "version"))
				}
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
			id, err := t.userID(cmd, args[0])
			if err != nil {
				return err
			}
			return t.remove(cmd, "/users/"+url.PathEscape(id), args[0])
		}}
}

// remove deletes what is at a path.
func (t *tool) remove(cmd *cobra.Command, path, name string) error {
	api, err := t.client()
	if err != nil {
		return err
	}
	if err := api.do(cmd.Context(), http.MethodDelete, path, nil, nil, nil); err != nil {
		return err
	}
	return t.print(map[string]string{"deleted": name}, func() error {
		_, err := fmt.Fprintf(t.out, "deleted %s\n", name)
		return err
	})
}

// usersRotateKey is `keys rotate` for those who have one key, as most do.
func (t *tool) usersRotateKey() *cobra.Command {
	var overlap string
	c := &cobra.Command{Use: "rotate-key USER", Short: "Replace a user's only key and print the new one, once", Args: exactly(1, "a user's address or id, or me"),
		Example: `  eactl users rotate-key me --overlap 1h`,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := t.userID(cmd, args[0])
			if err != nil {
				return err
			}
			api, err := t.client()
			if err != nil {
				return err
			}
			var u user.User
			if err := api.do(cmd.Context(), http.MethodGet, "/users/"+url.PathEscape(id), nil, nil, &u); err != nil {
				return err
			}
			var inForce []string
			for _, k := range u.APIKeys {
				if !k.Expired(time.Now()) {
					inForce = append(inForce, k.ID)
				}
			}
			if len(inForce) != 1 {
				return &usageError{fmt.Errorf("%s has %d keys in force; `eactl keys list --user %s` shows them, `eactl keys rotate KEY_ID` replaces one", u.Email, len(inForce), u.Email)}
			}
			return t.rotate(cmd, inForce[0], overlap)
		}}
	c.Flags().StringVar(&overlap, "overlap", "24h", "how long the old key still works: 0s, 1h, 7d")
	return c
}
