package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// row is a line of the table.
type row struct {
	part, name string
	value      func(figures) float64
	bound      func(figures) float64 // nil: the goal is of the value itself
	goal       float64
	most       bool // the goal is what must not be exceeded
	zero       bool // 0 was measured
	once       bool // in the first round alone
	format     string
	ratio      string // format of what the goal is of
}

// rows of the build with this name.
func rows(s settings, build string) []row {
	value := func(name string) func(figures) float64 { return func(f figures) float64 { return f[build+name] } }
	table := []row{
		{part: "ingest", name: "ingest drain, events/s", value: value(ingest), bound: chain(boundConsume, boundInsert), goal: .75},
		{part: "ingest", name: "ingester, µs of processor time an event", value: value(ingest + usedBy + "ingester"), goal: 40, most: true, format: "%.1f"},
		{part: "ingest", name: "ingester alone, peak MiB", value: value(ingestMemory), goal: 100, most: true},
		{part: "pipeline", name: "whole pipeline, events/s", value: value(pipeline),
			bound: chain(boundConsume, boundInsert, boundProcessed, boundCounters), goal: .6},
	}
	for _, name := range five {
		table = append(table, row{part: "pipeline", name: name + " in the pipeline, peak MiB", value: value(pipelineMemory + name), goal: 100, most: true})
	}
	quick := chain(boundHooks+"quick", boundAttempts)
	table = append(table,
		row{part: "webhooks", name: "webhooks to recorded attempts, deliveries/s", value: value(webhooks + "quick"), bound: quick, goal: .6},
		row{part: "webhooks", name: "the same, receiver takes 20 ms", value: value(webhooks + "slow"),
			bound: func(f figures) float64 { return min(f[boundHooks+"slow"], quick(f)) }, goal: .85})
	table = append(table,
		row{part: "isolation", name: "deliveries/s beside an endpoint that hangs", value: value(isolation), bound: value(isolationAlone), goal: .9},
		row{part: "dispatchers", name: "notifications/s for a minute, two dispatchers struck", value: value(dispatchers), once: true},
		row{part: "dispatchers", name: "deaths and pauses", value: value(dispatchersDeaths), once: true},
		row{part: "dispatchers", name: "lost", value: value(dispatchersLost), most: true, zero: true, once: true},
		row{part: "dispatchers", name: "deliveries undone", value: value(dispatchersUndone), most: true, zero: true, once: true},
		row{part: "dispatchers", name: "effects repeated", value: value(dispatchersRepeats), zero: true, once: true},
		row{part: "dispatchers", name: "of them without a fault or a death", value: value(dispatchersBeyond), most: true, zero: true, once: true},
		row{part: "dispatchers", name: "calls in no record, more than these explain", value: value(dispatchersAmiss), most: true, zero: true, once: true},
		row{part: "letters", name: "eactl dlq groups, s", value: value(lettersGroups), goal: 3, most: true, once: true, format: "%.1f"},
		row{part: "letters", name: "the same of their records, s", value: value(lettersRecorded), goal: 3, most: true, once: true, format: "%.1f"},
		row{part: "letters", name: "dlq replay --rate, off the rate by", value: func(f figures) float64 { return abs(f[build+lettersReplay] - 1) },
			goal: .1, most: true, zero: true, once: true, format: "%.2f"},
		row{part: "letters", name: "given back twice by a death", value: value(lettersLost), goal: 50, most: true, zero: true, once: true})
	table = append(table, apiRows(build)...)
	table = append(table, dashboardRows(build)...)
	table = append(table, liveRows(s, build)...)
	return append(table,
		row{part: "windows", name: "window rules, events/s held of 1,000", value: value(windows), goal: 950},
		row{part: "windows", name: "from stored to decided, p50 ms", value: value(windowsHalf)},
		row{part: "windows", name: "from stored to decided, p99 ms", value: value(windowsLast), goal: 1000, most: true},
		row{part: "windows", name: "alerts", value: value(windowsAlerts)},
		row{part: "windows", name: "alerts missing", value: value(windowsMissing), most: true, zero: true},
		row{part: "windows", name: "alerts that a recount does not find", value: value(windowsBeyond), most: true, zero: true},
		row{part: "windows", name: "alerts told twice", value: value(windowsTwice), most: true, zero: true},
		row{part: "windows", name: "rule-worker, the largest of three, peak MiB", value: value(windowsMemory), goal: 100, most: true},
		row{part: "timers", name: "windows that settle, told late by, p50 ms", value: value(timersHalf)},
		row{part: "timers", name: "told late by, p99 ms, beside the largest burst written", value: value(timersLast), bound: timersBound(build)},
		row{part: "timers", name: "alerts", value: value(timersAlerts)},
		row{part: "timers", name: "alerts missing", value: value(timersMissing), most: true, zero: true},
		row{part: "timers", name: "alerts that a recount does not find", value: value(timersBeyond), most: true, zero: true},
		row{part: "timers", name: "alerts told twice", value: value(timersTwice), most: true, zero: true},
		row{part: "timers", name: "rule-worker, the largest of three, peak MiB", value: value(timersMemory), goal: 100, most: true},
	)
}

