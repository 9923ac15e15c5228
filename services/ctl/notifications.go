package ctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (t *tool) notifications() *cobra.Command {
	return group("notifications", "What rules owe, and every attempt to deliver it",
		t.notificationsList(), t.notificationsGet(), t.notificationsRetry(), t.notificationsCancel())
}

// asked are text flags that go to the API under their own names, when given.
type asked map[string]*string

func (a asked) flag(f *pflag.FlagSet, name, usage string) { a[name] = f.String(name, "", usage) }

func (a asked) given() map[string]string {
	given := map[string]string{}
	for name, value := range a {
		if *value != "" {
			given[name] = *value
		}
	}
	return given
}

func (t *tool) notificationsList() *cobra.Command {
	limit, filter := 0, asked{}
	c := &cobra.Command{Use: "list", Short: "List notifications, newest first", Args: exactly(0, "no arguments"),
		Example: `  eactl notifications list --status dead --limit 20
  eactl notifications list --event 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968 -o json
  eactl notifications list --status suppressed --reason silenced`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return &usageError{errors.New("--limit is 0 or more")}
			}
			api, err := t.client()
			if err != nil {
				return err
			}
			query := url.Values{}
			for name, value := range filter.given() {
				switch name {
				case "event":
					name = "event_id"
				case "rule":
					if value, err = api.ruleID(cmd.Context(), value); err != nil {
						return err
					}
				}
				query.Set(name, value)
			}
			l := t.list("created_at", "status", "reason", "rule_name", "attempt_count", "notification_id")
			defer l.end()
			return api.all(cmd.Context(), "/notifications", query, limit, l.add)
		}}
	c.Flags().IntVar(&limit, "limit", 50, "at most so many; 0: all")
	filter.flag(c.Flags(), "status", "pending, delivered, dead or suppressed")
	filter.flag(c.Flags(), "reason", "why it is dead or suppressed")
	filter.flag(c.Flags(), "rule", "a rule's id or name")
	filter.flag(c.Flags(), "event", "an event's id")
	filter.flag(c.Flags(), "replay", "made by this replay")
	filter.flag(c.Flags(), "from", "made not before this `TIME` (RFC 3339)")
	filter.flag(c.Flags(), "to", "made before this `TIME` (RFC 3339)")
	return c
}

func (t *tool) notificationsGet() *cobra.Command {
	return &cobra.Command{Use: "get NOTIFICATION_ID", Short: "Show one with its attempts, secrets masked", Args: exactly(1, "a notification's id"),
		Example: `  eactl notifications get ntf_24ab10cb36d89639ea4c6829ba74d253 -o yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.showOne(cmd, "/notifications/"+url.PathEscape(args[0]))
		}}
}

func (t *tool) notificationsRetry() *cobra.Command {
	var force, dry bool
	limit, filter := 0, asked{}
	c := &cobra.Command{Use: "retry [NOTIFICATION_ID]", Short: "Try one again, or all that are dead or suppressed and fit", Args: cobra.MaximumNArgs(1),
		Example: `  eactl notifications retry ntf_24ab10cb36d89639ea4c6829ba74d253
  eactl notifications retry ntf_24ab10cb36d89639ea4c6829ba74d253 --force    # also when it is delivered, under the same webhook-id
  eactl notifications retry --status dead --rule payment-failed --dry-run
  eactl notifications retry --status suppressed --reason target_disabled --limit 500`,
		RunE: func(cmd *cobra.Command, args []string) error {
			given := filter.given()
			if (len(args) == 1) == (given["status"] != "") {
				return &usageError{errors.New("name one notification, or --status dead|suppressed for all that fit")}
			}
			api, err := t.client()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				query := url.Values{}
				if force {
					query.Set("force", "true")
				}
				return t.changeNotification(cmd, api, args[0], "retry", query)
			}
			wanted := map[string]any{"limit": limit, "dry_run": dry}
			for name, value := range given {
				if name == "rule" {
					if value, err = api.ruleID(cmd.Context(), value); err != nil {
						return err
					}
				}
				wanted[name] = value
			}
			body, err := json.Marshal(wanted)
			if err != nil {
				return err
			}
			var answer struct {
				Matched  int  `json:"matched"`
				Retried  int  `json:"retried"`
				DryRun   bool `json:"dry_run"`
				Complete bool `json:"complete"`
			}
			if err := api.do(cmd.Context(), http.MethodPost, "/notifications/retry", nil, body, &answer); err != nil {
				return err
			}
			return t.print(answer, func() error {
				more := ""
				if !answer.Complete {
					more = "; there may be more, run it again"
				}
				_, err := fmt.Fprintf(t.out, "%d fit, %d are tried again%s\n", answer.Matched, answer.Retried, more)
				return err
			})
		}}
	c.Flags().BoolVar(&force, "force", false, "one notification: call once more whatever its status")
	c.Flags().BoolVar(&dry, "dry-run", false, "many: only count")
	c.Flags().IntVar(&limit, "limit", 1000, "many: at most so many, the newest first")
	filter.flag(c.Flags(), "status", "many: dead or suppressed")
	filter.flag(c.Flags(), "reason", "many: why they are that")
	filter.flag(c.Flags(), "rule", "many: a rule's id or name")
	filter.flag(c.Flags(), "from", "many: made not before this `TIME` (RFC 3339)")
	filter.flag(c.Flags(), "to", "many: made before this `TIME` (RFC 3339)")
	return c
}

func (t *tool) notificationsCancel() *cobra.Command {
	return &cobra.Command{Use: "cancel NOTIFICATION_ID", Short: "End one that waits for its next attempt", Args: exactly(1, "a notification's id"),
		Example: `  eactl notifications cancel ntf_24ab10cb36d89639ea4c6829ba74d253`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := t.client()
			if err != nil {
				return err
			}
			return t.changeNotification(cmd, api, args[0], "cancel", nil)
		}}
}

func (t *tool) changeNotification(cmd *cobra.Command, api *client, id, change string, query url.Values) error {
	var answer json.RawMessage
	if err := api.do(cmd.Context(), http.MethodPost, "/notifications/"+url.PathEscape(id)+"/"+change, query, nil, &answer); err != nil {
		return err
	}
	return t.print(answer, func() error {
		m, err := decoded(answer)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.out, "%s is %s\n", id, cell(m, "status"))
		return err
	})
}
