package ctl

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
)

// json prints one value as indented JSON.
func (t *tool) printJSON(v any) error {
	encoder := json.NewEncoder(t.out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// line prints one value as a line of JSON.
func (t *tool) printLine(v any) error { return json.NewEncoder(t.out).Encode(v) }

// rows collects a table.
func (t *tool) rows(header ...any) table.Writer {
	w := table.NewWriter()
	w.SetOutputMirror(t.out)
	w.SetStyle(table.StyleLight)
	w.Style().Options.DrawBorder = false
	w.AppendHeader(header)
	return w
}

// text is a field of a decoded object as a table shows it.
func text(m map[string]any, key string) string {
	if v, ok := m[key]; ok && v != nil {
		return fmt.Sprint(v)
	}
	return ""
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
