// Package hostile makes messages that a producer should never send, mixed with
// odd ones that are valid and must be stored. What becomes of each is known by
// how it is made, not by asking the decoder.
package hostile

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/events-aggregator/events-aggregator/pkg/event"
)

// Message is one message for the exchange `events`, and what must become of it.
type Message struct {
	Body        []byte
	Headers     map[string]any
	ContentType string
	MessageID   string
	Why         string   // what is wrong, or odd, about it
	Valid       bool     // true: stored; false: dead once
	EventIDs    []string // of a valid message: the ids to be found in the store
	Class       string   // of an invalid message: the class of its error
	Pointers    []string // of an invalid message: what its error must name, in no order
}

// Messages returns n messages; the same seed gives the same messages, and two
// seeds give different event ids. A third or so is valid. Bodies of more than
// 200 KiB are few.
func Messages(seed int64, n int) []Message {
	m := maker{r: rand.New(rand.NewSource(seed)), entries: load()}
	out := make([]Message, 0, n)
	for len(out) < n {
		out = append(out, m.next())
	}
	return out
}

type maker struct {
	r       *rand.Rand
	entries []entry
}

func (m *maker) id() string {
	id, err := uuid.NewRandomFromReader(m.r)
	if err != nil {
		panic(err) // the reader never ends
	}
	return id.String()
}

func (m *maker) next() Message {
	switch p := m.r.Intn(10); {
	case p < 4:
		return m.pick().Message
	case p < 6:
		return m.mutated()
	case p < 7:
		return m.brokenField()
	default:
		return m.random()
	}
}

// pick is a case of the corpus; the huge ones come less often than the others.
func (m *maker) pick() Case {
	for {
		c := m.entries[m.r.Intn(len(m.entries))].render(m.id())
		if c.once || len(c.Body) > 64<<10 && m.r.Intn(4) > 0 {
			continue
		}
		return c
	}
}

// mutated is a valid message of the corpus with a fault that breaks it wherever
// it strikes, or with an addition that changes nothing.
func (m *maker) mutated() Message {
	c := m.pick()
	for !c.isJSON {
		c = m.pick()
	}
	msg, body := c.Message, bytes.TrimRight(c.Body, " \t\r\n")
	at := m.r.Intn(len(body))
	broken := func(how string, body []byte) Message {
		msg.Body, msg.Why, msg.Valid, msg.EventIDs, msg.Class = body, c.Why+", "+how, false, nil, event.ClassInvalidJSON
		if len(body) > event.MaxBodyDefault {
			msg.Class = event.ClassTooLarge
		}
		return msg
	}
	switch m.r.Intn(7) {
	case 0:
		return broken(fmt.Sprintf("cut off at byte %d", at), body[:at])
	case 1: // in a string it is no UTF-8, elsewhere no JSON
		return broken(fmt.Sprintf("with the byte FF at %d", at), insert(body, at, "\xff"))
	case 2: // in a string it is a raw control character, elsewhere no JSON
		return broken(fmt.Sprintf("with the byte 00 at %d", at), insert(body, at, "\x00"))
	case 3:
		return broken("twice", append(append([]byte(nil), body...), body...))
	case 4:
		return broken("with a bracket more", append(append([]byte(nil), body...), "}]"[m.r.Intn(2)]))
	case 5:
		broken("in a content type that is not taken", body)
		msg.ContentType, msg.Headers, msg.Class = "application/x-protobuf", nil, event.ClassContentType
		return msg
	default:
		msg.Why += ", with forged headers"
		msg.Headers = m.forged(msg.Headers)
		return msg
	}
}

func insert(b []byte, at int, s string) []byte {
	return append(append(append(make([]byte, 0, len(b)+len(s)), b[:at]...), s...), b[at:]...)
}

