package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/backtest"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/services/api"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// keep stores events as the ingester would, without asking anybody to decide
// them.
func (p *product) keep(ctx context.Context, events ...object) event.Batch {
	GinkgoHelper()
	return p.keepAt(ctx, func(object) time.Time { return time.Now() }, events...)
}

// keepAt is keep of events that come when came says.
func (p *product) keepAt(ctx context.Context, came func(object) time.Time, events ...object) event.Batch {
	GinkgoHelper()
	decoder, err := event.NewDecoder(event.Options{})
	Expect(err).NotTo(HaveOccurred())
	first, at := event.NewIDBlock(len(events))
	b := event.Batch{ID: first.Hex(), FirstID: first, LastID: at(len(events) - 1), StoredAt: time.Now().UTC()}
	for i, e := range events {
		text, err := json.Marshal(e)
		Expect(err).NotTo(HaveOccurred())
		now := came(e)
		docs, err := decoder.Decode(event.Input{Body: text, MessageID: uuid.NewString(), Timestamp: now, Now: now})
		Expect(err).NotTo(HaveOccurred())
		docs[0].Stamp(at(i), b.ID)
		b.Events = append(b.Events, docs[0].Raw)
	}
	Expect(p.Store.SaveBatch(ctx, b, "spec")).To(Succeed())
	return b
}

// offer asks the rule-workers to decide a batch.
func (p *product) offer(ctx context.Context, b event.Batch) {
	GinkgoHelper()
	m, err := p.Topology.Stored().Encode(b)
	Expect(err).NotTo(HaveOccurred())
	Expect(p.Publisher.Publish(ctx, m)).To(Succeed())
}

func (p *product) backtest(ctx context.Context, body object) (r backtest.Report) {
	GinkgoHelper()
	var text json.RawMessage
	Expect(p.call(ctx, http.MethodPost, "/api/v1/rules/backtest", body, &text)).To(Equal(http.StatusOK), "%s", text)
	Expect(json.Unmarshal(text, &r)).To(Succeed())
	return r
}

