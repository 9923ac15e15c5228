package rule_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// The benchmarks measure on a load of rules and events: a folder with
// rules.json, rules_cold.json (1,000 rules, then only such as match nothing),
// events.json and matches.json (the true matches of the first events), each a
// line per document.
const loadVariable = "EA_BENCH_LOAD"

func loadDir(tb testing.TB) string {
	tb.Helper()
	dir := os.Getenv(loadVariable)
	if dir == "" {
		tb.Skip(loadVariable + " names no folder with a load")
	}
	return dir
}

// loadRules reads a file of rules. A few of the load ask twice for one field in
// one document, which a rule may not; the same is said by $and.
func loadRules(tb testing.TB, file string) []rule.Rule {
	tb.Helper()
	var rules []rule.Rule
	joined := 0
	loadLines(tb, file, math.MaxInt, func(line []byte) {
		var r struct {
			ID         string          `json:"rule_id"`
			Name       string          `json:"name"`
			Priority   int             `json:"priority"`
			Conditions json.RawMessage `json:"conditions"`
		}
		var conditions bson.D
		if err := errors.Join(json.Unmarshal(line, &r), bson.UnmarshalExtJSON(r.Conditions, false, &conditions)); err != nil {
			tb.Fatal(err)
		}
		if d, twice := joinByAnd(conditions); twice {
			conditions = d
			joined++
		}
		raw, err := bson.Marshal(conditions)
		if err != nil {
			tb.Fatal(err)
		}
		rules = append(rules, rule.Rule{ID: r.ID, Name: r.Name, Priority: r.Priority, Conditions: raw, Enabled: true, Mode: rule.Live})
	})
	tb.Logf("%s: %d rules, %d with a field twice joined by $and", file, len(rules), joined)
	return rules
}

func joinByAnd(d bson.D) (joined bson.D, twice bool) {
	var all bson.A
	for i, e := range d {
		all = append(all, bson.D{e})
		twice = twice || slices.ContainsFunc(d[:i], func(o bson.E) bool { return o.Key == e.Key })
	}
	return bson.D{{Key: "$and", Value: all}}, twice
}

func loadLines(tb testing.TB, file string, most int, line func([]byte)) {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(loadDir(tb), file))
	if err != nil {
		tb.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for n := 0; n < most && lines.Scan(); n++ {
		line(lines.Bytes())
	}
}

func loadEvents(tb testing.TB, most int) []bson.Raw {
	tb.Helper()
	var events []bson.Raw
	loadLines(tb, "events.json", most, func(line []byte) {
		raw, err := rule.ParseCondition(line)
		if err != nil {
			tb.Fatal(err)
		}
		events = append(events, raw)
	})
	return events
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
	set := newSet(b, loadRules(b, "rules.json"))
	events := loadEvents(b, 2000)
	truth := map[string][]string{}
	loadLines(b, "matches.json", len(events), func(line []byte) {
		var m struct {
			EventID string   `json:"event_id"`
			Rules   []string `json:"rules"`
		}
		if err := json.Unmarshal(line, &m); err != nil {
			b.Fatal(err)
		}
		truth[m.EventID] = m.Rules
	})
	for b.Loop() {
		for _, e := range events {
			id := e.Lookup("event_id").StringValue()
			var got []string
			for _, c := range set.Match(e, nil) {
				got = append(got, c.Rule.ID)
			}
			slices.Sort(got)
			if want := truth[id]; !slices.Equal(got, want) {
				b.Fatalf("event %s: %d rules, want %d", id, len(got), len(want))
			}
		}
	}
}

func benchMatch(b *testing.B, file string) {
	b.Helper()
	rules := loadRules(b, file)
	events := loadEvents(b, 1000)
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

func BenchmarkSet(b *testing.B)  { benchMatch(b, "rules.json") }
func BenchmarkCold(b *testing.B) { benchMatch(b, "rules_cold.json") }

func BenchmarkNewSet(b *testing.B) {
	rules := loadRules(b, "rules.json")
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
	rules := loadRules(b, "rules.json")
	events := loadEvents(b, 1000)
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
