package event

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
)

// transcoder turns JSON text into BSON in one pass and judges it on the way:
// no intermediate values, no maps; a document's length is written over its
// placeholder when the document ends. Going through maps or the driver's
// extended-JSON reader costs two to five times as much per event.
//
// A method that returns false (or type 0) met text that is no JSON; everything
// up to there has been said in bad, and reading on makes no sense. Anything
// that merely breaks a rule is recorded in bad and read past, so that all
// violations of a message are named together. What is written then is not used.
type transcoder struct {
	in       []byte
	pos      int
	maxDepth int
	dollar   bool // keys may begin with `$` (conditions of rules); events' may not

	part             // where values are written now
	keys      []span // of the objects that are open, innermost last
	path      []step // to the value being read, below base
	base      string // pointer of the event: empty, or "/3" in a batch
	member    string // the event's member being read, at which path starts
	scratch   []byte // unescaped strings that are not written to out at once
	collected bool   // string values go to part.text
	bad       violations
}

// part is one document being written and the search text of its strings.
type part struct {
	out  []byte
	text searchText
}

// within writes to p what read reads, from p's beginning.
func (t *transcoder) within(p *part, read func() bool) bool {
	outer := t.part
	t.part = part{out: p.out[:0], text: p.text}
	t.text.reset()
	ok := read()
	*p, t.part = t.part, outer
	return ok
}

// span is a key's bytes in out.
type span struct{ from, to int }

// step is one reference token of the pointer: a key, or an index when the key
// is empty of bytes and index ≥ 0.
type step struct {
	key   span
	index int
}

// noStep stands for a member whose key is not known yet.
var noStep = step{index: -1}

// The BSON types that JSON values become.
const (
	typeDouble = 0x01
	typeString = 0x02
	typeObject = 0x03
	typeArray  = 0x04
	typeBool   = 0x08
	typeDate   = 0x09
	typeNull   = 0x0A
	typeInt32  = 0x10
	typeInt64  = 0x12
)

// value transcodes the value at pos, which lies in a container of the given
// depth (the outermost object has depth 1), and returns its BSON type.
func (t *transcoder) value(depth int) byte {
	if t.pos >= len(t.in) {
		t.unexpected("a value")
		return 0
	}
	switch c := t.in[t.pos]; {
	case c == '"':
		if t.str() {
			return typeString
		}
	case c == '{':
		if t.object(depth + 1) {
			return typeObject
		}
	case c == '[':
		if t.array(depth + 1) {
			return typeArray
		}
	case c == '-' || c >= '0' && c <= '9':
		return t.number()
	case c == 't':
		t.out = append(t.out, 1)
		if t.literal("true") {
			return typeBool
		}
	case c == 'f':
		t.out = append(t.out, 0)
		if t.literal("false") {
			return typeBool
		}
	case c == 'n':
		if t.literal("null") {
			return typeNull
		}
	default:
		t.unexpected("a value")
	}
	return 0
}

// object transcodes the object whose `{` is at pos.
func (t *transcoder) object(depth int) bool {
	if depth > t.maxDepth {
		return t.tooDeep()
	}
	start, first := t.open(), len(t.keys)
	t.path = append(t.path, noStep)
	t.pos++
	t.space()
	if t.next('}') {
		t.path = t.path[:len(t.path)-1]
		t.close(start)
		return true
	}
	for {
		at := len(t.out)
		t.out = append(t.out, 0) // the type, known when the value is read
		if !t.key() {
			return false
		}
		typ := t.value(depth)
		if typ == 0 {
			return false
		}
		t.out[at] = typ
		t.space()
		if t.next(',') {
			t.space()
			continue
		}
		if !t.next('}') {
			return t.unexpected("',' or '}'")
		}
		break
	}
	t.refuseDuplicates(t.keys[first:])
	t.keys = t.keys[:first]
	t.path = t.path[:len(t.path)-1]
	t.close(start)
	return true
}

// array transcodes the array whose `[` is at pos.
func (t *transcoder) array(depth int) bool {
	if depth > t.maxDepth {
		return t.tooDeep()
	}
	start := t.open()
	t.path = append(t.path, noStep)
	t.pos++
	t.space()
	if t.next(']') {
		t.path = t.path[:len(t.path)-1]
		t.close(start)
		return true
	}
	for i := 0; ; i++ {
		t.path[len(t.path)-1].index = i
		at := len(t.out)
		t.out = append(t.out, 0)
		t.out = strconv.AppendInt(t.out, int64(i), 10)
		t.out = append(t.out, 0)
		typ := t.value(depth)
		if typ == 0 {
			return false
		}
		t.out[at] = typ
		t.space()
		if t.next(',') {
			t.space()
			continue
		}
		if !t.next(']') {
			return t.unexpected("',' or ']'")
		}
		break
	}
	t.path = t.path[:len(t.path)-1]
	t.close(start)
	return true
}

