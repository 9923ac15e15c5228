package rule_test

import (
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/test/bench/anchors/load"
)

// loadVariable names a folder with rules and events to measure on (rules.json,
// rules_cold.json, events.json, matches.json); without it they are made.
const loadVariable = "EA_BENCH_LOAD"

func matching(tb testing.TB) *load.Matching {
	tb.Helper()
	m, err := load.NewMatching(os.Getenv(loadVariable))
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func newSet(tb testing.TB, rules []rule.Rule) *rule.Set {
	tb.Helper()
	set, err := rule.NewSet(rules)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// BenchmarkTruth fails unless the set finds exactly the matches of the load.
func BenchmarkTruth(b *testing.B) {
	m := matching(b)
	set := newSet(b, m.Rules)
	for b.Loop() {
		for i, e := range m.Events {
			var got []string
			for _, c := range set.Match(e, nil) {
				got = append(got, c.Rule.ID)
			}
			slices.Sort(got)
			if want := m.Truth[i]; !slices.Equal(got, want) {
				b.Fatalf("event %d: %d rules, want %d", i, len(got), len(want))
			}
		}
	}
}

func benchMatch(b *testing.B, rules []rule.Rule, events []bson.Raw) {
	b.Helper()
	events = events[:min(len(events), 1000)]
	for _, n := range []int{10, 100, 1000, 10000} {
		b.Run(fmt.Sprintf("N=%d", n), func(b *testing.B) {
			set := newSet(b, rules[:n])
			dst := make([]*rule.Compiled, 0, n)
			hits, i := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				dst = set.Match(events[i%len(events)], dst[:0])
				hits += len(dst)
				i++
			}
			b.ReportMetric(float64(hits)/float64(i), "hits/op")
		})
	}
}

func BenchmarkSet(b *testing.B) {
	m := matching(b)
	benchMatch(b, m.Rules, m.Events)
}

func BenchmarkCold(b *testing.B) {
	m := matching(b)
	benchMatch(b, m.Cold, m.Events)
}

func BenchmarkNewSet(b *testing.B) {
	rules := matching(b).Rules
	for b.Loop() {
		start := time.Now()
		newSet(b, rules)
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/build")
	}
}

// BenchmarkChanges matches while another goroutine builds one set after the
// other and puts it in place, as a rule-worker does, and fails when the 99th
// percentile of one match is more than twice that of quiet times. Quiet and
// busy turns alternate, so that both see the same machine.
func BenchmarkChanges(b *testing.B) {
	const (
		rounds = 7
		turn   = 300 * time.Millisecond
	)
	m := matching(b)
	rules, events := m.Rules, m.Events
	var current atomic.Pointer[rule.Set]
	current.Store(newSet(b, rules))
	percentile := func() time.Duration {
		dst := make([]*rule.Compiled, 0, len(rules))
		took := make([]time.Duration, 0, 1<<20)
		for begin := time.Now(); time.Since(begin) < turn; {
			at := time.Now()
			dst = current.Load().Match(events[len(took)%len(events)], dst[:0])
			took = append(took, time.Since(at))
		}
		slices.Sort(took)
		return took[len(took)*99/100]
	}
	for b.Loop() {
		var quiet, busy []time.Duration
		sets := 0
		for range rounds {
			quiet = append(quiet, percentile())
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for {
					select {
					case <-stop:
						return
					default:
						set, err := rule.NewSet(rules)
						if err != nil {
							b.Error(err)
						}
						current.Store(set)
						sets++
					}
				}
			}()
			busy = append(busy, percentile())
			close(stop)
			<-stopped
		}
		slices.Sort(quiet)
		slices.Sort(busy)
		q, c := quiet[rounds/2], busy[rounds/2]
		b.ReportMetric(float64(q.Nanoseconds()), "p99-quiet-ns")
		b.ReportMetric(float64(c.Nanoseconds()), "p99-changing-ns")
		b.ReportMetric(float64(c)/float64(q), "ratio")
		b.ReportMetric(float64(sets), "sets")
		if c > 2*q {
			b.Errorf("p99 %v while rules change, %v in quiet times", c, q)
		}
	}
}
