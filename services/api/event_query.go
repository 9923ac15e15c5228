package api

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// searchParameters are the filters of everything that reads stored events.
var searchParameters = append([]string{"from", "to", "processed", "rule", "near"}, eventParameters...)

// stored reads the filters of stored events.
func (p *parameters) stored() store.EventFilter {
	f := p.events()
	f.From, f.To = p.span()
	f.Processed, f.Rule, f.Near = p.boolean("processed"), p.text("rule"), p.circle("near")
	return f
}

// halfway is the greatest distance on the globe, in metres.
const halfway = 20_037_508

// circle reads lon,lat,metres.
func (p *parameters) circle(name string) *store.Circle {
	if !p.values.Has(name) {
		return nil
	}
	v := p.values.Get(name)
	var n [3]float64
	parts := strings.Split(v, ",")
	ok := len(parts) == len(n)
	for i := range n {
		if ok {
			var err error
			n[i], err = strconv.ParseFloat(strings.TrimSpace(parts[i]), 64)
			ok = err == nil
		}
	}
	// Written so that NaN is refused, too.
	if !ok || !(math.Abs(n[0]) <= 180) || !(math.Abs(n[1]) <= 90) || !(n[2] > 0 && n[2] <= halfway) {
		p.flaw(name, "%q, expected longitude,latitude,metres such as 13.4,52.52,5000 (±180, ±90, up to %d)", excerptOf(v), halfway)
		return nil
	}
	return &store.Circle{Longitude: n[0], Latitude: n[1], Metres: n[2]}
}

const (
	fieldsMost = 50
	quotedMost = 100 // bytes of a wrong value that an answer repeats
)

func excerptOf(v string) string {
	if len(v) > quotedMost {
		return strings.ToValidUTF8(v[:quotedMost], "") + "…"
	}
	return v
}

// fields reads a list of paths, nil when there is none.
func (p *parameters) fields() []string {
	if !p.values.Has("fields") {
		return nil
	}
	given := strings.SplitN(p.values.Get("fields"), ",", fieldsMost+1)
	if len(given) > fieldsMost {
		p.flaw("fields", "more than %d paths", fieldsMost)
		return nil
	}
	var paths []string // in their order, which CSV keeps
	for _, path := range given {
		path = strings.TrimSpace(path)
		if !isPath(path) {
			p.flaw("fields", "%q, expected paths such as type,user_id,payload.amount", excerptOf(path))
			return nil
		}
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths
}

// isPath says whether a text is a path as a projection takes it: with a dollar it
// would be an expression.
func isPath(path string) bool {
	if path == "" || path == "_id" || strings.HasPrefix(path, "_id.") || len(path) > maxText || !storable(path) {
		return false
	}
	for name := range strings.SplitSeq(path, ".") {
		if name == "" || name[0] == '$' {
			return false
		}
	}
	return true
}

// The orders of lists of events.
const (
	newestFirst = "-timestamp"
	oldestFirst = "timestamp"
)

// narrowed refuses a filter by which the database would read all events to find
// none, perhaps. The slow-query guard would end it, after time that others lack.
func (s *Server) narrowed(ctx context.Context, f store.EventFilter) error {
	if f.Whole() {
		return nil
	}
	return s.ranged(ctx, f)
}

// ranged is narrowed for what reads on even where all events pass the filter.
func (s *Server) ranged(ctx context.Context, f store.EventFilter) error {
	ok, err := s.events.Narrowed(ctx, f)
	if err != nil || ok {
		return err
	}
	bad := problem(http.StatusBadRequest, "needs_time_range",
		"no index serves these filters, so the database might read every event that is stored: add a time to begin at (from=2026-01-31T00:00:00Z), "+
			"or name what an index serves (type, source, user_id, session_id, trace_id, rule, near, severity_min of 7 or more; in a condition, {\"type\": …} and the like, or {\"timestamp\": {\"$gte\": …}})")
	bad.Errors = []FieldFlaw{{Parameter: "from", Message: "is missing; these filters need it"}}
	return bad
}
