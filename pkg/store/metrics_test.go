package store_test

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

func period(name string) metric.Period {
	GinkgoHelper()
	p, ok := metric.PeriodNamed(name)
	Expect(ok).To(BeTrue())
	return p
}

func changed(ctx context.Context, s *store.Store, p metric.Period) []metric.Window {
	GinkgoHelper()
	windows, err := s.ChangedWindows(ctx, p, 10_000)
	Expect(err).NotTo(HaveOccurred())
	return windows
}

// materialise does all that waits.
func materialise(ctx context.Context, s *store.Store) {
	GinkgoHelper()
	for _, p := range metric.Periods {
		Expect(s.Materialise(ctx, p, changed(ctx, s, p), time.Now().UTC())).To(Succeed())
		Expect(changed(ctx, s, p)).To(BeEmpty())
	}
}

// metricsOf reads a period's metrics of one kind.
func metricsOf(ctx context.Context, s *store.Store, p metric.Period, kind string) map[minuteOf]store.Metric {
	GinkgoHelper()
	found, err := s.FindMetrics(ctx, store.MetricFilter{Types: []string{kind}, Period: p.Name}, 0)
	Expect(err).NotTo(HaveOccurred())
	all := map[minuteOf]store.Metric{}
	for _, m := range found {
		all[minuteOf{m.Timestamp.UTC(), m.Dimensions.Series()}] = m
	}
	return all
}

// expectTimes compares a metric with the response times themselves.
func expectTimes(m store.Metric, ms []float64) {
	GinkgoHelper()
	slices.Sort(ms)
	mean := 0.0
	for _, v := range ms {
		mean += v / float64(len(ms))
	}
	const microsecond = 0.001
	Expect(m.Count).To(BeEquivalentTo(len(ms)))
	Expect(m.Value).To(BeNumerically("~", mean, microsecond))
	Expect(*m.Min).To(Equal(ms[0]))
	Expect(*m.Max).To(Equal(ms[len(ms)-1]))
	for q, got := range map[float64]*float64{50: m.P50, 95: m.P95, 99: m.P99} {
		want := ms[int(math.Ceil(q*float64(len(ms))/100))-1]
		Expect(*got).To(BeNumerically("~", want, metric.ErrorMost*want+microsecond), "p%v of %v", q, ms)
	}
	n := int64(0)
	for _, b := range m.Histogram {
		n += b.N
	}
	Expect(n).To(BeEquivalentTo(len(ms)))
}

