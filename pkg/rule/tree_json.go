package rule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// jsonReader reads one JSON value after another from a text.
type jsonReader struct {
	*notes
	text    []byte
	dec     *json.Decoder
	from    int // where dec began
	counted int // up to where lines were counted
	line    int
	nodes   int

	items  bool   // lists at the top are read item by item, each as a list of one
	within within // such a list
	indent string // before the first item of it that begins a line
}

// within says where in a list the reader stands.
type within uint8

const (
	noList within = iota
	listStart
	itemStart
	itemEnd
)

// newItemReader reads a list at the top item by item: a file of many thousand
// rules is never in memory as a whole, and what is broken in one item leaves
// the others readable.
func newItemReader(text []byte, n *notes) *jsonReader {
	r := newJSONReader(text, n)
	r.items = true
	return r
}

func newJSONReader(text []byte, n *notes) *jsonReader {
	r := &jsonReader{notes: n, text: text, line: 1}
	r.restart(0)
	return r
}

func (r *jsonReader) restart(from int) {
	r.from = from
	r.dec = json.NewDecoder(bytes.NewReader(r.text[from:]))
	r.dec.UseNumber()
}

var errSyntax = errors.New("syntax")

// next is the next value, io.EOF at the end, or errSyntax, which is noted.
func (r *jsonReader) next() (*tree, error) {
	if r.items {
		if err := r.enter(); err != nil {
			return nil, err
		}
	}
	var at *place
	if r.within != noList {
		at = at.at(0)
	}
	begin := r.offset()
	t, err := r.value(at)
	switch {
	case err == nil && r.within != noList:
		r.within = itemEnd
		return &tree{kind: treeList, line: t.line, kids: []*tree{t}}, nil
	case err == nil:
		return t, nil
	case errors.Is(err, errSyntax):
		return nil, err
	case errors.Is(err, io.EOF) && len(bytes.TrimSpace(r.text[r.offset():])) == 0 && t == nil:
		return nil, io.EOF
	default:
		return nil, r.syntax(begin, err)
	}
}

// enter goes to the next value, in and out of lists at the top.
func (r *jsonReader) enter() error {
	for {
		at := r.offset() + whitespace(r.text[r.offset():])
		switch {
		case at == len(r.text) && r.within != noList:
			return r.wrong(at, "the list has no end")
		case at == len(r.text):
			return io.EOF
		case r.within == noList && r.text[at] == '[':
			r.within, r.indent = listStart, ""
		case r.within == noList:
			return nil
		case r.within != itemStart && r.text[at] == ']':
			r.within = noList
		case r.within == itemEnd && r.text[at] == ',':
			r.within = itemStart
		case r.within == itemEnd:
			return r.wrong(at, "expected , and the next item, or ] at the end of the list")
		default:
			line := r.text[bytes.LastIndexByte(r.text[:at], '\n')+1 : at]
			if r.within == listStart && whitespace(line) == len(line) {
				r.indent = string(line)
			}
			r.within = itemStart
			r.restart(at)
			return nil
		}
		r.restart(at + 1)
	}
}

func whitespace(text []byte) int { return len(text) - len(bytes.TrimLeft(text, " \t\r\n")) }

// resume goes on at the next line that begins a value, after errSyntax; false
// when there is none.
func (r *jsonReader) resume() bool {
	at := min(max(r.offset(), r.from+1), len(r.text))
	begin := []byte(r.indent + "{")
	for {
		i := bytes.IndexByte(r.text[at:], '\n')
		if i < 0 {
			return false
		}
		at += i + 1
		if bytes.HasPrefix(r.text[at:], begin) {
			if r.within != noList {
				r.within = itemStart
			}
			r.restart(at + len(r.indent))
			return true
		}
	}
}

func (r *jsonReader) offset() int { return r.from + int(r.dec.InputOffset()) }

// syntax notes a decoder's error in the value that begins there.
func (r *jsonReader) syntax(begin int, err error) error {
	at := r.offset()
	var s *json.SyntaxError
	if errors.As(err, &s) {
		at = min(r.from+int(s.Offset), len(r.text))
	}
	message := err.Error()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		message, at = "it ends in the middle", len(r.text)
	}
	begin += whitespace(r.text[begin:])
	if bytes.IndexByte(r.text[min(begin, at):at], '\n') >= 0 {
		message += fmt.Sprintf(" (the value begins in line %d)", 1+bytes.Count(r.text[:begin], []byte{'\n'}))
	}
	return r.wrong(at, message)
}

// wrong notes where the text is no JSON.
func (r *jsonReader) wrong(at int, message string) error {
	before := r.text[:min(at, len(r.text))]
	line := 1 + bytes.Count(before, []byte{'\n'})
	column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	r.add(line, nil, "is not valid JSON at column %d: %s", column, message)
	return errSyntax
}

// lineHere is the line of the token that was just read.
func (r *jsonReader) lineHere() int {
	at := r.offset()
	if at < r.counted {
		return r.line
	}
	r.line += bytes.Count(r.text[r.counted:at], []byte{'\n'})
	r.counted = at
	return r.line
}

func (r *jsonReader) value(at *place) (*tree, error) {
	tok, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	t := &tree{line: r.lineHere()}
	if r.nodes++; r.nodes > maxTreeNodes || at != nil && at.depth > maxTreeDepth {
		r.add(t.line, at, "is nested deeper than %d levels, or too long", maxTreeDepth)
		return nil, errSyntax
	}
	switch v := tok.(type) {
	case json.Delim:
		if v == '[' {
			return t, r.list(t, at)
		}
		return t, r.object(t, at)
	case string:
		t.kind, t.text = treeText, v
	case json.Number:
		r.number(t, string(v), at)
	case bool:
		t.kind, t.yes = treeBool, v
	}
	return t, nil
}

func (r *jsonReader) list(t *tree, at *place) error {
	t.kind = treeList
	for r.dec.More() {
		kid, err := r.value(at.at(len(t.kids)))
		if err != nil {
			return err
		}
		t.kids = append(t.kids, kid)
	}
	_, err := r.dec.Token()
	return err
}

func (r *jsonReader) object(t *tree, at *place) error {
	t.kind = treeObject
	for r.dec.More() {
		tok, err := r.dec.Token()
		if err != nil {
			return err
		}
		key, _ := tok.(string)
		line := r.lineHere()
		kid, err := r.value(at.in(key))
		if err != nil {
			return err
		}
		r.put(t, key, kid, line, at)
	}
	_, err := r.dec.Token()
	return err
}

// put adds to an object what is not there yet.
func (n *notes) put(t *tree, key string, kid *tree, line int, at *place) {
	switch {
	case t.index(key) >= 0:
		n.add(line, at.in(key), "is there twice")
	case strings.IndexByte(key, 0) >= 0:
		n.add(line, at, "the name %q holds a NUL character", key)
	default:
		t.put(key, kid)
	}
}

func (n *notes) number(t *tree, literal string, at *place) {
	t.kind = treeNumber
	if !strings.ContainsAny(literal, ".eE") {
		if i, err := strconv.ParseInt(literal, 10, 64); err == nil {
			t.whole, t.i = true, i
			return
		}
	}
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil {
		n.add(t.line, at, "the number %s is out of range", literal)
	}
	t.f = f
}
