package ctl

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/backtest"
	"github.com/events-aggregator/events-aggregator/pkg/client"
)

// backtestFlags are those of one call.
type backtestFlags struct {
	file    string
	within  rangeFlags
	last    time.Duration
	version int64
	compare bool
}

func (t *tool) rulesBacktest() *cobra.Command {
	var f backtestFlags
	c := &cobra.Command{Use: "backtest [RULE] [-f FILE]", Short: "Say what a rule would have done with stored events",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || (len(args) == 1) == (f.file != "") {
				return &usageError{errors.New("expected a rule's id or name, or -f FILE with a rule that is not saved")}
			}
			return nil
		},
		Example: `  eactl rules backtest "large failed payments" --last 24h
  eactl rules backtest -f draft.yaml --from 2026-03-01T00:00:00Z --to 2026-03-08T00:00:00Z --compare`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := t.api()
			if err != nil {
				return err
			}
			wanted, err := f.request(cmd.Context(), api, args)
			if err != nil {
				return err
			}
			result, err := t.followBacktest(cmd.Context(), api, wanted)
			if err != nil {
				return err
			}
			return t.print(result, func() error {
				t.showBacktest(result)
				return nil
			})
		}}
	c.Flags().StringVarP(&f.file, "file", "f", "", "a rule that is not saved: JSON, extended JSON or YAML")
	c.Flags().Var(instant{&f.within.from}, "from", "events not before this `TIME` (RFC 3339); 24 hours before --to when it is not given")
	c.Flags().Var(instant{&f.within.to}, "to", "events before this `TIME` (RFC 3339); now when it is not given")
	c.Flags().DurationVar(&f.last, "last", 0, "the last `TIME`, such as 24h, instead of --from and --to")
	c.Flags().Int64Var(&f.version, "version", 0, "another `VERSION` of the rule than the newest")
	c.Flags().BoolVar(&f.compare, "compare", false, "also say how it differs from the live version")
	return c
}

func (f backtestFlags) request(ctx context.Context, api *client.Client, args []string) (r client.BacktestRequest, err error) {
	if err := f.within.last(f.last); err != nil {
		return r, err
	}
	r.From, r.To, r.CompareWithLive = f.within.from, f.within.to, f.compare
	if f.file != "" {
		if r.Rule, err = oneRule(f.file); err != nil {
			return r, &usageError{err}
		}
		return r, nil
	}
	if f.version > 0 {
		r.Version = &f.version
	}
	r.RuleID, err = ruleID(ctx, api, args[0])
	return r, err
}

