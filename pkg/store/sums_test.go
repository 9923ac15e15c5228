package store_test

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// loop adds events up as a query asks, one by one.
func loop(q store.SumsQuery, wanted func(minuteOf) bool, batches ...event.Batch) map[minuteOf]*plainWindow {
	GinkgoHelper()
	all := map[minuteOf]*plainWindow{}
	for key, w := range plainWindows(time.Minute, batches...) {
		if key.minute.Before(q.From) || !key.minute.Before(q.To) || !wanted(key) {
			continue
		}
		var series metric.Series
		for _, d := range q.By {
			switch d {
			case metric.Type:
				series.Type = key.series.Type
			case metric.Source:
				series.Source = key.series.Source
			case metric.Region:
				series.Region = key.series.Region
			}
		}
		at := minuteOf{series: series}
		if q.Window.Name != "" {
			at.minute = key.minute.Truncate(q.Window.Length)
		}
		if all[at] == nil {
			all[at] = &plainWindow{}
		}
		all[at].totals.Add(w.totals)
		all[at].ms = append(all[at].ms, w.ms...)
	}
	return all
}

// expectRows compares an answer with a loop.
func expectRows(rows []store.SumsRow, want map[minuteOf]*plainWindow, responses bool) {
	GinkgoHelper()
	Expect(rows).To(HaveLen(len(want)))
	for _, r := range rows {
		w := want[minuteOf{r.Start, r.Series}]
		Expect(w).NotTo(BeNil(), "%v %v", r.Start, r.Series)
		Expect(r.Totals).To(Equal(w.totals), "%v %v", r.Start, r.Series)
		if !responses {
			continue
		}
		Expect(r.Response.Count).To(BeEquivalentTo(len(w.ms)))
		slices.Sort(w.ms)
		for _, q := range metric.Percentiles {
			if n := len(w.ms); n > 0 {
				exact := w.ms[int(math.Ceil(float64(q)*float64(n)/100))-1]
				Expect(r.Response.Percentile(q)).To(BeNumerically("~", exact, metric.ErrorMost*exact+0.001))
			}
		}
	}
}

