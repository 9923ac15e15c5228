package ctl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

func (t *tool) rules() *cobra.Command {
	return group("rules", "Keep rules", t.rulesList(), t.rulesGet(), t.rulesApply(), t.rulesDelete(), t.matchRules())
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
	return &cobra.Command{Use: "get RULE_ID", Short: "Show one rule, secrets masked", Args: exactly(1, "a rule id"),
		Example: `  eactl rules get 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968 -o yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.showOne(cmd, "/rules/"+url.PathEscape(args[0]))
		}}
}

func (t *tool) rulesDelete() *cobra.Command {
	return &cobra.Command{Use: "delete RULE_ID", Short: "Delete a rule; its versions stay readable", Args: exactly(1, "a rule id"),
		Example: `  eactl rules delete 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := t.client()
			if err != nil {
				return err
			}
			if err := api.do(cmd.Context(), http.MethodDelete, "/rules/"+url.PathEscape(args[0]), nil, nil, nil); err != nil {
				if errors.Is(err, errNothing) {
					err = fmt.Errorf("no rule has the id %s (`eactl rules list` shows them): %w", args[0], errNothing)
				}
				return err
			}
			return t.print(map[string]string{"deleted": args[0]}, func() error {
				_, err := fmt.Fprintf(t.out, "deleted %s\n", args[0])
				return err
			})
		}}
}

func (t *tool) rulesApply() *cobra.Command {
	var file string
	c := &cobra.Command{Use: "apply -f FILE|FOLDER", Short: "Create or replace rules by name: all of them, or none", Args: exactly(0, "only flags"),
		Example: `  eactl rules apply -f configs/rules/
  eactl rules apply -f rules.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return &usageError{errors.New("-f FILE is missing")}
			}
			rules, err := readRules(file)
			if err != nil {
				return &usageError{err}
			}
			api, err := t.client()
			if err != nil {
				return err
			}
			body, err := rulesArray(rules)
			if err != nil {
				return err
			}
			var result struct {
				Created   int `json:"created"`
				Changed   int `json:"changed"`
				Unchanged int `json:"unchanged"`
			}
			if err := api.do(cmd.Context(), http.MethodPost, "/rules/import", nil, body, &result); err != nil {
				return named(err, rules)
			}
			return t.print(result, func() error {
				_, err := fmt.Fprintf(t.out, "%d created, %d changed, %d unchanged\n", result.Created, result.Changed, result.Unchanged)
				return err
			})
		}}
	c.Flags().StringVarP(&file, "file", "f", "", "JSON array, JSON lines, extended JSON or YAML; a folder: all of its files")
	return c
}

// fileRule is a rule and the file that it was read from.
type fileRule struct {
	rule.Rule
	file string
}

func rulesArray(rules []fileRule) ([]byte, error) {
	all := make([]json.RawMessage, len(rules))
	for i, r := range rules {
		var err error
		if all[i], err = r.JSON(); err != nil {
			return nil, fmt.Errorf("%s: %w", r.file, err)
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(all)
	return b.Bytes(), err
}

// named puts files and names of rules in place of their numbers in the request.
func named(err error, rules []fileRule) error {
	var p problem
	var usage *usageError
	if !errors.As(err, &p) || !errors.As(err, &usage) {
		return err
	}
	for i, f := range p.Errors {
		number, rest, _ := strings.Cut(strings.TrimPrefix(f.Pointer, "/"), "/")
		if n, err := strconv.Atoi(number); err == nil && n >= 0 && n < len(rules) {
			p.Errors[i].Pointer = fmt.Sprintf("%s: rule %q: /%s", rules[n].file, rules[n].Name, rest)
		}
	}
	return &usageError{p}
}

var ruleFiles = []string{".json", ".jsonl", ".ndjson", ".yaml", ".yml"}

// readRules reads one file, or all files of a folder in the order of names. Its
// error names every mistake of every file.
func readRules(path string) ([]fileRule, error) {
	files := []string{path}
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if info.IsDir() {
		files = nil
		err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && slices.Contains(ruleFiles, filepath.Ext(p)) {
				files = append(files, p)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	var all []fileRule
	var wrong []error
	seen := map[string]string{} // a rule's name to its file
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		rules, err := rule.ParseFile(f, name)
		_ = f.Close()
		wrong = append(wrong, err)
		for _, r := range rules {
			if other, twice := seen[r.Name]; twice && r.Name != "" {
				wrong = append(wrong, fmt.Errorf("%s: rule %q is in %s, too; names are unique", name, r.Name, other))
			}
			seen[r.Name] = name
			all = append(all, fileRule{r, name})
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s holds no rules (a folder's files end in %s)", path, strings.Join(ruleFiles, ", "))
	}
	return all, nil
}
