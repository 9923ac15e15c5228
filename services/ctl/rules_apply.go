package ctl

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/client"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// importTimeout is for many thousand rules on a slow server.
const importTimeout = 3 * time.Minute

// indexTimeout is how long the API waits for indexes besides.
const indexTimeout = 5 * time.Minute

func (t *tool) rulesApply() *cobra.Command {
	return t.saveRules("apply", "Create or replace rules by id or name: all of them, or none", `  eactl rules apply -f configs/rules/
  eactl rules apply -f rules.yaml`)
}

// rulesImport is apply under the name that goes with export.
func (t *tool) rulesImport() *cobra.Command {
	return t.saveRules("import", "Read back what export wrote: all rules, or none", `  eactl rules export > rules.json && eactl rules import -f rules.json`)
}

func (t *tool) saveRules(name, short, example string) *cobra.Command {
	var file string
	var indexes bool
	c := &cobra.Command{Use: name + " -f FILE|FOLDER", Short: short, Args: exactly(0, "only flags"), Example: example,
		Long: short + `.

A rule is known by its rule_id, else by its name. Rules that are already so are left alone and get no new version; masked
secrets stand for the stored ones. One broken rule is named with file, line and path, and then nothing is saved. So is one
with a window that no index serves, unless --create-indexes makes it, which takes minutes where there are many events.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return &usageError{errors.New("-f FILE is missing")}
			}
			rules, err := readRules(file)
			if err != nil {
				return &usageError{err}
			}
			api, err := t.api()
			if err != nil {
				return err
			}
			body, err := rulesArray(rules)
			if err != nil {
				return err
			}
			if api.Timeout = importTimeout; indexes {
				api.Timeout += indexTimeout
			}
			result, err := api.ImportRulesWith(cmd.Context(), client.ImportRulesParams{CreateIndexes: indexes}, client.JSON(body))
			if err != nil {
				return named(err, rules)
			}
			inFiles(result.Warnings, rules)
			t.warn(result.Warnings)
			return t.print(result, func() error {
				_, err := fmt.Fprintf(t.out, "%d created, %d changed, %d unchanged\n", result.Created, result.Changed, result.Unchanged)
				return err
			})
		}}
	c.Flags().StringVarP(&file, "file", "f", "", "JSON array, JSON lines, extended JSON or YAML; a folder: all of its files")
	c.Flags().BoolVar(&indexes, "create-indexes", false, "make the indexes of the stored events that window rules need")
	return c
}

// fileRule is a rule, the file that it was read from, and its place there.
type fileRule struct {
	rule.Rule
	file  string
	index int
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

// named puts files, lines and names of rules in place of their numbers in the
// request.
func named(err error, rules []fileRule) error {
	var p *client.Problem
	if errors.As(err, &p) {
		inFiles(p.Errors, rules)
	}
	return err
}

// inFiles is named for what the API says of the rules of a request.
func inFiles(all []client.Flaw, rules []fileRule) {
	places := map[string][]*rule.Place{} // by file
	flaws := map[*rule.Place]*client.Flaw{}
	for i := range all {
		f := &all[i]
		number, rest, _ := strings.Cut(strings.TrimPrefix(f.Pointer, "/"), "/")
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n >= len(rules) {
			continue
		}
		r := rules[n]
		place := &rule.Place{Index: r.index, Pointer: "/" + rest}
		places[r.file] = append(places[r.file], place)
		flaws[place] = f
		f.Pointer = fmt.Sprintf("rule %q: /%s", cmp.Or(r.Name, r.ID), rest)
	}
	for file, inFile := range places {
		findLines(file, inFile)
		for _, place := range inFile {
			where := file
			if place.Line > 0 {
				where += ":" + strconv.Itoa(place.Line)
			}
			flaws[place].Pointer = where + ": " + flaws[place].Pointer
		}
	}
}

// findLines leaves the lines out when the file cannot be read a second time.
func findLines(file string, places []*rule.Place) {
	f, err := os.Open(file)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	_ = rule.FindLines(f, file, places)
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
		for i, r := range rules {
			if other, twice := seen[r.Name]; twice && r.Name != "" {
				wrong = append(wrong, fmt.Errorf("%s: rule %q is in %s, too; names are unique", name, r.Name, other))
			}
			seen[r.Name] = name
			all = append(all, fileRule{r, name, i})
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