var _ = Describe("materialising", func() {
	It("makes the metrics of every period and kind, as a plain loop over the events has them", func(ctx SpecContext) {
		s := fresh(ctx)
		b, late := eventsAt(today(), 95*time.Second, 200), eventsAt(today().Add(-time.Hour), 61*time.Second, 50)
		count(ctx, s, b, late)
		materialise(ctx, s)
		for _, p := range metric.Periods {
			want := plainWindows(p.Length, b, late)
			counts, rates, times := metricsOf(ctx, s, p, "EVENTS_COUNT"), metricsOf(ctx, s, p, "ERROR_RATE"), metricsOf(ctx, s, p, "RESPONSE_TIME")
			Expect(counts).To(HaveLen(len(want)), p.Name)
			Expect(rates).To(HaveLen(len(want)), p.Name)
			timed := 0
			for key, w := range want {
				m, rate := counts[key], rates[key]
				Expect(m.Value).To(BeEquivalentTo(w.totals.Count), "%s %v", p.Name, key)
				Expect(*m.Levels).To(Equal(w.totals.Levels))
				Expect(*m.Severity).To(Equal(w.totals.Severity))
				Expect(m.ExpiresAt).To(BeTemporally("==", p.KeptUntil(key.minute)))
				Expect(rate.Value).To(BeNumerically("~", float64(w.totals.Errors)/float64(w.totals.Count), 1e-12))
				Expect(rate.Count).To(Equal(w.totals.Count))
				if len(w.ms) == 0 {
					Expect(times).NotTo(HaveKey(key))
					continue
				}
				timed++
				expectTimes(times[key], w.ms)
			}
			Expect(times).To(HaveLen(timed), p.Name)
		}
		minute := today()
		id := "1m:EVENTS_COUNT:" + minute.Format(time.RFC3339) + ":USER_LOGIN:auth:eu"
		var m store.Metric
		Expect(s.Collection("metrics").FindOne(ctx, bson.D{{Key: "_id", Value: id}}).Decode(&m)).To(Succeed())
		Expect(*m.Levels).To(Equal(metric.Levels{Info: m.Count}))
	}, SpecTimeout(time.Minute))

	It("corrects the windows of late events, and keeps when a metric was first made", func(ctx SpecContext) {
		s := fresh(ctx)
		a, b := eventsAt(today(), time.Minute, 60), eventsAt(today(), 3*time.Minute, 20)
		count(ctx, s, a)
		materialise(ctx, s)
		before := metricsOf(ctx, s, period("1h"), "EVENTS_COUNT")
		count(ctx, s, b)
		Expect(changed(ctx, s, period("1m"))).To(HaveLen(20), "only what the late events touch")
		materialise(ctx, s)
		for _, p := range metric.Periods {
			got := metricsOf(ctx, s, p, "EVENTS_COUNT")
			for key, totals := range plain(p.Length, a, b) {
				Expect(got[key].Count).To(Equal(totals.Count))
			}
		}
		apart, err := s.Apart(ctx, store.SumsQuery{Range: metric.Range{From: today(), To: today().Add(time.Hour)}}, time.Now())
		Expect(err).NotTo(HaveOccurred())
		Expect(apart.All.Count).To(BeEquivalentTo(80), "and what they add up to")
		for key, m := range metricsOf(ctx, s, period("1h"), "EVENTS_COUNT") {
			Expect(m.CreatedAt).To(Equal(before[key].CreatedAt))
			Expect(m.Revision).To(BeNumerically(">=", before[key].Revision))
		}
	}, SpecTimeout(time.Minute))

	It("never goes back to an older revision", func(ctx SpecContext) {
		s := fresh(ctx)
		p := period("1h")
		count(ctx, s, eventsAt(today(), time.Minute, 6))
		materialise(ctx, s)
		newer := bson.D{{Key: "$inc", Value: bson.D{{Key: "revision", Value: 100}, {Key: "value", Value: 100}}}}
		_, err := s.Collection("metrics").UpdateMany(ctx, bson.D{}, newer)
		Expect(err).NotTo(HaveOccurred())
		want := metricsOf(ctx, s, p, "EVENTS_COUNT")
		// An owner that read its counters earlier than another arrives now.
		count(ctx, s, eventsAt(today(), time.Minute, 6))
		materialise(ctx, s)
		Expect(metricsOf(ctx, s, p, "EVENTS_COUNT")).To(Equal(want))
	}, SpecTimeout(time.Minute))

	It("does not forget a change that a paused owner has not seen", func(ctx SpecContext) {
		s := fresh(ctx)
		p := period("1h")
		count(ctx, s, eventsAt(today(), time.Minute, 6))
		seenByPaused := changed(ctx, s, p)
		materialise(ctx, s) // by its successor
		count(ctx, s, eventsAt(today(), time.Minute, 6))
		again := changed(ctx, s, p)
		Expect(again).To(HaveLen(1))
		Expect(again[0].ID).To(Equal(seenByPaused[0].ID))
		Expect(s.Materialise(ctx, p, seenByPaused, time.Now().UTC())).To(Succeed())
		Expect(changed(ctx, s, p)).To(Equal(again), "the window has changed since the paused owner listed it")
	}, SpecTimeout(time.Minute))

	It("is right in the end while others count", func(ctx SpecContext) {
		database := emptyDatabase(ctx)
		counting, making := open(ctx, database), open(ctx, database)
		Expect(counting.EnsureIndexes(ctx)).To(Succeed())
		b := eventsAt(today(), 20*time.Second, 30)
		batches := []struct{ from int }{}
		for i := range 20 {
			batches = append(batches, struct{ from int }{i})
		}
		done := make(chan struct{})
		var group sync.WaitGroup
		group.Add(1)
		go func() {
			defer GinkgoRecover()
			defer group.Done()
			for {
				for _, p := range metric.Periods {
					windows, err := making.ChangedWindows(ctx, p, 1000)
					Expect(err).NotTo(HaveOccurred())
					Expect(making.Materialise(ctx, p, windows, time.Now().UTC())).To(Succeed())
				}
				select {
				case <-done:
					return
				default:
				}
			}
		}()
		for range batches {
			again := b
			again.ID = eventsAt(today(), 0, 1).ID
			count(ctx, counting, again)
		}
		close(done)
		group.Wait()
		materialise(ctx, making)
		hour := metric.Range{From: today(), To: today().Add(time.Hour)}
		rows, err := making.Sums(ctx, store.SumsQuery{Range: hour, Window: period("5m")}, time.Now())
		Expect(err).NotTo(HaveOccurred())
		Expect(rows).To(HaveLen(2))
		Expect(rows[0].Count + rows[1].Count).To(BeEquivalentTo(30 * len(batches)))
		for _, p := range metric.Periods {
			got := metricsOf(ctx, making, p, "EVENTS_COUNT")
			for key, totals := range plain(p.Length, b) {
				Expect(got[key].Count).To(Equal(totals.Count*int64(len(batches))), "%s %v", p.Name, key)
			}
		}
	}, SpecTimeout(2*time.Minute))

	It("makes no metrics that would be expired", func(ctx SpecContext) {
		s := fresh(ctx)
		count(ctx, s, eventsAt(time.Now().UTC().Add(-20*24*time.Hour), time.Minute, 5))
		Expect(changed(ctx, s, period("1m"))).To(BeEmpty())
		Expect(changed(ctx, s, period("5m"))).To(BeEmpty())
		Expect(changed(ctx, s, period("1h"))).NotTo(BeEmpty())
	}, SpecTimeout(30*time.Second))
})
