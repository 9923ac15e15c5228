package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// Analytics is where numbers come from: metrics and counters as far as they
// know, else the events themselves.
type Analytics interface {
	Sums(ctx context.Context, q store.SumsQuery, now time.Time) ([]store.SumsRow, error)
	Apart(ctx context.Context, q store.SumsQuery, now time.Time) (metric.Apart, error)
	EventSums(ctx context.Context, q store.SumsQuery, f store.EventFilter) ([]store.SumsRow, error)
	EventApart(ctx context.Context, q store.SumsQuery, f store.EventFilter, others ...metric.Range) ([]metric.Apart, error)
	Counted(ctx context.Context, eventType, source string, region *string) (bool, error)
	EachError(ctx context.Context, f store.EventFilter, each func(store.ErrorEvent) bool) error
	RuleMatches(ctx context.Context, rules []string, from, to time.Time, slot time.Duration) ([]store.RuleMatches, error)
	UserEvents(ctx context.Context, f store.EventFilter, slot time.Duration, each func(store.UserEvents)) error
	ActiveUsers(ctx context.Context, f store.EventFilter, limit int) ([]store.ActiveUser, error)
	ListMetrics(ctx context.Context, f store.MetricFilter, after *store.MetricPosition, limit int) ([]store.Metric, error)
}

// analyticsPath begins the paths of analyses.
const analyticsPath = "/analytics/"

const (
	// analyticsSpan is the range when none is given.
	analyticsSpan = 24 * time.Hour
	// metricsMost and eventsMost are the longest ranges: of the first there are
	// a few hundred windows for each series, of the second every event is read.
	metricsMost = 2 * 366 * 24 * time.Hour
	eventsMost  = 31 * 24 * time.Hour
	// analysesAtOnce read events at the same time: what they tell apart is bounded
	// (metric.TallyMost), and the process has memory for so many of the largest.
	// analysesOfKey leaves one to others.
	analysesAtOnce = 3
	analysesOfKey  = 2
)

// Where an answer comes from, as it says.
const (
	fromMetrics = "metrics"
	fromEvents  = "events"
)

// analyticsParameters are those that all analyses share.
var analyticsParameters = append([]string{"from", "to", "region"}, eventParameters...)

// question is what an analysis asks.
type question struct {
	metric.Range
	filter store.EventFilter
	region *string
}

// question reads the shared parameters.
func (s *Server) question(p *parameters) question {
	return question{filter: p.events(), Range: s.analysed(p), region: p.region()}
}

// analysed reads the range of an analysis, the last 24 hours when none is given.
func (s *Server) analysed(p *parameters) metric.Range {
	before, now := len(p.flaws), s.now().UTC()
	var r metric.Range
	if r.From, r.To = p.span(); r.To.IsZero() {
		r.To = now
	}
	if r.From.IsZero() {
		r.From = r.To.Add(-analyticsSpan)
	}
	switch {
	case len(p.flaws) > before:
	case !r.From.Before(r.To): // the client's clock is ahead: an answer of no events would look as if none came
		p.flaw("from", "not before now, which is %s by the clock of this server", now.Format(time.RFC3339))
	case !tellable(r.From) || !tellable(r.To):
		p.flaw(firstGiven(p, "to", "from"), "expected a range from the year 1 on, until %s", lastDay.Format(time.RFC3339))
	}
	return r
}

// lastDay is the last whole day that JSON can tell: ranges are widened to whole
// windows, of a day at most.
var lastDay = time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC)

// tellable says whether JSON can tell a time and those near it.
func tellable(t time.Time) bool { return t.Year() >= 1 && !t.After(lastDay) }

// ofMetrics says whether metrics know the answer: they have types, sources and
// regions, and of a full dimension only some.
func (s *Server) ofMetrics(c echo.Context, q question) (bool, error) {
	f := q.filter
	if f.SeverityMin > 0 || f.SeverityMax > 0 || f.UserID != "" || f.SessionID != "" || f.TraceID != "" || len(f.Condition) > 0 {
		return false, nil
	}
	ctx, cancel := s.bounded(c)
	defer cancel()
	return s.analytics.Counted(ctx, f.Type, f.Source, q.region)
}

// bounded gives a question its time.
func (s *Server) bounded(c echo.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.Request().Context(), s.cfg.AnalyticsTimeout)
}

// analysis gives a question its time, and one that reads events a place, for which it
// waits as long. Both are given back by done, which may be called twice: before an
// answer is written, so that who reads slowly keeps no place.
func (s *Server) analysis(c echo.Context, events bool) (ctx context.Context, done func(), err error) {
	release := func() {}
	if events {
		waiting, cancel := s.bounded(c)
		defer cancel()
		release, err = s.analysing.wait(waiting, clientOf(c))
		switch {
		case errors.Is(err, context.Canceled):
			return nil, nil, err
		case err != nil:
			return nil, nil, problem(http.StatusServiceUnavailable, "busy",
				"%d analyses that read events are under way already, or %d with this key, and none of them ended in %s; try again",
				analysesAtOnce, analysesOfKey, s.cfg.AnalyticsTimeout)
		}
	}
	ctx, cancel := s.bounded(c)
	return ctx, func() { cancel(); release() }, nil
}

// within widens a range to what there are numbers of: whole windows of the
// period, and before the time of which there are counters no shorter ones than
// the metrics that are kept so long. Events are asked for the exact range when
// no period is given.
func (s *Server) within(p *parameters, r metric.Range, period metric.Period, events bool) metric.Range {
	most := metricsMost
	if events {
		most = eventsMost
	}
	if r.To.Sub(r.From) > most {
		p.flaw("from", "the range is longer than %d days%s", int(most.Hours()/24), map[bool]string{true: ", the most that is read of the events themselves"}[events])
		return r
	}
	if events {
		if period.Name == "" {
			return r
		}
		return period.Whole(r)
	}
	now := s.now()
	for _, longer := range metric.Periods {
		if longer.Length < period.Length {
			continue
		}
		whole := longer.Whole(r)
		kept := longer.KeptUntil(whole.From).After(now.Add(time.Hour)) && longer.Length > time.Minute
		if !kept && whole.From.Before(metric.Oldest(now, s.counters)) {
			if period.Name != "" {
				break
			}
			continue
		}
		return whole
	}
	p.flaw("from", "there are no longer any metrics of that time%s", map[bool]string{true: " for this period; a longer period is kept longer"}[period.Name != ""])
	return r
}

// about gives a query what the question restricts.
func (q question) about(query store.SumsQuery) store.SumsQuery {
	query.EventType, query.Source, query.Region = q.filter.Type, q.filter.Source, q.region
	return query
}

// sums asks metrics or events.
func (s *Server) sums(ctx context.Context, q question, query store.SumsQuery, events bool) ([]store.SumsRow, error) {
	if events {
		return s.analytics.EventSums(ctx, q.about(query), q.filter)
	}
	return s.analytics.Sums(ctx, q.about(query), s.now())
}

// responseTimes are response times in milliseconds as answers show them.
type responseTimes struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	Min   float64 `json:"min"`
	Max   float64 `json:"max"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
}

func showResponse(r metric.Response) *responseTimes {
	if r.Count == 0 {
		return nil
	}
	return &responseTimes{Count: r.Count, Mean: r.Mean(), Min: r.MinMS, Max: r.MaxMS,
		P50: r.Percentile(50), P95: r.Percentile(95), P99: r.Percentile(99)}
}
