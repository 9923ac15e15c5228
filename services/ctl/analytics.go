package ctl

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

func (t *tool) analytics() *cobra.Command {
	return group("analytics", "What the counted and stored events say, with small charts",
		t.analyticsSummary(), t.analyticsTrends(), t.analyticsTopErrors(), t.analyticsUsers())
}

// analysisFlags are those of a time and of the events in it.
type analysisFlags struct {
	eventFlags
	rangeFlags

	length time.Duration
}

func (a *analysisFlags) bind(f *pflag.FlagSet) {
	f.DurationVar(&a.length, "last", 0, "the last `TIME`, such as 24h, instead of --from and --to; without any of them 24h")
	a.rangeFlags.bind(f, "")
	a.eventFlags.bind(f)
}

// ask gets an analysis and prints it, as data or by person.
func ask[P, T any](t *tool, cmd *cobra.Command, get func(*client.Client, context.Context, P) (T, error), p P, person func(T) error) error {
	api, err := t.api()
	if err != nil {
		return err
	}
	answer, err := get(api, cmd.Context(), p)
	if err != nil {
		return err
	}
	return t.print(answer, func() error { return person(answer) })
}

func (t *tool) analyticsSummary() *cobra.Command {
	c := &cobra.Command{Use: "summary", Short: "Events by type, source and level, beside the time before", Args: exactly(0, "no arguments"),
		Example: `  eactl analytics summary
  eactl analytics summary --last 1h --source shop
  eactl analytics summary --filter '{"payload.amount":{"$gte":100}}' -o json`}
	var a analysisFlags
	a.bind(c.Flags())
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := a.last(a.length); err != nil {
			return err
		}
		return ask(t, cmd, (*client.Client).GetSummary, client.GetSummaryParams{
			From: a.from, To: a.to, Type: a.Type, Source: a.Source, Level: a.Level, SeverityMin: a.SeverityMin, SeverityMax: a.SeverityMax,
			UserID: a.UserID, SessionID: a.SessionID, TraceID: a.TraceID, Filter: a.Filter, ResponseTimes: true,
		}, t.showSummary)
	}
	return c
}

