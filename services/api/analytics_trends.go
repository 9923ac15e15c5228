package api

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

const (
	// pointsMost bounds a line: a day of minutes.
	pointsMost = 1500
	// pointsWanted is what the period is chosen for when none is given.
	pointsWanted  = 300
	seriesDefault = 5
	seriesMost    = 20
	byLevel       = "level"
)

// point is one window of a line. Without events an ERROR_RATE or RESPONSE_TIME
// has no value.
type point struct {
	Timestamp time.Time `json:"timestamp"`
	Value     *float64  `json:"value"`
	Count     int64     `json:"count"`
	Errors    int64     `json:"errors"`
	P50       *float64  `json:"p50,omitempty"`
	P95       *float64  `json:"p95,omitempty"`
	P99       *float64  `json:"p99,omitempty"`
	Open      bool      `json:"open,omitempty"` // the window has not ended
}

// line is one series of a trend. Name is the value of the dimension.
type line struct {
	Name   string  `json:"name"`
	Count  int64   `json:"count"`
	Points []point `json:"points"`
}

type trendsAnswer struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Period string    `json:"period"`
	Metric string    `json:"metric_type"`
	By     string    `json:"by,omitempty"`
	Source string    `json:"answered_from"`
	Total  line      `json:"total"`
	Series []line    `json:"series"`           // the largest first; none without by
	Others *line     `json:"others,omitempty"` // all that have no series of their own, together
}

// trends: GET /analytics/trends, the windows of a range, those without events
// too: of all events and, with by, of each of the largest groups.
func (s *Server) trends(c echo.Context) error {
	p := read(c, append([]string{"period", "metric_type", "by", "series"}, analyticsParameters...)...)
	q := s.question(p)
	answer := trendsAnswer{Metric: cmp.Or(p.oneOf("metric_type", kindNames()...), "EVENTS_COUNT"),
		By: p.oneOf("by", "type", "source", "region", byLevel), Source: fromMetrics, Series: []line{}}
	period, most := p.period(q.Range, pointsWanted), p.integer("series", seriesDefault, seriesMost)
	if answer.By == byLevel && answer.Metric == "RESPONSE_TIME" {
		p.flaw("by", "response times are not counted by level")
	}
	if err := p.err(); err != nil {
		return err
	}
	known, err := s.ofMetrics(c, q)
	if err != nil {
		return err
	}
	if !known {
		answer.Source = fromEvents
	}
	r := s.within(p, q.Range, period, !known)
	if n := period.Count(r); n > pointsMost {
		p.flaw("period", "%d windows of %s, at most %d; choose a longer period or a shorter range", n, period.Name, pointsMost)
	}
	if err := p.err(); err != nil {
		return err
	}
	ctx, done, err := s.analysis(c, !known)
	if err != nil {
		return err
	}
	defer done()
	query := store.SumsQuery{Range: r, Window: period, Responses: answer.Metric == "RESPONSE_TIME"}
	if answer.By != "" && answer.By != byLevel {
		query.By, query.Largest = []metric.Dimension{metric.Dimension(answer.By)}, seriesMost
	}
	rows, err := s.sums(ctx, q, query, !known)
	if err != nil {
		return err
	}
	answer.From, answer.To, answer.Period = r.From, r.To, period.Name
	draw := drawing{windows: period.Windows(r), kind: answer.Metric, openFrom: period.Start(s.now())}
	answer.Total, answer.Series, answer.Others = draw.lines(rows, answer.By, most)
	done()
	return c.JSON(http.StatusOK, answer)
}

func kindNames() []string {
	names := make([]string, len(metric.Kinds))
	for i, k := range metric.Kinds {
		names[i] = k.Name
	}
	return names
}

