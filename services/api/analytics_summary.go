package api

import (
	"cmp"
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

// summed are the numbers of a range as they are added up.
type summed struct {
	all metric.Sums
	by  map[metric.Dimension]map[string]metric.Totals
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
	ctx, cancel := s.bounded(c)
	defer cancel()
	known, err := s.ofMetrics(ctx, q)
	if err != nil {
		return err
	}
	now := s.within(p, q.Range, metric.Period{}, !known)
	if err := p.err(); err != nil {
		return err
	}
	ask := func(r metric.Range) (summed, error) {
		query := store.SumsQuery{Range: r, By: metric.Dimensions, Responses: responses != nil && *responses}
		rows, err := s.sums(ctx, q, query, !known)
		return addUp(rows), err
	}
	current, err := ask(now)
	if err != nil {
		return err
	}
	answer := summaryAnswer{figures: current.figures(now), Source: fromMetrics}
	if !known {
		answer.Source = fromEvents
	}
	var before summed
	if compare == nil || *compare {
		// A range whose beginning is kept no longer is compared as far as it is.
		r := metric.Range{From: now.From.Add(-now.To.Sub(now.From)), To: now.From}
		if before, err = ask(r); err != nil {
			return err
		}
		previous := before.figures(r)
		answer.Previous = &previous
		answer.Change = &change{ErrorRate: answer.ErrorRate - previous.ErrorRate}
		if previous.Count > 0 {
			more := float64(answer.Count-previous.Count) / float64(previous.Count)
			answer.Change.Count = &more
		}
	}
	for d, to := range map[metric.Dimension]*[]group{metric.Type: &answer.ByType, metric.Source: &answer.BySource, metric.Region: &answer.ByRegion} {
		*to = groups(current.by[d], before.by[d], limit)
	}
	return c.JSON(http.StatusOK, answer)
}

func addUp(rows []store.SumsRow) summed {
	sum := summed{by: map[metric.Dimension]map[string]metric.Totals{}}
	for _, d := range metric.Dimensions {
		sum.by[d] = map[string]metric.Totals{}
	}
	for _, r := range rows {
		sum.all.Add(r.Sums)
		for _, d := range metric.Dimensions {
			t := sum.by[d][d.Of(r.Series)]
			t.Add(r.Totals)
			sum.by[d][d.Of(r.Series)] = t
		}
	}
	return sum
}

func (s summed) figures(r metric.Range) figures {
	return figures{From: r.From, To: r.To, Count: s.all.Count, Errors: s.all.Errors, ErrorRate: s.all.ErrorRate(),
		AverageSeverity: s.all.SeverityMean(), PerMinute: float64(s.all.Count) / r.To.Sub(r.From).Minutes(),
		Levels: s.all.Levels, Response: showResponse(s.all.Response)}
}

// groups are the largest first. before is nil when nothing is compared.
func groups(sums, before map[string]metric.Totals, limit int) []group {
	out := make([]group, 0, len(sums))
	for value, t := range sums {
		g := group{Value: value, Count: t.Count, Errors: t.Errors, ErrorRate: t.ErrorRate(), AverageSeverity: t.SeverityMean()}
		if before != nil {
			n := before[value].Count
			g.Previous = &n
		}
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b group) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value)) })
	return out[:min(len(out), limit)]
}