var _ = Describe("a back-test", Ordered, func() {
	var p *product
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	BeforeAll(func(ctx SpecContext) {
		p = start(ctx)
		var events []object
		for i := range 300 { // five an hour, of ten users, amounts 0 to 299
			events = append(events, object{"type": "PAYMENT_FAILED", "source": "shop", "severity": 5, "user_id": fmt.Sprintf("u%d", i%10),
				"timestamp": noon.Add(time.Duration(i) * 12 * time.Minute), "payload": object{"amount": i}})
		}
		events = append(events, object{"type": "PAYMENT_OK", "source": "shop", "timestamp": noon, "payload": object{"amount": 1000}})
		p.keep(ctx, events...)
	}, NodeTimeout(time.Minute))
	span := func(o object) object {
		o["from"], o["to"] = noon, noon.Add(60*time.Hour)
		return o
	}
	amounts := func(least int) object {
		return object{"type": "PAYMENT_FAILED", "payload.amount": object{"$gte": least}}
	}

	It("counts what a condition matches, by hour, with the first, the last and the newest ones", func(ctx SpecContext) {
		r := p.backtest(ctx, span(object{"conditions": amounts(100)}))
		Expect(r.Matches).To(BeEquivalentTo(200))
		Expect(r.Unit).To(Equal("hour"))
		Expect(r.Counts).To(HaveLen(40))
		Expect(r.Counts).To(HaveEach(HaveField("Matches", BeEquivalentTo(5))))
		Expect(r.Counts[0].At).To(Equal(noon.Add(20 * time.Hour)))
		Expect(r.First.Timestamp).To(Equal(noon.Add(100 * 12 * time.Minute)))
		Expect(r.Last.Timestamp).To(Equal(noon.Add(299 * 12 * time.Minute)))
		Expect(r.Samples).To(HaveLen(20))
		Expect(r.Samples[19].Timestamp).To(Equal(noon.Add(280 * 12 * time.Minute)))
		Expect(r.Actions).To(Equal(backtest.Actions{Owed: 200, Left: 200}))
		Expect([]any{r.Cut, r.Until, r.Difference}).To(Equal([]any{"", noon.Add(60 * time.Hour), (*backtest.Difference)(nil)}))
		r = p.backtest(ctx, object{"conditions": amounts(0), "from": noon.Add(time.Minute), "to": noon.Add(12 * time.Minute)})
		Expect([]any{r.Matches, r.First}).To(Equal([]any{int64(0), (*backtest.Sample)(nil)}), "from is in the range, to is not")
	}, SpecTimeout(time.Minute))

	It("says what throttles, mute times, silences and the hour's bound would have left", func(ctx SpecContext) {
		throttled := object{"name": "throttled", "conditions": amounts(0), "actions": append(logAction, logAction...), "throttle": object{"per": []string{"user_id"}, "for": "3h"}}
		r := p.backtest(ctx, span(object{"rule": throttled}))
		// Each user has an event every two hours, so every second one is held.
		Expect(r.Actions).To(Equal(backtest.Actions{Owed: 300, Left: 150, Notifications: 300, Held: map[string]int64{"throttled": 150}}))
		r = p.backtest(ctx, span(object{"rule": object{"name": "bounded", "conditions": amounts(0), "max_matches_per_hour": 2}}))
		Expect(r.Actions.Held).To(Equal(map[string]int64{"paused": 180}))
		r = p.backtest(ctx, span(object{"rule": object{"name": "muted", "conditions": amounts(0), "mute": []object{{"from": "12:00", "to": "18:00"}}}}))
		Expect(r.Actions.Held).To(Equal(map[string]int64{"muted": 90}))
		// Of each user the first match is told by itself, and then every two together: they come two hours apart, and repeat is four.
		r = p.backtest(ctx, span(object{"rule": object{"name": "grouped", "conditions": amounts(0), "actions": logAction,
			"group": object{"by": []string{"user_id"}, "wait": "30s", "interval": "5m", "repeat": "4h"}}}))
		Expect(r.Actions).To(Equal(backtest.Actions{Owed: 300, Left: 160, Notifications: 160, Held: map[string]int64{"grouped": 300}}))
		r = p.backtest(ctx, span(object{"rule": object{"name": "shadow", "conditions": amounts(0), "mode": "shadow"}}))
		Expect(r.Actions.Note).To(ContainSubstring("shadow"))
		Expect(r.Actions.Left).To(BeEquivalentTo(300))
	}, SpecTimeout(time.Minute))

	It("names what only the draft matches, and what only the live version does", func(ctx SpecContext) {
		id := p.save(ctx, object{"name": "payments", "conditions": amounts(290)})
		draft := object{"name": "payments", "conditions": object{"type": "PAYMENT_FAILED", "payload.amount": object{"$gte": 285, "$lt": 295}}}
		r := p.backtest(ctx, span(object{"rule": draft, "compare_with_live": true}))
		d := r.Difference
		Expect([]any{d.With, d.Version, d.Both, d.Only.Total, d.OnlyLive.Total}).To(Equal([]any{"payments", 1, int64(5), int64(5), int64(5)}))
		Expect(d.Only.Samples[0].Timestamp).To(Equal(noon.Add(289 * 12 * time.Minute)))
		Expect(d.OnlyLive.Samples).To(HaveLen(5))
		Expect(d.OnlyLive.Samples[4].Timestamp).To(Equal(noon.Add(295 * 12 * time.Minute)))

		draft["rule_id"] = id
		Expect(p.call(ctx, http.MethodPut, "/api/v1/rules/"+id, draft, nil)).To(Equal(http.StatusOK))
		r = p.backtest(ctx, span(object{"rule_id": id, "version": 1, "compare_with_live": true}))
		Expect([]any{r.Version, r.Difference.Version, r.Difference.Only.Total}).To(Equal([]any{1, 2, int64(5)}), "an old version can be tested, too")
	}, SpecTimeout(time.Minute))

	It("is shown by eactl with a chart, the actions left, and the difference", func(ctx SpecContext) {
		file := filepath.Join(GinkgoT().TempDir(), "draft.yaml")
		Expect(os.WriteFile(file, []byte("name: payments\nconditions: {type: PAYMENT_FAILED, payload.amount: {$gte: 285}}\nthrottle: {for: 1h}\n"+
			"actions: [{type: LOG, config: {level: info, message: m}}]\n"), 0o600)).To(Succeed())
		s := p.eactl(ctx, "rules", "backtest", "-f", file, "--from", "2026-03-02T12:00:00Z", "--to", "2026-03-05T00:00:00Z", "--compare")
		Expect(s).To(done, "%s", s.Err)
		Expect(s.Out).To(And(ContainSubstring(`"payments" (draft), 2026-03-02 12:00:00Z to 2026-03-05 00:00:00Z`), ContainSubstring("15 events match\n"),
			ContainSubstring("#"), ContainSubstring("busiest hour: "), MatchRegexp(`3 of 15 matches would act: 3 notifications\n  12 throttled`), MatchRegexp(`compared with version 2 of "payments": \d+ the same, \d+ new, \d+ gone`)))
		s = p.eactl(ctx, "rules", "backtest", "payments", "--last", "1h", "-o", "json")
		Expect(s).To(done)
		Expect(s.lines()[0]).To(HaveKeyWithValue("matches", 0.0))
		Expect(p.eactl(ctx, "rules", "backtest").Code).To(Equal(2))
		Expect(p.eactl(ctx, "rules", "backtest", "payments", "--from", "yesterday").Err).To(ContainSubstring("expected RFC 3339"))
	}, SpecTimeout(time.Minute))

	DescribeTable("is refused with the reason", func(ctx SpecContext, body object, status int, said string) {
		var problem problemBody
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules/backtest", body, &problem)).To(Equal(status))
		text, err := json.Marshal(problem)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(text)).To(ContainSubstring(said))
	},
		Entry("nothing to test", SpecTimeout(time.Minute), object{}, 400, "one of rule, conditions and rule_id"),
		Entry("two things to test", SpecTimeout(time.Minute), object{"conditions": object{}, "rule_id": "a"}, 400, "one of rule"),
		Entry("a misspelt field", SpecTimeout(time.Minute), object{"condition": object{}}, 400, "condition"),
		Entry("an operator that is none", SpecTimeout(time.Minute), object{"conditions": object{"a": object{"$gtee": 1}}}, 422, "did you mean $gte"),
		Entry("a range that goes backwards", SpecTimeout(time.Minute), object{"conditions": object{}, "from": noon, "to": noon}, 400, "is not before"),
		Entry("a rule that is not there", SpecTimeout(time.Minute), object{"rule_id": "nobody"}, 404, "not_found"),
		Entry("nothing to compare with", SpecTimeout(time.Minute), object{"conditions": object{}, "compare_with_live": true}, 422, "compare_with_live needs one"),
	)

	It("tells its progress line by line, and ends in time with what it has", func(ctx SpecContext) {
		lines := func(base, body string) (kinds []string, last object) {
			GinkgoHelper()
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/v1/rules/backtest", strings.NewReader(body))
			Expect(err).NotTo(HaveOccurred())
			r.Header.Set("Authorization", "Bearer "+adminKey)
			r.Header.Set("Accept", "application/x-ndjson")
			answer, err := http.DefaultClient.Do(r)
			Expect(err).NotTo(HaveOccurred())
			defer answer.Body.Close()
			Expect(answer.Header.Get("Content-Type")).To(Equal("application/x-ndjson"))
			scanner := bufio.NewScanner(answer.Body)
			scanner.Buffer(nil, 1<<20)
			for scanner.Scan() {
				last = object{}
				Expect(json.Unmarshal(scanner.Bytes(), &last)).To(Succeed())
				for kind := range last {
					kinds = append(kinds, kind)
				}
			}
			return kinds, last
		}
		kinds, last := lines(p.base, `{"conditions":{"type":"PAYMENT_FAILED"},"from":"2026-03-02T00:00:00Z","to":"2026-03-06T00:00:00Z"}`)
		Expect(kinds[0]).To(Equal("progress"))
		Expect(kinds[len(kinds)-1]).To(Equal("result"))
		Expect(last["result"]).To(HaveKeyWithValue("matches", 300.0))

		// A condition that no index serves, and no time.
		short := p.Start(ctx, "api", api.Wire, func(c *config.Config) { c.API.BacktestTimeout = time.Nanosecond })
		_, last = lines("http://"+short.Addr(), `{"conditions":{"payload.amount":{"$gte":0}},"from":"2026-03-02T00:00:00Z","to":"2026-03-06T00:00:00Z"}`)
		Expect(last["result"]).To(And(HaveKeyWithValue("cut", ContainSubstring("time")), HaveKeyWithValue("searched_until", "2026-03-02T00:00:00Z")))
	}, SpecTimeout(time.Minute))
})

