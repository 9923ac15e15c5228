package store_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

const counterRetention = 60 * 24 * time.Hour

// today is a fixed hour of the current day, so that its windows are kept.
func today() time.Time { return began.Truncate(24 * time.Hour).Add(-13 * time.Hour) }

// began is when the specs did: what they are about stays on one day while they run.
var began = time.Now().UTC()

// eventsAt makes a batch with events of changing type, source, region and
// severity, one every step from start on.
func eventsAt(start time.Time, step time.Duration, n int) event.Batch {
	return testBatch(n, func(i int, d bson.D) bson.D {
		d[2].Value = []string{"USER_LOGIN", "PAYMENT_FAILED", "ORDER_CREATED"}[i%3]
		d[3].Value = []string{"auth", "web:eu"}[i/2%2]
		d[4].Value = int32(1 + i%10)
		d[5].Value = start.Add(time.Duration(i) * step)
		if i%3 > 0 {
			d[6].Value = bson.D{{Key: "duration_ms", Value: float64(1+i*i%977) / 8}}
		}
		d[len(d)-1].Value = time.Now().Add(30 * 24 * time.Hour)
		if i%4 == 0 {
			d = append(d, bson.E{Key: "metadata", Value: bson.D{{Key: "region", Value: "eu"}}})
		}
		return d
	})
}

// countedBatch is what a batch adds.
func countedBatch(b event.Batch) metric.Batch {
	GinkgoHelper()
	increments, _, err := metric.Sum(b.Events, metric.Oldest(time.Now(), counterRetention))
	Expect(err).NotTo(HaveOccurred())
	return metric.Batch{ID: b.ID, Increments: increments}
}

func count(ctx context.Context, s *store.Store, batches ...event.Batch) map[string]bool {
	GinkgoHelper()
	var work []metric.Batch
	for _, b := range batches {
		work = append(work, countedBatch(b))
	}
	counted, err := s.Count(ctx, time.Now().UTC(), counterRetention, work)
	Expect(err).NotTo(HaveOccurred())
	return counted
}

// save stores batches as the ingester does.
func save(ctx context.Context, s *store.Store, batches ...event.Batch) {
	GinkgoHelper()
	for _, b := range batches {
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
	}
}

// account saves, counts and marks: what all processes together do.
func account(ctx context.Context, s *store.Store, batches ...event.Batch) {
	GinkgoHelper()
	save(ctx, s, batches...)
	admit(ctx, s, batches...)
	count(ctx, s, batches...)
	for _, b := range batches {
		Expect(s.MarkStage(ctx, store.Aggregated, time.Now().UTC(), b.ID)).To(Succeed())
	}
}

// admit gives all values of the batches their place in the registry.
func admit(ctx context.Context, s *store.Store, batches ...event.Batch) {
	GinkgoHelper()
	for _, d := range metric.Dimensions {
		var values []string
		for _, b := range batches {
			for _, inc := range countedBatch(b).Increments {
				if v := d.Of(inc.Series); v != "" && !slices.Contains(values, v) {
					values = append(values, v)
				}
			}
		}
		if len(values) > 0 {
			_, err := s.Admit(ctx, d, values, 1000)
			Expect(err).NotTo(HaveOccurred())
		}
	}
}

type minuteOf struct {
	minute time.Time
	series metric.Series
}

// plain is a recount by a loop over decoded events, in whole windows.
func plain(length time.Duration, batches ...event.Batch) map[minuteOf]metric.Totals {
	GinkgoHelper()
	all := map[minuteOf]metric.Totals{}
	for key, w := range plainWindows(length, batches...) {
		all[key] = w.totals
	}
	return all
}

// plainWindow is what a loop finds in one window of one series.
type plainWindow struct {
	totals metric.Totals
	ms     []float64 // response times
}

