package ctl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

var errNotCurrent = errors.New("not every rule-worker holds the stored rules")

func (t *tool) rulesStatus() *cobra.Command {
	var ruleName string
	var wait time.Duration
	c := &cobra.Command{Use: "status [--rule RULE] [--wait TIME]", Short: "Show which rules each rule-worker holds; exit 1 when they are not current", Args: exactly(0, "only flags"),
		Example: `  eactl rules status
  eactl rules apply -f rules.yaml && eactl rules status --wait 20s`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			api, err := t.api()
			if err != nil {
				return err
			}
			var p client.GetRulesStatusParams
			if ruleName != "" {
				if p.Rule, err = ruleID(ctx, api, ruleName); err != nil {
					return err
				}
			}
			held, err := rulesHeld(ctx, api, p, time.Now().Add(wait))
			if err != nil {
				return err
			}
			if err := t.print(held, func() error { return t.showHeld(held, ruleName != "") }); err != nil {
				return err
			}
			if !held.Current {
				return errNotCurrent
			}
			return nil
		}}
	c.Flags().StringVar(&ruleName, "rule", "", "also say which version of this `RULE` each worker holds")
	c.Flags().DurationVar(&wait, "wait", 0, "wait so long for the workers to be current")
	return c
}

// rulesHeld asks until the workers are current, or until the given time.
func rulesHeld(ctx context.Context, api *client.Client, p client.GetRulesStatusParams, until time.Time) (client.RulesStatus, error) {
	for {
		held, err := api.GetRulesStatus(ctx, p)
		if err != nil || held.Current || time.Now().After(until) {
			return held, err
		}
		select {
		case <-ctx.Done():
			return held, ctx.Err()
		case <-time.After(time.Second / 4):
		}
	}
}

// stateColors make what needs a look stand out.
var stateColors = map[string]text.Color{"current": text.FgGreen, "behind": text.FgYellow, "silent": text.FgRed, "other": text.FgRed}

func (t *tool) showHeld(h client.RulesStatus, one bool) error {
	header := []any{"worker", "state", "rules", "broken", "loaded", "last word"}
	if one {
		header = append(header, "version")
	}
	w := t.rows(header...)
	broken, warned := map[string]string{}, map[string]string{}
	for _, k := range h.Workers {
		row := []any{k.Worker, coloured(t.paint(stateColors[k.State], k.State)), k.Rules, len(k.Broken), k.LoadedAt.Format(time.RFC3339), k.BeatAt.Format(time.RFC3339)}
		if one {
			version := "none: " + k.Why
			if k.Version > 0 {
				version = fmt.Sprint(k.Version)
			}
			row = append(row, version)
		}
		w.AppendRow(row)
		for _, b := range k.Broken {
			broken[fmt.Sprintf("%q (%s)", b.Name, b.RuleID)] = b.Error
		}
		for _, b := range k.Warned {
			warned[fmt.Sprintf("%q (%s)", b.Name, b.RuleID)] = b.Warning
		}
	}
	if len(h.Workers) == 0 {
		fmt.Fprintln(t.out, "no rule-worker has said which rules it holds; is one running?")
		return nil
	}
	w.Render()
	for _, name := range sortedNames(broken) {
		fmt.Fprintln(t.out, t.paint(text.FgRed, "not held: ")+name+": "+broken[name])
	}
	for _, name := range sortedNames(warned) {
		fmt.Fprintln(t.out, t.paint(text.FgYellow, "held in part: ")+name+": "+warned[name])
	}
	return nil
}
