package ctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

func (t *tool) rules() *cobra.Command {
	listing := &cobra.Command{Use: "list", Short: "List rules", Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			w := t.rows("rule_id", "name", "priority", "enabled", "mode", "version")
			err = c.all(cmd.Context(), "/rules", url.Values{}, 0, func(item json.RawMessage) error {
				if t.output == "json" {
					_, err := fmt.Fprintf(t.out, "%s\n", item)
					return err
				}
				var m map[string]any
				if err := json.Unmarshal(item, &m); err != nil {
					return err
				}
				w.AppendRow([]any{text(m, "rule_id"), text(m, "name"), text(m, "priority"), text(m, "enabled"), text(m, "mode"), text(m, "version")})
				return nil
			})
			if err == nil && t.output == "table" {
				w.Render()
			}
			return err
		}}
	var file string
	apply := &cobra.Command{Use: "apply -f FILE|FOLDER", Short: "Create or replace rules by name: all of them, or none", Args: exactly(0, "only flags"),
		Example: `  eactl rules apply -f configs/rules/
  eactl rules apply -f rules.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rules, err := readRules(file)
			if err != nil {
				return &usageError{err}
			}
			c, err := t.client()
			if err != nil {
				return err
			}
			body := []byte("[")
			for i, r := range rules {
				one, err := r.JSON()
				if err != nil {
					return err
				}
				if i > 0 {
					body = append(body, ',')
				}
				body = append(body, one...)
			}
			var result map[string]int
			if err := c.do(cmd.Context(), http.MethodPost, "/rules/import", nil, append(body, ']'), &result); err != nil {
				return err
			}
			if t.output == "json" {
				return t.printLine(result)
			}
			_, err = fmt.Fprintf(t.out, "%d created, %d changed, %d unchanged\n", result["created"], result["changed"], result["unchanged"])
			return err
		}}
	apply.Flags().StringVarP(&file, "file", "f", "", "JSON array, JSON lines, extended JSON or YAML; a folder: all of its files")
	remove := &cobra.Command{Use: "delete RULE_ID", Short: "Delete a rule; its versions stay readable", Args: exactly(1, "a rule id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			return c.do(cmd.Context(), http.MethodDelete, "/rules/"+url.PathEscape(args[0]), nil, nil, nil)
		}}
	return group("rules", "Keep rules", listing, apply, remove, t.matchRules())
}

// readRules reads one file, or all files of a folder in the order of names.
func readRules(path string) ([]rule.Rule, error) {
	if path == "" {
		return nil, errors.New("-f FILE is missing")
	}
	files := []string{path}
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if info.IsDir() {
		files = nil
		err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && slices.Contains([]string{".json", ".jsonl", ".yaml", ".yml"}, filepath.Ext(p)) {
				files = append(files, p)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	var all []rule.Rule
	var wrong []error
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		rules, err := rule.ParseFile(f, name)
		_ = f.Close()
		all, wrong = append(all, rules...), append(wrong, err)
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s holds no rules", path)
	}
	return all, nil
}
