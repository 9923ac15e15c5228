package deadletter

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/events-aggregator/events-aggregator/pkg/event"
)

// Shown is a record as one call shows it, with its body: a JSON value where it
// is one (BSON as relaxed extended JSON), else a text, else base64.
type Shown struct {
	Record
	Body       any    `json:"body,omitempty"`
	BodyBase64 []byte `json:"body_base64,omitempty"`
	Cut        bool   `json:"body_cut,omitempty"` // the record keeps the beginning alone
}

// Show renders a record.
func Show(r Record) Shown {
	s := Shown{Record: r, Cut: len(r.Body) == maxRecordBody && r.BodySize > maxRecordBody}
	body := r.Body
	switch {
	case len(body) == 0:
	case r.ContentType == typeBSON:
		text, err := event.ToJSON(body)
		if err != nil { // the beginning of a document is none
			s.BodyBase64 = body
			break
		}
		s.Body = json.RawMessage(text)
	case utf8.Valid(body) && json.Valid(body):
		s.Body = json.RawMessage(body)
	case utf8.Valid(body), s.Cut && utf8.Valid(whole(body)):
		s.Body = string(whole(body))
	default:
		s.BodyBase64 = body
	}
	return s
}

// whole leaves out a last character that was cut in the middle.
func whole(text []byte) []byte {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if last := text[len(text)-n:]; utf8.RuneStart(last[0]) && !utf8.FullRune(last) {
			return text[:len(text)-n]
		}
	}
	return text
}

// Full is the record with the whole body, as far as it may be shown.
func (l *Letter) Full() Record {
	r := l.Record
	r.Body = l.shown
	return r
}
