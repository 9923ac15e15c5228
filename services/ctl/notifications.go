package ctl

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

func (t *tool) notifications() *cobra.Command {
	return group("notifications", "What rules owe, and every attempt to deliver it",
		listed(t.notificationsList()), t.notificationsGet(), t.notificationsRetry(), t.notificationsCancel())
}

func (t *tool) notificationsList() *cobra.Command {
	var p client.ListNotificationsParams
	var r rangeFlags
	var rule string
	c := &cobra.Command{Use: "list", Short: "List notifications, newest first", Args: exactly(0, "no arguments"),
		Example: `  eactl notifications list --status dead --limit 20
  eactl notifications list --event 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968 -o json
  eactl notifications list --status suppressed --reason silenced`}
	limit := limitFlag(c.Flags())
	c.Flags().StringVar((*string)(&p.Status), "status", "", "pending, delivered, dead or suppressed")
	c.Flags().StringVar(&p.Reason, "reason", "", "why it is dead or suppressed")
	c.Flags().StringVar(&rule, "rule", "", "a rule's id or name")
	c.Flags().StringVar(&p.EventID, "event", "", "an event's id")
	c.Flags().StringVar(&p.Replay, "replay", "", "made by this replay")
	r.bind(c.Flags(), "made ")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		most, err := limit()
		if err != nil {
			return err
		}
		api, err := t.api()
		if err != nil {
			return err
		}
		if rule != "" {
			if p.Rule, err = ruleID(cmd.Context(), api, rule); err != nil {
				return err
			}
		}
		p.From, p.To, p.Limit = r.from, r.to, pageFor(most)
		return list(t, api.AllNotifications(cmd.Context(), p), most, "created_at", "status", "reason", "rule_name", "attempt_count", "notification_id")
	}
	return c
}

func (t *tool) notificationsGet() *cobra.Command {
	return &cobra.Command{Use: "get NOTIFICATION_ID", Short: "Show one with its attempts, secrets masked", Args: exactly(1, "a notification's id"),
		Example: `  eactl notifications get ntf_24ab10cb36d89639ea4c6829ba74d253 -o yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(t, cmd, (*client.Client).GetNotification, args[0])
		}}
}

func (t *tool) notificationsRetry() *cobra.Command {
	var force bool
	var many client.NotificationsRetry
	var r rangeFlags
	var rule string
	c := &cobra.Command{Use: "retry [NOTIFICATION_ID]", Short: "Try one again, or all that are dead or suppressed and fit", Args: cobra.MaximumNArgs(1),
		Example: `  eactl notifications retry ntf_24ab10cb36d89639ea4c6829ba74d253
  eactl notifications retry ntf_24ab10cb36d89639ea4c6829ba74d253 --force    # also when it is delivered, under the same webhook-id
  eactl notifications retry --status dead --rule payment-failed --dry-run
  eactl notifications retry --status suppressed --reason target_disabled --limit 500`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (many.Status != "") {
				return &usageError{errors.New("name one notification, or --status dead|suppressed for all that fit")}
			}
			if err := atLeastOne("limit", many.Limit); err != nil {
				return err
			}
			if len(args) == 1 {
				return t.changeNotification(args[0], func(api *client.Client) (client.Notification, error) {
					return api.RetryNotification(cmd.Context(), args[0], client.RetryNotificationParams{Force: force})
				})
			}
			api, err := t.api()
			if err != nil {
				return err
			}
			if rule != "" {
				if many.Rule, err = ruleID(cmd.Context(), api, rule); err != nil {
					return err
				}
			}
			many.From, many.To = r.from, r.to
			answer, err := api.RetryNotifications(cmd.Context(), many)
			if err != nil {
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
	c.Flags().BoolVar(&many.DryRun, "dry-run", false, "many: only count")
	c.Flags().Int64Var(&many.Limit, "limit", 1000, "many: at most so many, the newest first")
	c.Flags().StringVar(&many.Status, "status", "", "many: dead or suppressed")
	c.Flags().StringVar(&many.Reason, "reason", "", "many: why they are that")
	c.Flags().StringVar(&rule, "rule", "", "many: a rule's id or name")
	r.bind(c.Flags(), "many: made ")
	return c
}

func (t *tool) notificationsCancel() *cobra.Command {
	return &cobra.Command{Use: "cancel NOTIFICATION_ID", Short: "End one that waits for its next attempt", Args: exactly(1, "a notification's id"),
		Example: `  eactl notifications cancel ntf_24ab10cb36d89639ea4c6829ba74d253`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.changeNotification(args[0], func(api *client.Client) (client.Notification, error) {
				return api.CancelNotification(cmd.Context(), args[0])
			})
		}}
}

func (t *tool) changeNotification(id string, change func(*client.Client) (client.Notification, error)) error {
	api, err := t.api()
	if err != nil {
		return err
	}
	answer, err := change(api)
	if err != nil {
		return err
	}
	return t.print(answer, func() error {
		_, err := fmt.Fprintf(t.out, "%s is %s\n", id, answer.Status)
		return err
	})
}
