package ctl

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/sheet"
)

// listing prints the items of a list as they come: a line of JSON or a YAML
// document each, a row of CSV, or rows that end up in one table.
type listing struct {
	t       *tool
	columns []string
	table   rows
	begun   bool // CSV has its row of names
}

// list begins a list.
func (t *tool) list(columns ...string) *listing {
	header := make([]any, len(columns))
	for i, c := range columns {
		header[i] = strings.ReplaceAll(c, "_", " ")
	}
	return &listing{t: t, columns: columns, table: t.rows(header...)}
}

// add prints an item whose fields the columns are.
func (l *listing) add(item json.RawMessage) error {
	return l.t.print(item, func() error {
		m, err := decoded(item)
		if err != nil {
			return err
		}
		row := make([]any, len(l.columns))
		for i, c := range l.columns {
			row[i] = cell(m, c)
		}
		return l.row(row...)
	})
}

// row adds what a person, or a spreadsheet, sees of an item. Texts may be
// anybody's: they move no cursor, and are no formulas.
func (l *listing) row(cells ...any) error {
	if l.t.output != outputCSV {
		l.table.AppendRow(cells)
		return nil
	}
	if !l.begun {
		l.begun = true
		if err := sheet.Write(l.t.out, l.columns); err != nil {
			return err
		}
	}
	record := make([]string, len(cells))
	for i, c := range cells {
		record[i] = sheet.Text(printableLines(fmt.Sprint(c)))
	}
	return sheet.Write(l.t.out, record)
}

// brief is a text that may hold anything, as it fits into a table; CSV has all of
// it that can be printed.
func (l *listing) brief(s string) string {
	if l.t.output == outputCSV {
		return printable(s)
	}
	return short(s)
}

func (l *listing) end() {
	if l.table.Length() > 0 {
		l.table.Render()
	}
}

// list prints all that there is, at most limit (0: no bound).
func list[T any](t *tool, all iter.Seq2[T, error], limit int, columns ...string) error {
	l := t.list(columns...)
	defer l.end() // also what came before a failure
	return upTo(all, limit, func(item T) error {
		line, err := plain(item)
		if err != nil {
			return err
		}
		return l.add(line)
	})
}

// whole is a list that comes in one piece.
func whole[T any](items []T, err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if err != nil {
			var none T
			yield(none, err)
			return
		}
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// upTo hands the first limit (0: all) of a list to f. No item is errNothing.
func upTo[T any](all iter.Seq2[T, error], limit int, f func(T) error) error {
	n := 0
	for item, err := range all {
		if err == nil {
			err = f(item)
		}
		if err != nil {
			return err
		}
		if n++; n == limit {
			return nil
		}
	}
	if n == 0 {
		return errNothing
	}
	return nil
}

// listed marks a command whose result is a list, which -o csv can show.
func listed(c *cobra.Command) *cobra.Command {
	c.Annotations = map[string]string{outputCSV: ""}
	return c
}

// canPrint says whether a command's result can be had as -o says.
func (t *tool) canPrint(c *cobra.Command) error {
	if _, list := c.Annotations[outputCSV]; t.output == outputCSV && !list {
		return &usageError{fmt.Errorf("-o csv is for lists, such as `eactl events list`; expected %s", strings.Join(outputs[:len(outputs)-1], ", "))}
	}
	return nil
}
