package ctl

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

func (t *tool) rules() *cobra.Command {
	return group("rules", "Keep rules",
		listed(t.rulesList()), t.rulesGet(), t.rulesApply(), t.rulesDelete(),
		t.rulesExport(), t.rulesImport(), listed(t.rulesVersions()), t.rulesDiff(), t.rulesRollback(), t.rulesStatus(),
		t.rulesTest(), t.rulesExplain(), t.rulesBacktest(),
		t.matchRules())
}

func (t *tool) rulesList() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List rules", Args: exactly(0, "no arguments"),
		Example: `  eactl rules list
  eactl rules list -o json > rules.jsonl    # secrets are masked; apply keeps those that are stored`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := t.api()
			if err != nil {
				return err
			}
			return list(t, api.AllRules(cmd.Context(), client.ListRulesParams{}), 0, "rule_id", "name", "priority", "enabled", "mode", "version")
		}}
}

func (t *tool) rulesGet() *cobra.Command {
	return &cobra.Command{Use: "get RULE", Short: "Show one rule, secrets masked", Args: exactly(1, "a rule's id or name"),
		Example: `  eactl rules get 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968 -o yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := t.api()
			if err != nil {
				return err
			}
			one, err := ruleOf(cmd.Context(), api, args[0])
			if err != nil {
				return err
			}
			return t.print(one, func() error { return t.printJSON(one) })
		}}
}

// ruleOf reads a rule by its id or its name.
func ruleOf(ctx context.Context, api *client.Client, idOrName string) (client.Rule, error) {
	one, err := api.GetRule(ctx, idOrName)
	if !missing(err) {
		return one, err
	}
	found, err := api.ListRules(ctx, client.ListRulesParams{Name: idOrName})
	if err != nil {
		return client.Rule{}, err
	}
	if len(found.Items) == 0 {
		return client.Rule{}, noRule(idOrName)
	}
	return found.Items[0], nil
}

// ruleID is the id of a rule that is named by its id or its name. One that was
// deleted still has its versions under its id.
func ruleID(ctx context.Context, api *client.Client, idOrName string) (string, error) {
	one, err := ruleOf(ctx, api, idOrName)
	if errors.Is(err, errNothing) {
		return idOrName, nil
	}
	return one.RuleID, err
}

// namedRule is the API, and the id of a rule that is named by its id or its name.
func (t *tool) namedRule(ctx context.Context, idOrName string) (api *client.Client, id string, err error) {
	if api, err = t.api(); err != nil {
		return nil, "", err
	}
	id, err = ruleID(ctx, api, idOrName)
	return api, id, err
}

func noRule(idOrName string) error {
	return fmt.Errorf("no rule has the id or name %s (`eactl rules list` shows them): %w", idOrName, errNothing)
}

func (t *tool) rulesDelete() *cobra.Command {
	return &cobra.Command{Use: "delete RULE", Short: "Delete a rule; its versions stay readable", Args: exactly(1, "a rule's id or name"),
		Example: `  eactl rules delete 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, id, err := t.namedRule(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			err = api.DeleteRule(cmd.Context(), id, client.DeleteRuleParams{})
			if missing(err) {
				err = noRule(args[0])
			}
			return t.sayDeleted(args[0], err)
		}}
}