func plainWindows(length time.Duration, batches ...event.Batch) map[minuteOf]*plainWindow {
	GinkgoHelper()
	all := map[minuteOf]*plainWindow{}
	for _, b := range batches {
		for _, raw := range b.Events {
			var e struct {
				Type, Source string
				Severity     int
				Timestamp    time.Time
				Metadata     struct{ Region string }
				Payload      struct {
					Duration *float64 `bson:"duration_ms"`
				}
			}
			Expect(bson.Unmarshal(raw, &e)).To(Succeed())
			key := minuteOf{e.Timestamp.UTC().Truncate(length), metric.Series{Type: e.Type, Source: e.Source, Region: e.Metadata.Region}}
			w := all[key]
			if w == nil {
				w = &plainWindow{}
				all[key] = w
			}
			w.totals.Count++
			w.totals.Severity += int64(e.Severity)
			switch {
			case e.Severity >= 9:
				w.totals.Levels.Critical++
				w.totals.Errors++
			case e.Severity >= 7:
				w.totals.Levels.Error++
				w.totals.Errors++
			case e.Severity >= 4:
				w.totals.Levels.Warning++
			default:
				w.totals.Levels.Info++
			}
			if e.Payload.Duration != nil {
				w.ms = append(w.ms, *e.Payload.Duration)
			}
		}
	}
	return all
}

// counters is what the database has counted.
func counters(ctx context.Context, s *store.Store) map[minuteOf]metric.Totals {
	GinkgoHelper()
	cur, err := s.Collection("counters").Find(ctx, bson.D{})
	Expect(err).NotTo(HaveOccurred())
	var found []metric.Counter
	Expect(cur.All(ctx, &found)).To(Succeed())
	all := map[minuteOf]metric.Totals{}
	for _, c := range found {
		all[minuteOf{c.Minute.UTC(), c.Series}] = c.Totals
	}
	return all
}

var _ = Describe("counting", func() {
	It("counts each batch once, however often it comes", func(ctx SpecContext) {
		s := fresh(ctx)
		a, b := eventsAt(today(), 7*time.Second, 60), eventsAt(today(), 11*time.Second, 60)
		Expect(count(ctx, s, a)).To(Equal(map[string]bool{a.ID: true}))
		Expect(count(ctx, s, a)).To(BeEmpty(), "redelivered")
		Expect(count(ctx, s, a, b, b, a)).To(Equal(map[string]bool{b.ID: true}), "twice in one call")
		Expect(count(ctx, s, b, a)).To(BeEmpty())
		Expect(counters(ctx, s)).To(Equal(plain(time.Minute, a, b)))
	}, SpecTimeout(30*time.Second))

	It("counts each batch once when two processes have it at the same moment", func(ctx SpecContext) {
		database := emptyDatabase(ctx)
		one, two := open(ctx, database), open(ctx, database)
		Expect(one.EnsureIndexes(ctx)).To(Succeed())
		var batches []event.Batch
		for range 24 {
			batches = append(batches, eventsAt(today(), 5*time.Second, 40))
		}
		var counted [2]map[string]bool
		var group sync.WaitGroup
		for i, s := range []*store.Store{one, two} {
			group.Add(1)
			go func() {
				defer GinkgoRecover()
				defer group.Done()
				counted[i] = map[string]bool{}
				// Overlapping groups, and each process has them in another order.
				for at := range 12 {
					from := (at*5 + i*7) % 18
					for id := range count(ctx, s, batches[from:from+6]...) {
						Expect(counted[i]).NotTo(HaveKey(id))
						counted[i][id] = true
					}
				}
				for id := range count(ctx, s, batches...) {
					counted[i][id] = true
				}
			}()
		}
		group.Wait()
		Expect(len(counted[0]) + len(counted[1])).To(Equal(len(batches)))
		Expect(counters(ctx, one)).To(Equal(plain(time.Minute, batches...)))
	}, SpecTimeout(2*time.Minute))

	It("splits what is too much for one transaction", func(ctx SpecContext) {
		s := fresh(ctx)
		var batches []event.Batch
		for i := range 5 {
			batches = append(batches, eventsAt(today().Add(time.Duration(i)*time.Second), time.Minute, 300))
		}
		Expect(count(ctx, s, batches...)).To(HaveLen(5))
		Expect(count(ctx, s, batches...)).To(BeEmpty())
		Expect(counters(ctx, s)).To(Equal(plain(time.Minute, batches...)))
	}, SpecTimeout(2*time.Minute))

	It("marks a batch that adds nothing", func(ctx SpecContext) {
		s := fresh(ctx)
		old := eventsAt(time.Now().Add(-100*24*time.Hour), time.Minute, 3)
		Expect(count(ctx, s, old)).To(HaveKey(old.ID))
		Expect(count(ctx, s, old)).To(BeEmpty())
		Expect(counters(ctx, s)).To(BeEmpty())
	}, SpecTimeout(30*time.Second))

	It("keeps response times, the first expiry of the events, and its own expiry", func(ctx SpecContext) {
		s := fresh(ctx)
		at := today()
		b := testBatch(3, func(i int, d bson.D) bson.D {
			d[5].Value = at
			d[6].Value = bson.D{{Key: "duration_ms", Value: []float64{4, 1.5, 9}[i]}}
			d[len(d)-1].Value = at.Add(time.Duration(30+i) * 24 * time.Hour)
			return d
		})
		count(ctx, s, b)
		count(ctx, s, testBatch(1, func(_ int, d bson.D) bson.D { d[5].Value = at; return d }))
		var c struct {
			metric.Response `bson:",inline"`
			EventsUntil     time.Time `bson:"events_until"`
			ExpiresAt       time.Time `bson:"expires_at"`
			Revision        int
		}
		Expect(s.Collection("counters").FindOne(ctx, bson.D{}).Decode(&c)).To(Succeed())
		Expect(c.Response.Histogram).To(HaveLen(3))
		c.Histogram = nil
		Expect(c.Response).To(Equal(metric.Response{Count: 3, SumMicros: 14_500, MinMS: 1.5, MaxMS: 9}))
		Expect(c.Revision).To(Equal(2))
		Expect(c.EventsUntil).To(BeTemporally("<", at.Add(30*24*time.Hour)))
		Expect(c.ExpiresAt).To(BeTemporally("==", metric.CounterExpiry(at, counterRetention)))
	}, SpecTimeout(30*time.Second))
})

