package ctl

import (
	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

func (t *tool) audit() *cobra.Command {
	var p client.ListAuditParams
	var r rangeFlags
	c := &cobra.Command{Use: "audit", Short: "Who changed what, the newest first", Args: exactly(0, "only flags"),
		Long: "Who changed what, the newest first. -o json and yaml show what it was before and is after, secrets masked.",
		Example: `  eactl audit --by ops@example.com --from 2026-01-31T00:00:00Z
  eactl audit --kind rule --subject 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968 -o yaml`}
	c.Flags().StringVar(&p.By, "by", "", "who: a user's `ADDRESS`")
	c.Flags().StringVar(&p.Kind, "kind", "", "what: rule, template, silence, target, notification, replay, dead_letter, user, key, secrets")
	c.Flags().StringVar(&p.Action, "action", "", "what was done, such as rule.delete")
	c.Flags().StringVar(&p.Subject, "subject", "", "the `ID` of what was changed")
	r.bind(c.Flags(), "")
	limit := limitFlag(c.Flags())
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		most, err := limit()
		if err != nil {
			return err
		}
		api, err := t.api()
		if err != nil {
			return err
		}
		p.From, p.To, p.Limit = r.from, r.to, pageFor(most)
		return list(t, api.AllAudit(cmd.Context(), p), most, "at", "by", "action", "subject", "request_id")
	}
	return listed(c)
}
