package ctl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

// outputs are what -o takes.
var outputs = []string{outputTable, outputJSON, outputYAML, outputCSV}

const (
	outputTable = "table"
	outputJSON  = "json"
	outputYAML  = "yaml"
	outputCSV   = "csv" // of lists alone
)

// print prints one result: as a person reads it, or as data.
func (t *tool) print(v any, person func() error) error {
	switch t.output {
	case outputJSON:
		return t.printLine(v)
	case outputYAML:
		return t.printYAML(v)
	}
	return person()
}

// printJSON prints one value as indented JSON.
func (t *tool) printJSON(v any) error {
	encoder := json.NewEncoder(t.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// printLine prints one value as a line of JSON.
func (t *tool) printLine(v any) error {
	encoder := json.NewEncoder(t.out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// printYAML prints one value as a YAML document with its names in their order.
func (t *tool) printYAML(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeYAML(t.out, line)
}

// sayDeleted says what is gone, unless it could not be deleted.
func (t *tool) sayDeleted(name string, err error) error {
	if err != nil {
		return err
	}
	return t.print(map[string]string{"deleted": name}, func() error {
		_, err := fmt.Fprintf(t.out, "deleted %s\n", name)
		return err
	})
}

// decoded is an object with its numbers as they are written.
func decoded(item json.RawMessage) (map[string]any, error) {
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(item))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("the API's answer is no JSON object: %w", err)
	}
	return m, nil
}

// rows is a table whose texts may be anybody's: they move no cursor.
type rows struct{ table.Writer }

// coloured is a text that was made printable before it got its colours.
type coloured string

// AppendRow makes the texts of a row printable, but for those that are.
func (r rows) AppendRow(row table.Row, config ...table.RowConfig) {
	for i, c := range row {
		switch text := c.(type) {
		case string:
			row[i] = printable(text)
		case coloured:
			row[i] = string(text)
		}
	}
	r.Writer.AppendRow(row, config...)
}

// rows collects a table.
func (t *tool) rows(header ...any) rows {
	w := table.NewWriter()
	w.SetOutputMirror(t.out)
	w.SetStyle(table.StyleLight)
	w.Style().Options.DrawBorder = false
	w.AppendHeader(header)
	return rows{w}
}

// cell is a field of a decoded object as a table shows it.
func cell(m map[string]any, path string) string {
	v, ok := m[path]
	for !ok || v == nil {
		name, rest, deeper := strings.Cut(path, ".")
		within, is := m[name].(map[string]any)
		if !deeper || !is {
			return ""
		}
		m, path = within, rest
		v, ok = m[path]
	}
	switch v.(type) {
	case map[string]any, []any:
		if line, err := plain(v); err == nil {
			return string(line)
		}
	}
	return fmt.Sprint(v)
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// isTerminal says whether somebody looks at w.
func isTerminal(w io.Writer) bool {
	if o, kept := w.(*output); kept {
		w = o.Writer
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// paint colours s where somebody looks at it and did not ask for none (NO_COLOR).
func (t *tool) paint(c text.Color, s string) string { return t.paintOn(t.out, c, s) }

func (t *tool) paintOn(w io.Writer, c text.Color, s string) string {
	if !isTerminal(w) || t.env("NO_COLOR", "") != "" {
		return s
	}
	return c.EscapeSeq() + s + text.Reset.EscapeSeq()
}

// warn says beside the result what somebody should know.
func (t *tool) warn(all []client.Flaw) {
	for _, w := range all {
		place := w.Pointer
		if place != "" {
			place += ": "
		}
		fmt.Fprintln(t.errOut, t.paintOn(t.errOut, text.FgYellow, "warning: "+place+w.Message))
	}
}
