package api

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/deadletter"
	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

const (
	causesDefault = 20
	causesMost    = 100
	// sparkSlots is how many numbers a sparkline has.
	sparkSlots = 24
	sparkMost  = 100
)

// errorBounds bound the memory of one answer: causes and their texts, and the users
// of one cause and of all together.
type errorBounds struct{ causes, text, usersOfOne, users int }

var errorsKept = errorBounds{causes: 20_000, text: 32 << 20, usersOfOne: 10_000, users: 200_000}

// topError is the errors of one type with one cause: the same text but for
// numbers, ids, times and addresses.
type topError struct {
	Type      string    `json:"type"`
	Error     string    `json:"error"`   // normalised; "" when the events say none
	Example   string    `json:"example"` // as one of them has it
	Count     int64     `json:"count"`
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
	Users     int       `json:"affected_users"`
	MoreUsers bool      `json:"more_users,omitempty"` // there are more than were counted
	Sample    string    `json:"sample_event_id"`
	Sparkline []int64   `json:"sparkline"`

	users map[string]bool
}

type topErrorsAnswer struct {
	From      time.Time   `json:"from"`
	To        time.Time   `json:"to"`
	Slot      float64     `json:"slot_seconds"` // of the sparklines
	Errors    int64       `json:"errors"`
	Causes    int         `json:"causes"`
	Truncated bool        `json:"truncated,omitempty"` // there are more causes than are kept apart
	Items     []*topError `json:"items"`
}

// topErrors: GET /analytics/top-errors, the errors of a range by type and
// normalised text, the most frequent first.
func (s *Server) topErrors(c echo.Context) error {
	p := read(c, append([]string{"limit", "slots"}, without(analyticsParameters, "region")...)...)
	q := s.question(p)
	limit, slots := p.integer("limit", causesDefault, causesMost), p.integer("slots", sparkSlots, sparkMost)
	switch f := &q.filter; {
	case f.SeverityMax > 0 && f.SeverityMax < store.ErrorSeverity, f.SeverityMin > 0 && f.SeverityMin < store.ErrorSeverity:
		p.flaw(firstGiven(p, "level", "severity_max", "severity_min"), "errors have a severity from %d on", store.ErrorSeverity)
	default:
		f.SeverityMin = max(f.SeverityMin, store.ErrorSeverity)
	}
	q.Range = s.within(p, q.Range, metric.Period{}, true)
	if err := p.err(); err != nil {
		return err
	}
	q.filter.From, q.filter.To = q.From, q.To
	slot := slotLength(q.Range, slots)
	ctx, done, err := s.analysis(c, true)
	if err != nil {
		return err
	}
	defer done()
	tally := newErrorTally(q.From, slot, slots, errorsKept)
	if err := s.analytics.EachError(ctx, q.filter, tally.add); err != nil {
		return err
	}
	answer := topErrorsAnswer{From: q.From, To: q.To, Slot: slot.Seconds(), Errors: tally.errors,
		Causes: len(tally.causes), Truncated: tally.truncated, Items: tally.top(limit)}
	done()
	return c.JSON(http.StatusOK, answer)
}

// slotLength divides a range into so many slots of whole milliseconds.
func slotLength(r metric.Range, slots int) time.Duration {
	return max((r.To.Sub(r.From)/time.Duration(slots) + time.Millisecond - 1).Truncate(time.Millisecond), time.Millisecond)
}

// errorTally groups error texts by their cause.
type errorTally struct {
	from      time.Time
	slot      time.Duration
	slots     int
	left      errorBounds
	causes    map[[2]string]*topError
	errors    int64
	truncated bool
}

func newErrorTally(from time.Time, slot time.Duration, slots int, most errorBounds) *errorTally {
	return &errorTally{from: from, slot: slot, slots: slots, left: most, causes: map[[2]string]*topError{}}
}

func (t *errorTally) add(e store.ErrorEvent) bool {
	t.errors++
	key := [2]string{e.Type, deadletter.Fingerprint(e.Text)}
	g := t.causes[key]
	if g == nil {
		text := len(e.Type) + len(key[1]) + len(e.Text)
		if t.left.causes == 0 || t.left.text < text {
			t.truncated = true
			return true
		}
		t.left.causes--
		t.left.text -= text
		g = &topError{Type: e.Type, Error: key[1], Example: e.Text, FirstSeen: e.At, LastSeen: e.At, Sample: e.EventID,
			Sparkline: make([]int64, t.slots), users: map[string]bool{}}
		t.causes[key] = g
	}
	g.Count++
	if e.At.Before(g.FirstSeen) {
		g.FirstSeen = e.At
	}
	if e.At.After(g.LastSeen) { // the example is one of the latest
		g.LastSeen, g.Example, g.Sample = e.At, e.Text, e.EventID
	}
	g.Sparkline[max(0, min(int(e.At.Sub(t.from)/t.slot), t.slots-1))]++
	switch {
	case e.UserID == "" || g.users[e.UserID]:
	case len(g.users) == t.left.usersOfOne || t.left.users == 0:
		g.MoreUsers = true
	default:
		t.left.users--
		g.users[e.UserID] = true
	}
	return true
}

func (t *errorTally) top(limit int) []*topError {
	all := make([]*topError, 0, len(t.causes))
	for _, g := range t.causes {
		g.Users = len(g.users)
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b *topError) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), b.LastSeen.Compare(a.LastSeen), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Error, b.Error))
	})
	return all[:min(len(all), limit)]
}

// without is a list of names without some.
func without(names []string, some ...string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(some, n) })
}

// firstGiven is the first of the parameters that the request has.
func firstGiven(p *parameters, names ...string) string {
	for _, n := range names {
		if p.values.Has(n) {
			return n
		}
	}
	return names[0]
}
