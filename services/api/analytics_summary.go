package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

const (
	groupsDefault = 50
	groupsMost    = 1000
)

// group is the numbers of one value of a dimension.
type group struct {
	Value           string  `json:"value"`
	Count           int64   `json:"count"`
	Errors          int64   `json:"errors"`
	ErrorRate       float64 `json:"error_rate"`
	AverageSeverity float64 `json:"average_severity"`
	Previous        *int64  `json:"previous_count,omitempty"`
}

// figures are the numbers of a range.
type figures struct {
	From            time.Time      `json:"from"`
	To              time.Time      `json:"to"`
	Count           int64          `json:"count"`
	Errors          int64          `json:"errors"`
	ErrorRate       float64        `json:"error_rate"`
	AverageSeverity float64        `json:"average_severity"`
	PerMinute       float64        `json:"events_per_minute"`
	Levels          metric.Levels  `json:"levels"`
	Response        *responseTimes `json:"response_time,omitempty"`
}

// change is what is different from the range before.
type change struct {
	Count     *float64 `json:"count"`      // relative: 0.5 is half as many again; null when there was none
	ErrorRate float64  `json:"error_rate"` // absolute
}

type summaryAnswer struct {
	figures

	Source   string   `json:"answered_from"`
	ByType   []group  `json:"by_type"`
	BySource []group  `json:"by_source"`
	ByRegion []group  `json:"by_region"`
	Previous *figures `json:"previous,omitempty"`
	Change   *change  `json:"change,omitempty"`
}

// summary: GET /analytics/summary, events by type, source, region and level,
// beside the range before (compare=false: without).
func (s *Server) summary(c echo.Context) error {
	p := read(c, append([]string{"compare", "response_times", "limit"}, analyticsParameters...)...)
	q := s.question(p)
	limit := p.integer("limit", groupsDefault, groupsMost)
	compare, responses := p.boolean("compare"), p.boolean("response_times")
	if err := p.err(); err != nil {
		return err
	}
	known, err := s.ofMetrics(c, q)
	if err != nil {
		return err
	}
	now := s.within(p, q.Range, metric.Period{}, !known)
	if err := p.err(); err != nil {
		return err
	}
	ctx, done, err := s.analysis(c, !known)
	if err != nil {
		return err
	}
	defer done()
	// A range whose beginning is kept no longer is compared as far as it is.
	earlier := metric.Range{From: now.From.Add(-now.To.Sub(now.From)), To: now.From}
	var others []metric.Range
	if compare == nil || *compare {
		others = append(others, earlier)
	}
	apart, err := s.apart(ctx, q, store.SumsQuery{Range: now, Responses: responses != nil && *responses}, !known, others...)
	if err != nil {
		return err
	}
	current, before := apart[0], metric.Apart{}
	answer := summaryAnswer{figures: figuresOf(now, current.All), Source: fromMetrics}
	if !known {
		answer.Source = fromEvents
	}
	if len(others) > 0 {
		before = apart[1]
		previous := figuresOf(earlier, before.All)
		answer.Previous = &previous
		answer.Change = &change{ErrorRate: answer.ErrorRate - previous.ErrorRate}
		if previous.Count > 0 {
			more := float64(answer.Count-previous.Count) / float64(previous.Count)
			answer.Change.Count = &more
		}
	}
	for d, to := range map[metric.Dimension]*[]group{metric.Type: &answer.ByType, metric.Source: &answer.BySource, metric.Region: &answer.ByRegion} {
		*to = groups(current.By[d], before.By[d], answer.Previous != nil, limit)
	}
	done()
	return c.JSON(http.StatusOK, answer)
}

// apart asks metrics or events what a range adds up to, and others that are compared
// with it.
func (s *Server) apart(ctx context.Context, q question, query store.SumsQuery, events bool, others ...metric.Range) ([]metric.Apart, error) {
	query = q.about(query)
	if events {
		return s.analytics.EventApart(ctx, query, q.filter, others...)
	}
	var all []metric.Apart
	for _, query.Range = range append([]metric.Range{query.Range}, others...) {
		one, err := s.analytics.Apart(ctx, query, s.now())
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func figuresOf(r metric.Range, sums metric.Sums) figures {
	return figures{From: r.From, To: r.To, Count: sums.Count, Errors: sums.Errors, ErrorRate: sums.ErrorRate(),
		AverageSeverity: sums.SeverityMean(), PerMinute: float64(sums.Count) / r.To.Sub(r.From).Minutes(),
		Levels: sums.Levels, Response: showResponse(sums.Response)}
}

// groups are the largest first.
func groups(sums, before map[string]metric.Totals, compared bool, limit int) []group {
	out := make([]group, 0, len(sums))
	for value, t := range sums {
		g := group{Value: value, Count: t.Count, Errors: t.Errors, ErrorRate: t.ErrorRate(), AverageSeverity: t.SeverityMean()}
		if compared {
			n := before[value].Count
			g.Previous = &n
		}
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b group) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value)) })
	return out[:min(len(out), limit)]
}
