package report_test

import (
	"encoding/json"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/scripts/runreport/report"
)

func status(text string) (s report.Status) {
	GinkgoHelper()
	Expect(json.Unmarshal([]byte(text), &s)).To(Succeed())
	return s
}

// good is a run of 1,000 messages on top of an earlier one: 960 events were
// stored, and 40 outcome events of 40 notifications.
func good() report.Run {
	return report.Run{
		Before: status(`{"events":{"stored":500,"unprocessed":0},
			"notifications":{"pending":0,"delivered":10,"dead":1,"suppressed":0},
			"dead_letters":{"ingester.events":7,"webhooks.default":1},
			"queues":{"ingester.events":{"messages":0},"ingester.events.dead":{"messages":7}},
			"lag":{"published":{"batches":0,"seconds":0}}}`),
		After: status(`{"events":{"stored":1500,"unprocessed":0},
			"notifications":{"pending":0,"delivered":50,"dead":1,"suppressed":0},
			"dead_letters":{"ingester.events":27,"webhooks.default":1},
			"queues":{"ingester.events":{"messages":0},"ingester.events.dead":{"messages":27}},
			"lag":{"published":{"batches":0,"seconds":0}}}`),
		Simulated:      report.Simulated{Published: 1000, Valid: 960, Duplicates: 20, Bad: 20},
		ReceivedBefore: report.Received{IDs: []string{"old"}},
		ReceivedAfter:  report.Received{IDs: []string{"old", "n1", "n2", "n3"}},
		Ledger: report.Ledger{
			Stored: 960,
			Rules: map[string]report.Rule{
				"r1": {Name: "two actions", Actions: 2},
				"r2": {Name: "one action", Actions: 1},
				"r3": {Name: "many logins", Actions: 1, Window: true},
			},
			Matches:  map[string]int{"r1": 15, "r2": 7, "r3": 100},
			Rows:     map[string]int{"r1": 30, "r2": 7},
			Others:   3,
			Webhooks: []string{"n3", "n2", "n1"},
		},
		Recount: report.Recount{Events: 1500, Windows: map[string]int{"1m": 2, "5m": 1, "1h": 1}},
	}
}

func wrong(r report.Run) []string {
	var out []string
	for _, c := range r.Balance() {
		if !c.OK {
			out = append(out, c.What)
		}
	}
	return out
}

