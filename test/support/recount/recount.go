// Package recount finds the alerts of rules with windows in events by the
// plainest loops, and by none of the product's code: what a rule of each kind
// says, event by event, key by key, without a thought of speed.
package recount

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// seen is one event.
type seen struct {
	at      int64 // ms
	id      string
	value   string // "" when it has none, or null
	of      any    // the value itself
	matched bool
}

// Alerts are the alerts of a rule whose windows end in a range, without its end,
// each as key@slot, sorted. The events are all that fulfil the rule's condition;
// a match is one field and its value.
func Alerts(spec window.Spec, events []bson.Raw, from, to time.Time) []string {
	byKey := map[string][]seen{}
	keys := map[string]bson.D{}
	for _, doc := range events {
		key := bson.D{}
		for _, path := range spec.GroupBy {
			key = append(key, bson.E{Key: path, Value: at(doc, path)})
		}
		name := text(key)
		keys[name] = key
		when, _ := doc.Lookup("timestamp").DateTimeOK()
		one := seen{at: when, id: doc.Lookup("_id").String(), matched: matches(doc, spec.Match)}
		if v := at(doc, spec.Field); spec.Field != "" && v != nil {
			one.value, one.of = text(bson.D{{Key: "v", Value: v}}), v
		}
		byKey[name] = append(byKey[name], one)
	}
	if len(spec.GroupBy) == 0 && byKey[""] == nil {
		byKey[""] = nil // a flatline without keys needs no event
	}
	c := count{spec: spec, from: from.UnixMilli(), to: to.UnixMilli(), found: map[string]bool{}}
	c.T = time.Duration(spec.Timeframe).Milliseconds()
	for name, all := range byKey {
		slices.SortFunc(all, func(a, b seen) int { return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.id, b.id)) })
		c.key, c.doc, c.all = name, keys[name], all
		switch spec.Kind {
		case "frequency":
			c.frequency()
		case "spike":
			c.spike()
		case "flatline":
			c.flatline()
		case "new_term":
			c.newTerm()
		case "cardinality":
			c.cardinality()
		case "percentage":
			c.percentage()
		case "change":
			c.change()
		default:
			panic("recount: no loops for " + spec.Kind)
		}
	}
	names := []string{}
	for name := range c.found {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// at is the value at a path; nil when there is none, or null. Whole numbers are
// of one type.
func at(doc bson.Raw, path string) any {
	v, err := doc.LookupErr(strings.Split(path, ".")...)
	switch {
	case err != nil, v.Type == bson.TypeNull:
		return nil
	case v.Type == bson.TypeInt32:
		return int64(v.Int32())
	default:
		return v
	}
}

func text(d bson.D) string {
	if len(d) == 0 {
		return ""
	}
	raw, err := bson.Marshal(d)
	if err != nil {
		panic("recount: " + err.Error())
	}
	return bson.Raw(raw).String()
}

func matches(doc, match bson.Raw) bool {
	elements, _ := match.Elements()
	for _, e := range elements {
		v, err := doc.LookupErr(strings.Split(e.Key(), ".")...)
		if err != nil || !v.Equal(e.Value()) {
			return false
		}
	}
	return true
}

// count goes through the events of one key after the other.
type count struct {
	spec     window.Spec
	from, to int64
	T        int64 // the timeframe

	key   string
	doc   bson.D
	all   []seen // of the key
	found map[string]bool
}

func (c *count) alert(slot int64) { c.found[fmt.Sprintf("%s@%d", c.key, slot)] = true }

func (c *count) asked(end int64) bool { return c.from <= end && end < c.to }

// within are the key's events after a time and up to another.
func (c *count) within(after, until int64) (some []seen) {
	for _, e := range c.all {
		if after < e.at && e.at <= until {
			some = append(some, e)
		}
	}
	return some
}

// slots are those whose ends are asked for.
func (c *count) slots(f func(slot, start, end int64)) {
	for slot := div(c.from, c.T); slot < div(c.to, c.T); slot++ {
		f(slot, slot*c.T, (slot+1)*c.T)
	}
}

func div(a, b int64) int64 { return int64(math.Floor(float64(a) / float64(b))) }

func (c *count) frequency() {
	for _, e := range c.all {
		if c.asked(e.at) && len(c.within(e.at-c.T, e.at)) >= c.spec.NumEvents {
			c.alert(div(e.at, c.T))
		}
	}
}

func (c *count) spike() {
	parts := int64(1)
	if c.spec.SpikeType == "both" {
		parts = 2
	}
	enough := func(ref, cur int) bool { return ref >= c.spec.ThresholdRef && cur >= c.spec.ThresholdCur }
	known := func(at int64) bool { return len(c.all) > 0 && c.all[0].at <= at }
	if c.spec.SpikeType != "down" {
		for _, e := range c.all {
			cur, ref := len(c.within(e.at-c.T, e.at)), len(c.within(e.at-2*c.T, e.at-c.T))
			if c.asked(e.at) && enough(ref, cur) && float64(cur) >= c.spec.SpikeHeight*float64(ref) && known(e.at-2*c.T) {
				c.alert(div(e.at, c.T) * parts)
			}
		}
	}
	if c.spec.SpikeType != "up" {
		c.slots(func(slot, start, end int64) {
			cur, ref := len(c.within(start-1, end-1)), len(c.within(start-c.T-1, start-1))
			if ref > 0 && enough(ref, cur) && float64(cur)*c.spec.SpikeHeight <= float64(ref) && known(start-c.T) {
				c.alert(slot*parts + parts - 1)
			}
		})
	}
}

// remembered is how long a key is known after an event.
func (c *count) remembered() int64 {
	day := (24 * time.Hour).Milliseconds()
	return max(10*c.T, (day+c.T-1)/c.T*c.T)
}

func (c *count) flatline() {
	if !c.spec.ForgetKeys {
		c.slots(func(slot, start, end int64) {
			watched := len(c.spec.GroupBy) == 0 || len(c.within(start-c.remembered()-1, start-1)) > 0
			if watched && len(c.within(start-1, end-1)) < c.spec.Threshold {
				c.alert(slot)
			}
		})
		return
	}
	if len(c.all) == 0 {
		return
	}
	watched := false
	for slot := div(c.all[0].at, c.T); slot < div(c.to, c.T); slot++ {
		n := len(c.within(slot*c.T-1, (slot+1)*c.T-1))
		silent := watched && n < c.spec.Threshold
		if silent && slot >= div(c.from, c.T) {
			c.alert(slot)
		}
		watched = n >= c.spec.Threshold || n > 0 && !silent
	}
}

func (c *count) newTerm() {
	back := (30 * 24 * time.Hour).Milliseconds()
	if c.spec.TermsWindow > 0 {
		back = time.Duration(c.spec.TermsWindow).Milliseconds()
	}
	for _, e := range c.all {
		if e.value == "" || !c.asked(e.at) {
			continue
		}
		known := false
		for _, before := range c.within(e.at-back-1, e.at-1) {
			known = known || before.value == e.value
		}
		if !known {
			key := c.key
			if !slices.Contains(c.spec.GroupBy, c.spec.Field) {
				key = text(append(slices.Clone(c.doc), bson.E{Key: c.spec.Field, Value: e.of}))
			}
			c.found[fmt.Sprintf("%s@%d", key, div(e.at, back))] = true
		}
	}
}

// different counts the values of events.
func different(some []seen) int {
	values := map[string]bool{}
	for _, e := range some {
		if e.value != "" {
			values[e.value] = true
		}
	}
	return len(values)
}

func (c *count) cardinality() {
	parts := int64(1)
	if c.spec.Max != nil && c.spec.Min != nil {
		parts = 2
	}
	if c.spec.Max != nil {
		for _, e := range c.all {
			if e.value != "" && c.asked(e.at) && float64(different(c.within(e.at-c.T, e.at))) > *c.spec.Max {
				c.alert(div(e.at, c.T) * parts)
			}
		}
	}
	if c.spec.Min != nil {
		c.slots(func(slot, start, end int64) {
			now := c.within(start-1, end-1)
			if len(now) > 0 && float64(different(now)) < *c.spec.Min && len(c.within(start-c.remembered()-1, start-1)) > 0 {
				c.alert(slot*parts + parts - 1)
			}
		})
	}
}

func (c *count) percentage() {
	c.slots(func(slot, start, end int64) {
		now := c.within(start-1, end-1)
		if len(now) < max(1, c.spec.MinDenominator) {
			return
		}
		matched := 0
		for _, e := range now {
			if e.matched {
				matched++
			}
		}
		share := 100 * float64(matched) / float64(len(now))
		if c.spec.Max != nil && share > *c.spec.Max || c.spec.Min != nil && share < *c.spec.Min {
			c.alert(slot)
		}
	})
}

func (c *count) change() {
	var before *seen
	for i := range c.all {
		e := &c.all[i]
		if c.spec.IgnoreNull && e.value == "" {
			continue
		}
		if before != nil && before.value != e.value && c.asked(e.at) && (c.T == 0 || e.at-before.at <= c.T) {
			c.alert(e.at)
		}
		before = e
	}
}
