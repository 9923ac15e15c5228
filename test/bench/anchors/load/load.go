// Package load makes what the bench publishes: 20,000 seeded events in the
// native shape, 620 bytes on average, which are published again and again under
// new ids, and rules that look at them. The same seed gives the same load on
// every machine.
package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// events is how many different ones there are: more than any cache of the
// product could profit from.
const events = 20_000

// Load is events with places for id and time.
type Load struct{ events []template }

// template is an event as it is published, with the places of what changes.
type template struct {
	key           string
	body          []byte
	idAt, stampAt int
}

// New generates the events.
func New() (*Load, error) {
	g := newGenerator(1008)
	l := &Load{events: make([]template, events)}
	for i := range l.events {
		e := g.event()
		body, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("generate event: %w", err)
		}
		domain, what, _ := strings.Cut(strings.ToLower(e.Type), "_")
		l.events[i] = template{
			key: "events." + domain + "." + what, body: body,
			idAt: after(body, `"event_id":"`), stampAt: after(body, `"timestamp":"`),
		}
	}
	return l, nil
}

func after(body []byte, field string) int { return bytes.Index(body, []byte(field)) + len(field) }

// Event is event i of a run: its routing key, and its body with the id of run
// and i, and now as its timestamp.
func (l *Load) Event(run uint32, i int, now time.Time) (key string, body []byte) {
	t := &l.events[i%len(l.events)]
	body = bytes.Clone(t.body)
	copy(body[t.idAt:], ID(run, i))
	var stamp [40]byte // AppendFormat writes more digits for a moment
	copy(body[t.stampAt:], now.UTC().AppendFormat(stamp[:0], stampLayout))
	return t.key, body
}

// HookSecret signs the bench's webhooks.
const HookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// ID is the event_id of event i of a run.
func ID(run uint32, i int) string { return fmt.Sprintf("%08x-0000-4000-a000-%012x", run, i) }
