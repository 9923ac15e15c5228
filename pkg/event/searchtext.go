package event

import (
	"slices"
	"unicode"
	"unicode/utf8"
)

// searchTextMax bounds search_text in bytes. A log excerpt of a few pages is
// findable by its beginning; without a bound the text index would grow larger
// than the events.
const searchTextMax = 4096

// searchText gathers string values: lower-cased, joined by a blank, and cut at
// searchTextMax on a rune boundary. Lower case is decided here, once, because
// matching stored text case-insensitively is thirty times slower.
type searchText struct {
	b   []byte
	cut bool // something did not fit: nothing more is taken
}

func (s *searchText) reset() { s.b, s.cut = s.b[:0], false }

// lower maps ASCII to lower case.
var lower = func() (l [utf8.RuneSelf]byte) {
	for c := range l {
		l[c] = byte(unicode.ToLower(rune(c)))
	}
	return l
}()

// add takes one string of valid UTF-8.
func (s *searchText) add(v []byte) {
	if len(v) == 0 || s.cut {
		return
	}
	if len(s.b) > 0 {
		if len(s.b)+2 > searchTextMax {
			s.cut = true
			return
		}
		s.b = append(s.b, ' ')
	}
	at := len(s.b)
	n := min(len(v), searchTextMax-at)
	s.b = slices.Grow(s.b, n)[:at+n]
	room := s.b[at:]
	for i := range room {
		c := v[i]
		if c >= utf8.RuneSelf {
			s.b = s.b[:at+i]
			s.addRunes(v[i:])
			return
		}
		room[i] = lower[c]
	}
	s.cut = n < len(v)
}

// addRunes is add for what is not ASCII: a rune's lower case may have another
// length.
func (s *searchText) addRunes(v []byte) {
	for _, r := range string(v) {
		r = unicode.ToLower(r)
		if len(s.b)+utf8.RuneLen(r) > searchTextMax {
			s.cut = true
			return
		}
		s.b = utf8.AppendRune(s.b, r)
	}
}

// join adds what another one has gathered.
func (s *searchText) join(o *searchText) {
	s.add(o.b)
	s.cut = s.cut || o.cut
}
