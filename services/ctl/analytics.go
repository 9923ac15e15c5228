package ctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (t *tool) analytics() *cobra.Command {
	return group("analytics", "What the counted and stored events say, with small charts",
		t.analyticsSummary(), t.analyticsTrends(), t.analyticsTopErrors(), t.analyticsUsers())
}

// rangeFlags are the flags of a time range and of the events in it.
func rangeFlags(f *pflag.FlagSet) (query func() (url.Values, error)) {
	last := f.Duration("last", 0, "the last `TIME`, such as 24h, instead of --from and --to; without any of them 24h")
	from := f.String("from", "", "not before this `TIME` (RFC 3339)")
	to := f.String("to", "", "before this `TIME` (RFC 3339)")
	filter := eventFilter(f)
	return func() (url.Values, error) {
		q := filter()
		if *last < 0 || *last > 0 && (*from != "" || *to != "") {
			return nil, &usageError{errors.New("--last is a length of time, and goes without --from and --to")}
		}
		if *last > 0 {
			*from = time.Now().UTC().Add(-*last).Format(time.RFC3339)
		}
		for name, v := range map[string]string{"from": *from, "to": *to} {
			if v != "" {
				q.Set(name, v)
			}
		}
		return q, nil
	}
}

// ask gets an analysis and prints it, as data or by person.
func ask[T any](t *tool, cmd *cobra.Command, path string, query url.Values, person func(T) error) error {
	api, err := t.client()
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if err := api.do(cmd.Context(), http.MethodGet, "/analytics/"+path, query, nil, &raw); err != nil {
		return err
	}
	return t.print(raw, func() error {
		var answer T
		if err := json.Unmarshal(raw, &answer); err != nil {
			return fmt.Errorf("read the API's answer: %w", err)
		}
		return person(answer)
	})
}

type summaryGroup struct {
	Value           string  `json:"value"`
	Count           int64   `json:"count"`
	ErrorRate       float64 `json:"error_rate"`
	AverageSeverity float64 `json:"average_severity"`
	Previous        *int64  `json:"previous_count"`
}

type summaryAnswer struct {
	From            time.Time        `json:"from"`
	To              time.Time        `json:"to"`
	Count           int64            `json:"count"`
	ErrorRate       float64          `json:"error_rate"`
	AverageSeverity float64          `json:"average_severity"`
	PerMinute       float64          `json:"events_per_minute"`
	Levels          map[string]int64 `json:"levels"`
	ByType          []summaryGroup   `json:"by_type"`
	BySource        []summaryGroup   `json:"by_source"`
	Response        *struct {
		Count int64   `json:"count"`
		Mean  float64 `json:"mean"`
		P50   float64 `json:"p50"`
		P95   float64 `json:"p95"`
		P99   float64 `json:"p99"`
	} `json:"response_time"`
	Previous *struct {
		Count     int64   `json:"count"`
		ErrorRate float64 `json:"error_rate"`
	} `json:"previous"`
}

func (t *tool) analyticsSummary() *cobra.Command {
	c := &cobra.Command{Use: "summary", Short: "Events by type, source and level, beside the time before", Args: exactly(0, "no arguments"),
		Example: `  eactl analytics summary
  eactl analytics summary --last 1h --source shop
  eactl analytics summary --filter '{"payload.amount":{"$gte":100}}' -o json`}
	query := rangeFlags(c.Flags())
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		q, err := query()
		if err != nil {
			return err
		}
		q.Set("response_times", "true")
		return ask(t, cmd, "summary", q, t.showSummary)
	}
	return c
}

func (t *tool) showSummary(a summaryAnswer) error {
	line := func(name, value string) { fmt.Fprintf(t.out, "%-14s %s\n", name, value) }
	line("range", minute(a.From)+" to "+minute(a.To))
	before := ""
	if a.Previous != nil {
		before = fmt.Sprintf("   before: %d, %.1f %% errors", a.Previous.Count, 100*a.Previous.ErrorRate)
	}
	line("events", fmt.Sprintf("%d, %.1f a minute, average severity %.1f%s", a.Count, a.PerMinute, a.AverageSeverity, before))
	line("errors", fmt.Sprintf("%.1f %%", 100*a.ErrorRate))
	for _, level := range []string{"critical", "error", "warning", "info"} {
		line("  "+level, fmt.Sprintf("%8d %s", a.Levels[level], t.paint(levelColour[level], t.share(a.Levels[level], a.Count))))
	}
	if r := a.Response; r != nil {
		line("response time", fmt.Sprintf("mean %.1f ms, p50 %.1f, p95 %.1f, p99 %.1f, of %d events", r.Mean, r.P50, r.P95, r.P99, r.Count))
	}
	for _, by := range []struct {
		name   string
		groups []summaryGroup
	}{{"type", a.ByType}, {"source", a.BySource}} {
		if len(by.groups) == 0 {
			continue
		}
		fmt.Fprintln(t.out)
		rows := t.rows(by.name, "count", "before", "errors", "severity", "")
		for _, g := range by.groups {
			previous := ""
			if g.Previous != nil {
				previous = strconv.FormatInt(*g.Previous, 10)
			}
			rows.AppendRow([]any{orNone(g.Value), g.Count, previous, fmt.Sprintf("%.1f %%", 100*g.ErrorRate), fmt.Sprintf("%.1f", g.AverageSeverity), t.share(g.Count, a.Count)})
		}
		rows.Render()
	}
	return nil
}

