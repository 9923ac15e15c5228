// Command conditions writes the documentation of the condition language from
// the tables and their cases; `go generate` runs it in the package's folder.
package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"text/template"

	_ "embed"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

//go:embed conditions.tmpl
var page string

func main() {
	t := template.Must(template.New("conditions").Funcs(template.FuncMap{
		"cases": cases, "name": func(op string) string { return strings.TrimPrefix(op, "$") }, "code": code, "codes": codes,
	}).Parse(page))
	var b bytes.Buffer
	if err := t.Execute(&b, map[string]any{
		"Operators": rule.Operators(), "Shapes": rule.Shapes(), "Unsupported": rule.Unsupported(),
		"Refused": rule.RefusedConstructs(), "Budget": rule.Budget,
	}); err != nil {
		panic(err)
	}
	if err := os.WriteFile(os.Args[1], b.Bytes(), 0o644); err != nil {
		panic(err)
	}
}

// oneCase is what the specs check, too.
type oneCase struct {
	Says      string            `json:"says"`
	Condition json.RawMessage   `json:"condition"`
	Matches   []json.RawMessage `json:"matches"`
	Not       []json.RawMessage `json:"not"`
}

// cases are those of one file that are not about refusals.
func cases(file string) ([]oneCase, error) {
	text, err := os.ReadFile("testdata/" + file + ".json")
	if err != nil {
		return nil, err
	}
	var all, some []oneCase
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	for _, c := range all {
		if len(c.Matches)+len(c.Not) > 0 {
			some = append(some, c)
		}
	}
	return some, nil
}

// code is JSON or text in a table's cell.
func code(v any) string {
	text, ok := v.(string)
	if raw, is := v.(json.RawMessage); is {
		text, ok = string(raw), true
	}
	if !ok || text == "" {
		return ""
	}
	return "`` " + strings.ReplaceAll(text, "|", `\|`) + " ``"
}

// codes are the first few documents.
func codes(documents []json.RawMessage) string {
	const most = 3
	var out []string
	for i, d := range documents {
		if i == most {
			break
		}
		out = append(out, code(d))
	}
	return strings.Join(out, "<br>")
}
