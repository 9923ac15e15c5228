package window_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

func pointer[T any](v T) *T { return &v }

// doc is a key or a value as observations have it.
func doc(path string, value any) string {
	raw, err := bson.Marshal(bson.D{{Key: path, Value: value}})
	if err != nil { // also used where there is no spec yet
		panic(err)
	}
	return string(raw)
}

// examples has a rule of every kind, in seconds, for keys with small counts.
var examples = map[string]window.Spec{
	"frequency":                 {Kind: "frequency", Timeframe: for_(10 * time.Second), NumEvents: 4},
	"frequency of one":          {Kind: "frequency", Timeframe: for_(10 * time.Second), NumEvents: 1},
	"spike up":                  {Kind: "spike", Timeframe: for_(10 * time.Second), SpikeHeight: 2, SpikeType: "up", ThresholdCur: 2, Settle: pointer(for_(10 * time.Second))},
	"spike up, settled":         {Kind: "spike", Timeframe: for_(10 * time.Second), SpikeHeight: 2, SpikeType: "up", ThresholdCur: 2},
	"spike down":                {Kind: "spike", Timeframe: for_(10 * time.Second), SpikeHeight: 2, SpikeType: "down"},
	"spike both":                {Kind: "spike", Timeframe: for_(10 * time.Second), SpikeHeight: 1.5, SpikeType: "both", Settle: pointer(for_(5 * time.Second))},
	"flatline":                  {Kind: "flatline", Timeframe: for_(10 * time.Second), Threshold: 3},
	"flatline that forgets":     {Kind: "flatline", Timeframe: for_(10 * time.Second), Threshold: 3, ForgetKeys: true},
	"new_term":                  {Kind: "new_term", Field: "ip", TermsWindow: for_(20 * time.Second)},
	"cardinality":               {Kind: "cardinality", Timeframe: for_(10 * time.Second), Field: "ip", Max: pointer(2.)},
	"cardinality, too few":      {Kind: "cardinality", Timeframe: for_(10 * time.Second), Field: "ip", Min: pointer(2.)},
	"cardinality, both":         {Kind: "cardinality", Timeframe: for_(10 * time.Second), Field: "ip", Min: pointer(2.), Max: pointer(2.)},
	"percentage":                {Kind: "percentage", Timeframe: for_(10 * time.Second), Match: bson.Raw(doc("a", 1)), Max: pointer(60.), MinDenominator: 2},
	"percentage, both":          {Kind: "percentage", Timeframe: for_(10 * time.Second), Match: bson.Raw(doc("a", 1)), Min: pointer(30.), Max: pointer(60.)},
	"change":                    {Kind: "change", Field: "ip"},
	"change, soon, not of null": {Kind: "change", Field: "ip", Timeframe: for_(5 * time.Second), IgnoreNull: true},
}

// someEvents are events of a few keys and values within two minutes, in the
// order in which they come: late by less than late.
func someEvents(random *rand.Rand, late time.Duration, keys, most int) []window.Observation {
	s := &series{}
	for range 1 + random.IntN(most) {
		value := ""
		if v := random.IntN(5); v > 0 {
			value = doc("ip", int64(v))
		}
		s.add(time.Duration(random.IntN(120_000))*time.Millisecond, 1, doc("user_id", string(rune('a'+random.IntN(keys)))), valued(value),
			func(o *window.Observation) { o.Matched = random.IntN(2) == 0 })
	}
	comes := map[any]int64{}
	for _, o := range s.all {
		comes[o.ID] = o.At + random.Int64N(late.Milliseconds())
	}
	slices.SortFunc(s.all, func(a, b window.Observation) int { return int(comes[a.ID] - comes[b.ID]) })
	return s.all
}

