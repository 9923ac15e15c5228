package ctl

import (
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

func (t *tool) rulesExplain() *cobra.Command {
	return &cobra.Command{Use: "explain RULE EVENT", Short: "Say why a rule did, or did not do, something about a stored event", Args: exactly(2, "a rule's id or name, and an event id"),
		Long: `Say why a rule did, or did not do, something about a stored event: the version that decided it, each clause of the condition,
its window, what held it back, and each attempt of delivery. The first line is the answer.

On a terminal it is text; elsewhere it is JSON, unless -o says otherwise.`,
		Example: `  eactl rules explain "large failed payments" 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968
  eactl rules explain "large failed payments" 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968 -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, id, err := t.namedRule(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			answer, err := api.ExplainRule(cmd.Context(), id, client.ExplainRuleParams{Event: args[1]})
			if err != nil {
				return err
			}
			if !isTerminal(t.out) && !cmd.Flags().Changed("output") {
				return t.printLine(answer)
			}
			return t.print(answer, func() error {
				t.showExplanation(answer)
				return nil
			})
		}}
}

// outcomeColors make the first line speak.
var outcomeColors = map[string]text.Color{
	"delivered": text.FgGreen, "would_fire": text.FgGreen, "pending": text.FgYellow, "waits": text.FgYellow, "not_decided": text.FgYellow,
	"held": text.FgYellow, "fired_without_action": text.FgYellow, "dead": text.FgRed, "not_fired": text.FgRed, "would_not_fire": text.FgRed,
}

func (t *tool) showExplanation(e client.Explained) {
	fmt.Fprintln(t.out, t.paint(outcomeColors[e.Outcome], printableLines(e.Text)))
	fmt.Fprintf(t.out, "\nrule %q, event %s\n", e.RuleName, e.EventID)
	for _, step := range e.Steps {
		fmt.Fprintf(t.out, "%s %s\n", t.mark(step.OK), printableLines(step.Text))
		if step.Name == "condition" {
			t.showClauses(e.Condition.Clauses, 1)
		}
		if step.Name == "now" && e.ConditionNow != nil {
			t.showClauses(e.ConditionNow.Clauses, 1)
		}
	}
}

func (t *tool) showClauses(clauses []client.Explanation, depth int) {
	for _, c := range clauses {
		fmt.Fprintf(t.out, "%s%s %s\n", strings.Repeat("  ", depth), t.mark(c.Matched), printableLines(c.Text))
		t.showClauses(c.Clauses, depth+1)
	}
}

// mark shows a verdict also to those who see no colours.
func (t *tool) mark(ok bool) string {
	if ok {
		return t.paint(text.FgGreen, "✓")
	}
	return t.paint(text.FgRed, "✗")
}