// period reads the parameter of that name; without one it is the shortest that
// gives no more than so many windows.
func (p *parameters) period(r metric.Range, wanted int) metric.Period {
	names := make([]string, len(metric.Periods))
	for i, period := range metric.Periods {
		names[i] = period.Name
	}
	if name := p.oneOf("period", names...); name != "" {
		period, _ := metric.PeriodNamed(name)
		return period
	}
	for _, period := range metric.Periods {
		if r.To.Sub(r.From)/period.Length <= time.Duration(wanted) {
			return period
		}
	}
	return metric.Periods[len(metric.Periods)-1]
}

// drawing turns rows into lines.
type drawing struct {
	windows  []time.Time
	kind     string
	openFrom time.Time
}

// sumsAt are a line's sums by window.
type sumsAt map[int64]metric.Sums

func (at sumsAt) add(start time.Time, sums metric.Sums) {
	sum := at[start.Unix()]
	sum.Add(sums)
	at[start.Unix()] = sum
}

func (d drawing) lines(rows []store.SumsRow, by string, most int) (total line, series []line, others *line) {
	all, named, rest := sumsAt{}, map[string]sumsAt{}, sumsAt{}
	for _, r := range rows {
		all.add(r.Start, r.Sums)
		if r.Others {
			rest.add(r.Start, r.Sums)
			continue
		}
		for name, sums := range parts(r, by) {
			if named[name] == nil {
				named[name] = sumsAt{}
			}
			named[name].add(r.Start, sums)
		}
	}
	counts := map[string]int64{}
	for name, at := range named {
		counts[name] = d.count(at)
	}
	names := slices.SortedFunc(maps.Keys(named), func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	series = []line{}
	for _, name := range names[:min(len(names), most)] {
		series = append(series, d.line(name, named[name]))
	}
	for _, name := range names[min(len(names), most):] {
		for start, sums := range named[name] {
			rest.add(time.Unix(start, 0), sums)
		}
	}
	if len(rest) > 0 {
		o := d.line("", rest)
		others = &o
	}
	return d.line("", all), series, others
}

// count is what the points of a line count together.
func (d drawing) count(at sumsAt) (n int64) {
	for _, sums := range at {
		n += d.counted(sums)
	}
	return n
}

func (d drawing) counted(sums metric.Sums) int64 {
	if d.kind == "RESPONSE_TIME" {
		return sums.Response.Count
	}
	return sums.Count
}

// parts are what a row adds to which series.
func parts(r store.SumsRow, by string) map[string]metric.Sums {
	switch by {
	case "":
		return nil
	case byLevel:
		of := func(n int64, level metric.Levels, errors int64) metric.Sums {
			return metric.Sums{Totals: metric.Totals{Count: n, Errors: errors, Levels: level}}
		}
		l := r.Levels
		return map[string]metric.Sums{
			"info": of(l.Info, metric.Levels{Info: l.Info}, 0), "warning": of(l.Warning, metric.Levels{Warning: l.Warning}, 0),
			"error": of(l.Error, metric.Levels{Error: l.Error}, l.Error), "critical": of(l.Critical, metric.Levels{Critical: l.Critical}, l.Critical),
		}
	default:
		return map[string]metric.Sums{metric.Dimension(by).Of(r.Series): r.Sums}
	}
}

func (d drawing) line(name string, at sumsAt) line {
	l := line{Name: name, Points: make([]point, len(d.windows))}
	for i, start := range d.windows {
		sums := at[start.Unix()]
		l.Points[i] = point{Timestamp: start, Count: d.counted(sums), Errors: sums.Errors, Open: !start.Before(d.openFrom)}
		p := &l.Points[i]
		switch value := 0.0; {
		case d.kind == "RESPONSE_TIME":
			r := sums.Response
			if r.Count > 0 {
				value = r.Mean()
				p50, p95, p99 := r.Percentile(50), r.Percentile(95), r.Percentile(99)
				p.Value, p.P50, p.P95, p.P99 = &value, &p50, &p95, &p99
			}
		case d.kind == "EVENTS_COUNT":
			value = float64(sums.Count)
			p.Value = &value
		case sums.Count > 0:
			value = sums.ErrorRate()
			p.Value = &value
		}
		l.Count += p.Count
	}
	return l
}
