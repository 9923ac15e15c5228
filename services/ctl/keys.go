package ctl

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
)

func (t *tool) keys() *cobra.Command {
	return group("keys", "Keep API keys", t.keysList(), t.keysCreate(), t.keysRotate(), t.keysRevoke())
}

func (t *tool) keysList() *cobra.Command {
	var of string
	c := &cobra.Command{Use: "list", Short: "List your keys, or a user's (never the keys themselves)", Args: exactly(0, "no arguments"),
		Example: `  eactl keys list
  eactl keys list --user ops@example.com`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := t.client()
			if err != nil {
				return err
			}
			query := url.Values{}
			if of != "" {
				id, err := t.userID(cmd, of)
				if err != nil {
					return err
				}
				query.Set("user", id)
			}
			l := t.list("id", "prefix", "name", "created_at", "last_used_at", "expires_at")
			defer l.end()
			return api.all(cmd.Context(), "/api-keys", query, 0, l.add)
		}}
	c.Flags().StringVar(&of, "user", "", "a `USER` by address or id; without, you")
	return c
}

func (t *tool) keysCreate() *cobra.Command {
	var of, name, expires string
	c := &cobra.Command{Use: "create", Short: "Make a key and print it, once", Args: exactly(0, "only flags"),
		Example: `  eactl keys create --name deploy --expires 90d
  eactl keys create --user ops@example.com --name laptop`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			wanted := map[string]any{"name": name}
			if expires != "" {
				end, err := ending(expires, time.Now())
				if err != nil {
					return &usageError{err}
				}
				wanted["expires_at"] = end
			}
			if of != "" {
				id, err := t.userID(cmd, of)
				if err != nil {
					return err
				}
				wanted["user_id"] = id
			}
			return t.makeKey(cmd, "/api-keys", wanted)
		}}
	c.Flags().StringVar(&of, "user", "", "the `USER` whose it is to be, by address or id; without, you")
	c.Flags().StringVar(&name, "name", "", "what it is for")
	c.Flags().StringVar(&expires, "expires", "", "when it ends: after 12h, 90d, or at a time (RFC 3339); without, never")
	return c
}

// ending is a time that is given as a length from now, or as itself.
func ending(text string, now time.Time) (time.Time, error) {
	if d, err := interval.Parse(text); err == nil {
		return now.Add(d.Std()).UTC().Truncate(time.Second), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("--expires %q: expected a length such as 90d, or a time such as 2027-01-31T00:00:00Z", text)
	}
	return at.UTC(), nil
}

func (t *tool) keysRotate() *cobra.Command {
	var overlap string
	c := &cobra.Command{Use: "rotate KEY_ID", Short: "Replace a key and print the new one, once", Args: exactly(1, "a key's id"),
		Example: `  eactl keys rotate key_5f2c8a110b1c --overlap 1h`,
		RunE:    func(cmd *cobra.Command, args []string) error { return t.rotate(cmd, args[0], overlap) }}
	c.Flags().StringVar(&overlap, "overlap", "24h", "how long the old key still works: 0s, 1h, 7d")
	return c
}

func (t *tool) rotate(cmd *cobra.Command, id, overlap string) error {
	return t.makeKey(cmd, "/api-keys/"+url.PathEscape(id)+"/rotate", map[string]any{"overlap": overlap})
}

// makeKey prints the key alone, so that it can be taken into a variable.
func (t *tool) makeKey(cmd *cobra.Command, path string, wanted map[string]any) error {
	api, err := t.client()
	if err != nil {
		return err
	}
	body, err := json.Marshal(wanted)
	if err != nil {
		return err
	}
	var answer json.RawMessage
	if err := api.do(cmd.Context(), http.MethodPost, path, nil, body, &answer); err != nil {
		return err
	}
	return t.print(answer, func() error {
		m, err := decoded(answer)
		if err == nil {
			_, err = fmt.Fprintln(t.out, cell(m, "api_key"))
		}
		return err
	})
}

func (t *tool) keysRevoke() *cobra.Command {
	return &cobra.Command{Use: "revoke KEY_ID", Short: "Revoke a key: it stops working at once", Args: exactly(1, "a key's id"),
		Example: `  eactl keys revoke key_5f2c8a110b1c`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.remove(cmd, "/api-keys/"+url.PathEscape(args[0]), args[0])
		}}
}
