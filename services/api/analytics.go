package api

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

const (
	summarySpan = 24 * time.Hour
	// summaryMost bounds one answer's work: a counter per minute and series.
	summaryMost = 31 * 24 * time.Hour
	topGroups   = 50
)

// group is the count of one value of a dimension.
type group struct {
	Value     string  `json:"value"`
	Count     int64   `json:"count"`
	Errors    int64   `json:"errors"`
	ErrorRate float64 `json:"error_rate"`
}

// summary: GET /analytics/summary, counted events of whole minutes of [from,
// to) by type, source, region and level. The default is the last 24 hours.
func (s *Server) summary(c echo.Context) error {
	p := read(c, "from", "to")
	from, to := p.span()
	if to.IsZero() {
		to = s.now().Add(time.Minute)
	}
	if from.IsZero() {
		from = to.Add(-summarySpan)
	}
	if to.Sub(from) > summaryMost {
		p.flaw("from", "the range is longer than %s", summaryMost)
	}
	if err := p.err(); err != nil {
		return err
	}
	from, to = from.Truncate(time.Minute), to.Truncate(time.Minute)
	totals, err := s.reads.Totals(c.Request().Context(), from, to)
	if err != nil {
		return err
	}
	var all metric.Totals
	byType, bySource, byRegion := map[string]metric.Totals{}, map[string]metric.Totals{}, map[string]metric.Totals{}
	for _, t := range totals {
		all.Add(t.Totals)
		addTo(byType, t.Type, t.Totals)
		addTo(bySource, t.Source, t.Totals)
		addTo(byRegion, t.Region, t.Totals)
	}
	return c.JSON(http.StatusOK, map[string]any{
		"from": from, "to": to,
		"count": all.Count, "errors": all.Errors, "error_rate": share(all.Errors, all.Count), "levels": all.Levels,
		"by_type": groups(byType), "by_source": groups(bySource), "by_region": groups(byRegion),
	})
}

func addTo(sums map[string]metric.Totals, value string, t metric.Totals) {
	sum := sums[value]
	sum.Add(t)
	sums[value] = sum
}

// groups are the largest first, at most topGroups.
func groups(sums map[string]metric.Totals) []group {
	out := make([]group, 0, len(sums))
	for value, t := range sums {
		out = append(out, group{Value: value, Count: t.Count, Errors: t.Errors, ErrorRate: share(t.Errors, t.Count)})
	}
	slices.SortFunc(out, func(a, b group) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value)) })
	return out[:min(len(out), topGroups)]
}

func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
