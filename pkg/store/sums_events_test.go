package store_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// eventApart is EventApart of one range.
func eventApart(ctx context.Context, s *store.Store, q store.SumsQuery, f store.EventFilter) (metric.Apart, error) {
	all, err := s.EventApart(ctx, q, f)
	if err != nil {
		return metric.Apart{}, err
	}
	return all[0], nil
}

// expectLargest compares an answer with a loop in which all but the largest values of
// the question's dimension are added up. There are others.
func expectLargest(rows []store.SumsRow, q store.SumsQuery, all map[minuteOf]*plainWindow) {
	GinkgoHelper()
	const others = "all others"
	d := q.By[0]
	counted := map[string]int{}
	for key, w := range all {
		n := int(w.totals.Count)
		if q.Responses {
			n = len(w.ms)
		}
		counted[d.Of(key.series)] += n
	}
	Expect(len(counted)).To(BeNumerically(">", q.Largest))
	largest := slices.SortedFunc(maps.Keys(counted), func(a, b string) int { return cmp.Or(counted[b]-counted[a], cmp.Compare(a, b)) })[:q.Largest]
	want := map[minuteOf]*plainWindow{}
	for key, w := range all {
		if !slices.Contains(largest, d.Of(key.series)) {
			key.series = metric.Series{Type: others}
		}
		if want[key] == nil {
			want[key] = &plainWindow{}
		}
		want[key].totals.Add(w.totals)
		want[key].ms = append(want[key].ms, w.ms...)
	}
	rows = slices.Clone(rows)
	for i, r := range rows {
		if r.Others {
			Expect(r.Series).To(BeZero())
			rows[i].Type = others
		}
	}
	expectRows(rows, want, q.Responses)
}