var levelColour = map[string]text.Color{"critical": text.FgHiRed, "error": text.FgRed, "warning": text.FgYellow, "info": text.FgGreen}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

type trendLine struct {
	Name   string `json:"name"`
	Count  int64  `json:"count"`
	Points []struct {
		Timestamp time.Time `json:"timestamp"`
		Value     *float64  `json:"value"`
	} `json:"points"`
}

type trendsAnswer struct {
	From   time.Time   `json:"from"`
	To     time.Time   `json:"to"`
	Period string      `json:"period"`
	Metric string      `json:"metric_type"`
	By     string      `json:"by"`
	Total  trendLine   `json:"total"`
	Series []trendLine `json:"series"`
	Others *trendLine  `json:"others"`
}

func (t *tool) analyticsTrends() *cobra.Command {
	c := &cobra.Command{Use: "trends", Short: "How numbers went, window by window", Args: exactly(0, "no arguments"),
		Example: `  eactl analytics trends --last 24h --by type
  eactl analytics trends --metric ERROR_RATE --period 1h --source shop
  eactl analytics trends --metric RESPONSE_TIME --last 2h --by source -o json`}
	query := rangeFlags(c.Flags())
	period := c.Flags().String("period", "", "windows of `1m`, 5m, 1h or 1d; without, as suits the range")
	kind := c.Flags().String("metric", "", "`EVENTS_COUNT`, ERROR_RATE or RESPONSE_TIME")
	by := c.Flags().String("by", "", "a line for each `type`, source, region or level")
	series := c.Flags().Int("series", 5, "at most so many lines; all others are one")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		q, err := query()
		if err != nil {
			return err
		}
		q.Set("series", strconv.Itoa(*series))
		for name, v := range map[string]string{"period": *period, "metric_type": *kind, "by": *by} {
			if v != "" {
				q.Set(name, v)
			}
		}
		return ask(t, cmd, "trends", q, t.showTrends)
	}
	return c
}

func (t *tool) showTrends(a trendsAnswer) error {
	fmt.Fprintf(t.out, "%s of %s, %s to %s\n", a.Metric, a.Period, minute(a.From), minute(a.To))
	rows := t.rows(orNone(a.By), "events", "least", "most", "last", "trend")
	add := func(name string, l trendLine) {
		values := make([]*float64, len(l.Points))
		for i, p := range l.Points {
			values[i] = p.Value
		}
		least, most, last := extremes(values)
		rows.AppendRow([]any{name, l.Count, value(least), value(most), value(last), t.chart(values)})
	}
	for _, l := range a.Series {
		add(orNone(l.Name), l)
	}
	if a.Others != nil {
		add("(others)", *a.Others)
	}
	add("all", a.Total)
	rows.Render()
	return nil
}

func (t *tool) analyticsTopErrors() *cobra.Command {
	c := &cobra.Command{Use: "top-errors", Short: "The most frequent errors, by type and cause", Args: exactly(0, "no arguments"),
		Example: `  eactl analytics top-errors --last 6h
  eactl analytics top-errors --type PAYMENT_FAILED --limit 5 -o yaml`}
	query := rangeFlags(c.Flags())
	limit := c.Flags().Int("limit", 20, "at most so many")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		q, err := query()
		if err != nil {
			return err
		}
		q.Set("limit", strconv.Itoa(*limit))
		return ask(t, cmd, "top-errors", q, t.showTopErrors)
	}
	return c
}

type topErrorsAnswer struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Errors int64     `json:"errors"`
	Causes int       `json:"causes"`
	Items  []struct {
		Type      string    `json:"type"`
		Error     string    `json:"error"`
		Count     int64     `json:"count"`
		LastSeen  time.Time `json:"last_seen"`
		Users     int       `json:"affected_users"`
		Sample    string    `json:"sample_event_id"`
		Sparkline []float64 `json:"sparkline"`
	} `json:"items"`
}

func (t *tool) showTopErrors(a topErrorsAnswer) error {
	if len(a.Items) == 0 {
		return errNothing
	}
	fmt.Fprintf(t.out, "%d errors of %d causes, %s to %s\n", a.Errors, a.Causes, minute(a.From), minute(a.To))
	rows := t.rows("count", "users", "trend", "last seen", "type", "error", "sample")
	for _, e := range a.Items {
		values := make([]*float64, len(e.Sparkline))
		for i := range e.Sparkline {
			values[i] = &e.Sparkline[i]
		}
		rows.AppendRow([]any{e.Count, e.Users, t.chart(values), minute(e.LastSeen), e.Type, shorten(orNone(e.Error), 60), e.Sample})
	}
	rows.Render()
	return nil
}

func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