var _ = Describe("The balance of a run", func() {
	It("holds when everything is accounted for", func() {
		Expect(wrong(good())).To(BeEmpty())
		var out strings.Builder
		Expect(report.Write(&out, good().Balance())).To(BeTrue())
		Expect(out.String()).To(ContainSubstring("published 1000 = stored 960 + duplicates 20 + dead 20"))
		Expect(out.String()).To(ContainSubstring("owed 37 + windows and groups 3 = delivered 40 + suppressed 0 + dead 0 + pending 0"))
		Expect(out.String()).To(ContainSubstring("delivered 3 = distinct webhook-ids received 3; 0 repeats"))
	})

	DescribeTable("names what does not",
		func(spoil func(r *report.Run), names ...string) {
			r := good()
			spoil(&r)
			Expect(wrong(r)).To(Equal(names))
		},
		Entry("a lost event", func(r *report.Run) { r.Ledger.Stored-- }, "events"),
		Entry("an event that nobody published", func(r *report.Run) { r.Ledger.Stored++ }, "events"),
		Entry("a bad message that vanished", func(r *report.Run) { r.After.DeadLetters["ingester.events"]-- }, "events"),
		Entry("a bad message that was stored", func(r *report.Run) {
			r.After.DeadLetters["ingester.events"]--
			r.Ledger.Stored++
		}, "events"),
		Entry("nothing published", func(r *report.Run) {
			*r = report.Run{Before: r.Before, After: r.Before, Recount: r.Recount}
		}, "events", "notifications", "webhooks"),
		Entry("an event left behind", func(r *report.Run) { r.After.Events.Unprocessed = 1 }, "processed", "drained"),
		Entry("a notification that is missing", func(r *report.Run) { r.After.Notifications.Delivered-- }, "notifications"),
		Entry("a notification that nobody owes", func(r *report.Run) { r.After.Notifications.Suppressed++ }, "notifications"),
		Entry("a match without its notifications", func(r *report.Run) { r.Ledger.Matches["r1"]++ }, "notifications"),
		Entry("a rule's notifications under another's name", func(r *report.Run) {
			r.Ledger.Rows["r1"]--
			r.Ledger.Rows["r2"]++
		}, "notifications"),
		Entry("an event of a window that owes by itself", func(r *report.Run) { r.Ledger.Rows["r3"]++ }, "notifications"),
		Entry("a match of a rule that is not there", func(r *report.Run) { r.Ledger.Matches["r4"] = 1 }, "notifications"),
		Entry("notifications of a rule that is not there", func(r *report.Run) { r.Ledger.Rows["r4"] = 1 }, "notifications"),
		Entry("a dead notification", func(r *report.Run) {
			r.After.Notifications.Dead++
			r.After.Notifications.Delivered--
		}, "notifications"),
		Entry("a notification that waits", func(r *report.Run) {
			r.After.Notifications.Pending++
			r.After.Notifications.Suppressed--
		}, "notifications", "drained"),
		Entry("a delivery that nobody received", func(r *report.Run) { r.ReceivedAfter.IDs = []string{"old", "n1", "n2"} }, "webhooks"),
		Entry("a call that nobody recorded", func(r *report.Run) { r.Ledger.Webhooks = []string{"n1", "n2"} }, "webhooks"),
		Entry("as many calls as deliveries, but others", func(r *report.Run) { r.Ledger.Webhooks = []string{"n1", "n2", "n4"} }, "webhooks"),
		Entry("a bad signature", func(r *report.Run) { r.ReceivedAfter.BadSignatures = 1 }, "webhooks"),
		Entry("drift in the metrics", func(r *report.Run) { r.Recount.Drift = append(r.Recount.Drift, nil) }, "metrics"),
		Entry("metrics that are never made", func(r *report.Run) {
			Expect(json.Unmarshal([]byte(`[{"period":"1m","reason":"is not materialised yet"}]`), &r.Recount.LeftOut)).To(Succeed())
		}, "metrics"),
		Entry("hours that are not compared", func(r *report.Run) { delete(r.Recount.Windows, "1h") }, "metrics"),
		Entry("fewer events recounted than stored", func(r *report.Run) { r.Recount.Events = 900 }, "metrics"),
	)
})

var _ = Describe("The status of a run", func() {
	It("is drained when only dead letters lie about", func() {
		Expect(good().After.Undrained()).To(BeEmpty())
	})

	It("says what is under way", func() {
		s := status(`{"events":{"unprocessed":2},"notifications":{"pending":3},
			"queues":{"webhooks.default.retry.1s":{"messages":3},"aggregator.dead-letters":{"messages":1},
				"aggregator.dead-letters.dead":{"messages":9}},"lag":{"counted":{"batches":5,"seconds":1.5}}}`)
		Expect(s.Undrained()).To(Equal([]string{
			"4 messages in queues", "2 events not processed", "3 notifications pending", "5 batches behind in counted",
		}))
		Expect(report.Line(s, s, s, 1)).To(ContainSubstring("lag 1.5 s (counted)"))
	})

	It("names what differs", func() {
		r := good()
		r.Ledger.Matches["r2"] = 8
		r.Ledger.Webhooks = append(r.Ledger.Webhooks, "n5", "n6", "n7", "n8")
		var out strings.Builder
		Expect(report.Write(&out, r.Balance())).To(BeFalse())
		Expect(out.String()).To(ContainSubstring(`rule "one action" owes 8 and has 7`))
		Expect(out.String()).To(ContainSubstring("4 delivered and not received: n5, n6, n7, …"))
	})

	It("gives the rate since the last line", func() {
		r := good()
		Expect(report.Line(r.Before, r.Before, r.After, 10)).To(HavePrefix("events 1000 stored, 100/s · notifications 40 delivered"))
	})
})