var _ = Describe("the registry of dimension values", func() {
	admitted := func(n metric.Named) []string {
		var values []string
		for v := range n.Values {
			values = append(values, v)
		}
		return values
	}

	It("admits values up to the limit, and after the first refusal none, whatever the limit", func(ctx SpecContext) {
		s := fresh(ctx)
		named, err := s.Admit(ctx, metric.Source, []string{"a", "$b"}, 3)
		Expect(err).NotTo(HaveOccurred())
		Expect(admitted(named)).To(ConsistOf("a", "$b"))
		Expect(named.Full).To(BeFalse())
		named, err = s.Admit(ctx, metric.Source, []string{"$b", "c"}, 3)
		Expect(err).NotTo(HaveOccurred())
		Expect(named.Full).To(BeFalse(), "all three have their place")
		named, err = s.Admit(ctx, metric.Source, []string{"a", "d"}, 3)
		Expect(err).NotTo(HaveOccurred())
		Expect(admitted(named)).To(ConsistOf("a", "$b", "c"))
		Expect(named.Full).To(BeTrue())
		named, err = s.Admit(ctx, metric.Source, []string{"d"}, 100)
		Expect(err).NotTo(HaveOccurred())
		Expect(admitted(named)).To(ConsistOf("a", "$b", "c"), "d has counted as other, so it stays other")
		registry, err := s.Registry(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(registry[metric.Source]).To(Equal(named))
		Expect(registry.Name(metric.Source, "d")).To(Equal(metric.Other))
	}, SpecTimeout(30*time.Second))

	It("keeps what it has when the limit is lowered", func(ctx SpecContext) {
		s := fresh(ctx)
		_, err := s.Admit(ctx, metric.Type, []string{"a", "b", "c"}, 10)
		Expect(err).NotTo(HaveOccurred())
		named, err := s.Admit(ctx, metric.Type, []string{"d"}, 2)
		Expect(err).NotTo(HaveOccurred())
		Expect(admitted(named)).To(ConsistOf("a", "b", "c"))
	}, SpecTimeout(30*time.Second))

	It("holds the limit when several processes admit at once", func(ctx SpecContext) {
		s := fresh(ctx)
		var group sync.WaitGroup
		for i := range 8 {
			group.Add(1)
			go func() {
				defer GinkgoRecover()
				defer group.Done()
				for j := range 10 {
					_, err := s.Admit(ctx, metric.Type, []string{fmt.Sprint("t", i*5+j)}, 20)
					Expect(err).NotTo(HaveOccurred())
				}
			}()
		}
		group.Wait()
		registry, err := s.Registry(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(registry[metric.Type].Values).To(HaveLen(20))
		Expect(registry[metric.Type].Full).To(BeTrue())
	}, SpecTimeout(30*time.Second))
})