// chain is the bound of several parts that share a machine: their times for one
// event add up.
func chain(bounds ...string) func(figures) float64 {
	return func(f figures) float64 {
		seconds := 0.0
		for _, b := range bounds {
			seconds += 1 / f[b]
		}
		return 1 / seconds
	}
}

// report prints medians over the rounds. A ratio is the median of the rounds'
// ratios, not a ratio of medians: both sides of it are of the same minute.
func report(out io.Writer, s settings, rounds []figures) {
	table := append(rows(s, ""), rulesRows()...)
	table = append(table, row{part: "ingest", name: "publish with confirms, events/s",
		value: func(f figures) float64 { return f[publish] }, bound: chain(boundPublish), goal: .6})
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\n%s\tmedian\tmin … max\tbound\tratio\tgoal\t\n", "")
	for _, r := range table {
		if s.wants(r.part) {
			r.print(w, rounds)
		}
	}
	for _, name := range []string{boundConsume, boundInsert, boundProcessed, boundCounters, boundHooks + "quick", boundHooks + "slow", boundAttempts, boundAlerts} {
		row{name: "bound " + name + ", events/s", value: func(f figures) float64 { return f[name] }}.print(w, rounds)
	}
	costs(w, s, rounds)
	if s.base != "" {
		compare(w, s, rounds)
	}
	_ = w.Flush() // to a terminal, or to a reader that has left
}

func (r row) print(w io.Writer, rounds []figures) {
	if r.once {
		rounds = rounds[:1]
	}
	values := each(rounds, r.value)
	if values[len(values)-1] == 0 && !r.zero {
		return // not measured
	}
	format := r.format
	if format == "" {
		format = "%.0f"
	}
	shown := func(v float64) string { return fmt.Sprintf(format, v) }
	columns := []string{r.name, shown(median(values)), shown(values[0]) + " … " + shown(values[len(values)-1]), "", "", "", ""}
	judged := median(values)
	if r.bound != nil {
		judged = median(each(rounds, func(f figures) float64 { return r.value(f) / r.bound(f) }))
		columns[3], columns[4] = shown(median(each(rounds, r.bound))), fmt.Sprintf(cmp.Or(r.ratio, "%.2f"), judged)
	}
	switch {
	case r.goal == 0 && !r.most:
	case r.most:
		columns[5], columns[6] = fmt.Sprintf("≤ %.4g", r.goal), verdict(judged <= r.goal)
	default:
		columns[5], columns[6] = fmt.Sprintf("≥ %g", r.goal), verdict(judged >= r.goal)
	}
	fmt.Fprintln(w, strings.Join(columns, "\t"))
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}

// costs prints who uses how much processor time for an event; of the servers
// only where they run on this machine and are known.
func costs(w io.Writer, s settings, rounds []figures) {
	who := append([]string{rabbitmq, mongodb, anchors, received}, five...)
	head := fmt.Sprintf("\nµs of processor time an event\t%s\tall\t\n", strings.Join(who, "\t"))
	lines := []string{boundConsume, boundInsert, boundProcessed, boundCounters, boundHooks + "quick", boundHooks + "slow", boundAttempts}
	measured := []string{ingest, pipeline, windows, timers, webhooks + "quick", webhooks + "slow"}
	lines = append(lines, measured...)
	if s.base != "" {
		for _, line := range measured {
			lines = append(lines, "base."+line)
		}
	}
	for _, line := range lines {
		columns, all := []string{line}, 0.0
		for _, name := range who {
			v := median(each(rounds, func(f figures) float64 { return f[line+usedBy+name] }))
			all += v
			columns = append(columns, fmt.Sprintf("%.1f", v))
		}
		if all > 0 {
			fmt.Fprint(w, head)
			head = ""
			fmt.Fprintln(w, strings.Join(append(columns, fmt.Sprintf("%.1f", all)), "\t"))
		}
	}
}

// compare prints what the other build reached: the ratio is this one's to it.
func compare(w io.Writer, s settings, rounds []figures) {
	fmt.Fprintf(w, "\nbeside %s\tmedian\tmin … max\tother\tratio\t\n", s.base)
	other := rows(s, "base.")
	for i, r := range rows(s, "") {
		if s.wants(r.part) {
			row{name: r.name, value: r.value, bound: other[i].value, format: r.format}.print(w, rounds)
		}
	}
}

// each is one value of every round, ascending.
func each(rounds []figures, value func(figures) float64) []float64 {
	values := make([]float64, len(rounds))
	for i, f := range rounds {
		values[i] = value(f)
	}
	slices.Sort(values)
	return values
}

// rank is the percentile, by nearest rank, of ascending values.
func rank(values []float64, percent int) float64 {
	return values[max(0, (len(values)*percent+99)/100-1)]
}

// median of ascending values.
func median(values []float64) float64 {
	middle := len(values) / 2
	if len(values)%2 == 0 {
		return (values[middle-1] + values[middle]) / 2
	}
	return values[middle]
}