// forged adds headers that only our own messages may carry.
func (m *maker) forged(h map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range h {
		out[k] = v
	}
	for _, f := range []struct {
		name  string
		value any
	}{
		{"x-ea-dead-id", m.id()}, {"x-ea-reason", "exhausted"}, {"x-ea-error-class", "forged"}, {"x-ea-attempts", int64(m.r.Intn(1000))},
		{"x-ea-attempt", int32(99)}, {"x-ea-exchange", "ea.actions"}, {"x-ea-routing-key", "webhooks.critical"},
		{"x-ea-first-failed-at", "1970-01-01T00:00:00Z"}, {"x-ea-dead-at", "9999-12-31T23:59:59Z"},
		{"x-ea-error", strings.Repeat("e", m.r.Intn(2000))}, {"x-death", []any{"forged"}},
		{"x-first-death-queue", "ingester.events"}, {"x-delivery-count", int64(3)}, {"x-acquired-count", int64(9)},
	} {
		if m.r.Intn(3) > 0 {
			out[f.name] = f.value
		}
	}
	return out
}

// wrong are members with values that no event may have there.
var wrong = map[string][]string{
	"event_id":   {`""`, `"x"`, `1`, `true`, `[]`, `{}`, `"00000000-0000-0000-0000-000000000000"`, `"f189e2ee-3ead-4ef9-a401-233cfb0bbcd"`},
	"type":       {`""`, `"a"`, `"A-B"`, `"A.B"`, `null`, `0`, `false`, `[]`, `{}`, `"` + strings.Repeat("T", 65) + `"`, `" A"`},
	"source":     {`""`, `null`, `0`, `true`, `[""]`, `{}`, `"` + strings.Repeat("ö", 129) + `"`},
	"severity":   {`0`, `11`, `-3`, `3.0`, `"3"`, `1e0`, `99999999999999999999`, `[]`, `{}`, `true`, `""`},
	"timestamp":  {`0`, `1750000000000`, `""`, `"now"`, `"2025-06-15"`, `"2025-06-15T14:34Z"`, `"2999-01-01T00:00:00Z"`, `"2025-00-10T00:00:00Z"`, `{}`, `[]`, `true`},
	"user_id":    {`0`, `true`, `[]`, `{}`, `"` + strings.Repeat("u", 257) + `"`},
	"session_id": {`-1`, `false`, `["s"]`, `{"a":1}`},
	"trace_id":   {`1.5`, `true`, `[[]]`, `{"$eq":1}`},
	"payload":    {`""`, `1`, `true`, `[]`, `[{}]`, `{"$a":1}`, `{"a":{"b":[{"$c":1}]}}`, `{"a":1,"a":1}`, `{"a\u0000":1}`, `{"a":1e999}`, `{"a":9223372036854775808}`},
	"metadata": {
		`""`, `1`, `true`, `[]`, `{"$a":1}`, `{"region":1}`, `{"region":"` + strings.Repeat("r", 129) + `"}`, `{"hops":-1}`, `{"hops":"1"}`,
		`{"location":"Paris"}`, `{"location":[1,2]}`, `{"location":{}}`, `{"location":{"type":"Point"}}`,
		`{"location":{"type":"Point","coordinates":[181,0]}}`, `{"location":{"type":"Point","coordinates":["1","2"]}}`,
	},
	"unknown": {`1`}, "_id": {`1`}, "processed": {`true`}, "created_at": {`null`}, "": {`""`}, "$set": {`{}`},
}

// members are the keys of wrong in a fixed order.
var members = []string{
	"event_id", "type", "source", "severity", "timestamp", "user_id", "session_id", "trace_id",
	"payload", "metadata", "unknown", "_id", "processed", "created_at", "", "$set",
}

// brokenField is an event with one wrong member, in some place among the others.
func (m *maker) brokenField() Message {
	name := members[m.r.Intn(len(members))]
	value := wrong[name][m.r.Intn(len(wrong[name]))]
	fields := []string{strconv.Quote(name) + ":" + value}
	for _, f := range [][2]string{{"event_id", m.id()}, {"type", "ORDER_CREATED"}, {"source", "orders"}} {
		if f[0] != name {
			fields = append(fields, strconv.Quote(f[0])+":"+strconv.Quote(f[1]))
		}
	}
	m.r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	why := value
	if len(why) > 60 {
		why = why[:60]
	}
	return Message{
		Body: []byte("{" + strings.Join(fields, ",") + "}"), ContentType: "application/json",
		Why: fmt.Sprintf("%q: %s", name, why), Class: event.ClassInvalidEvent, Pointers: []string{"/" + name},
	}
}

func decodeBase64(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic("hostile: " + err.Error())
	}
	return b
}