var _ = Describe("adding up", Ordered, func() {
	var (
		s       *store.Store
		batches []event.Batch
		now     = time.Now().UTC()
	)
	BeforeAll(func(ctx SpecContext) {
		s = fresh(ctx)
		batches = []event.Batch{eventsAt(today().Add(-14*time.Hour), 37*time.Minute, 45), eventsAt(today(), 40*time.Second, 40)}
		account(ctx, s, batches...)
		materialise(ctx, s)
		late := eventsAt(today().Add(-3*time.Hour), 7*time.Minute, 15) // counted, and not materialised
		account(ctx, s, late)
		batches = append(batches, late)
	}, NodeTimeout(time.Minute))

	// expectApart compares what a range adds up to, in metrics or in the events, with loops.
	expectApart := func(apart metric.Apart, err error, q store.SumsQuery, wanted func(minuteOf) bool, batches ...event.Batch) {
		GinkgoHelper()
		Expect(err).NotTo(HaveOccurred())
		q.Window, q.By = metric.Period{}, nil
		all := loop(q, wanted, batches...)
		var rows []store.SumsRow
		if len(all) > 0 {
			rows = []store.SumsRow{{Sums: apart.All}}
		}
		expectRows(rows, all, q.Responses)
		if !q.Responses {
			Expect(apart.All.Response.Count).To(BeZero(), "nobody asked")
		}
		for _, d := range metric.Dimensions {
			q.By = []metric.Dimension{d}
			want := map[string]metric.Totals{}
			for key, w := range loop(q, wanted, batches...) {
				want[d.Of(key.series)] = w.totals
			}
			got := map[string]metric.Totals{}
			maps.Copy(got, apart.By[d])
			Expect(got).To(Equal(want), "%s", d)
		}
	}

	questions := func() []store.SumsQuery {
		r := metric.Range{From: today().Add(-13*time.Hour - 7*time.Minute), To: today().Add(29 * time.Minute)}
		return []store.SumsQuery{
			{Range: r},
			{Range: r, By: metric.Dimensions, Responses: true},
			{Range: period("1h").Whole(r), Window: period("1h"), By: []metric.Dimension{metric.Type}, Responses: true},
			{Range: r, Window: period("1m"), Responses: true},
			{Range: period("5m").Whole(r), Window: period("5m"), By: []metric.Dimension{metric.Region}},
			{Range: period("5m").Whole(r), Window: period("5m"), Responses: true},
			{Range: period("1h").Whole(r), Window: period("1h")},
			{Range: period("1d").Whole(r), Window: period("1d"), By: []metric.Dimension{metric.Source}, Responses: true},
		}
	}
	every := func(minuteOf) bool { return true }

	It("answers from metrics, and from counters where they have changed, as a loop over the events does", func(ctx SpecContext) {
		for _, q := range questions() {
			rows, err := s.Sums(ctx, q, now)
			Expect(err).NotTo(HaveOccurred())
			expectRows(rows, loop(q, every, batches...), q.Responses)
			apart, err := s.Apart(ctx, q, now)
			expectApart(apart, err, q, every, batches...)
		}
		region, none := "eu", ""
		for _, f := range []struct {
			change func(*store.SumsQuery)
			wanted func(minuteOf) bool
		}{
			{func(q *store.SumsQuery) { q.EventType = "PAYMENT_FAILED" }, func(m minuteOf) bool { return m.series.Type == "PAYMENT_FAILED" }},
			{func(q *store.SumsQuery) { q.Source, q.Region = "auth", &region }, func(m minuteOf) bool { return m.series.Source == "auth" && m.series.Region == region }},
			{func(q *store.SumsQuery) { q.Region = &none }, func(m minuteOf) bool { return m.series.Region == none }},
			{func(q *store.SumsQuery) { q.EventType = "NO_SUCH" }, func(minuteOf) bool { return false }},
		} {
			for _, q := range questions()[4:] { // one of the dimensions, or none, beside what is restricted
				q.Responses = false
				f.change(&q)
				rows, err := s.Sums(ctx, q, now)
				Expect(err).NotTo(HaveOccurred())
				expectRows(rows, loop(q, f.wanted, batches...), false)
			}
			for _, q := range questions()[1:3] {
				f.change(&q)
				apart, err := s.Apart(ctx, q, now)
				expectApart(apart, err, q, f.wanted, batches...)
				apart, err = eventApart(ctx, s, q, store.EventFilter{})
				expectApart(apart, err, q, f.wanted, batches...)
				want := loop(q, f.wanted, batches...)
				rows, err := s.Sums(ctx, q, now)
				Expect(err).NotTo(HaveOccurred())
				expectRows(rows, want, true)
				rows, err = s.EventSums(ctx, q, store.EventFilter{})
				Expect(err).NotTo(HaveOccurred())
				expectRows(rows, want, true)
			}
		}
	}, SpecTimeout(time.Minute))

	It("answers the same from the events, what is not counted yet too, and takes conditions there", func(ctx SpecContext) {
		uncounted := eventsAt(today(), time.Second, 20)
		save(ctx, s, uncounted)
		all := append(slices.Clone(batches), uncounted)
		for _, q := range questions() {
			rows, err := s.EventSums(ctx, q, store.EventFilter{})
			Expect(err).NotTo(HaveOccurred())
			expectRows(rows, loop(q, every, all...), q.Responses)
			apart, err := eventApart(ctx, s, q, store.EventFilter{})
			expectApart(apart, err, q, every, all...)
		}
		q := store.SumsQuery{Range: questions()[0].Range}
		condition, err := bson.Marshal(bson.D{{Key: "payload.duration_ms", Value: bson.D{{Key: "$gte", Value: 50}}}})
		Expect(err).NotTo(HaveOccurred())
		rows, err := s.EventSums(ctx, q, store.EventFilter{SeverityMin: 7, Condition: condition})
		Expect(err).NotTo(HaveOccurred())
		want := int64(0)
		for _, raw := range slices.Concat(all[0].Events, all[1].Events, all[2].Events, all[3].Events) {
			at := raw.Lookup("timestamp").Time()
			ms, slow := raw.Lookup("payload", "duration_ms").DoubleOK()
			if raw.Lookup("severity").Int32() >= 7 && slow && ms >= 50 && !at.Before(q.From) && at.Before(q.To) {
				want++
			}
		}
		Expect(want).To(BeNumerically(">", 0))
		Expect(rows).To(HaveLen(1))
		Expect(rows[0].Count).To(Equal(want))
		Expect(rows[0].Errors).To(Equal(want))
	}, SpecTimeout(time.Minute))

	It("tells the windows of the largest values apart, and adds up those of all others", func(ctx SpecContext) {
		for _, q := range questions() {
			if q.Window.Name == "" || len(q.By) == 0 {
				q.Window = period("5m")
				q.Range = q.Window.Whole(q.Range)
			}
			for _, d := range metric.Dimensions {
				q.By, q.Largest = []metric.Dimension{d}, 1
				all := loop(q, every, batches...)
				rows, err := s.Sums(ctx, q, now)
				Expect(err).NotTo(HaveOccurred())
				expectLargest(rows, q, all)
				q.Largest = 10
				rows, err = s.Sums(ctx, q, now)
				Expect(err).NotTo(HaveOccurred())
				expectRows(rows, all, q.Responses)
			}
		}
	}, SpecTimeout(time.Minute))

	It("is TooSlow when the context's time is over", func(ctx SpecContext) {
		brief, cancel := context.WithTimeout(ctx, time.Nanosecond)
		defer cancel()
		_, err := s.EventSums(brief, questions()[0], store.EventFilter{})
		Expect(errors.As(err, new(*store.TooSlow))).To(BeTrue(), "%v", err)
		_, err = s.ActiveUsers(brief, store.EventFilter{From: now}, 1)
		Expect(errors.As(err, new(*store.TooSlow))).To(BeTrue(), "%v", err)
	}, SpecTimeout(time.Minute))

	It("knows which values metrics do not name", func(ctx SpecContext) {
		eu := "eu"
		Expect(s.Counted(ctx, "USER_LOGIN", "auth", &eu)).To(BeTrue())
		Expect(s.Counted(ctx, "NEW", "", nil)).To(BeTrue(), "there are none, and metrics say so")
		_, err := s.Admit(ctx, metric.Source, []string{"more"}, 1)
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Counted(ctx, "", "auth", nil)).To(BeTrue())
		Expect(s.Counted(ctx, "", "more", nil)).To(BeFalse(), "it counts as other")
	}, SpecTimeout(time.Minute))

	It("answers the same where windows have no sums, many or few", func(ctx SpecContext) {
		sums := s.Collection("metric_sums")
		for _, gone := range []bson.D{
			{{Key: "_id", Value: bson.D{{Key: "$regex", Value: "0:00Z$"}}}}, // every other one of five minutes
			{},
		} {
			_, err := sums.DeleteMany(ctx, gone)
			Expect(err).NotTo(HaveOccurred())
			all := questions()
			apart, err := s.Apart(ctx, all[0], now)
			expectApart(apart, err, all[0], every, batches...)
			for _, q := range []store.SumsQuery{all[1], all[4], all[5]} {
				rows, err := s.Sums(ctx, q, now)
				Expect(err).NotTo(HaveOccurred())
				expectRows(rows, loop(q, every, batches...), q.Responses)
			}
		}
	}, SpecTimeout(time.Minute))

	It("reads metrics where it can", func(ctx SpecContext) {
		_, err := s.Collection("counters").DeleteMany(ctx, bson.D{{Key: "minute", Value: bson.D{{Key: "$lt", Value: today().Add(-5 * time.Hour)}}}})
		Expect(err).NotTo(HaveOccurred())
		q := store.SumsQuery{Range: metric.Range{From: today().Add(-13 * time.Hour), To: today().Add(time.Hour)}, Responses: true}
		rows, err := s.Sums(ctx, q, now)
		Expect(err).NotTo(HaveOccurred())
		expectRows(rows, loop(q, every, batches...), true)
	}, SpecTimeout(time.Minute))
})

