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
		ReceivedAfter:  report.Received{Accepted: 30},
		MetricsChecked: true, MetricsCorrect: true,
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
		Expect(out.String()).To(ContainSubstring("40 = delivered 40 + suppressed 0 + dead 0 + pending 0"))
	})

	DescribeTable("names what does not",
		func(spoil func(r *report.Run), names ...string) {
			r := good()
			spoil(&r)
			Expect(wrong(r)).To(Equal(names))
		},
		Entry("a lost event", func(r *report.Run) { r.After.Events.Stored-- }, "events"),
		Entry("an event stored twice", func(r *report.Run) { r.After.Events.Stored++ }, "events"),
		Entry("a bad message that vanished", func(r *report.Run) { r.After.DeadLetters["ingester.events"]-- }, "events"),
		Entry("a bad message that was stored", func(r *report.Run) {
			r.After.DeadLetters["ingester.events"]--
			r.After.Events.Stored++
		}, "events"),
		Entry("nothing published", func(r *report.Run) { *r = report.Run{Before: r.Before, After: r.Before} }, "events", "notifications", "webhooks"),
		Entry("an event left behind", func(r *report.Run) { r.After.Events.Unprocessed = 1 }, "processed", "drained"),
		Entry("a delivery that nobody received", func(r *report.Run) { r.ReceivedAfter.Accepted = 41 }, "webhooks"),
		Entry("a bad signature", func(r *report.Run) { r.ReceivedAfter.BadSignatures = 1 }, "webhooks"),
		Entry("drift in the metrics", func(r *report.Run) { r.MetricsCorrect = false }, "metrics"),
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

	It("gives the rate since the last line", func() {
		r := good()
		Expect(report.Line(r.Before, r.Before, r.After, 10)).To(HavePrefix("events 1000 stored, 100/s · notifications 40 delivered"))
	})
})
