package ctl

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

// came is how a version came about, when it was not just saved.
func came(deleted bool, rolledBackTo int64) string {
	switch {
	case deleted:
		return "deleted"
	case rolledBackTo > 0:
		return "rolled back to " + strconv.FormatInt(rolledBackTo, 10)
	}
	return ""
}

func (t *tool) rulesVersions() *cobra.Command {
	return &cobra.Command{Use: "versions RULE", Short: "List a rule's versions, newest first", Args: exactly(1, "a rule's id or name"),
		Example: `  eactl rules versions "large failed payments"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, id, err := t.namedRule(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			l := t.list("version", "at", "by", "how")
			err = upTo(api.AllRuleVersions(cmd.Context(), id, client.ListRuleVersionsParams{}), 0, func(v client.RuleVersion) error {
				return t.print(v, func() error {
					return l.row(v.Version, v.UpdatedAt.Format(time.RFC3339), v.CreatedBy, came(v.Deleted, v.RolledBackTo))
				})
			})
			l.end()
			if errors.Is(err, errNothing) || missing(err) {
				return noRule(args[0])
			}
			return err
		}}
}

func (t *tool) rulesDiff() *cobra.Command {
	var p client.DiffRuleParams
	c := &cobra.Command{Use: "diff RULE [--from N] [--to N]", Short: "Show what changed between two versions", Args: exactly(1, "a rule's id or name"),
		Example: `  eactl rules diff "large failed payments"              # the last change
  eactl rules diff "large failed payments" --from 2 --to 5`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if p.From < 0 || p.To < 0 {
				return &usageError{errors.New("--from and --to are versions, from 1")}
			}
			api, id, err := t.namedRule(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			answer, err := api.DiffRule(cmd.Context(), id, p)
			if err != nil {
				return err
			}
			return t.print(answer, func() error { return t.showDiff(answer) })
		}}
	c.Flags().Int64Var(&p.From, "from", 0, "the older `VERSION`; the one before --to when it is not given")
	c.Flags().Int64Var(&p.To, "to", 0, "the newer `VERSION`; the newest when it is not given")
	return c
}

func (t *tool) showDiff(d client.RuleDiff) error {
	for _, side := range []struct {
		sign  string
		color text.Color
		v     client.VersionNote
	}{{"---", text.FgRed, d.From}, {"+++", text.FgGreen, d.To}} {
		line := fmt.Sprintf("%s version %d, %s by %s", side.sign, side.v.Version, side.v.At.Format(time.RFC3339), side.v.By)
		if note := came(side.v.Deleted, side.v.RolledBackTo); note != "" {
			line += " (" + note + ")"
		}
		fmt.Fprintln(t.out, t.paint(side.color, line))
	}
	for _, c := range d.Changes {
		fmt.Fprintln(t.out, t.paint(text.Bold, c.Path))
		if c.Secret {
			fmt.Fprintln(t.out, t.paint(text.FgYellow, "  the secret is another one"))
			continue
		}
		if c.Old != nil {
			fmt.Fprintln(t.out, t.paint(text.FgRed, "- "+string(c.Old)))
		}
		if c.New != nil {
			fmt.Fprintln(t.out, t.paint(text.FgGreen, "+ "+string(c.New)))
		}
	}
	if len(d.Changes) == 0 {
		fmt.Fprintln(t.out, "both ask for the same")
	}
	return nil
}

func (t *tool) rulesRollback() *cobra.Command {
	var to int64
	c := &cobra.Command{Use: "rollback RULE --to VERSION", Short: "Save the content of an old version as a new one; brings back a deleted rule", Args: exactly(1, "a rule's id or name"),
		Example: `  eactl rules rollback "large failed payments" --to 3`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if to < 1 {
				return &usageError{errors.New("--to VERSION is missing (`eactl rules versions` lists them)")}
			}
			api, id, err := t.namedRule(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			now, err := api.RollBackRule(cmd.Context(), id, client.RollBackRuleParams{}, client.RollBackRuleBody{Version: to})
			if err != nil {
				return err
			}
			return t.print(now, func() error {
				_, err := fmt.Fprintf(t.out, "%q is at version %d, with the content of version %d\n", now.Name, now.Version, to)
				return err
			})
		}}
	c.Flags().Int64Var(&to, "to", 0, "the `VERSION` whose content is wanted")
	return c
}