var _ = Describe("adding up over all series", func() {
	It("reads the sums of windows alone", func(ctx SpecContext) {
		s := fresh(ctx)
		batch := eventsAt(today(), time.Minute, 120)
		account(ctx, s, batch)
		materialise(ctx, s)
		for _, name := range []string{"counters", "metrics"} {
			_, err := s.Collection(name).DeleteMany(ctx, bson.D{})
			Expect(err).NotTo(HaveOccurred())
		}
		r := metric.Range{From: today(), To: today().Add(2 * time.Hour)}
		every := func(minuteOf) bool { return true }
		for _, q := range []store.SumsQuery{
			{Range: r, Responses: true}, {Range: r, Window: period("5m"), By: []metric.Dimension{metric.Type}}, {Range: r, Window: period("1h"), Responses: true},
		} {
			rows, err := s.Sums(ctx, q, time.Now())
			Expect(err).NotTo(HaveOccurred())
			expectRows(rows, loop(q, every, batch), q.Responses)
		}
		apart, err := s.Apart(ctx, store.SumsQuery{Range: r}, time.Now())
		Expect(err).NotTo(HaveOccurred())
		Expect(apart.All.Count).To(BeEquivalentTo(120))
		rows, err := s.Sums(ctx, store.SumsQuery{Range: r, By: metric.Dimensions}, time.Now())
		Expect(err).NotTo(HaveOccurred())
		Expect(rows).To(BeEmpty(), "series are asked of the metrics, which are gone")
	}, SpecTimeout(time.Minute))
})
