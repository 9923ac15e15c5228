package ctl

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/client"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
)

func (t *tool) keys() *cobra.Command {
	return group("keys", "Keep API keys", listed(t.keysList()), t.keysCreate(), t.keysRotate(), t.keysRevoke())
}

func (t *tool) keysList() *cobra.Command {
	var of string
	c := &cobra.Command{Use: "list", Short: "List your keys, or a user's (never the keys themselves)", Args: exactly(0, "no arguments"),
		Example: `  eactl keys list
  eactl keys list --user ops@example.com`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := t.api()
			if err != nil {
				return err
			}
			var p client.ListKeysParams
			if of != "" {
				if p.User, err = userID(cmd.Context(), api, of); err != nil {
					return err
				}
			}
			page, err := api.ListKeys(cmd.Context(), p)
			return list(t, whole(page.Items, err), 0, "id", "prefix", "name", "created_at", "last_used_at", "expires_at")
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
			wanted := client.NewKey{Name: name}
			if expires != "" {
				end, err := ending(expires, time.Now())
				if err != nil {
					return &usageError{err}
				}
				wanted.ExpiresAt = client.At(end)
			}
			api, err := t.api()
			if err != nil {
				return err
			}
			if of != "" {
				if wanted.UserID, err = userID(cmd.Context(), api, of); err != nil {
					return err
				}
			}
			made, err := api.CreateKey(cmd.Context(), wanted)
			return t.sayKey(made, err)
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
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := t.api()
			if err != nil {
				return err
			}
			made, err := api.RotateKey(cmd.Context(), args[0], &client.RotateKeyBody{Overlap: overlap})
			return t.sayKey(made, err)
		}}
	c.Flags().StringVar(&overlap, "overlap", "24h", "how long the old key still works: 0s, 1h, 7d")
	return c
}

// sayKey prints the key alone, so that it can be taken into a variable.
func (t *tool) sayKey(made client.MadeKey, err error) error {
	if err != nil {
		return err
	}
	return t.print(made, func() error {
		_, err := fmt.Fprintln(t.out, made.APIKey)
		return err
	})
}

func (t *tool) keysRevoke() *cobra.Command {
	return &cobra.Command{Use: "revoke KEY_ID", Short: "Revoke a key: it stops working at once", Args: exactly(1, "a key's id"),
		Example: `  eactl keys revoke key_5f2c8a110b1c`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := t.api()
			if err != nil {
				return err
			}
			return t.sayDeleted(args[0], api.RevokeKey(cmd.Context(), args[0]))
		}}
}