var _ = Describe("every kind", func() {
	It("has an example here", func() {
		for _, k := range window.Kinds() {
			Expect(examples).To(HaveKey(HavePrefix(k.Name())))
			Expect(k.Doc()).NotTo(BeEmpty())
			for _, s := range k.Settings() {
				Expect(s.Doc).NotTo(BeEmpty(), "%s %s", k.Name(), s.Name)
			}
		}
	})

	It("has its row in the README", func() {
		readme, err := os.ReadFile("../../../README.md")
		Expect(err).NotTo(HaveOccurred())
		for _, k := range window.Kinds() {
			var settings []string
			for _, s := range k.Settings() {
				settings = append(settings, "`"+s.Name+"`")
			}
			Expect(string(readme)).To(ContainSubstring(fmt.Sprintf("| `%s` | %s | %s |\n", k.Name(), k.Doc(), strings.Join(settings, " "))))
		}
	})

	for name, spec := range examples {
		It("finds the same event by event and slot by slot as over all events: "+name, func(ctx SpecContext) {
			spec.GroupBy = []string{"user_id"}
			Expect(spec.Check()).To(BeEmpty())
			random := rand.New(rand.NewPCG(5, 6))
			alerts := 0
			const end = 300
			for i := range 60 {
				keys, most := 3, 80
				if i == 0 { // so many that they are not looked up one by one
					keys, most = 150, 2000
				}
				events := someEvents(random, 5*time.Second, keys, most)
				want := slots(evaluate(ctx, spec, &series{all: events}, 0, end*time.Second))
				slices.Sort(want)
				alerts += len(want)
				got := live(ctx, spec, events, random, end*time.Second)
				slices.Sort(got)
				Expect(got).To(Equal(want))
			}
			Expect(alerts).To(BeNumerically(">", 20), "the example shows something")
		})
	}

	for name, spec := range map[string]window.Spec{
		"change":                    {Kind: "change", Field: "ip", Settle: pointer(for_(time.Second))},
		"change, soon, not of null": {Kind: "change", Field: "ip", Timeframe: for_(20 * time.Second), IgnoreNull: true, Settle: pointer(for_(time.Second))},
		"spike up":                  {Kind: "spike", Timeframe: for_(10 * time.Second), SpikeHeight: 1.2, SpikeType: "up", ThresholdRef: 2, Settle: pointer(for_(time.Second))},
		"spike up, settled":         {Kind: "spike", Timeframe: for_(10 * time.Second), SpikeHeight: 1.2, SpikeType: "up", ThresholdRef: 2, Settle: pointer(for_(11 * time.Second))},
		"frequency":                 {Kind: "frequency", Timeframe: for_(10 * time.Second), NumEvents: 4},
		"cardinality":               {Kind: "cardinality", Timeframe: for_(10 * time.Second), Field: "ip", Max: pointer(2.)},
	} {
		It("misses nothing when events come later than settle, and have others after them: "+name, func(ctx SpecContext) {
			spec.GroupBy = []string{"user_id"}
			Expect(spec.Check()).To(BeEmpty())
			random := rand.New(rand.NewPCG(7, 8))
			const end = 300
			for i := range 15 {
				keys, most := 3, 80
				if i == 0 && spec.Kind == "change" { // which looks up one by one, or what comes soon
					keys, most = 150, 600
				}
				events := someEvents(random, time.Minute, keys, most)
				long := &series{} // each key is long known
				for k := range keys {
					long.add(-time.Hour, 1, doc("user_id", string(rune('a'+k))), valued(doc("ip", int64(1))))
					long.all[k].ID[0] = 1
				}
				events = append(long.all, events...)
				want := slots(evaluate(ctx, spec, &series{all: events}, 0, end*time.Second))
				Expect(live(ctx, spec, events, random, end*time.Second)).To(ContainElements(want))
			}
		})
	}

	It("names an alert once, also when an instant has two", func(ctx SpecContext) {
		s := &series{}
		for _, v := range []string{"a", "b", "c"} {
			s.add(time.Second, 1, "k", valued(doc("f", v)))
		}
		Expect(slots(evaluate(ctx, window.Spec{Kind: "change", Field: "f"}, s, 0, time.Minute))).To(Equal([]string{"k@1000"}))
	})

	It("refuses an unknown kind, with the known ones", func() {
		Expect((&window.Spec{Kind: "often"}).Check()).To(Equal([]window.Problem{
			{Pointer: "/kind", Message: "must be one of frequency, spike, flatline, new_term, cardinality, percentage, change"}}))
	})
})

