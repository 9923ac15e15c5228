package event

import (
	"strconv"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"
)

// Highlight is a text of an event that has words which were looked for.
type Highlight struct {
	Path  string `json:"path"`
	Text  string `json:"text"` // cut around the first mark, when it is long
	Marks []Mark `json:"marks"`
}

const (
	// highlightsMost bounds the texts of one event that are shown.
	highlightsMost = 10
	// highlightLong is from where on a text is cut, in bytes, and highlightLead how
	// much of it is shown before the first mark.
	highlightLong = 300
	highlightLead = 60
)

// Highlights are the texts of an event's payload and metadata that have words of
// the search, in the event's order.
func (s Search) Highlights(doc []byte) (all []Highlight) {
	for rest := body(doc); len(rest) > 0; {
		e, next, ok := bsoncore.ReadElement(rest)
		if !ok {
			return all
		}
		rest = next
		if key := e.Key(); key == "payload" || key == "metadata" {
			all = s.highlight(all, key, e.Value())
		}
	}
	return all
}

func (s Search) highlight(all []Highlight, path string, v bsoncore.Value) []Highlight {
	if len(all) >= highlightsMost {
		return all
	}
	switch v.Type {
	case typeString:
		text, _ := stringBytes(v)
		if h := s.shown(path, string(text)); len(h.Marks) > 0 {
			all = append(all, h)
		}
	case typeObject, typeArray:
		n := 0
		for rest := body(v.Data); len(rest) > 0; n++ {
			e, next, ok := bsoncore.ReadElement(rest)
			if !ok {
				return all
			}
			rest = next
			name := e.Key()
			if v.Type == typeArray {
				name = strconv.Itoa(n)
			}
			all = s.highlight(all, path+"."+name, e.Value())
		}
	}
	return all
}

// shown is the part of a text that shows the first word that was looked for.
func (s Search) shown(path, text string) Highlight {
	if len(text) > highlightLong {
		from := 0
		for w := range eachWord(text) {
			if len(s.Marks(text[w.from:w.to])) > 0 {
				from = boundary(text, w.from-highlightLead)
				break
			}
		}
		text = text[from:boundary(text, from+highlightLong)]
	}
	return Highlight{Path: path, Text: text, Marks: s.Marks(text)}
}

// boundary is the place of a character at i or before, within the text.
func boundary(text string, i int) int {
	i = min(max(i, 0), len(text))
	for i > 0 && i < len(text) && !utf8.RuneStart(text[i]) {
		i--
	}
	return i
}
