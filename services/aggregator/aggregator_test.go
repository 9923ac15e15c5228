package aggregator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/aggregator"
	"github.com/events-aggregator/events-aggregator/test/support/faultproxy"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// hour is a closed hour of the last day.
func hour() time.Time { return began.Truncate(time.Hour).Add(-3 * time.Hour) }

// began is when the specs did: what they are about stays in one hour while they run.
var began = time.Now().UTC()

// batch makes n stored events, one a second from start on; source may be changed.
func batch(n int, start time.Time, source func(i int) string) event.Batch {
	GinkgoHelper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	first, at := event.NewIDBlock(n)
	b := event.Batch{ID: first.Hex(), FirstID: first, LastID: at(n - 1), MaxSeverity: 8, StoredAt: now}
	for i := range n {
		raw, err := bson.Marshal(bson.D{
			{Key: "_id", Value: at(i)}, {Key: "event_id", Value: fmt.Sprintf("e-%s-%d", b.ID, i)},
			{Key: "type", Value: []string{"USER_LOGIN", "PAYMENT_FAILED"}[i%2]}, {Key: "source", Value: source(i)},
			{Key: "severity", Value: int32(1 + i%8)}, {Key: "timestamp", Value: start.Add(time.Duration(i) * time.Second)},
			{Key: "payload", Value: bson.D{{Key: "duration_ms", Value: i}}}, {Key: "processed", Value: false},
			{Key: "batch_id", Value: b.ID}, {Key: "created_at", Value: now}, {Key: "expires_at", Value: now.Add(24 * time.Hour)},
		})
		Expect(err).NotTo(HaveOccurred())
		b.Events = append(b.Events, raw)
	}
	return b
}

func auth(int) string { return "auth" }

// offer stores a batch as the ingester does and publishes it as often as asked.
func offer(ctx context.Context, f *fleet.Fleet, b event.Batch, times int) {
	GinkgoHelper()
	Expect(f.Store.SaveBatch(ctx, b, "spec")).To(Succeed())
	m, err := f.Topology.Stored().Encode(b)
	Expect(err).NotTo(HaveOccurred())
	for range times {
		Expect(f.Publisher.Publish(ctx, m)).To(Succeed())
	}
}

// settled waits until everything around hour() is counted and materialised.
func settled(ctx context.Context, f *fleet.Fleet) {
	GinkgoHelper()
	Eventually(ctx, func() (bool, error) { return f.Store.Pending(ctx, hour().Add(-time.Hour), hour().Add(2*time.Hour)) }).
		WithTimeout(time.Minute).Should(BeFalse())
}

// counted is how many events are counted, by source.
func counted(ctx context.Context, f *fleet.Fleet) map[string]int64 {
	GinkgoHelper()
	rows, err := f.Store.Sums(ctx, store.SumsQuery{By: []metric.Dimension{metric.Source},
		Range: metric.Range{From: hour().Add(-100 * 24 * time.Hour), To: hour().Add(100 * 24 * time.Hour)}}, time.Now())
	Expect(err).NotTo(HaveOccurred())
	bySource := map[string]int64{}
	for _, r := range rows {
		bySource[r.Source] += r.Count
	}
	return bySource
}

func recount(ctx context.Context, f *fleet.Fleet) metric.Report {
	GinkgoHelper()
	report, err := f.Store.Verify(ctx, store.VerifyOptions{From: hour().Add(-time.Hour), To: hour().Add(2 * time.Hour),
		Retention: 60 * 24 * time.Hour, Pause: 50 * time.Millisecond})
	Expect(err).NotTo(HaveOccurred())
	return report
}