type due struct {
	part int
	key  string
	slot int64
}

// live is what workers and the timer do: batches of events are stored one after
// the other; parts that need not settle are evaluated after each, the slots of
// the others when they are due.
func live(ctx SpecContext, spec window.Spec, events []window.Observation, random *rand.Rand, end time.Duration) []string {
	GinkgoHelper()
	stored := &series{}
	terms := (&window.Terms{}).Of("r", 1)
	found := map[string]bool{}
	told := func(alerts []window.Alert) {
		for _, s := range slots(alerts) {
			found[s] = true
		}
	}
	known := func(key string, slot int64) bool { return found[name(key, slot)] }
	open := map[due]bool{}
	parts := spec.Parts()
	decide := func(now int64) {
		for again := true; again; {
			again = false
			for d := range open {
				p := parts[d.part]
				if p.DueAt(d.slot).UnixMilli() > now {
					continue
				}
				from, to := p.Slot(d.slot)
				ask := window.Ask{From: from, To: to, Terms: terms}
				ask.Decided, _ = p.Slot(p.SlotOf(time.UnixMilli(now).Add(-p.Settle())))
				for other := range open { // the keys of a slot are asked about together
					if other.part == d.part && other.slot == d.slot {
						delete(open, other)
						if p.PerKey() {
							ask.Keys = append(ask.Keys, other.key)
						}
					}
				}
				got, err := p.Evaluate(ctx, stored, ask)
				Expect(err).NotTo(HaveOccurred())
				told(got.Alerts)
				for _, key := range got.Next {
					if open[due{d.part, key, d.slot + 1}] = true; p.DueAt(d.slot+1).UnixMilli() <= now {
						again = true
					}
				}
			}
		}
	}
	now := int64(0)
	for len(events) > 0 {
		n := min(1+random.IntN(5), len(events))
		batch := events[:n]
		events = events[n:]
		stored.all = append(stored.all, batch...)
		for _, o := range batch {
			now = max(now, o.At)
			for i, p := range parts {
				if !p.Settled() {
					got, err := p.Evaluate(ctx, stored, window.Ask{Keys: []string{o.Key}, From: o.At, To: o.At + p.Reach(), Known: known})
					Expect(err).NotTo(HaveOccurred())
					told(got.Alerts)
					continue
				}
				for _, slot := range p.Due(time.UnixMilli(o.At), time.UnixMilli(o.At)) {
					key := ""
					if p.PerKey() {
						key = o.Key
					}
					open[due{i, key, slot}] = true
				}
			}
		}
		decide(now)
	}
	decide(end.Milliseconds() + parts[0].Settle().Milliseconds())
	all := []string{}
	for s := range found {
		all = append(all, s)
	}
	return all
}

var _ = Describe("cardinality", func() {
	spec := window.Spec{Kind: "cardinality", Timeframe: for_(time.Minute), Field: "ip", Max: pointer(2.), Min: pointer(2.)}

	It("counts different values, and none where there is none", func(ctx SpecContext) {
		s := &series{}
		ip := func(v int) func(*window.Observation) { return valued(doc("ip", int64(v))) }
		for minute, values := range [][]int{{1, 2, 2}, {1, 2, 3, 4}, {1, 1, 0, 0}, {0}, {}} {
			for i, v := range values {
				at := time.Duration(minute)*time.Minute + time.Duration(i)*time.Second
				if v == 0 {
					s.add(at, 1, "k")
					continue
				}
				s.add(at, 1, "k", ip(v))
			}
		}
		alerts := evaluate(ctx, spec, s, 0, 5*time.Minute)
		Expect(slots(alerts)).To(ConsistOf("k@2", "k@4", "k@5", "k@7"),
			"too many in minute 1, and in the window that ends at the first event of minute 2; too few in 2 and 3; minute 4 has no events")
		Expect(alerts[0].Text).To(Equal("3 different values of ip in 1m; at most 2 are expected"))
		Expect(alerts[0].Event).To(Equal(s.all[5].ID))
		Expect(alerts[2].Text).To(Equal("1 value of ip in 1m; at least 2 are expected"))
	})

	It("needs a key that was seen before, for too few", func(ctx SpecContext) {
		s := &series{}
		s.add(30*time.Second, 1, "k", valued(doc("ip", int64(1))))
		Expect(evaluate(ctx, spec, s, 0, 5*time.Minute)).To(BeEmpty())
	})

	It("is refused without bounds, or with those that exclude each other", func() {
		wrong := spec
		wrong.Max, wrong.Min = nil, nil
		Expect(wrong.Check()).To(Equal([]window.Problem{{Pointer: "/max", Message: "is missing; a cardinality rule needs max, min or both"}}))
		wrong.Max, wrong.Min = pointer(1.), pointer(2.)
		Expect(wrong.Check()).To(Equal([]window.Problem{{Pointer: "/min", Message: "must not be more than max"}}))
	})
})

