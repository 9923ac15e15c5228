package api

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// parameters reads a request's query and collects every mistake in it.
type parameters struct {
	values url.Values
	flaws  []FieldFlaw
}

// read refuses parameters that the route does not know: a misspelt filter that
// is silently ignored shows events that it should have hidden.
func read(c echo.Context, known ...string) *parameters {
	p := &parameters{values: c.QueryParams()}
	for name, values := range p.values {
		switch {
		case !slices.Contains(known, name):
			p.flaw(name, "not a parameter of this route; it takes %s", cmp.Or(strings.Join(known, ", "), "none"))
		case len(values) > 1:
			p.flaw(name, "given %d times, expected once", len(values))
		}
	}
	return p
}

func (p *parameters) flaw(name, format string, args ...any) {
	p.flaws = append(p.flaws, FieldFlaw{Parameter: name, Message: fmt.Sprintf(format, args...)})
}

// err is nil, or a 400 with every mistake.
func (p *parameters) err() error {
	if len(p.flaws) == 0 {
		return nil
	}
	slices.SortFunc(p.flaws, func(a, b FieldFlaw) int { return strings.Compare(a.Parameter, b.Parameter) })
	bad := problem(400, "invalid_parameter", "%d query parameter(s) cannot be used", len(p.flaws))
	bad.Errors = p.flaws
	return bad
}

const maxText = 200

func (p *parameters) text(name string) string {
	v := p.values.Get(name)
	switch {
	case v == "" && p.values.Has(name): // as of a shell variable that is not set
		p.flaw(name, "is empty; leave it out")
	case len(v) > maxText:
		p.flaw(name, "%d characters, at most %d", len(v), maxText)
	case !storable(v):
		p.flaw(name, "%q is no text", v)
	default:
		return v
	}
	return ""
}

// region reads a region. Empty it is no mistake, as it is of other texts: some events
// have none.
func (p *parameters) region() *string {
	if !p.values.Has("region") {
		return nil
	}
	region := ""
	if p.values.Get("region") != "" {
		region = p.text("region")
	}
	return &region
}

// storable says whether a text can be in a document. What cannot be there cannot
// be looked for: the database would refuse the query.
func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func (p *parameters) oneOf(name string, allowed ...string) string {
	v := p.values.Get(name)
	if p.values.Has(name) && !slices.Contains(allowed, v) {
		p.flaw(name, "%q, expected %s", v, strings.Join(allowed, ", "))
	}
	return v
}

func (p *parameters) integer(name string, preset, high int) int {
	if !p.values.Has(name) {
		return preset
	}
	v := p.values.Get(name)
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > high {
		p.flaw(name, "%q, expected a whole number from 1 to %d", v, high)
		return preset
	}
	return n
}

func (p *parameters) time(name string) time.Time {
	if !p.values.Has(name) {
		return time.Time{}
	}
	v := p.values.Get(name)
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		p.flaw(name, "%q, expected RFC 3339 such as 2026-01-31T12:00:00Z", v)
	}
	return t.UTC()
}

func (p *parameters) boolean(name string) *bool {
	if !p.values.Has(name) {
		return nil
	}
	v := p.values.Get(name)
	b, err := strconv.ParseBool(v)
	if err != nil {
		p.flaw(name, "%q, expected true or false", v)
	}
	return &b
}

// span reads from and to.
func (p *parameters) span() (from, to time.Time) {
	from, to = p.time("from"), p.time("to")
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		p.flaw("from", "not before to")
	}
	return from, to
}

// eventParameters are the filters that lists and streams of events share.
var eventParameters = []string{"type", "source", "severity_min", "severity_max", "level", "user_id", "session_id", "trace_id", "filter"}

// levels are the severities of each level.
var levels = map[string][2]int{"info": {1, 3}, "warning": {4, 6}, "error": {7, 8}, "critical": {9, 10}}

// events reads the shared filters of events.
func (p *parameters) events() store.EventFilter {
	f := store.EventFilter{
		Type: p.text("type"), Source: p.text("source"),
		SeverityMin: p.integer("severity_min", 0, 10), SeverityMax: p.integer("severity_max", 0, 10),
		UserID: p.text("user_id"), SessionID: p.text("session_id"), TraceID: p.text("trace_id"),
	}
	if level := p.oneOf("level", "info", "warning", "error", "critical"); level != "" {
		if band, ok := levels[level]; ok {
			f.SeverityMin = max(f.SeverityMin, band[0])
			if f.SeverityMax == 0 || f.SeverityMax > band[1] {
				f.SeverityMax = band[1]
			}
		}
	}
	if text := p.values.Get("filter"); p.values.Has("filter") {
		condition, err := rule.ParseCondition([]byte(text))
		if err == nil {
			_, err = rule.Compile(condition)
		}
		if err != nil {
			p.flaw("filter", "%s", err)
		} else {
			f.Condition = condition
		}
	}
	return f
}

// cursor reads an opaque cursor into position; false when there is none.
func (p *parameters) cursor(position any) bool {
	if !p.values.Has("cursor") {
		return false
	}
	v := p.values.Get("cursor")
	raw, err := base64.RawURLEncoding.DecodeString(v)
	if err == nil {
		err = json.Unmarshal(raw, position)
	}
	if err != nil {
		p.flaw("cursor", "not a cursor of this API; use the next_cursor of the page before as it is")
		return false
	}
	return true
}

// behind is the position behind which a list goes on, nil at its beginning.
func behind[T any](p *parameters) *T {
	position := new(T)
	if !p.cursor(position) {
		return nil
	}
	return position
}

// cursorOf is the opaque form of a position.
func cursorOf(position any) string {
	raw, err := json.Marshal(position)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// page is the shape of every list.
type page struct {
	Items      any    `json:"items"`
	NextCursor string `json:"next_cursor,omitempty"`
}

// pageOf shows what was found as items. When that is as much as was asked for,
// there may be more behind the last one.
func pageOf[T any](items any, found []T, limit int, position func(last T) any) page {
	p := page{Items: items}
	if len(found) == limit {
		p.NextCursor = cursorOf(position(found[limit-1]))
	}
	return p
}
