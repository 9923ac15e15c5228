package rule

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"
)

// FileError lists every mistake of a rule file.
type FileError struct {
	Name     string
	Mistakes []Mistake
}

// Mistake is one mistake of a rule file.
type Mistake struct {
	Line    int    // 1 is the first
	Index   int    // the rule's place in the file, 0 is the first; -1: no rule
	Rule    string // its name or id, when it has one
	Pointer string // a JSON pointer into the rule
	Message string
}

func (m Mistake) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d: ", m.Line)
	if m.Index >= 0 {
		fmt.Fprintf(&b, "rule %d", m.Index+1)
		if m.Rule != "" {
			fmt.Fprintf(&b, " %q", m.Rule)
		}
		b.WriteString(": ")
	}
	if m.Pointer != "" {
		b.WriteString(m.Pointer + ": ")
	}
	b.WriteString(m.Message)
	return b.String()
}

// Error has a line for each mistake, "name:line: rule 3 "its name": where: what".
func (e *FileError) Error() string {
	const most = 100
	var lines []string
	for i, m := range e.Mistakes {
		if i == most {
			lines = append(lines, fmt.Sprintf("%s: and %d more mistakes", e.Name, len(e.Mistakes)-most))
			break
		}
		lines = append(lines, e.Name+":"+m.String())
	}
	return strings.Join(lines, "\n")
}

// maxFile bounds what ParseFile reads.
const maxFile = 64 << 20

// ParseFile is Parse of what it reads, or the reader's own error.
func ParseFile(r io.Reader, name string) ([]Rule, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read rules %s: %w", name, err)
	}
	return Parse(text, name)
}

// Parse reads rules as a JSON array, JSON lines, extended JSON or YAML (a
// list, or a rule a document). What the text is follows from the name's ending,
// else from the text. Conditions are compiled, actions are not looked at. The
// error is a *FileError that lists every mistake; there are no rules when there is
// one.
func Parse(text []byte, name string) ([]Rule, error) {
	f := &file{name: name, compiler: newCompiler(), seen: map[string]int{}}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	switch {
	case len(text) > maxFile:
		f.mistake(Mistake{Line: 1, Index: -1, Message: fmt.Sprintf("a rule file has at most %d bytes", maxFile)})
	case !utf8.Valid(text):
		f.mistake(Mistake{Line: 1 + bytes.Count(text[:invalidAt(text)], []byte{'\n'}), Index: -1, Message: "is not UTF-8"})
	default:
		f.readText(text)
	}
	if len(f.mistakes) > 0 {
		return nil, &FileError{Name: name, Mistakes: f.mistakes}
	}
	return f.rules, nil
}

func invalidAt(text []byte) int {
	at := 0
	for {
		r, n := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && n <= 1 {
			return at
		}
		at += n
	}
}

// IsYAML says whether Parse takes a text for YAML.
func IsYAML(name string, text []byte) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".yaml", ".yml":
		return true
	case ".json", ".jsonl", ".ndjson", ".js", ".txt":
		return false
	}
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff")))
	return len(text) > 0 && text[0] != '[' && text[0] != '{'
}

// file collects the rules and mistakes of one file.
type file struct {
	name     string
	compiler *compiler
	rules    []Rule
	count    int
	seen     map[string]int // "name …" or "id …" to its line
	mistakes []Mistake
	places   map[int][]*Place // of rules whose lines are asked for; then nothing else is done
}

// reader reads one value after another and notes what is wrong.
type reader interface {
	next() (*tree, error)
	// resume says whether there is more behind an error.
	resume() bool
}

func (f *file) readText(text []byte) {
	var n notes
	if IsYAML(f.name, text) {
		f.read(newYAMLReader(text, &n), &n)
	} else {
		f.read(newItemReader(text, &n), &n)
	}
}

func (f *file) read(r reader, n *notes) {
	for {
		t, err := r.next()
		switch {
		case errors.Is(err, io.EOF):
			return
		case err == nil:
			f.take(t, n)
		}
		f.noted(n, -1, "")
		n.all = nil
		if err != nil && !r.resume() {
			return
		}
	}
}

// take is a list of rules or one rule; n is what was noted while it was read.
func (f *file) take(t *tree, n *notes) {
	switch {
	case t.kind == treeList:
		for i, kid := range t.kids {
			f.rule(kid, n.below(strconv.Itoa(i)))
		}
	case t.kind == treeNull: // an empty YAML document
	case len(t.keys) == 1 && t.keys[0] == "rules" && t.kids[0].kind == treeList:
		f.take(t.kids[0], n.below("rules"))
	default:
		f.rule(t, n.below())
	}
}

func (f *file) rule(t *tree, n *notes) {
	if f.places != nil {
		for _, p := range f.places[f.count] {
			p.Line = t.lineOf(p.Pointer)
		}
		f.count++
		return
	}
	r := n.rule(t, nil)
	index := f.count
	f.count++
	name := r.Name
	if name == "" {
		name = r.ID
	}
	if len(n.all) == 0 {
		f.conditions(t, &r, n)
	}
	f.once("name", r.Name, t, n)
	f.once("rule_id", r.ID, t, n)
	f.noted(n, index, name)
	f.rules = append(f.rules, r)
}

func (f *file) conditions(t *tree, r *Rule, n *notes) {
	_, err := f.compiler.condition(r.Conditions)
	var refused *CompileError
	if !errors.As(err, &refused) {
		return
	}
	root := t.get("conditions")
	for _, e := range refused.All() {
		n.all = append(n.all, noted{line: root.lineOf(e.Path), at: (*place)(nil).in("conditions").raw(e.Path), message: e.Reason})
	}
}

// once notes a second rule of the same name or id.
func (f *file) once(what, is string, t *tree, n *notes) {
	if is == "" {
		return
	}
	line, twice := f.seen[what+" "+is]
	if twice {
		n.add(t.line, (*place)(nil).in(what), "%q is also that of the rule at line %d", is, line)
		return
	}
	f.seen[what+" "+is] = t.line
}

func (f *file) noted(n *notes, index int, name string) {
	for _, m := range n.all {
		f.mistake(Mistake{Line: m.line, Index: index, Rule: name, Pointer: m.at.String(), Message: m.message})
	}
}

func (f *file) mistake(m Mistake) { f.mistakes = append(f.mistakes, m) }
