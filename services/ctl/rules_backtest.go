package ctl

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/backtest"
)

// backtestFlags are those of one call.
type backtestFlags struct {
	file, from, to string
	last           time.Duration
	version        int
	compare        bool
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
			api, err := t.client()
			if err != nil {
				return err
			}
			body, err := f.body(cmd.Context(), api, args)
			if err != nil {
				return err
			}
			result, err := t.followBacktest(cmd.Context(), api, body)
			if err != nil {
				return err
			}
			return t.print(result, func() error {
				var r backtest.Report
				if err := json.Unmarshal(result, &r); err != nil {
					return fmt.Errorf("read the API's answer: %w", err)
				}
				t.showBacktest(r)
				return nil
			})
		}}
	c.Flags().StringVarP(&f.file, "file", "f", "", "a rule that is not saved: JSON, extended JSON or YAML")
	c.Flags().StringVar(&f.from, "from", "", "events not before this `TIME` (RFC 3339); 24 hours before --to when it is not given")
	c.Flags().StringVar(&f.to, "to", "", "events before this `TIME` (RFC 3339); now when it is not given")
	c.Flags().DurationVar(&f.last, "last", 0, "the last `TIME`, such as 24h, instead of --from and --to")
	c.Flags().IntVar(&f.version, "version", 0, "another `VERSION` of the rule than the newest")
	c.Flags().BoolVar(&f.compare, "compare", false, "also say how it differs from the live version")
	return c
}

// body is the request.
func (f backtestFlags) body(ctx context.Context, api *client, args []string) ([]byte, error) {
	request := map[string]any{"compare_with_live": f.compare}
	if f.last != 0 {
		if f.from != "" || f.to != "" || f.last < 0 {
			return nil, &usageError{errors.New("--last is a length of time, and goes without --from and --to")}
		}
		request["from"] = time.Now().UTC().Add(-f.last)
	}
	for name, at := range map[string]string{"from": f.from, "to": f.to} {
		if at == "" {
			continue
		}
		if _, err := time.Parse(time.RFC3339Nano, at); err != nil {
			return nil, &usageError{fmt.Errorf("--%s is %q, expected RFC 3339 such as 2026-01-31T12:00:00Z", name, at)}
		}
		request[name] = at
	}
	if f.file != "" {
		draft, err := oneRule(f.file)
		if err != nil {
			return nil, &usageError{err}
		}
		request["rule"] = draft
		return json.Marshal(request)
	}
	id, err := api.ruleID(ctx, args[0])
	if err != nil {
		return nil, err
	}
	request["rule_id"] = id
	if f.version > 0 {
		request["version"] = f.version
	}
	return json.Marshal(request)
}

// followBacktest shows the progress while it waits for the result.
func (t *tool) followBacktest(ctx context.Context, api *client, body []byte) (json.RawMessage, error) {
	answer, err := api.send(ctx, http.MethodPost, "/rules/backtest", nil, body, http.Header{"Accept": {"application/x-ndjson"}})
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	bar := t.partBar()
	defer bar.end()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var line struct {
			Progress *backtest.Progress `json:"progress"`
			Result   json.RawMessage    `json:"result"`
			Problem  *problem           `json:"problem"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, fmt.Errorf("read the API's answer: %w", err)
		}
		switch {
		case line.Result != nil:
			return bytes.Clone(line.Result), nil
		case line.Problem != nil:
			return nil, line.Problem.verdict()
		case line.Progress != nil:
			bar.show(line.Progress.Part, line.Progress.Stage, fmt.Sprintf("%d matches", line.Progress.Matches))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("the API stopped in the middle of the answer: %w", err)
	}
	return nil, errors.New("the API stopped before the result; `eactl doctor` tries the servers")
}

func (t *tool) showBacktest(r backtest.Report) {
	version := "draft"
	if r.Version > 0 {
		version = fmt.Sprintf("version %d", r.Version)
	}
	fmt.Fprintf(t.out, "%s\n", t.paint(text.Bold, fmt.Sprintf("%q (%s), %s to %s", r.Name, version, minute(r.From), minute(r.Until))))
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
		fmt.Fprintf(t.out, "%d alerts of its %s window\n", r.Alerts.Total, r.Kind)
		for _, a := range r.Alerts.Shown[:min(len(r.Alerts.Shown), 10)] {
			held := ""
			if a.Held != "" {
				held = t.paint(text.FgYellow, " ("+a.Held+")")
			}
			fmt.Fprintf(t.out, "  %s %s %s%s\n", minute(a.To), a.Key, a.Text, held)
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
func (t *tool) showCounts(r backtest.Report) {
	width := min(chartWidth, max(1, int(r.Until.Sub(r.From)/time.Hour)))
	sums := make([]int64, width)
	busiest := r.Counts[0]
	for _, c := range r.Counts {
		at := int(float64(width) * float64(max(0, c.At.Sub(r.From))) / float64(r.Until.Sub(r.From)))
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

func (t *tool) showDifference(d *backtest.Difference) {
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
		of    backtest.Side
	}{{"+", text.FgGreen, d.Only}, {"-", text.FgRed, d.OnlyLive}} {
		for _, s := range side.of.Samples {
			fmt.Fprintln(t.out, t.paint(side.color, fmt.Sprintf("%s %s %s", side.sign, minute(s.Timestamp), s.EventID)))
		}
		for _, a := range side.of.Alerts {
			fmt.Fprintln(t.out, t.paint(side.color, fmt.Sprintf("%s %s %s %s", side.sign, minute(a.To), a.Key, a.Text)))
		}
	}
}

func minute(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05Z") }