// equalsLoop compares the metrics of every period and kind with a plain loop
// over the stored events.
func equalsLoop(ctx context.Context, f *fleet.Fleet) {
	GinkgoHelper()
	events, err := f.Store.FindEvents(ctx, store.EventList{Limit: 100_000})
	Expect(err).NotTo(HaveOccurred())
	Expect(events).NotTo(BeEmpty())
	type window struct {
		kind   string
		start  time.Time
		series metric.Series
	}
	for _, p := range metric.Periods {
		counts, errors, times := map[window]int64{}, map[window]int64{}, map[window][]float64{}
		for _, e := range events {
			w := window{"", e.Lookup("timestamp").Time().UTC().Truncate(p.Length),
				metric.Series{Type: e.Lookup("type").StringValue(), Source: e.Lookup("source").StringValue()}}
			counts[w]++
			if e.Lookup("severity").Int32() >= 7 {
				errors[w]++
			}
			times[w] = append(times[w], float64(e.Lookup("payload", "duration_ms").Int32()))
		}
		found, err := f.Store.FindMetrics(ctx, store.MetricFilter{Period: p.Name}, 0)
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(HaveLen(3*len(counts)), p.Name)
		for _, m := range found {
			w := window{"", m.Timestamp.UTC(), m.Dimensions.Series()}
			n := counts[w]
			Expect(m.Count).To(Equal(n), "%s %v", m.Type, w)
			switch m.Type {
			case "EVENTS_COUNT":
				Expect(m.Value).To(BeEquivalentTo(n))
			case "ERROR_RATE":
				Expect(m.Value).To(BeNumerically("~", float64(errors[w])/float64(n), 1e-12))
			case "RESPONSE_TIME":
				ms := times[w]
				slices.Sort(ms)
				for q, got := range map[float64]*float64{50: m.P50, 95: m.P95, 99: m.P99} {
					exact := ms[int(math.Ceil(q*float64(n)/100))-1]
					Expect(*got).To(BeNumerically("~", exact, metric.ErrorMost*exact), "p%v of %s %v", q, p.Name, w)
				}
			}
		}
	}
}

func quick(c *config.Config) { c.Aggregator.MaterialiseEvery = 100 * time.Millisecond }

