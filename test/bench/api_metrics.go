package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

// metricLists are lists of materialised metrics, each compared with a loop over the
// events of its window.
func (h history) metricLists() []call {
	of := func(name string, query url.Values, wanted func(period, kind, typ string) bool) call {
		newest := sync.OnceValue(func() []string { return h.newestMetrics(2*pageOf+1, wanted) })
		return call{name: name, goal: indexedGoal, more: 1, ask: func(int) question {
			return question{"/metrics", query, func(body []byte, page int) (string, error) {
				return checkPage(body, metricOf, page, slices.Values(newest()))
			}}
		}}
	}
	return []call{
		of("metrics", values(), func(_, _, _ string) bool { return true }),
		of("metrics of a kind and period", values("metric_type", "EVENTS_COUNT", "period", "5m"),
			func(period, kind, _ string) bool { return kind == "EVENTS_COUNT" && period == "5m" }),
		of("metrics of a type", values("metric_type", "ERROR_RATE", "period", "1h", "type", typeOf(3)),
			func(period, kind, typ string) bool { return kind == "ERROR_RATE" && period == "1h" && typ == typeOf(3) }),
	}
}

// metricText is a metric in one line; names of one time are in the order of ids.
func metricText(period, kind string, start time.Time, series metric.Series, count int64, value float64) string {
	return fmt.Sprintf("%s:%s:%s:%s %d %.3f", period, kind, start.UTC().Format(time.RFC3339), series.Name(), count, value)
}

// metricOf is that line of a metric as the list has it.
func metricOf(raw json.RawMessage) (string, error) {
	var m struct {
		Type       string    `json:"metric_type"`
		Period     string    `json:"period"`
		Timestamp  time.Time `json:"timestamp"`
		Dimensions struct {
			Type   string `json:"event_type"`
			Source string `json:"source"`
			Region string `json:"region"`
		} `json:"dimensions"`
		Count int64   `json:"count"`
		Value float64 `json:"value"`
	}
	err := json.Unmarshal(raw, &m)
	return metricText(m.Period, m.Type, m.Timestamp, metric.Series(m.Dimensions), m.Count, m.Value), err
}

// newestMetrics are the first n that the list of all that are wanted must have.
func (h history) newestMetrics(n int, wanted func(period, kind, typ string) bool) (all []string) {
	made := slices.DeleteFunc(slices.Clone(metric.Periods), func(p metric.Period) bool { return p.Length <= time.Minute })
	shortest, longest := made[0], made[len(made)-1]
	for start := shortest.Start(h.at(h.n - 1)); len(all) < n && !start.Before(longest.Start(h.begin)); start = start.Add(-shortest.Length) {
		var some []string
		for _, p := range made {
			if p.Start(start).Equal(start) && slices.ContainsFunc(metric.Kinds, func(k metric.Kind) bool {
				return slices.ContainsFunc(h.types(), func(typ string) bool { return wanted(p.Name, k.Name, typ) })
			}) {
				some = append(some, h.metricsOf(p, start, wanted)...)
			}
		}
		slices.SortFunc(some, func(a, b string) int { return strings.Compare(b, a) })
		all = append(all, some...)
	}
	return all
}

func (h history) types() []string {
	names := make([]string, historyTypes)
	for i := range names {
		names[i] = typeOf(i)
	}
	return names
}

// metricsOf are those of one window.
func (h history) metricsOf(p metric.Period, start time.Time, wanted func(period, kind, typ string) bool) (all []string) {
	series := map[plainKey]metric.Series{}
	sums := h.addUp(h.first(start), h.first(start.Add(p.Length)), func(historyEvent) bool { return true }, func(_ int, e historyEvent) []plainKey {
		one := metric.Series{Type: typeOf(e.typ), Source: sourceOf(e.source), Region: regionOf(e.region)}
		key := plainKey{name: one.Name()}
		series[key] = one
		return []plainKey{key}
	})
	for key, sum := range sums {
		of := series[key]
		total := 0
		for _, ms := range sum.times {
			total += ms
		}
		timed := int64(len(sum.times))
		for kind, figures := range map[string]struct {
			count int64
			value float64
		}{
			"EVENTS_COUNT":  {sum.count, float64(sum.count)},
			"ERROR_RATE":    {sum.count, float64(sum.errors) / float64(sum.count)},
			"RESPONSE_TIME": {timed, float64(total) / float64(max(timed, 1))},
		} {
			if wanted(p.Name, kind, of.Type) && figures.count > 0 {
				all = append(all, metricText(p.Name, kind, start, of, figures.count, figures.value))
			}
		}
	}
	return all
}