// kinds are window rules of every kind, for windows of a minute.
var kinds = map[string]object{
	"frequency":     {"kind": "frequency", "num_events": 4, "timeframe": "1m"},
	"spike up":      {"kind": "spike", "spike_height": 2, "spike_type": "up", "threshold_cur": 2, "timeframe": "1m", "settle": "0s"},
	"spike both":    {"kind": "spike", "spike_height": 1.5, "spike_type": "both", "timeframe": "1m", "settle": "0s"},
	"flatline":      {"kind": "flatline", "threshold": 2, "timeframe": "1m", "settle": "0s"},
	"flatline once": {"kind": "flatline", "threshold": 2, "timeframe": "1m", "settle": "0s", "forget_keys": true},
	"new_term":      {"kind": "new_term", "field": "payload.ip", "terms_window": "2m"},
	"cardinality":   {"kind": "cardinality", "field": "payload.ip", "max": 2, "min": 2, "timeframe": "1m", "settle": "0s"},
	"percentage":    {"kind": "percentage", "match": object{"payload.ok": true}, "max": 60, "min": 20, "min_denominator": 2, "timeframe": "1m", "settle": "0s"},
	"change":        {"kind": "change", "field": "payload.ok", "ignore_null": true},
}

var _ = Describe("a back-test of a window rule", func() {
	It("gives the alerts of the live run, of every kind, with disorder, repeats and a worker that ends in between", func(ctx SpecContext) {
		p := start(ctx)
		ids := map[string]string{}
		for name, window := range kinds {
			w := object{"group_by": []string{"user_id"}}
			for k, v := range window {
				w[k] = v
			}
			ids[name] = p.save(ctx, object{"name": name, "conditions": object{"type": "KIND_TEST"}, "window": w})
		}
		first := p.Start(ctx, "rule-worker", ruleworker.Wire)
		p.Start(ctx, "rule-worker", ruleworker.Wire)

		random := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 11))
		begin := time.Now().UTC().Truncate(time.Minute).Add(-8 * time.Minute)
		end := begin.Add(7 * time.Minute)
		var batches []event.Batch
		for range 30 {
			var some []object
			for range 3 {
				payload := object{}
				if random.IntN(5) > 0 {
					payload = object{"ip": fmt.Sprintf("10.0.0.%d", random.IntN(5)), "ok": random.IntN(3) > 0}
				}
				some = append(some, object{"type": "KIND_TEST", "source": "spec", "user_id": string(rune('a' + random.IntN(3))),
					"timestamp": begin.Add(time.Duration(random.IntN(6*60_000)) * time.Millisecond), "payload": payload})
			}
			inTime := func(e object) time.Time { return e["timestamp"].(time.Time) }
			batches = append(batches, p.keepAt(ctx, inTime, some...)) // all are there before the first is decided: none is later than settle
		}
		for i, b := range batches {
			p.offer(ctx, b)
			if i%4 == 0 {
				p.offer(ctx, b)
			}
			if i == 15 {
				Expect(first.Stop(ctx)).To(Succeed())
			}
		}
		Eventually(ctx, func() (int64, error) {
			_, left, err := p.Store.EventCounts(ctx)
			return left, err
		}).WithTimeout(2 * time.Minute).Should(BeZero())
		Eventually(ctx, func(g Gomega) {
			for name, id := range ids {
				r := p.backtest(ctx, object{"rule_id": id, "from": begin.Add(-time.Minute), "to": end})
				live := liveAlerts(ctx, p.Fleet, id, end)
				tested := map[string]int64{}
				for _, a := range r.Alerts.Shown {
					tested[a.NotificationID] = a.Slot
				}
				g.Expect(tested).NotTo(BeEmpty(), name)
				g.Expect(tested).To(Equal(live), name)
				g.Expect(r.Alerts.Total).To(BeEquivalentTo(len(live)), name)
				g.Expect(r.Actions.Left).To(BeEquivalentTo(len(live)), name)
			}
		}).WithTimeout(2 * time.Minute).WithPolling(time.Second).Should(Succeed())

		draft := object{"name": "frequency", "conditions": object{"type": "KIND_TEST"}, "throttle": object{"for": "1h"}, "actions": logAction,
			"window": object{"kind": "frequency", "num_events": 5, "timeframe": "1m", "group_by": []string{"user_id"}}}
		r := p.backtest(ctx, object{"rule": draft, "from": begin, "to": end, "compare_with_live": true})
		Expect(r.Difference.Only.Total).To(BeZero(), "five events are four, too")
		Expect(r.Difference.OnlyLive.Alerts).To(HaveLen(int(r.Difference.OnlyLive.Total)))
		Expect(r.Difference.Both).To(Equal(r.Alerts.Total))
		Expect(r.Actions.Left).To(BeEquivalentTo(min(1, r.Alerts.Total)))
	}, SpecTimeout(5*time.Minute))
})

// liveAlerts are the alerts of a rule that are in the database, whose windows end
// by then, by the id of the notification.
func liveAlerts(ctx context.Context, f *fleet.Fleet, ruleID string, by time.Time) map[string]int64 {
	GinkgoHelper()
	const most = 500
	found, err := f.Store.FindNotifications(ctx, store.NotificationFilter{RuleID: ruleID}, nil, most)
	Expect(err).NotTo(HaveOccurred())
	Expect(len(found)).To(BeNumerically("<", most))
	alerts := map[string]int64{}
	for _, n := range found {
		if !n.Alert.To.After(by) {
			alerts[n.ID] = n.Alert.Slot
		}
	}
	return alerts
}
