package event

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// plain are the bytes of a JSON string that stand for themselves alone.
var plain = func() (p [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		p[c] = c != '"' && c != '\\'
	}
	return p
}()

// space reads past white space.
func (t *transcoder) space() {
	for t.pos < len(t.in) {
		switch t.in[t.pos] {
		case ' ', '\t', '\n', '\r':
			t.pos++
		default:
			return
		}
	}
}

// next reads past c if c is what comes next.
func (t *transcoder) next(c byte) bool {
	if t.pos < len(t.in) && t.in[t.pos] == c {
		t.pos++
		return true
	}
	return false
}

// literal reads true, false or null.
func (t *transcoder) literal(word string) bool {
	if end := t.pos + len(word); end <= len(t.in) && string(t.in[t.pos:end]) == word {
		t.pos = end
		return true
	}
	return t.unexpected(word)
}

// str transcodes the string at pos and adds it to the search text.
func (t *transcoder) str() bool {
	start := len(t.out)
	out, ok := t.unquote(append(t.out, 0, 0, 0, 0))
	if !ok {
		return false
	}
	if t.collected {
		t.text.add(out[start+4:])
	}
	out = append(out, 0)
	binary.LittleEndian.PutUint32(out[start:], uint32(len(out)-start-4))
	t.out = out
	return true
}

// view returns the string at pos: a slice of the message where it has no
// escapes, otherwise of scratch.
func (t *transcoder) view() ([]byte, bool) {
	i := t.pos + 1
	for i < len(t.in) && plain[t.in[i]] {
		i++
	}
	if i < len(t.in) && t.in[i] == '"' {
		s := t.in[t.pos+1 : i]
		t.pos = i + 1
		return s, true
	}
	from := len(t.scratch)
	var ok bool
	t.scratch, ok = t.unquote(t.scratch)
	return t.scratch[from:len(t.scratch):len(t.scratch)], ok
}

// unquote appends the string at pos to dst, unescaped, as valid UTF-8: invalid
// bytes and lone surrogates are refused, since BSON strings are UTF-8 and every
// replacement would store something that nobody sent.
func (t *transcoder) unquote(dst []byte) ([]byte, bool) {
	i := t.pos + 1
	faulty := -1
	for {
		from := i
		for i < len(t.in) && plain[t.in[i]] {
			i++
		}
		dst = append(dst, t.in[from:i]...)
		if i >= len(t.in) {
			t.pos = i
			return dst, t.unexpected("the end of a string")
		}
		switch c := t.in[i]; {
		case c == '"':
			t.pos = i + 1
			if faulty >= 0 {
				t.bad.add(ClassInvalidJSON, t.pointer(), "byte %d: not valid UTF-8", faulty)
			}
			return dst, true
		case c == '\\':
			t.pos = i
			r, ok := t.escape()
			if !ok {
				return dst, false
			}
			if r < 0 {
				if faulty < 0 {
					faulty = i
				}
				r = utf8.RuneError
			}
			dst = utf8.AppendRune(dst, r)
			i = t.pos
		case c < ' ':
			t.pos = i
			return dst, t.unexpected("a string without raw control characters")
		default:
			r, n := utf8.DecodeRune(t.in[i:])
			if r == utf8.RuneError && n == 1 && faulty < 0 {
				faulty = i
			}
			dst = append(dst, t.in[i:i+n]...)
			i += n
		}
	}
}

// escape reads the escape sequence at pos; a surrogate without its other half
// gives -1.
func (t *transcoder) escape() (rune, bool) {
	if t.pos+1 >= len(t.in) {
		t.pos = len(t.in)
		return 0, t.unexpected("the end of a string")
	}
	c := t.in[t.pos+1]
	if c == 'u' {
		r, ok := t.hex4(t.pos + 2)
		if !ok {
			return 0, t.unexpected("\\u and four hexadecimal digits")
		}
		t.pos += 6
		if !utf16.IsSurrogate(r) {
			return r, true
		}
		if t.pos+1 < len(t.in) && t.in[t.pos] == '\\' && t.in[t.pos+1] == 'u' {
			if low, ok := t.hex4(t.pos + 2); ok {
				if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
					t.pos += 6
					return full, true
				}
			}
		}
		return -1, true
	}
	r := unescaped(c)
	if r == 0 {
		return 0, t.unexpected("one of the escapes \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u")
	}
	t.pos += 2
	return r, true
}

