package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func (t *tool) rules() *cobra.Command {
	return group("rules", "Keep rules",
		t.rulesList(), t.rulesGet(), t.rulesApply(), t.rulesDelete(),
		t.rulesExport(), t.rulesImport(), t.rulesVersions(), t.rulesDiff(), t.rulesRollback(), t.rulesStatus(),
		t.rulesTest(), t.rulesExplain(), t.rulesBacktest(),
		t.matchRules())
}

func (t *tool) rulesList() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List rules", Args: exactly(0, "no arguments"),
		Example: `  eactl rules list
  eactl rules list -o json > rules.jsonl    # secrets are masked; apply keeps those that are stored`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := t.client()
			if err != nil {
				return err
			}
			l := t.list("rule_id", "name", "priority", "enabled", "mode", "version")
			defer l.end()
			return api.all(cmd.Context(), "/rules", url.Values{}, 0, l.add)
		}}
}

func (t *tool) rulesGet() *cobra.Command {
	return &cobra.Command{Use: "get RULE", Short: "Show one rule, secrets masked", Args: exactly(1, "a rule's id or name"),
		Example: `  eactl rules get 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968 -o yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := t.client()
			if err != nil {
				return err
			}
			one, err := api.rule(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return t.print(one, func() error { return t.printJSON(one) })
		}}
}

// rule reads a rule by its id or its name.
func (c *client) rule(ctx context.Context, idOrName string) (json.RawMessage, error) {
	var one json.RawMessage
	err := c.do(ctx, http.MethodGet, "/rules/"+url.PathEscape(idOrName), nil, nil, &one)
	if !errors.Is(err, errNothing) {
		return one, err
	}
	var found page
	if err := c.do(ctx, http.MethodGet, "/rules", url.Values{"name": {idOrName}}, nil, &found); err != nil {
		return nil, err
	}
	if len(found.Items) == 0 {
		return nil, noRule(idOrName)
	}
	return found.Items[0], nil
}

// rule is the API, and its path of a rule that is named by its id or its name.
// One that was deleted still has its versions under its id.
func (t *tool) rule(ctx context.Context, idOrName string) (api *client, path string, err error) {
	if api, err = t.client(); err != nil {
		return nil, "", err
	}
	id, err := api.ruleID(ctx, idOrName)
	return api, "/rules/" + url.PathEscape(id), err
}

func (c *client) ruleID(ctx context.Context, idOrName string) (string, error) {
	id := struct {
		RuleID string `json:"rule_id"`
	}{idOrName}
	one, err := c.rule(ctx, idOrName)
	if err == nil {
		err = json.Unmarshal(one, &id)
	}
	if err != nil && !errors.Is(err, errNothing) {
		return "", err
	}
	return id.RuleID, nil
}

func noRule(idOrName string) error {
	return fmt.Errorf("no rule has the id or name %s (`eactl rules list` shows them): %w", idOrName, errNothing)
}

func (t *tool) rulesDelete() *cobra.Command {
	return &cobra.Command{Use: "delete RULE", Short: "Delete a rule; its versions stay readable", Args: exactly(1, "a rule's id or name"),
		Example: `  eactl rules delete 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, path, err := t.rule(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := api.do(cmd.Context(), http.MethodDelete, path, nil, nil, nil); err != nil {
				if errors.Is(err, errNothing) {
					err = noRule(args[0])
				}
				return err
			}
			return t.print(map[string]string{"deleted": args[0]}, func() error {
				_, err := fmt.Fprintf(t.out, "deleted %s\n", args[0])
				return err
			})
		}}
}
