package ctl

import (
	"net/url"

	"github.com/spf13/cobra"
)

// auditShown is how many entries are shown when nothing is said.
const auditShown = 50

func (t *tool) audit() *cobra.Command {
	filters := map[string]*string{}
	var limit int
	c := &cobra.Command{Use: "audit", Short: "Who changed what, the newest first", Args: exactly(0, "only flags"),
		Long: "Who changed what, the newest first. -o json and yaml show what it was before and is after, secrets masked.",
		Example: `  eactl audit --by ops@example.com --from 2026-01-31T00:00:00Z
  eactl audit --kind rule --subject 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968 -o yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := t.client()
			if err != nil {
				return err
			}
			query := url.Values{}
			for name, value := range filters {
				if *value != "" {
					query.Set(name, *value)
				}
			}
			l := t.list("at", "by", "action", "subject", "request_id")
			defer l.end()
			return api.all(cmd.Context(), "/audit", query, limit, l.add)
		}}
	for name, what := range map[string]string{
		"by": "who: a user's `ADDRESS`", "kind": "what: rule, template, silence, target, notification, replay, dead_letter, user, key, secrets",
		"action": "what was done, such as rule.delete", "subject": "the `ID` of what was changed", "from": "from this time on (RFC 3339)", "to": "up to this time",
	} {
		filters[name] = c.Flags().String(name, "", what)
	}
	c.Flags().IntVar(&limit, "limit", auditShown, "at most so many entries; 0: all")
	return c
}
