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
	kids  []*tree // of a list or an object
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
	if i := slices.Index(t.keys, key); i >= 0 {
		return t.kids[i]
	}
	return nil
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

func (n *notes) add(line int, at *place, format string, args ...any) {
	n.all = append(n.all, noted{line: line, at: at, message: fmt.Sprintf(format, args...)})
}