var _ = Describe("percentage", func() {
	DescribeTable("fires when the share is out of bounds",
		func(ctx SpecContext, matched, all, enough int, low, high *float64, want string) {
			spec := window.Spec{Kind: "percentage", Timeframe: for_(time.Minute), Match: bson.Raw(doc("a", 1)), Min: low, Max: high, MinDenominator: enough}
			s := &series{}
			s.add(time.Second, matched, "", func(o *window.Observation) { o.Matched = true })
			s.add(time.Second, all-matched, "")
			text := ""
			if alerts := evaluate(ctx, spec, s, 0, time.Minute); len(alerts) > 0 {
				text = alerts[0].Text
			}
			Expect(text).To(Equal(want))
		},
		Entry("above", 3, 8, 0, nil, pointer(30.), "37.5 % of 8 events in 1m; at most 30 % are expected"),
		Entry("at the bound", 3, 10, 0, pointer(30.), pointer(30.), ""),
		Entry("below", 0, 8, 0, pointer(1.), nil, "0 % of 8 events in 1m; at least 1 % are expected"),
		Entry("of too few", 3, 8, 9, nil, pointer(30.), ""),
		Entry("of none", 0, 0, 0, pointer(30.), nil, ""),
	)
})

var _ = Describe("new_term", func() {
	It("fires for values not seen in terms_window, for each key", func(ctx SpecContext) {
		spec := window.Spec{Kind: "new_term", Field: "payload.country", TermsWindow: for_(time.Hour)}
		s := &series{}
		country := func(at time.Duration, key, name string) {
			if name == "" {
				s.add(at, 1, key)
				return
			}
			s.add(at, 1, key, valued(doc("payload.country", name)))
		}
		country(0, "", "de")
		country(1*time.Minute, "", "de")
		country(2*time.Minute, "", "fr")
		country(3*time.Minute, "", "")
		country(61*time.Minute, "", "de")
		country(130*time.Minute, "", "de")
		alerts := evaluate(ctx, spec, s, 0, 3*time.Hour)
		Expect(alerts).To(HaveLen(3))
		Expect(alerts[0].Text).To(Equal(`payload.country is "de", which was not seen in 1h before`))
		Expect(alerts[0].Key).To(Equal(bson.Raw(doc("payload.country", "de"))))
		Expect([]int64{alerts[0].Slot, alerts[1].Slot, alerts[2].Slot}).To(Equal([]int64{0, 0, 2}))
		Expect(alerts[1].Event).To(Equal(s.all[2].ID))
	})

	It("knows 30 days by default", func(ctx SpecContext) {
		spec := window.Spec{Kind: "new_term", Field: "f"}
		s := &series{}
		s.add(0, 1, "", valued(doc("f", "x")))
		s.add(30*24*time.Hour, 1, "", valued(doc("f", "x")))
		s.add(61*24*time.Hour, 1, "", valued(doc("f", "x")))
		Expect(evaluate(ctx, spec, s, 0, 100*24*time.Hour)).To(HaveLen(2))
	})

	It("looks up few of many values that came shortly before", func(ctx SpecContext) {
		spec := window.Spec{Kind: "new_term", Field: "f"}
		s := &series{}
		for i := range 400 {
			s.add(time.Duration(i%200)*time.Millisecond+time.Duration(i/200)*20*time.Second, 1, "", valued(doc("f", int64(i%200))))
		}
		part := spec.Parts()[0]
		got, err := part.Evaluate(ctx, s, window.Ask{From: 20_000, To: 30_000})
		Expect(err).NotTo(HaveOccurred())
		Expect(got.Alerts).To(BeEmpty())
		Expect(s.asked).To(Equal(400), "each event once")
	})
})