// value reads one of the process's counters.
func value(r *app.Running, name string, labels ...string) float64 {
	GinkgoHelper()
	families, err := r.Process().Metrics.Gather()
	Expect(err).NotTo(HaveOccurred())
	sum := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			if len(labels) == 0 || m.GetLabel()[0].GetValue() == labels[0] {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

var _ = Describe("the aggregator", func() {
	It("counts batches, marks them in the ledger and makes the metrics of every period", func(ctx SpecContext) {
		f := fleet.New(ctx)
		r := f.Start(ctx, "aggregator", aggregator.Wire, quick)
		a, b := batch(300, hour(), auth), batch(100, hour().Add(time.Minute), auth)
		offer(ctx, f, a, 1)
		offer(ctx, f, b, 1)
		settled(ctx, f)
		row, err := f.Store.Batch(ctx, a.ID)
		Expect(err).NotTo(HaveOccurred())
		Expect(row.AggregatedAt).NotTo(BeNil())
		Expect(counted(ctx, f)).To(Equal(map[string]int64{"auth": 400}))
		for _, p := range metric.Periods {
			found, err := f.Store.FindMetrics(ctx, store.MetricFilter{Types: []string{"EVENTS_COUNT"}, Period: p.Name}, 0)
			Expect(err).NotTo(HaveOccurred())
			sum := 0.0
			for _, m := range found {
				sum += m.Value
			}
			Expect(sum).To(BeEquivalentTo(400), p.Name)
		}
		report := recount(ctx, f)
		Expect(report.Drift).To(BeEmpty())
		Expect(report.LeftOut).To(BeEmpty())
		Expect(report.Events).To(BeEquivalentTo(400))
		Expect(value(r, "ea_aggregator_events_total")).To(BeEquivalentTo(400))
		Expect(value(r, "ea_aggregator_batches_total")).To(BeEquivalentTo(2))
		Expect(value(r, "ea_aggregator_windows_total", "1h")).To(BeNumerically(">=", 1))
	}, SpecTimeout(time.Minute))

	It("counts once what comes twice, to two processes whose broker and database fail", func(ctx SpecContext) {
		f := fleet.New(ctx)
		direct := *f
		proxies := map[string]*faultproxy.Proxy{"database": fleet.Through(&f.MongoURI), "broker": fleet.Through(&f.AMQPURL)}
		for range 2 {
			f.Start(ctx, "aggregator", aggregator.Wire, quick)
		}
		const batches = 40
		for i := range batches {
			offer(ctx, &direct, batch(50, hour().Add(time.Duration(i%7)*time.Minute), auth), 1+i%3)
			switch i {
			case 6, 18, 30:
				proxies["broker"].Cut()
			case 12:
				proxies["database"].Refuse(true)
				proxies["database"].Cut()
			case 22:
				proxies["database"].Refuse(false)
			case 34:
				proxies["database"].Cut()
			}
		}
		settled(ctx, f)
		Eventually(ctx, func() int { return f.Depth(ctx, topology.Aggregate) }).WithTimeout(time.Minute).Should(BeZero())
		Expect(counted(ctx, f)).To(Equal(map[string]int64{"auth": batches * 50}))
		for i := range 3 { // late, into windows that are materialised
			offer(ctx, &direct, batch(20, hour().Add(-30*time.Minute+time.Duration(i)*25*time.Minute), auth), 2)
		}
		settled(ctx, f)
		report := recount(ctx, f)
		Expect(report.Drift).To(BeEmpty())
		Expect(report.Events).To(BeEquivalentTo(batches*50 + 60))
		equalsLoop(ctx, f)
		Expect(f.DeadLetters(ctx, topology.Aggregate)).To(BeEmpty(), "an outage costs no attempt")
	}, SpecTimeout(3*time.Minute))

	It("dead-letters what is no batch, and its neighbours are counted", func(ctx SpecContext) {
		f := fleet.New(ctx)
		spoilt, good := batch(5, hour(), auth), batch(5, hour(), auth)
		raw, err := bson.Marshal(bson.D{{Key: "no", Value: "event"}})
		Expect(err).NotTo(HaveOccurred())
		spoilt.Events[3] = raw
		noID := batch(1, hour(), auth)
		noID.ID = ""
		for _, b := range []event.Batch{spoilt, noID} {
			m, err := f.Topology.Stored().Encode(b)
			Expect(err).NotTo(HaveOccurred())
			Expect(f.Publisher.Publish(ctx, m)).To(Succeed())
		}
		offer(ctx, f, good, 1)
		m, err := f.Topology.Stored().Encode(good)
		Expect(err).NotTo(HaveOccurred())
		m.Body = []byte("not BSON")
		Expect(f.Publisher.Publish(ctx, m)).To(Succeed())
		f.Start(ctx, "aggregator", aggregator.Wire, quick)
		var dead []*broker.DeadLetter
		Eventually(ctx, func() []*broker.DeadLetter {
			dead = append(dead, f.DeadLetters(ctx, topology.Aggregate)...)
			return dead
		}).WithTimeout(20 * time.Second).Should(HaveLen(3))
		for _, d := range dead {
			Expect(d.Reason).To(Equal("permanent"))
		}
		settled(ctx, f)
		Expect(counted(ctx, f)).To(Equal(map[string]int64{"auth": 5}))
	}, SpecTimeout(time.Minute))

	It("stores and does not count events older than its counters are kept, and says so", func(ctx SpecContext) {
		f := fleet.New(ctx)
		r := f.Start(ctx, "aggregator", aggregator.Wire, quick)
		b := batch(3, time.Now().Add(-70*24*time.Hour), auth)
		offer(ctx, f, b, 2)
		Eventually(ctx, func() *time.Time {
			row, err := f.Store.Batch(ctx, b.ID)
			Expect(err).NotTo(HaveOccurred())
			return row.AggregatedAt
		}).ShouldNot(BeNil())
		Expect(counted(ctx, f)).To(BeEmpty())
		Eventually(ctx, func() float64 { return value(r, "ea_aggregator_repeated_batches_total") }).Should(BeEquivalentTo(1))
		Expect(value(r, "ea_aggregator_uncounted_events_total", "too_old")).To(BeEquivalentTo(3))
	}, SpecTimeout(time.Minute))

	It("counts as other what a full dimension does not name, in every process alike", func(ctx SpecContext) {
		f := fleet.New(ctx)
		few := func(c *config.Config) { quick(c); c.Aggregator.DimensionValues = 5 }
		processes := []*app.Running{f.Start(ctx, "aggregator", aggregator.Wire, few), f.Start(ctx, "aggregator", aggregator.Wire, few)}
		for i := range 10 {
			offer(ctx, f, batch(40, hour(), func(j int) string { return fmt.Sprintf("source-%d", (i+j)%20) }), 1)
		}
		settled(ctx, f)
		bySource := counted(ctx, f)
		Expect(bySource).To(HaveLen(6))
		Expect(bySource).To(HaveKeyWithValue(metric.Other, BeEquivalentTo(300)))
		report := recount(ctx, f)
		Expect(report.Drift).To(BeEmpty())
		Expect(report.Events).To(BeEquivalentTo(400))
		others := 0.0
		for _, r := range processes {
			others += value(r, "ea_aggregator_other_events_total", "source")
		}
		Expect(others).To(BeEquivalentTo(300))
	}, SpecTimeout(time.Minute))

	It("materialises on when the process that did so ends", func(ctx SpecContext) {
		f := fleet.New(ctx)
		first := f.Start(ctx, "aggregator", aggregator.Wire, quick)
		offer(ctx, f, batch(10, hour(), auth), 1)
		settled(ctx, f)
		f.Start(ctx, "aggregator", aggregator.Wire, quick)
		Expect(first.Stop(ctx)).To(Succeed())
		offer(ctx, f, batch(10, hour(), auth), 1)
		settled(ctx, f)
		Expect(recount(ctx, f).Drift).To(BeEmpty())
	}, SpecTimeout(time.Minute))
})

var _ = Describe("aggregator verify", func() {
	// run is the command with the fleet's environment.
	run := func(f *fleet.Fleet, args ...string) (code int, stdout, stderr string) {
		var out, errs bytes.Buffer
		code = app.Program{Name: "aggregator", Wire: aggregator.Wire, Commands: aggregator.Commands(),
			Args:    append([]string{"verify"}, args...),
			Environ: []string{"EA_MONGO_URI=" + f.MongoURI, "EA_MONGO_DATABASE=" + f.Database},
			Stdout:  &out, Stderr: &errs, Signals: nil}.Run()
		return code, out.String(), errs.String()
	}

	It("says in one line that the database cannot be reached, without the password", func() {
		code, out, errs := run(&fleet.Fleet{MongoURI: "mongodb://u:secret@127.0.0.1:1/", Database: "x"})
		Expect(code).To(Equal(1))
		Expect(out).To(BeEmpty())
		Expect(errs).To(Equal("aggregator: MongoDB at mongodb://u:********@127.0.0.1:1/: connection refused: nothing listens there\n"))
	})

	It("exits with 0 without drift, with 1 naming each, and with 2 on bad usage", func(ctx SpecContext) {
		f := fleet.New(ctx)
		f.Start(ctx, "aggregator", aggregator.Wire, quick)
		offer(ctx, f, batch(120, hour(), auth), 2)
		from, to := hour().Format(time.RFC3339), hour().Add(time.Hour).Format(time.RFC3339)

		code, out, errs := run(f, "--from", from, "--to", to, "--wait", "20s")
		Expect(code).To(Equal(0), errs)
		Expect(out).To(MatchRegexp(`compared +60 minutes with 120 events; metrics of 60 windows of 1m, 12 windows of 5m, 1 windows of 1h`))
		Expect(out).To(MatchRegexp(`drift +none`))

		// An event that nobody counted though the ledger says so.
		lost := batch(1, hour().Add(30*time.Minute), auth)
		Expect(f.Store.SaveBatch(ctx, lost, "spec")).To(Succeed())
		Expect(f.Store.MarkStage(ctx, store.Aggregated, time.Now(), lost.ID)).To(Succeed())
		code, out, errs = run(f, "--from", from, "--to", to)
		Expect(code).To(Equal(1))
		Expect(errs).To(ContainSubstring("drift"))
		minute := hour().Add(30 * time.Minute).Format(time.RFC3339)
		Expect(out).To(MatchRegexp(`COUNTER +- +%s +USER_LOGIN +auth +- +0 \(0 errors; 0/0/0/0\) +1 \(0 errors; 1/0/0/0\)`, minute))

		code, out, _ = run(f, "--from", from, "--to", to, "-o", "json", "--repair")
		Expect(code).To(Equal(0), "all of it is repaired")
		var report metric.Report
		Expect(json.Unmarshal([]byte(out), &report)).To(Succeed())
		Expect(report.Drift).NotTo(BeEmpty())
		Expect(report.Drift).To(HaveEach(HaveField("Repaired", BeTrue())))
		code, out, _ = run(f, "--from", from, "--to", to, "--wait", "20s")
		Expect(code).To(Equal(0), out)

		code, _, errs = run(f, "--from", "yesterday", "--to", to, "-o", "xml")
		Expect(code).To(Equal(2))
		Expect(errs).To(And(ContainSubstring("--from"), ContainSubstring("yesterday"), ContainSubstring("xml")))
		code, _, errs = run(f, "--from", to, "--to", from)
		Expect(code).To(Equal(2))
		Expect(errs).To(ContainSubstring("is not before"))
		code, _, _ = run(f, "now")
		Expect(code).To(Equal(2))
	}, SpecTimeout(2*time.Minute))

	It("says what it left out", func(ctx SpecContext) {
		f := fleet.New(ctx)
		Expect(f.Store.SaveBatch(ctx, batch(1, hour(), auth), "spec")).To(Succeed())
		code, out, _ := run(f, "--from", hour().Format(time.RFC3339), "--to", hour().Add(10*time.Minute).Format(time.RFC3339), "--wait", "1s")
		Expect(code).To(Equal(0))
		Expect(out).To(MatchRegexp(`left out +minutes %s to %s: %s`, hour().Format(time.RFC3339), hour().Add(time.Minute).Format(time.RFC3339), metric.ReasonUncounted))
	}, SpecTimeout(time.Minute))
})