// key transcodes an object's key and the colon behind it.
func (t *transcoder) key() bool {
	top := len(t.path) - 1
	t.path[top] = noStep
	if t.pos >= len(t.in) || t.in[t.pos] != '"' {
		return t.unexpected("a key in double quotes")
	}
	from := len(t.out)
	var ok bool
	if t.out, ok = t.unquote(t.out); !ok {
		return false
	}
	k := span{from, len(t.out)}
	t.path[top].key = k
	t.keys = append(t.keys, k)
	t.judgeKey(t.out[k.from:k.to])
	t.out = append(t.out, 0)
	return t.colon()
}

// judgeKey refuses what the database would refuse or what no condition could
// ever name: NUL ends a key in BSON, and `$` begins an operator.
func (t *transcoder) judgeKey(k []byte) {
	if len(k) > 0 && k[0] == '$' && !t.dollar {
		t.refuse("a key must not begin with '$'")
	}
	if bytes.IndexByte(k, 0) >= 0 {
		t.refuse("a key must not contain NUL (\\u0000)")
		for i, c := range k {
			if c == 0 {
				k[i] = ' ' // or the rest of out could not be read
			}
		}
	}
}

func (t *transcoder) colon() bool {
	t.space()
	if !t.next(':') {
		return t.unexpected("':'")
	}
	t.space()
	return true
}

// linearKeys is up to how many keys of one object are compared each with each;
// above, sorting them is cheaper, and one object cannot cost more than
// n·log n.
const linearKeys = 16

// refuseDuplicates names the keys that one object has twice. JSON leaves open
// which of the two counts, and readers differ, so neither may be stored: a rule
// could match one and a query the other.
func (t *transcoder) refuseDuplicates(keys []span) {
	if len(keys) <= linearKeys {
		for i := 1; i < len(keys); i++ {
			for j := range i {
				if keys[i].to-keys[i].from == keys[j].to-keys[j].from && bytes.Equal(t.bytes(keys[i]), t.bytes(keys[j])) {
					t.duplicate(keys[i])
					break
				}
			}
		}
		return
	}
	slices.SortFunc(keys, func(a, b span) int { return bytes.Compare(t.bytes(a), t.bytes(b)) })
	for i := 1; i < len(keys); i++ {
		if bytes.Equal(t.bytes(keys[i]), t.bytes(keys[i-1])) {
			t.duplicate(keys[i])
		}
	}
}

func (t *transcoder) duplicate(k span) {
	t.path[len(t.path)-1] = step{key: k, index: -1}
	t.refuse("the key is there twice")
}

func (t *transcoder) bytes(s span) []byte { return t.out[s.from:s.to] }

// tooDeep refuses the container at pos and reads past it without descending.
func (t *transcoder) tooDeep() bool {
	t.refuse("nested deeper than %d levels", t.maxDepth)
	t.close(t.open())
	return t.skipContainer()
}

// open begins a document and returns where its length will be written.
func (t *transcoder) open() int {
	t.out = append(t.out, 0, 0, 0, 0)
	return len(t.out) - 4
}

func (t *transcoder) close(start int) {
	t.out = append(t.out, 0)
	binary.LittleEndian.PutUint32(t.out[start:], uint32(len(t.out)-start))
}

// refuse records a violation of the value being read.
func (t *transcoder) refuse(format string, args ...any) {
	t.bad.add(ClassInvalidEvent, t.pointer(), format, args...)
}

// refuseAt records a violation of something below the event, by its pointer
// from there.
func (t *transcoder) refuseAt(pointer, format string, args ...any) {
	t.bad.add(ClassInvalidEvent, clip(t.base+pointer), format, args...)
}

// pointer is the JSON pointer of the value being read.
func (t *transcoder) pointer() string {
	if len(t.bad.list) >= violationsMax {
		return "" // it is only counted
	}
	b := []byte(t.base)
	if t.member != "" {
		b = append(append(b, '/'), pointerEscaper.Replace(t.member)...)
	}
	for _, s := range t.path {
		switch {
		case s.index >= 0:
			b = strconv.AppendInt(append(b, '/'), int64(s.index), 10)
		case s != noStep:
			b = append(append(b, '/'), pointerEscaper.Replace(string(t.bytes(s.key)))...)
		}
		if len(b) > pointerMax {
			break
		}
	}
	return clip(string(b))
}

// reset makes the transcoder read in from its beginning.
func (t *transcoder) reset(in []byte) {
	t.in, t.pos = in, 0
	t.out = t.out[:0]
	t.text.reset()
	t.keys, t.path, t.scratch = t.keys[:0], t.path[:0], t.scratch[:0]
	t.base, t.member = "", ""
	t.collected = false
	t.bad = violations{}
}

// found describes the value at pos for a message to a human.
func (t *transcoder) found() string {
	if t.pos >= len(t.in) {
		return "nothing"
	}
	switch c := t.in[t.pos]; c {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		end := t.pos + 1
		for end < len(t.in) && t.in[end] != '"' {
			if t.in[end] == '\\' {
				end++
			}
			end++
		}
		return "the string " + excerpt(t.in[t.pos+1:min(end, len(t.in))])
	default:
		end := t.pos
		for end < len(t.in) && end-t.pos < excerptMax && strings.IndexByte(" \t\r\n,]}", t.in[end]) < 0 {
			end++
		}
		return bare(t.in[t.pos:end])
	}
}