var _ = Describe("the terms that are known", func() {
	spec := window.Spec{Kind: "new_term", Field: "f", TermsWindow: for_(time.Hour), GroupBy: []string{"k"}}
	evaluate := func(ctx context.Context, s *series, terms *window.RuleTerms, from, to int64) []string {
		GinkgoHelper()
		s.asked = 0
		got, err := spec.Parts()[0].Evaluate(ctx, s, window.Ask{From: from, To: to, Terms: terms})
		Expect(err).NotTo(HaveOccurred())
		return slots(got.Alerts)
	}

	It("are not looked up again, and those of other keys, times and versions are", func(ctx SpecContext) {
		s := &series{}
		for slot := range 3 {
			for v := range 10 {
				s.add(time.Duration(slot)*10*time.Second+time.Second, 1, doc("k", "a"), valued(doc("f", int64(v))))
			}
		}
		all := &window.Terms{}
		terms := all.Of("r", 1)
		Expect(evaluate(ctx, s, terms, 0, 10_000)).To(HaveLen(10))
		Expect(evaluate(ctx, s, terms, 10_000, 20_000)).To(BeEmpty())
		Expect(s.asked).To(Equal(10), "the slot's own events")
		Expect(evaluate(ctx, s, terms, 20_000, 30_000)).To(BeEmpty())
		Expect(s.asked).To(Equal(10))
		Expect(evaluate(ctx, s, all.Of("r", 2), 20_000, 30_000)).To(BeEmpty())
		Expect(s.asked).To(Equal(20), "of another version each is looked up")
		Expect(evaluate(ctx, s, terms, 0, 10_000)).To(HaveLen(10), "they were seen later, which says nothing about before")

		s.add(25*time.Second, 1, doc("k", "b"), valued(doc("f", int64(1))))
		s.add(2*time.Hour, 1, doc("k", "a"), valued(doc("f", int64(1))))
		Expect(evaluate(ctx, s, terms, 20_000, 30_000)).To(HaveLen(1), "another key")
		Expect(evaluate(ctx, s, terms, 7_200_000, 7_210_000)).To(HaveLen(1), "longer ago than terms_window")
	})
})

var _ = Describe("change", func() {
	DescribeTable("fires when the value is not that of the event before",
		func(ctx SpecContext, timeframe time.Duration, ignoreNull bool, values []any, want ...string) {
			spec := window.Spec{Kind: "change", Field: "f", Timeframe: interval.Duration(timeframe), IgnoreNull: ignoreNull}
			s := &series{}
			for minute, v := range values {
				if v == nil {
					s.add(time.Duration(minute)*time.Minute, 1, "")
					continue
				}
				s.add(time.Duration(minute)*time.Minute, 1, "", valued(doc("f", v)))
			}
			got := []string{}
			for _, a := range evaluate(ctx, spec, s, 0, time.Hour) {
				got = append(got, a.Text)
				Expect(a.Slot).To(Equal(a.To.UnixMilli()))
			}
			Expect(got).To(Equal(append([]string{}, want...)))
		},
		Entry("once", time.Duration(0), false, []any{"ok", "ok", "down", "down"}, `f changed from "ok" to "down"`),
		Entry("to nothing and back", time.Duration(0), false, []any{"ok", nil, "ok"}, `f changed from "ok" to null`, `f changed from null to "ok"`),
		Entry("not to nothing", time.Duration(0), true, []any{"ok", nil, "ok", nil, int64(5)}, `f changed from "ok" to {"$numberLong":"5"}`),
		Entry("in time", time.Minute, true, []any{"ok", "down", nil, "ok"}, `f changed from "ok" to "down"`),
	)
})
