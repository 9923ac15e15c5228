package ctl

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

// rulesExport writes all rules in a form that import reads back to the same.
func (t *tool) rulesExport() *cobra.Command {
	return &cobra.Command{Use: "export", Short: "Write all rules as one file, secrets masked", Args: exactly(0, "no arguments"),
		Long: `Write all rules as one file: a JSON array with a rule a line, or YAML with -o yaml.

import and apply read it back to the same rules. Versions, times and authors are left out, so that the file changes only when
a rule does. Secrets are masked; where the rule is stored already, import keeps the stored ones.`,
		Example: `  eactl rules export > rules.json
  eactl rules export -o yaml > rules.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := t.api()
			if err != nil {
				return err
			}
			begin, between, end := "[\n", ",\n", "\n]\n"
			if t.output == outputYAML {
				begin, between, end = "", "", ""
			}
			text := begin
			err = upTo(api.AllRules(cmd.Context(), client.ListRulesParams{}), 0, func(r client.Rule) error {
				item, err := plain(exported{Rule: r})
				if err != nil {
					return err
				}
				if _, err := fmt.Fprint(t.out, text); err != nil {
					return err
				}
				text = between
				if t.output == outputYAML {
					return writeYAML(t.out, item)
				}
				_, err = t.out.Write(item)
				return err
			})
			if errors.Is(err, errNothing) { // no rules are rules, too: an empty file must be a valid one
				err = nil
				if t.output != outputYAML {
					_, err = fmt.Fprint(t.out, "[]\n")
				}
				return err
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(t.out, end)
			return err
		}}
}

// exported is a rule without what the API says of it: its fields are hidden by
// those of the same names, which are never there.
type exported struct {
	client.Rule

	Version   *int `json:"version,omitempty"`
	CreatedAt *int `json:"created_at,omitempty"`
	UpdatedAt *int `json:"updated_at,omitempty"`
	CreatedBy *int `json:"created_by,omitempty"`
}
