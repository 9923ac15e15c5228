package rule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// tree is what JSON and YAML have in common: values in the order in which they
// are written, with their lines.
type tree struct {
	kind  treeKind
	line  int
	text  string  // of text
	whole bool    // a number without fraction or exponent, in i
	i     int64   // of a whole number
	f     float64 // of another number
	yes   bool    // of a truth value
	keys  []string
	kids  []*tree        // of a list or an object
	at    map[string]int // of an object with many names: the place of each
}

type treeKind uint8

const (
	treeNull treeKind = iota
	treeBool
	treeNumber
	treeText
	treeList
	treeObject
)

// What a file may make its reader build.
const (
	maxTreeDepth = 200
	maxTreeNodes = 20_000_000
)

// get is the object's value under that name, nil without one.
func (t *tree) get(key string) *tree {
	if t == nil || t.kind != treeObject {
		return nil
	}
	if i := t.index(key); i >= 0 {
		return t.kids[i]
	}
	return nil
}

// index is the place of a name, -1 without it.
func (t *tree) index(key string) int {
	if t.at == nil {
		return slices.Index(t.keys, key)
	}
	if i, ok := t.at[key]; ok {
		return i
	}
	return -1
}

// manyKeys is from where looking through all names becomes slow.
const manyKeys = 32

// put adds a name that is not there yet.
func (t *tree) put(key string, kid *tree) {
	t.keys = append(t.keys, key)
	t.kids = append(t.kids, kid)
	switch {
	case t.at != nil:
		t.at[key] = len(t.keys) - 1
	case len(t.keys) == manyKeys:
		t.at = make(map[string]int, 2*manyKeys)
		for i, k := range t.keys {
			t.at[k] = i
		}
	}
}

// lineOf is the line of what a JSON pointer leads to, or of what is nearest.
func (t *tree) lineOf(pointer string) int {
	at := t
	for key := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		key = pointerUnescape.Replace(key)
		next := at.get(key)
		if i, err := strconv.Atoi(key); err == nil && at.kind == treeList && 0 <= i && i < len(at.kids) {
			next = at.kids[i]
		}
		if next == nil {
			break
		}
		at = next
	}
	return at.line
}

var pointerUnescape = strings.NewReplacer("~1", "/", "~0", "~")

// noted is a mistake and where it is.
type noted struct {
	line    int
	at      *place
	message string
}

// notes collects mistakes.
type notes struct{ all []noted }

// below takes out what was noted below a place, as seen from there.
func (n *notes) below(keys ...string) *notes {
	taken := &notes{}
	left := n.all[:0]
	for _, m := range n.all {
		if rest, ok := m.at.below(keys); ok {
			m.at = rest
			taken.all = append(taken.all, m)
			continue
		}
		left = append(left, m)
	}
	n.all = left
	return taken
}

// maxNotes is where listing the mistakes of one rule or text ends.
const maxNotes = 1000

func (n *notes) add(line int, at *place, format string, args ...any) {
	if len(n.all) >= maxNotes {
		return
	}
	n.all = append(n.all, noted{line: line, at: at, message: fmt.Sprintf(format, args...)})
}