func (t *tool) showSummary(a client.Summary) error {
	line := func(name, value string) { fmt.Fprintf(t.out, "%-14s %s\n", name, value) }
	line("range", minute(a.From)+" to "+minute(a.To))
	before := ""
	if a.Previous != nil {
		before = fmt.Sprintf("   before: %d, %.1f %% errors", a.Previous.Count, 100*a.Previous.ErrorRate)
	}
	line("events", fmt.Sprintf("%d, %.1f a minute, average severity %.1f%s", a.Count, a.EventsPerMinute, a.AverageSeverity, before))
	line("errors", fmt.Sprintf("%.1f %%", 100*a.ErrorRate))
	for _, level := range []struct {
		name   string
		count  int64
		colour text.Color
	}{{"critical", a.Levels.Critical, text.FgHiRed}, {"error", a.Levels.Error, text.FgRed}, {"warning", a.Levels.Warning, text.FgYellow}, {"info", a.Levels.Info, text.FgGreen}} {
		line("  "+level.name, fmt.Sprintf("%8d %s", level.count, t.paint(level.colour, t.share(level.count, a.Count))))
	}
	if r := a.ResponseTime; r != nil {
		line("response time", fmt.Sprintf("mean %.1f ms, p50 %.1f, p95 %.1f, p99 %.1f, of %d events", r.Mean, r.P50, r.P95, r.P99, r.Count))
	}
	for _, by := range []struct {
		name   string
		groups []client.Share
	}{{"type", a.ByType}, {"source", a.BySource}} {
		if len(by.groups) == 0 {
			continue
		}
		fmt.Fprintln(t.out)
		rows := t.rows(by.name, "count", "before", "errors", "severity", "")
		for _, g := range by.groups {
			previous := ""
			if g.PreviousCount != nil {
				previous = strconv.FormatInt(*g.PreviousCount, 10)
			}
			rows.AppendRow([]any{orNone(g.Value), g.Count, previous, fmt.Sprintf("%.1f %%", 100*g.ErrorRate), fmt.Sprintf("%.1f", g.AverageSeverity), t.share(g.Count, a.Count)})
		}
		rows.Render()
	}
	return nil
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

func (t *tool) analyticsTrends() *cobra.Command {
	c := &cobra.Command{Use: "trends", Short: "How numbers went, window by window", Args: exactly(0, "no arguments"),
		Example: `  eactl analytics trends --last 24h --by type
  eactl analytics trends --metric ERROR_RATE --period 1h --source shop
  eactl analytics trends --metric RESPONSE_TIME --last 2h --by source -o json`}
	var a analysisFlags
	var p client.GetTrendsParams
	a.bind(c.Flags())
	c.Flags().StringVar(&p.Period, "period", "", "windows of `1m`, 5m, 1h or 1d; without, as suits the range")
	c.Flags().StringVar(&p.MetricType, "metric", "", "`EVENTS_COUNT`, ERROR_RATE or RESPONSE_TIME")
	c.Flags().StringVar(&p.By, "by", "", "a line for each `type`, source, region or level")
	c.Flags().Int64Var(&p.Series, "series", 5, "at most so many lines; all others are one")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := cmp.Or(a.last(a.length), atLeastOne("series", p.Series)); err != nil {
			return err
		}
		p.From, p.To, p.Type, p.Source, p.Level, p.SeverityMin, p.SeverityMax = a.from, a.to, a.Type, a.Source, a.Level, a.SeverityMin, a.SeverityMax
		p.UserID, p.SessionID, p.TraceID, p.Filter = a.UserID, a.SessionID, a.TraceID, a.Filter
		return ask(t, cmd, (*client.Client).GetTrends, p, t.showTrends)
	}
	return c
}

func (t *tool) showTrends(a client.Trends) error {
	fmt.Fprintf(t.out, "%s of %s, %s to %s\n", a.MetricType, a.Period, minute(a.From), minute(a.To))
	rows := t.rows(orNone(a.By), "events", "least", "most", "last", "trend")
	add := func(name string, l client.Line) {
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
	var a analysisFlags
	a.bind(c.Flags())
	limit := c.Flags().Int64("limit", 20, "at most so many")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := cmp.Or(a.last(a.length), atLeastOne("limit", *limit)); err != nil {
			return err
		}
		return ask(t, cmd, (*client.Client).GetTopErrors, client.GetTopErrorsParams{
			From: a.from, To: a.to, Type: a.Type, Source: a.Source, Level: a.Level, SeverityMin: a.SeverityMin, SeverityMax: a.SeverityMax,
			UserID: a.UserID, SessionID: a.SessionID, TraceID: a.TraceID, Filter: a.Filter, Limit: *limit,
		}, t.showTopErrors)
	}
	return c
}

func (t *tool) showTopErrors(a client.TopErrors) error {
	if len(a.Items) == 0 {
		return errNothing
	}
	fmt.Fprintf(t.out, "%d errors of %d causes, %s to %s\n", a.Errors, a.Causes, minute(a.From), minute(a.To))
	rows := t.rows("count", "users", "trend", "last seen", "type", "error", "sample")
	for _, e := range a.Items {
		rows.AppendRow([]any{e.Count, e.AffectedUsers, t.chart(numbers(e.Sparkline)), minute(e.LastSeen), e.Type, shorten(orNone(e.Error), 60), e.SampleEventID})
	}
	rows.Render()
	return nil
}

// numbers are whole ones as a chart takes them.
func numbers(counts []int64) []*float64 {
	values := make([]*float64, len(counts))
	for i, n := range counts {
		values[i] = new(float64(n))
	}
	return values
}

func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