var _ = Describe("adding up events of many values", Ordered, func() {
	var (
		s     *store.Store
		every = func(minuteOf) bool { return true }
	)
	// ofSources makes an event a minute of these sources. Those of slow have a response time,
	// as few others have.
	ofSources := func(start time.Time, sources ...string) event.Batch {
		return testBatch(len(sources), func(i int, d bson.D) bson.D {
			d[3].Value, d[4].Value, d[5].Value = sources[i], int32(1+i%10), start.Add(time.Duration(i)*time.Minute)
			if sources[i] == "slow" || i%20 == 0 {
				d[6].Value = bson.D{{Key: "duration_ms", Value: float64(1+i*i%977) / 8}}
			}
			return d
		})
	}
	bySource := func(start time.Time) store.SumsQuery {
		return store.SumsQuery{Range: metric.Range{From: start, To: start.Add(2 * time.Hour)}, By: []metric.Dimension{metric.Source}}
	}
	BeforeAll(func(ctx SpecContext) { s = fresh(ctx) }, NodeTimeout(time.Minute))
	AfterEach(func() { s.SetEventBounds(metric.NamesMost, metric.TallyMost) })

	It("tells a bounded number of them apart, whatever producers send", func(ctx SpecContext) {
		var sources []string
		for i := range 90 {
			sources = append(sources, []string{"auth", fmt.Sprint("pod-", i*7%30)}[i%2])
		}
		q := bySource(today())
		crowd := ofSources(q.From, sources...)
		save(ctx, s, crowd)
		_, err := s.Admit(ctx, metric.Source, []string{"auth"}, 1)
		Expect(err).NotTo(HaveOccurred())
		s.SetEventBounds(5, metric.TallyMost)
		apart, err := eventApart(ctx, s, q, store.EventFilter{SeverityMin: 1})
		Expect(err).NotTo(HaveOccurred())
		got := apart.By[metric.Source]
		Expect(got).To(And(HaveLen(7), HaveKey("auth"), HaveKey(metric.Other)), "what is counted by name, and five others")
		want := map[string]metric.Totals{}
		for key, w := range loop(q, every, crowd) {
			name := key.series.Source
			if _, named := got[name]; !named {
				name = metric.Other
			}
			sum := want[name]
			sum.Add(w.totals)
			want[name] = sum
		}
		Expect(got).To(Equal(want))
		Expect(apart.All.Count).To(BeEquivalentTo(90))
		apart, err = eventApart(ctx, s, q, store.EventFilter{Source: "pod-29"})
		Expect(err).NotTo(HaveOccurred())
		Expect(apart.By[metric.Source]).To(HaveKey("pod-29"), "who asks for a value has it")
	}, SpecTimeout(time.Minute))

	It("names the same ones in ranges that are compared, and those of the first", func(ctx SpecContext) {
		now, before := bySource(today().Add(-4*time.Hour)), bySource(today().Add(-6*time.Hour))
		first := ofSources(now.From, "a", "a", "b", "b", "c", "c", "d", "d", "e", "e", "f", "f")
		second := ofSources(before.From, "f", "f", "f", "e", "e", "e", "d", "d", "d", "c", "c", "c", "b", "b", "b", "a", "a", "a", "g")
		save(ctx, s, first, second)
		s.SetEventBounds(3, metric.TallyMost)
		all, err := s.EventApart(ctx, now, store.EventFilter{}, before.Range)
		Expect(err).NotTo(HaveOccurred())
		Expect(all).To(HaveLen(2))
		counts := func(apart metric.Apart) map[string]int64 {
			of := map[string]int64{}
			for source, totals := range apart.By[metric.Source] {
				of[source] = totals.Count
			}
			return of
		}
		current, previous := counts(all[0]), counts(all[1])
		Expect(current).To(And(HaveLen(4), HaveKeyWithValue(metric.Other, int64(6))))
		Expect(previous).To(And(HaveLen(4), HaveKeyWithValue(metric.Other, int64(10))))
		for source := range current {
			if source != metric.Other {
				Expect(current[source]).To(BeEquivalentTo(2), source)
				Expect(previous[source]).To(BeEquivalentTo(3), source)
			}
		}
	}, SpecTimeout(time.Minute))

	It("tells the windows of the largest of the whole range apart, wherever in it they are", func(ctx SpecContext) {
		var sources []string
		for i := range 120 {
			switch {
			case i%10 == 9:
				sources = append(sources, "slow") // the most response times
			case i < 40:
				sources = append(sources, "early") // the most events, and none later on
			default:
				sources = append(sources, fmt.Sprint("pod-", i%16))
			}
		}
		q := bySource(today().Add(-10 * time.Hour))
		q.Window = period("5m")
		q.Range = q.Window.Whole(q.Range)
		crowd := ofSources(q.From, sources...)
		save(ctx, s, crowd)
		all := loop(q, every, crowd)
		ask := func(q store.SumsQuery) []store.SumsRow {
			GinkgoHelper()
			rows, err := s.EventSums(ctx, q, store.EventFilter{})
			Expect(err).NotTo(HaveOccurred())
			return rows
		}
		for _, q.Responses = range []bool{false, true} {
			for _, q.Largest = range []int{1, 2, 5} {
				s.SetEventBounds(metric.NamesMost, metric.TallyMost)
				expectRows(ask(q), all, q.Responses)
				s.SetEventBounds(metric.NamesMost, 100)
				expectLargest(ask(q), q, all)
			}
			q.Largest = 20
			expectRows(ask(q), all, q.Responses) // they are fewer
			q.By = nil
			expectRows(ask(q), loop(q, every, crowd), q.Responses)
			q.By = bySource(q.From).By
		}
		for _, refused := range []store.SumsQuery{
			{Range: q.Range, Window: q.Window, By: q.By}, {Range: q.Range, By: q.By}, {Range: q.Range, Window: q.Window, By: metric.Dimensions, Largest: 5},
		} {
			_, err := s.EventSums(ctx, refused, store.EventFilter{})
			Expect(err).To(MatchError(metric.ErrTallyFull))
		}
	}, SpecTimeout(time.Minute))
})