func unescaped(c byte) rune {
	switch c {
	case '"', '\\', '/':
		return rune(c)
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return 0
}

func (t *transcoder) hex4(at int) (r rune, ok bool) {
	if at+4 > len(t.in) {
		return 0, false
	}
	for _, c := range t.in[at : at+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// number transcodes the number at pos. An integer stays one: int32 if it fits,
// else int64. One beyond 64 bits is refused, not rounded to a double: numbers of
// this size are ids and amounts in small units, where a change in the last
// digits goes unnoticed and is wrong. Who means a double writes a fraction or an
// exponent; who means an id sends a string.
func (t *transcoder) number() byte {
	n, ok := t.scanNumber()
	switch {
	case !ok:
		return 0
	case n.float:
		f, err := strconv.ParseFloat(string(t.in[n.from:t.pos]), 64)
		if err != nil {
			t.refuse("expected a number in the range of a 64-bit double, found %s", bare(t.in[n.from:t.pos]))
			f = 0
		}
		t.out = binary.LittleEndian.AppendUint64(t.out, math.Float64bits(f))
		return typeDouble
	}
	v, fits := n.int64()
	if !fits {
		t.refuse("expected an integer of at most 64 bits, found %s; send it as a string, or with a fraction if a double will do",
			bare(t.in[n.from:t.pos]))
	}
	if v >= math.MinInt32 && v <= math.MaxInt32 {
		t.out = binary.LittleEndian.AppendUint32(t.out, uint32(int32(v)))
		return typeInt32
	}
	t.out = binary.LittleEndian.AppendUint64(t.out, uint64(v))
	return typeInt64
}

// scanned is a number's text: an integer's magnitude, or a float.
type scanned struct {
	from      int
	magnitude uint64
	digits    int
	negative  bool
	float     bool
}

// int64 returns the integer, and whether it is one of 64 bits.
func (n scanned) int64() (int64, bool) {
	switch {
	case n.digits > 19: // 19 digits cannot overflow magnitude
		return 0, false
	case n.negative && n.magnitude <= 1<<63:
		return -int64(n.magnitude), true
	case !n.negative && n.magnitude < 1<<63:
		return int64(n.magnitude), true
	}
	return 0, false
}

// scanNumber reads past the number at pos.
func (t *transcoder) scanNumber() (n scanned, ok bool) {
	n.from = t.pos
	n.negative = t.next('-')
	if t.pos >= len(t.in) || t.in[t.pos] < '0' || t.in[t.pos] > '9' {
		return n, t.unexpected("a digit")
	}
	if t.in[t.pos] == '0' {
		t.pos++
		if t.pos < len(t.in) && t.in[t.pos] >= '0' && t.in[t.pos] <= '9' {
			return n, t.unexpected("a number without leading zeros")
		}
	}
	for t.pos < len(t.in) && t.in[t.pos] >= '0' && t.in[t.pos] <= '9' {
		n.magnitude = n.magnitude*10 + uint64(t.in[t.pos]-'0')
		n.digits++
		t.pos++
	}
	if t.next('.') {
		n.float = true
		if !t.digits() {
			return n, false
		}
	}
	if t.next('e') || t.next('E') {
		n.float = true
		if !t.next('+') {
			t.next('-')
		}
		if !t.digits() {
			return n, false
		}
	}
	return n, true
}

func (t *transcoder) digits() bool {
	from := t.pos
	for t.pos < len(t.in) && t.in[t.pos] >= '0' && t.in[t.pos] <= '9' {
		t.pos++
	}
	return t.pos > from || t.unexpected("a digit")
}

// skip reads past the value at pos; its content is judged as JSON, but nothing
// is kept of it.
func (t *transcoder) skip(depth int) bool {
	at, collected := len(t.out), t.collected
	t.collected = false
	typ := t.value(depth)
	t.out, t.collected = t.out[:at], collected
	return typ != 0
}

// skipContainer reads past the array or object at pos without descending, so
// that nesting costs no stack. It only looks at brackets and strings.
func (t *transcoder) skipContainer() bool {
	for open := 0; t.pos < len(t.in); {
		switch t.in[t.pos] {
		case '{', '[':
			open++
		case '}', ']':
			open--
		case '"':
			at := len(t.scratch)
			s, ok := t.unquote(t.scratch)
			t.scratch = s[:at]
			if !ok {
				return false
			}
			continue
		}
		t.pos++
		if open == 0 {
			return true
		}
	}
	return t.unexpected("the end of an array or object")
}

// end refuses anything but white space after the value.
func (t *transcoder) end() bool {
	t.space()
	return t.pos >= len(t.in) || t.unexpected("the end of the message")
}

// unexpected records where the text stopped being JSON, and returns false.
func (t *transcoder) unexpected(want string) bool {
	if t.pos >= len(t.in) {
		t.bad.add(ClassInvalidJSON, "", "byte %d: the text ends, expected %s", len(t.in), want)
		return false
	}
	n := 1
	if r, size := utf8.DecodeRune(t.in[t.pos:]); r != utf8.RuneError {
		n = size
	}
	t.bad.add(ClassInvalidJSON, "", "byte %d: expected %s, found %s", t.pos, want, excerpt(t.in[t.pos:t.pos+n]))
	return false
}
