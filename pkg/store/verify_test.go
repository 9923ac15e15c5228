package store_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// verify recounts the three hours around today's batches.
func verify(ctx context.Context, s *store.Store, change ...func(*store.VerifyOptions)) metric.Report {
	GinkgoHelper()
	o := store.VerifyOptions{
		From: today().Add(-time.Hour), To: today().Add(2 * time.Hour),
		Retention: counterRetention, Pause: 20 * time.Millisecond,
	}
	for _, f := range change {
		f(&o)
	}
	report, err := s.Verify(ctx, o)
	Expect(err).NotTo(HaveOccurred())
	return report
}

var _ = Describe("verify", func() {
	set := func(kv ...any) bson.D {
		d := bson.D{}
		for i := 0; i < len(kv); i += 2 {
			d = append(d, bson.E{Key: kv[i].(string), Value: kv[i+1]})
		}
		return d
	}

	It("finds no drift where there is none, and says how much it compared", func(ctx SpecContext) {
		s := fresh(ctx)
		a, b := eventsAt(today(), 30*time.Second, 120), eventsAt(today(), time.Minute, 60)
		account(ctx, s, a, b)
		materialise(ctx, s)
		r := verify(ctx, s)
		Expect(r.Drift).To(BeEmpty())
		Expect(r.LeftOut).To(BeEmpty())
		Expect(r.Events).To(BeEquivalentTo(180))
		Expect(r.Minutes).To(Equal(180))
		Expect(r.Windows).To(Equal(map[string]int{"1m": 180, "5m": 36, "1h": 3}))
		pending, err := s.Pending(ctx, r.From, r.To)
		Expect(err).NotTo(HaveOccurred())
		Expect(pending).To(BeFalse())
	}, SpecTimeout(time.Minute))

	It("names a counter that was changed, with its minute and dimensions, and repairs it", func(ctx SpecContext) {
		s := fresh(ctx)
		account(ctx, s, eventsAt(today(), 10*time.Second, 300))
		materialise(ctx, s)
		minute := today().Add(7 * time.Minute)
		id := fmt.Sprintf("%d:PAYMENT_FAILED:web%%3Aeu:", minute.Unix()/60)
		result, err := s.Collection("counters").UpdateOne(ctx, set("_id", id), set("$inc", set("count", 1)))
		Expect(err).NotTo(HaveOccurred())
		Expect(result.ModifiedCount).To(BeEquivalentTo(1))
		r := verify(ctx, s)
		Expect(r.Drift).To(HaveLen(1))
		d := r.Drift[0]
		Expect(d.Kind).To(Equal(metric.KindCounter))
		Expect(d.Start).To(Equal(minute))
		Expect(d.Series).To(Equal(metric.Series{Type: "PAYMENT_FAILED", Source: "web:eu"}))
		Expect(d.Counted.Count).To(Equal(d.Recounted.Count + 1))
		Expect(r.Unrepaired()).To(Equal(1))

		r = verify(ctx, s, func(o *store.VerifyOptions) { o.Repair = true })
		Expect(r.Drift).To(HaveLen(1))
		Expect(r.Unrepaired()).To(BeZero())
		materialise(ctx, s)
		Expect(verify(ctx, s).Drift).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("finds counters that are gone, counters of nothing and metrics that are wrong, and repairs them", func(ctx SpecContext) {
		s := fresh(ctx)
		account(ctx, s, eventsAt(today(), 10*time.Second, 300))
		materialise(ctx, s)
		gone := today().Add(3 * time.Minute)
		_, err := s.Collection("counters").DeleteMany(ctx, set("minute", gone))
		Expect(err).NotTo(HaveOccurred())
		series := metric.Series{Type: "GHOST", Source: "x"}
		ghost := event.Batch{ID: "0123456789abcdef01234567"}
		_, err = s.Count(ctx, time.Now(), counterRetention, []metric.Batch{
			{ID: ghost.ID, Increments: []metric.Increment{{Minute: gone, Series: series, Sums: metric.Sums{Totals: metric.TotalsOf(9, 2)}}}},
		})
		Expect(err).NotTo(HaveOccurred())
		materialise(ctx, s)
		_, err = s.Collection("metrics").UpdateOne(ctx, set("period", "5m", "metric_type", "ERROR_RATE", "timestamp", today().Add(10*time.Minute)), set("$set", set("value", 0.77)))
		Expect(err).NotTo(HaveOccurred())
		_, err = s.Collection("metrics").DeleteOne(ctx, set("period", "1m", "metric_type", "EVENTS_COUNT", "timestamp", today().Add(20*time.Minute)))
		Expect(err).NotTo(HaveOccurred())

		r := verify(ctx, s, func(o *store.VerifyOptions) { o.Repair = true })
		var found []string
		for _, d := range r.Drift {
			found = append(found, strings.Join([]string{d.Kind, d.Period, d.Start.Format("15:04")}, " "))
		}
		at := func(minute int) string { return today().Add(time.Duration(minute) * time.Minute).Format("15:04") }
		Expect(found).To(ContainElements("COUNTER  "+at(3), "ERROR_RATE 5m "+at(10), "EVENTS_COUNT 1m "+at(20)))
		Expect(found).NotTo(ContainElement(HavePrefix("COUNTER  " + at(4))))
		Expect(r.Unrepaired()).To(BeZero())
		materialise(ctx, s)
		Expect(verify(ctx, s).Drift).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("recounts response times as they were counted, whatever producers send, and repairs them", func(ctx SpecContext) {
		s := fresh(ctx)
		values := []any{int32(12), int64(7), 0, 0.0004, 604_800_000.0, 604_800_000.001, -1, -0.5, math.NaN(), math.Inf(1), math.Inf(-1), "12", true, nil,
			bson.D{{Key: "ms", Value: 1}}, bson.A{5, 6}, 1e300, int64(math.MaxInt64)}
		for e := range 40 { // around each power of two, where a logarithm may err
			us := math.Exp2(float64(e))
			values = append(values, us/1000, (us-1)/1000, (us+1)/1000, int64(us))
		}
		b := testBatch(2*len(values), func(i int, d bson.D) bson.D {
			names := []string{"response_time_ms", "duration_ms"}
			payload := bson.D{{Key: names[i%2], Value: values[i/2]}}
			if i%6 == 0 {
				payload = append(payload, bson.E{Key: names[1], Value: 3.5})
			}
			d[5].Value, d[6].Value = today().Add(time.Duration(i%3)*time.Minute), payload
			d[len(d)-1].Value = time.Now().Add(30 * 24 * time.Hour)
			return d
		})
		account(ctx, s, b)
		materialise(ctx, s)
		Expect(verify(ctx, s).Drift).To(BeEmpty())

		id := bson.D{{Key: "_id", Value: fmt.Sprintf("%d:USER_LOGIN:auth:", today().Unix()/60)}}
		var whole bson.M
		Expect(s.Collection("counters").FindOne(ctx, id).Decode(&whole)).To(Succeed())
		result, err := s.Collection("counters").UpdateOne(ctx, id, set("$inc", set("rt_hist.b0511", 1)))
		Expect(err).NotTo(HaveOccurred())
		Expect(result.ModifiedCount).To(BeEquivalentTo(1))
		_, err = s.Collection("metrics").UpdateOne(ctx, set("metric_type", "RESPONSE_TIME", "period", "1h"), set("$set", set("p95", 1.0)))
		Expect(err).NotTo(HaveOccurred())
		r := verify(ctx, s, func(o *store.VerifyOptions) { o.Repair = true })
		Expect(r.Drift).To(HaveLen(2))
		Expect(r.Drift[0].Kind).To(Equal(metric.KindCounter))
		Expect(r.Drift[1].Kind + r.Drift[1].Period + r.Drift[1].Figure).To(Equal("RESPONSE_TIME1hp95"))
		Expect(r.Unrepaired()).To(BeZero())
		materialise(ctx, s)
		Expect(verify(ctx, s).Drift).To(BeEmpty())
		var repaired bson.M
		Expect(s.Collection("counters").FindOne(ctx, id).Decode(&repaired)).To(Succeed())
		whole["revision"] = repaired["revision"]
		Expect(repaired).To(Equal(whole))
	}, SpecTimeout(time.Minute))

	It("takes metrics of response times away that there are not", func(ctx SpecContext) {
		s := fresh(ctx)
		b := eventsAt(today(), time.Second, 1) // of no response time
		save(ctx, s, b)
		admit(ctx, s, b)
		work := countedBatch(b)
		work.Increments[0].Response = metric.Response{Count: 1, SumMicros: 5_000, MinMS: 5, MaxMS: 5, Histogram: metric.Histogram{{Index: 200, N: 1}}}
		_, err := s.Count(ctx, time.Now().UTC(), counterRetention, []metric.Batch{work})
		Expect(err).NotTo(HaveOccurred())
		Expect(s.MarkStage(ctx, store.Aggregated, time.Now().UTC(), b.ID)).To(Succeed())
		materialise(ctx, s)
		Expect(metricsOf(ctx, s, period("1h"), "RESPONSE_TIME")).To(HaveLen(1))
		r := verify(ctx, s, func(o *store.VerifyOptions) { o.Repair = true })
		Expect(r.Drift).To(HaveLen(1 + 3 + 2)) // of 1m, 5m and 1h, and what those of the latter two add up to
		Expect(r.Unrepaired()).To(BeZero())
		materialise(ctx, s)
		Expect(verify(ctx, s).Drift).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("finds sums of windows that are wrong, gone or of nothing, and makes them anew", func(ctx SpecContext) {
		s := fresh(ctx)
		account(ctx, s, eventsAt(today(), 10*time.Second, 300))
		materialise(ctx, s)
		sums := s.Collection("metric_sums")
		id := func(name string, at time.Duration) bson.D { return set("_id", period(name).WindowID(today().Add(at))) }
		whole := func() (docs []bson.M) {
			cur, err := sums.Find(ctx, bson.D{}, options.Find().SetSort(set("_id", 1)).SetProjection(set("all", 1)))
			Expect(err).NotTo(HaveOccurred())
			Expect(cur.All(ctx, &docs)).To(Succeed())
			return docs
		}
		before := whole()
		for window, change := range map[time.Duration]bson.D{
			10 * time.Minute: set("$inc", set("all.levels.info", 1)),
			15 * time.Minute: set("$inc", set("all.rt_count", 1)),
			20 * time.Minute: set("$set", set("types", bson.A{})),
		} {
			_, err := sums.UpdateOne(ctx, id("5m", window), change)
			Expect(err).NotTo(HaveOccurred())
		}
		_, err := sums.DeleteOne(ctx, id("1h", 0))
		Expect(err).NotTo(HaveOccurred())
		stray := today().Add(90 * time.Minute)
		_, err = sums.InsertOne(ctx, append(id("5m", 90*time.Minute), set("period", "5m", "start", stray, "all", set("count", 3), "revision", 1)...))
		Expect(err).NotTo(HaveOccurred())

		r := verify(ctx, s, func(o *store.VerifyOptions) { o.Repair = true })
		var figures []string
		for _, d := range r.Drift {
			Expect(d.Kind).To(Equal(metric.KindSums))
			figures = append(figures, d.Period+" "+d.Figure)
		}
		Expect(figures).To(ConsistOf("5m EVENTS_COUNT levels.info", "5m RESPONSE_TIME value", HavePrefix("5m type "), "1h value", "5m EVENTS_COUNT value"))
		Expect(r.Unrepaired()).To(BeZero())
		materialise(ctx, s)
		Expect(verify(ctx, s).Drift).To(BeEmpty())
		after := whole()
		for _, doc := range before {
			Expect(after).To(ContainElement(doc))
		}
	}, SpecTimeout(time.Minute))

	It("makes the sums of a window anew with a metric that was wrong when they were made", func(ctx SpecContext) {
		s := fresh(ctx)
		account(ctx, s, eventsAt(today(), 10*time.Second, 30))
		materialise(ctx, s)
		hour := period("1h")
		_, err := s.Collection("metrics").UpdateOne(ctx, set("period", "1h", "metric_type", "EVENTS_COUNT", "timestamp", today()), set("$inc", set("count", 5)))
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Materialise(ctx, hour, []metric.Window{{ID: hour.WindowID(today()), Period: "1h", Start: today()}}, time.Now().UTC())).To(Succeed())
		r := verify(ctx, s, func(o *store.VerifyOptions) { o.Repair = true })
		Expect(r.Drift).To(ConsistOf(HaveField("Kind", "EVENTS_COUNT"), HaveField("Kind", metric.KindSums)))
		Expect(r.Unrepaired()).To(BeZero())
		materialise(ctx, s)
		Expect(verify(ctx, s).Drift).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("leaves out the minutes of batches that are not counted yet, and says which", func(ctx SpecContext) {
		s := fresh(ctx)
		account(ctx, s, eventsAt(today(), time.Minute, 30))
		materialise(ctx, s)
		open := eventsAt(today().Add(5*time.Minute), time.Minute, 2)
		save(ctx, s, open)
		r := verify(ctx, s)
		Expect(r.Drift).To(BeEmpty())
		Expect(r.LeftOut).To(Equal([]metric.LeftOut{{From: today().Add(5 * time.Minute), To: today().Add(7 * time.Minute), Reason: metric.ReasonUncounted}}))
		Expect(r.Minutes).To(Equal(178))
		Expect(r.Windows).To(HaveKeyWithValue("1h", 2))
		Expect(s.Pending(ctx, r.From, r.To)).To(BeTrue())

		count(ctx, s, open) // and dies before it says so in the ledger
		Expect(verify(ctx, s).Drift).To(BeEmpty())
		Expect(s.MarkStage(ctx, store.Aggregated, time.Now(), open.ID)).To(Succeed())
		r = verify(ctx, s)
		Expect(r.Drift).To(BeEmpty())
		Expect(r.LeftOut).To(ContainElement(metric.LeftOut{Period: "1h", From: today(), To: today().Add(time.Hour), Reason: metric.ReasonNotMaterialised}))
		Expect(s.Pending(ctx, r.From, r.To)).To(BeTrue())
	}, SpecTimeout(time.Minute))

	It("finds a batch that was never counted although the ledger says so", func(ctx SpecContext) {
		s := fresh(ctx)
		account(ctx, s, eventsAt(today(), time.Minute, 30))
		lost := eventsAt(today(), time.Minute, 1)
		save(ctx, s, lost)
		Expect(s.MarkStage(ctx, store.Aggregated, time.Now(), lost.ID)).To(Succeed())
		materialise(ctx, s)
		r := verify(ctx, s)
		Expect(r.Drift).NotTo(BeEmpty())
		Expect(r.Drift[0].Start).To(Equal(today()))
		Expect(r.Drift[0].Recounted.Count).To(Equal(r.Drift[0].Counted.Count + 1))
	}, SpecTimeout(time.Minute))

	It("leaves out what may have expired or is too old, and says which", func(ctx SpecContext) {
		s := fresh(ctx)
		expired := testBatch(1, func(_ int, d bson.D) bson.D {
			d[5].Value, d[len(d)-1].Value = today(), time.Now().Add(-time.Minute)
			return d
		})
		account(ctx, s, expired)
		materialise(ctx, s)
		_, err := s.Collection("events").DeleteMany(ctx, bson.D{})
		Expect(err).NotTo(HaveOccurred())
		r := verify(ctx, s)
		Expect(r.Drift).To(BeEmpty())
		Expect(r.LeftOut).To(ConsistOf(metric.LeftOut{From: today(), To: today().Add(time.Minute), Reason: metric.ReasonEventsExpired}))

		old := time.Now().UTC().Add(-counterRetention - 48*time.Hour).Truncate(time.Hour)
		save(ctx, s, eventsAt(old, time.Second, 3))
		r = verify(ctx, s, func(o *store.VerifyOptions) { o.From, o.To = old, old.Add(time.Hour) })
		Expect(r.Drift).To(BeEmpty())
		Expect(r.Minutes).To(BeZero())
		r = verify(ctx, s, func(o *store.VerifyOptions) {
			o.From, o.To = today().Add(-10*24*time.Hour), today().Add(-10*24*time.Hour+time.Hour)
		})
		Expect(r.LeftOut).To(ConsistOf(HaveField("Period", "1m")), "metrics of minutes are kept for two days")
		Expect(r.LeftOut[0].Reason).To(Equal(metric.ReasonMetricsExpired))
	}, SpecTimeout(time.Minute))

	It("counts and recounts as other what a full dimension does not name", func(ctx SpecContext) {
		s := fresh(ctx)
		b := testBatch(40, func(i int, d bson.D) bson.D {
			d[3].Value = fmt.Sprintf("source-%d", i)
			d[5].Value = today()
			d[len(d)-1].Value = time.Now().Add(30 * 24 * time.Hour)
			return d
		})
		save(ctx, s, b)
		work := countedBatch(b)
		var sources []string
		for _, inc := range work.Increments {
			sources = append(sources, inc.Source)
		}
		_, err := s.Admit(ctx, metric.Source, sources, 10)
		Expect(err).NotTo(HaveOccurred())
		_, err = s.Admit(ctx, metric.Type, []string{"USER_LOGIN"}, 10)
		Expect(err).NotTo(HaveOccurred())
		registry, err := s.Registry(ctx)
		Expect(err).NotTo(HaveOccurred())
		for i := range work.Increments {
			work.Increments[i].Series = registry.Map(work.Increments[i].Series)
		}
		_, err = s.Count(ctx, time.Now(), counterRetention, []metric.Batch{work})
		Expect(err).NotTo(HaveOccurred())
		Expect(s.MarkStage(ctx, store.Aggregated, time.Now(), b.ID)).To(Succeed())
		materialise(ctx, s)
		Expect(counters(ctx, s)).To(HaveLen(11))
		Expect(counters(ctx, s)).To(HaveKeyWithValue(minuteOf{today(), metric.Series{Type: "USER_LOGIN", Source: metric.Other}}, metric.TotalsOf(3, 30)))
		r := verify(ctx, s)
		Expect(r.Drift).To(BeEmpty())
		Expect(r.Events).To(BeEquivalentTo(40))
	}, SpecTimeout(time.Minute))

	It("leaves out a minute that is counted again between every two of its readings", func(ctx SpecContext) {
		database := emptyDatabase(ctx)
		working := open(ctx, database)
		Expect(working.EnsureIndexes(ctx)).To(Succeed())
		account(ctx, working, eventsAt(today(), time.Minute, 10))
		looking, err := store.Open(ctx, store.Options{URI: mongoURI(), Database: database}.WithCommands(func(collection string, c bson.Raw) {
			// The events are read, the open batches and the counters are not yet.
			if name := c.Index(0).Key(); collection == "batches" && name == "find" {
				account(ctx, working, eventsAt(today().Add(3*time.Minute), time.Second, 5))
			}
		}))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx SpecContext) { Expect(looking.Close(ctx)).To(Succeed()) }, NodeTimeout(10*time.Second))
		r := verify(ctx, looking)
		Expect(r.Drift).To(BeEmpty())
		Expect(r.LeftOut).To(ContainElement(metric.LeftOut{From: today().Add(3 * time.Minute), To: today().Add(4 * time.Minute), Reason: metric.ReasonMoving}))
		Expect(r.Minutes).To(Equal(179))
		materialise(ctx, working)
		Expect(verify(ctx, working).LeftOut).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("reports no drift while others store, count and materialise", func(ctx SpecContext) {
		database := emptyDatabase(ctx)
		working, looking := open(ctx, database), open(ctx, database)
		Expect(working.EnsureIndexes(ctx)).To(Succeed())
		stop := make(chan struct{})
		var group sync.WaitGroup
		group.Add(1)
		go func() {
			defer GinkgoRecover()
			defer group.Done()
			for i := 0; ; i++ {
				account(ctx, working, eventsAt(today().Add(time.Duration(i%5)*10*time.Minute), 13*time.Second, 20))
				for _, p := range metric.Periods {
					windows, err := working.ChangedWindows(ctx, p, 100)
					Expect(err).NotTo(HaveOccurred())
					Expect(working.Materialise(ctx, p, windows, time.Now().UTC())).To(Succeed())
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		}()
		for range 15 {
			Expect(verify(ctx, looking).Drift).To(BeEmpty())
		}
		close(stop)
		group.Wait()
		r := verify(ctx, looking)
		Expect(r.Drift).To(BeEmpty())
		Expect(r.LeftOut).To(BeEmpty())
	}, SpecTimeout(3*time.Minute))
})

// byKey says that the filter names one _id: every server looks that up, even
// if its explain (SecantusDB's wheel, when there are further fields) says
// otherwise.
func byKey(command bson.D) bool {
	for _, e := range command {
		if filter, ok := e.Value.(bson.RawValue); ok && e.Key == "filter" {
			_, isString := filter.Document().Lookup("_id").StringValueOK()
			return isString
		}
	}
	return false
}

var _ = Describe("every query of counting", func() {
	It("is served by an index", func(ctx SpecContext) {
		var mu sync.Mutex
		var all []sent
		s, err := store.Open(ctx, store.Options{URI: mongoURI(), Database: emptyDatabase(ctx)}.WithCommands(func(collection string, c bson.Raw) {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, sent{collection, c})
		}))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx SpecContext) { Expect(s.Close(ctx)).To(Succeed()) }, NodeTimeout(10*time.Second))
		Expect(s.EnsureIndexes(ctx)).To(Succeed())
		b, open := eventsAt(today(), time.Minute, 30), eventsAt(today(), time.Minute, 3)
		account(ctx, s, b)
		save(ctx, s, open)
		_, err = s.Collection("counters").UpdateOne(ctx, bson.D{}, bson.D{{Key: "$inc", Value: bson.D{{Key: "count", Value: 1}}}})
		Expect(err).NotTo(HaveOccurred())
		mu.Lock()
		all = nil
		mu.Unlock()
		count(ctx, s, b, open)
		materialise(ctx, s)
		verify(ctx, s, func(o *store.VerifyOptions) { o.Repair = true })
		_, err = s.Pending(ctx, today(), today().Add(time.Hour))
		Expect(err).NotTo(HaveOccurred())
		region := "eu"
		sums := store.SumsQuery{Range: metric.Range{From: today(), To: today().Add(time.Hour + 7*time.Minute)}, By: metric.Dimensions,
			Window: period("1h"), EventType: "A", Source: "x", Region: &region, Responses: true}
		_, err = s.Sums(ctx, sums, time.Now())
		Expect(err).NotTo(HaveOccurred())
		whole := store.SumsQuery{Range: sums.Range, Window: period("5m"), By: []metric.Dimension{metric.Type}}
		_, err = s.Sums(ctx, whole, time.Now())
		Expect(err).NotTo(HaveOccurred())
		_, err = s.Apart(ctx, whole, time.Now())
		Expect(err).NotTo(HaveOccurred())
		_, err = s.EventSums(ctx, sums, store.EventFilter{SeverityMin: 3})
		Expect(err).NotTo(HaveOccurred())
		for _, f := range []store.MetricFilter{{}, {Types: []string{"ERROR_RATE"}}, {Period: "1h", From: today()}, {Types: []string{"ERROR_RATE"}, Period: "1h"}, {Region: &region, To: today()}} {
			_, err = s.ListMetrics(ctx, f, nil, 10)
			Expect(err).NotTo(HaveOccurred())
			_, err = s.ListMetrics(ctx, f, &store.MetricPosition{Timestamp: today(), ID: "m"}, 10)
			Expect(err).NotTo(HaveOccurred())
		}
		_, err = s.FindMetrics(ctx, store.MetricFilter{Types: []string{"ERROR_RATE"}, Period: "1h", From: today(), EventType: "A", Source: "x", Region: &region}, 10)
		Expect(err).NotTo(HaveOccurred())

		mu.Lock()
		commands := all
		mu.Unlock()
		explained, seen := 0, map[string]bool{}
		for _, c := range commands {
			if small[c.collection] {
				continue
			}
			name := c.command.Index(0).Key()
			for i, d := range explainable(c.command) {
				if seen[name+c.collection] && i > 0 { // of a bulk one is enough
					continue
				}
				if byKey(d) {
					seen[name+c.collection] = true
					continue
				}
				plan, err := s.Explain(ctx, d)
				Expect(err).NotTo(HaveOccurred(), "%v", c.command)
				Expect(plan.String()).NotTo(ContainSubstring("COLLSCAN"), "no index serves %s\n%s", c.command, plan)
				Expect(plan.String()).To(Or(ContainSubstring("IXSCAN"), ContainSubstring("IDHACK"), ContainSubstring("EXPRESS")), "%s", c.command)
				seen[name+c.collection] = true
				explained++
			}
		}
		Expect(seen).To(And(HaveKey("aggregatecounters"), HaveKey("aggregateevents"), HaveKey("findevents"), HaveKey("findmetric_sums"), HaveKey("findcounters"),
			HaveKey("findmetrics"), HaveKey("aggregatemetrics"), HaveKey("findmetric_windows"), HaveKey("findbatches"), HaveKey("deletemetric_windows")))
		Expect(explained).To(BeNumerically(">", 20))
	}, SpecTimeout(2*time.Minute))
})