// followBacktest shows the progress while it waits for the result.
func (t *tool) followBacktest(ctx context.Context, api *client.Client, wanted client.BacktestRequest) (result client.BacktestReport, err error) {
	answer, err := api.BacktestRuleStream(ctx, wanted)
	if err != nil {
		return result, err
	}
	defer func() { _ = answer.Body.Close() }()
	bar := t.partBar()
	defer bar.end()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var line struct {
			Progress *backtest.Progress     `json:"progress"`
			Result   *client.BacktestReport `json:"result"`
			Problem  *client.Problem        `json:"problem"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return result, fmt.Errorf("read the API's answer: %w", err)
		}
		switch {
		case line.Result != nil:
			return *line.Result, nil
		case line.Problem != nil:
			return result, line.Problem
		case line.Progress != nil:
			bar.show(line.Progress.Part, line.Progress.Stage, fmt.Sprintf("%d matches", line.Progress.Matches))
		}
	}
	if err := lines.Err(); err != nil {
		return result, fmt.Errorf("the API stopped in the middle of the answer: %w", err)
	}
	return result, errors.New("the API stopped before the result; `eactl doctor` tries the servers")
}

func (t *tool) showBacktest(r client.BacktestReport) {
	version := "draft"
	if r.Version > 0 {
		version = fmt.Sprintf("version %d", r.Version)
	}
	fmt.Fprintf(t.out, "%s\n", t.paint(text.Bold, fmt.Sprintf("%q (%s), %s to %s", r.Name, version, minute(r.From), minute(r.SearchedUntil))))
	if r.Cut != "" {
		fmt.Fprintln(t.out, t.paint(text.FgYellow, "not whole: "+r.Cut))
	}
	fmt.Fprintf(t.out, "%d events match\n", r.Matches)
	if r.First != nil && r.Last != nil {
		fmt.Fprintf(t.out, "  first %s %s\n  last  %s %s\n", minute(r.First.Timestamp), r.First.EventID, minute(r.Last.Timestamp), r.Last.EventID)
		t.showCounts(r)
	}
	what := "matches"
	if r.Alerts != nil {
		what = "alerts"
		fmt.Fprintf(t.out, "%d alerts of its %s window\n", r.Alerts.Total, r.Window)
		for _, a := range r.Alerts.Shown[:min(len(r.Alerts.Shown), 10)] {
			held := ""
			if a.Held != "" {
				held = t.paint(text.FgYellow, " ("+a.Held+")")
			}
			fmt.Fprintf(t.out, "  %s %s %s%s\n", minute(a.To), printable(string(a.Key)), printable(a.Text), held)
		}
	}
	fmt.Fprintf(t.out, "%d of %d %s would act: %d notifications\n", r.Actions.Left, r.Actions.Owed, what, r.Actions.Notifications)
	for _, reason := range sortedNames(r.Actions.Held) {
		fmt.Fprintf(t.out, "  %d %s\n", r.Actions.Held[reason], reason)
	}
	if r.Actions.Note != "" {
		fmt.Fprintf(t.out, "  %s\n", r.Actions.Note)
	}
	t.showDifference(r.Difference)
}

// showCounts draws the matches over the whole range; the busiest is named.
func (t *tool) showCounts(r client.BacktestReport) {
	width := min(chartWidth, max(1, int(r.SearchedUntil.Sub(r.From.Time)/time.Hour)))
	sums := make([]int64, width)
	busiest := r.Counts[0]
	for _, c := range r.Counts {
		at := int(float64(width) * float64(max(0, c.At.Sub(r.From.Time))) / float64(r.SearchedUntil.Sub(r.From.Time)))
		sums[min(at, width-1)] += c.Matches
		if c.Matches > busiest.Matches {
			busiest = c
		}
	}
	values := make([]*float64, width)
	for i, n := range sums {
		if n > 0 {
			v := float64(n)
			values[i] = &v
		}
	}
	fmt.Fprintf(t.out, "  %s\n  busiest %s: %s with %d\n", t.paint(text.FgCyan, t.chart(values)), r.Unit, minute(busiest.At), busiest.Matches)
}

func (t *tool) showDifference(d *client.BacktestReportDifference) {
	if d == nil {
		return
	}
	fmt.Fprintf(t.out, "compared with version %d of %q: %d the same, %s, %s\n", d.Version, d.With, d.Both,
		t.paint(text.FgGreen, fmt.Sprintf("%d new", d.Only.Total)), t.paint(text.FgRed, fmt.Sprintf("%d gone", d.OnlyLive.Total)))
	if d.Note != "" {
		fmt.Fprintf(t.out, "  %s\n", d.Note)
	}
	for _, side := range []struct {
		sign  string
		color text.Color
		of    client.BacktestSide
	}{{"+", text.FgGreen, d.Only}, {"-", text.FgRed, d.OnlyLive}} {
		for _, s := range side.of.Samples {
			fmt.Fprintln(t.out, t.paint(side.color, fmt.Sprintf("%s %s %s", side.sign, minute(s.Timestamp), s.EventID)))
		}
		for _, a := range side.of.Alerts {
			fmt.Fprintln(t.out, t.paint(side.color, fmt.Sprintf("%s %s %s %s", side.sign, minute(a.To), printable(string(a.Key)), printable(a.Text))))
		}
	}
}

func minute(at client.Time) string { return at.UTC().Format("2006-01-02 15:04:05Z") }
