package aggregator

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

// verifyFlags are those of `aggregator verify`.
type verifyFlags struct {
	from, to, output string
	wait             time.Duration
	repair           bool
}

const (
	verifyLong = `Recounts the stored events of a time range and compares the result with the
counters and with the metrics of every window that lies wholly in the range.

Exit code 0: no drift; 1: drift, each named with its minute or window, its
dimensions, what is stored and what was recounted; 2: bad usage.

What cannot be compared is left out and said: minutes with events of batches
that are not counted yet, or whose events may have expired, and windows that
are not materialised yet. A difference counts as drift when two readings show
it. It may run at any time, beside everything else.`

	verifyExample = `  aggregator verify                                   # the last 24 hours
  aggregator verify --from 2026-05-04T00:00:00Z --to 2026-05-05T00:00:00Z -o json
  aggregator verify --from 1h --wait 30s              # once all of the last hour is counted
  aggregator verify --from 24h --repair               # and correct what is wrong`
)

func (f *verifyFlags) add(set *pflag.FlagSet) {
	set.StringVar(&f.from, "from", "24h", "begin: RFC 3339, or how long ago")
	set.StringVar(&f.to, "to", "0s", "end (exclusive): RFC 3339, or how long ago")
	set.StringVarP(&f.output, "output", "o", "table", "table or json")
	set.DurationVar(&f.wait, "wait", 0, "first wait up to this long until everything in the range is counted and materialised")
	set.BoolVar(&f.repair, "repair", false, "correct what is wrong; metrics follow within seconds while an aggregator runs")
}

// parse checks all flags and names every mistake.
func (f *verifyFlags) parse(now time.Time) (from, to time.Time, err error) {
	var wrong []string
	from, fromErr := instant(f.from, now)
	if fromErr != nil {
		wrong = append(wrong, "--from: "+fromErr.Error())
	}
	to, toErr := instant(f.to, now)
	if toErr != nil {
		wrong = append(wrong, "--to: "+toErr.Error())
	}
	if fromErr == nil && toErr == nil && !from.Before(to) {
		wrong = append(wrong, fmt.Sprintf("--from (%s) is not before --to (%s)", from.Format(time.RFC3339), to.Format(time.RFC3339)))
	}
	if f.output != "table" && f.output != "json" {
		wrong = append(wrong, fmt.Sprintf("--output: %q is neither table nor json", f.output))
	}
	if f.wait < 0 {
		wrong = append(wrong, "--wait: is negative")
	}
	if len(wrong) > 0 {
		return from, to, fmt.Errorf("%s", strings.Join(wrong, "; "))
	}
	return from, to, nil
}

// instant is a time, or a duration before now.
func instant(s string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC(), nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.UTC().Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither an RFC 3339 time nor a duration such as 90m", s)
}

// printReport writes a report as a table or as one JSON document.
func printReport(out io.Writer, r metric.Report, format string) error {
	if format == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(columns ...string) { _, _ = fmt.Fprintln(w, strings.Join(columns, "\t")) }
	line("range", r.From.Format(time.RFC3339)+" to "+r.To.Format(time.RFC3339))
	line("compared", fmt.Sprintf("%d minutes with %d events; metrics of %s", r.Minutes, r.Events, windowCounts(r)))
	for _, l := range r.LeftOut {
		what := "minutes"
		if l.Period != "" {
			what = "metrics " + l.Period
		}
		line("left out", fmt.Sprintf("%s %s to %s: %s", what, l.From.Format(time.RFC3339), l.To.Format(time.RFC3339), l.Reason))
	}
	if len(r.Drift) == 0 {
		line("drift", "none")
		return w.Flush()
	}
	line("drift", fmt.Sprintf("%d, of which %d repaired", len(r.Drift), len(r.Drift)-r.Unrepaired()))
	if err := w.Flush(); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(out)
	line("KIND", "PERIOD", "START", "TYPE", "SOURCE", "REGION", "STORED", "RECOUNTED", "")
	for _, d := range r.Drift {
		stored, recounted := values(d)
		repaired := ""
		if d.Repaired {
			repaired = "repaired"
		}
		line(d.Kind, dash(d.Period), d.Start.Format(time.RFC3339), d.Type, d.Source, dash(d.Region), stored, recounted, repaired)
	}
	return w.Flush()
}

func windowCounts(r metric.Report) string {
	var counts []string
	for _, p := range metric.Periods {
		if n := r.Windows[p.Name]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d windows of %s", n, p.Name))
		}
	}
	if len(counts) == 0 {
		return "no window"
	}
	return strings.Join(counts, ", ")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// values are both sides of a drift.
func values(d metric.Drift) (stored, recounted string) {
	if d.Kind == metric.KindCounter {
		return sums(*d.Counted), sums(*d.Recounted)
	}
	figure := func(v *float64) string {
		switch {
		case v == nil:
			return "missing"
		case d.Figure == "value":
			return fmt.Sprint(*v)
		}
		return fmt.Sprintf("%s %v", d.Figure, *v)
	}
	return figure(d.Value), figure(d.Expected)
}

func sums(s metric.Sums) string {
	text := fmt.Sprintf("%d (%d errors; %d/%d/%d/%d)", s.Count, s.Errors, s.Levels.Info, s.Levels.Warning, s.Levels.Error, s.Levels.Critical)
	if s.Response.Count > 0 {
		text += fmt.Sprintf(", %d response times of %.3f ms", s.Response.Count, s.Response.Mean())
	}
	return text
}
