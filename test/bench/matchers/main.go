// Command matchers matches the same events with the product's rule index, with
// the index that one writes for this load alone, and with quamina, in turns, and
// prints one line of JSON with what each took. It is a module of its own, so that
// what the product is compared with is no dependency of the product.
//
// EA_BENCH_LOAD names a folder with another load (rules.json, rules_cold.json,
// events.json, matches.json, a document a line).
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/test/bench/anchors/load"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "matchers:", err)
		os.Exit(1)
	}
}

// figures are medians of turns; times are of one event.
type figures struct {
	Product  float64 `json:"product_ns"`  // 10,000 rules
	Plain    float64 `json:"plain_ns"`    // the same
	Quamina  float64 `json:"quamina_ns"`  // the same
	Cold     float64 `json:"cold_ns"`     // 10,000 rules, of which 9,000 match nothing
	ColdFew  float64 `json:"cold_few_ns"` // the first 1,000 of them
	Allocs   float64 `json:"allocs"`      // of the product, besides the result
	Build    float64 `json:"build_ms"`    // of the product's index
	Quiet    float64 `json:"quiet_ns"`    // 99th percentile of one match,
	Changing float64 `json:"changing_ns"` // and while the rules change all the time
	Matches  float64 `json:"matches"`     // an event
	Wrong    float64 `json:"wrong"`       // events for which one of the three is wrong
}

const (
	turns  = 9
	passes = 5 // over all events in a turn, by the two that are quick
	// measured are the events that are matched again and again.
	measured = 1000
)

func run() error {
	l, err := load.NewMatching(os.Getenv("EA_BENCH_LOAD"))
	if err != nil {
		return err
	}
	c, err := newContest(l)
	if err != nil {
		return err
	}
	f := figures{}
	if err := c.check(&f); err != nil {
		return err
	}
	if err := c.compare(&f); err != nil {
		return err
	}
	f.Allocs = c.allocations()
	if f.Quiet, f.Changing, err = c.change(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(f)
}

// contest is the three, and the events as each wants them.
type contest struct {
	load          *load.Matching
	set           *rule.Set
	cold, coldFew *rule.Set
	plain         *plain
	library       *library

	plainEvents, libraryEvents [][]value
	found                      []*rule.Compiled
	ids                        []string
}

func newContest(l *load.Matching) (*contest, error) {
	c := &contest{load: l, found: make([]*rule.Compiled, 0, len(l.Rules)), ids: make([]string, 0, len(l.Rules))}
	var err error
	for _, one := range []struct {
		set   **rule.Set
		rules []rule.Rule
	}{{&c.set, l.Rules}, {&c.cold, l.Cold}, {&c.coldFew, l.Cold[:load.ColdFrom]}} {
		if *one.set, err = rule.NewSet(one.rules); err != nil {
			return nil, err
		}
	}
	ids := make([]string, len(l.Rules))
	rules := make([][]clause, len(l.Rules))
	for i, r := range l.Rules {
		var condition bson.D
		if err := bson.Unmarshal(r.Conditions, &condition); err != nil {
			return nil, err
		}
		if rules[i], err = clausesOf(condition); err != nil {
			return nil, fmt.Errorf("rule %s: %w", r.ID, err)
		}
		ids[i] = r.ID
	}
	c.plain = newPlain(ids, rules)
	if c.library, err = newLibrary(ids, rules); err != nil {
		return nil, err
	}
	for _, e := range l.Events {
		c.plainEvents = append(c.plainEvents, c.plain.decode(e))
		c.libraryEvents = append(c.libraryEvents, c.library.decode(e))
	}
	return c, nil
}

// check compares everybody's answers with what is true.
func (c *contest) check(f *figures) error {
	for i, truth := range c.load.Truth {
		f.Matches += float64(len(truth)) / float64(len(c.load.Truth))
		var product []string
		for _, r := range c.set.Match(c.load.Events[i], c.found[:0]) {
			product = append(product, r.Rule.ID)
		}
		theirs, err := c.library.match(c.load.JSON[i], c.libraryEvents[i], nil)
		if err != nil {
			return err
		}
		for _, ids := range [][]string{product, c.plain.match(c.plainEvents[i], nil), theirs} {
			slices.Sort(ids)
			if !slices.Equal(ids, truth) {
				f.Wrong++
				break
			}
		}
	}
	return nil
}

// compare takes the processor time of each in turns, so that what else the machine
// does counts little, and on one processor, so that nobody's collector of garbage
// works beside him.
func (c *contest) compare(f *figures) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	n := min(measured, len(c.load.Events))
	var failed error
	match := func(set *rule.Set) func(int) {
		return func(i int) { c.found = set.Match(c.load.Events[i], c.found[:0]) }
	}
	contestants := []struct {
		to     *float64
		passes int
		match  func(i int)
	}{
		{&f.Product, passes, match(c.set)},
		{&f.Plain, passes, func(i int) { c.ids = c.plain.match(c.plainEvents[i], c.ids[:0]) }},
		{&f.Quamina, 1, func(i int) {
			var err error
			c.ids, err = c.library.match(c.load.JSON[i], c.libraryEvents[i], c.ids[:0])
			failed = errors.Join(failed, err)
		}},
		{&f.ColdFew, passes, match(c.coldFew)},
		{&f.Cold, passes, match(c.cold)},
	}
	took := make([][]float64, len(contestants))
	var builds []float64
	for range turns {
		for i, one := range contestants {
			runtime.GC() // what the one before has left is not this one's
			began := processorTime()
			for range one.passes {
				for e := range n {
					one.match(e)
				}
			}
			took[i] = append(took[i], float64((processorTime()-began).Nanoseconds())/float64(n*one.passes))
		}
		runtime.GC()
		began := processorTime()
		if _, err := rule.NewSet(c.load.Rules); err != nil {
			return err
		}
		builds = append(builds, float64((processorTime()-began).Microseconds())/1000)
	}
	for i, one := range contestants {
		*one.to = median(took[i])
	}
	f.Build = median(builds)
	return failed
}

// allocations are the product's for one event, besides the result's.
func (c *contest) allocations() float64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // or it empties the pool of what a match works with
	least := math.Inf(1)
	for range 3 { // what a match works with grows to what the events need, once
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, e := range c.load.Events {
			c.found = c.set.Match(e, c.found[:0])
		}
		runtime.ReadMemStats(&after)
		least = min(least, float64(after.Mallocs-before.Mallocs)/float64(len(c.load.Events)))
	}
	return least
}

// processorTime is this process's own.
func processorTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // cannot fail for oneself
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func median[T cmp.Ordered](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}
