// Package sheet writes CSV that spreadsheets open: nothing in a cell is taken for
// a formula, and no cell for a comment.
package sheet

import (
	"io"
	"strconv"
	"strings"
)

// Text is a text as a cell has it: one that a spreadsheet would take for a formula
// has an apostrophe before it. Numbers stay what they are.
func Text(s string) string {
	if s == "" || !strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return s
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return s
	}
	return "'" + s
}

// Write writes a row (RFC 4180). A cell that begins with # is quoted: a line that
// does so without quotes is none of a cell.
func Write(w io.Writer, row []string) error {
	var b strings.Builder
	for i, cell := range row {
		if i > 0 {
			b.WriteByte(',')
		}
		if quoted(cell) || cell == "" && len(row) == 1 { // an empty line would be no row
			b.WriteString(`"` + strings.ReplaceAll(cell, `"`, `""`) + `"`)
		} else {
			b.WriteString(cell)
		}
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

func quoted(cell string) bool {
	return strings.ContainsAny(cell, ",\"\r\n") || cell != "" && strings.ContainsRune("# \t", rune(cell[0]))
}
