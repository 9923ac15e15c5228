package ruleworker_test

import (
	"context"
	"errors"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

var _ = Describe("what the timer of window rules knows about ingest", func() {
	start := time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	away := errors.New("away")

	type answer struct {
		at, ready, consumers int
		err                  error
		until                int // seconds; −1: never
	}
	DescribeTable("is until when all that happened is stored", func(answers ...answer) {
		i := ruleworker.NewIngest()
		for _, a := range answers {
			if a.at < 0 {
				i.DatabaseAway()
				continue
			}
			want := at(a.until)
			if a.until < 0 {
				want = time.Time{}
			}
			Expect(i.Answer(at(a.at), a.ready, a.consumers, a.err)).To(BeTemporally("==", want), "%+v", a)
		}
	},
		Entry("now, when nothing waits and nobody has taken anything", answer{0, 0, 0, nil, 0}, answer{1, 0, 0, nil, 1}),
		Entry("never yet, when nobody takes what waits", answer{0, 1, 0, nil, -1}, answer{9, 1, 0, nil, -1}),
		Entry("now, when ingest has kept up for five seconds", answer{0, 10, 2, nil, -1}, answer{4, 499, 2, nil, -1}, answer{5, 0, 2, nil, 5}, answer{6, 500, 2, nil, 6}),
		Entry("what it was when the queue grows", answer{0, 0, 1, nil, -1}, answer{5, 0, 1, nil, 5}, answer{6, 501, 1, nil, 5}, answer{60, 9000, 1, nil, 5}, answer{61, 400, 1, nil, 5}, answer{65, 0, 1, nil, 5}, answer{66, 0, 1, nil, 66}),
		Entry("what it was when the broker does not answer", answer{0, 0, 0, nil, 0}, answer{1, 0, 0, away, 0}, answer{2, 0, 1, nil, 0}, answer{7, 0, 1, nil, 7}),
		Entry("what it was when the database was away", answer{0, 0, 1, nil, -1}, answer{5, 0, 1, nil, 5}, answer{at: -1}, answer{6, 0, 1, nil, 5}, answer{10, 0, 1, nil, 5}, answer{11, 0, 1, nil, 11}),
		Entry("a while ago, when the queue is short now and then", answer{0, 0, 1, nil, -1}, answer{1, 600, 1, nil, -1}, answer{5, 600, 1, nil, 0}, answer{6, 100, 1, nil, 0}, answer{7, 600, 1, nil, 0}, answer{11, 600, 1, nil, 6}),
		Entry("what it was when the ingesters died over what they had taken", answer{0, 0, 1, nil, -1}, answer{5, 0, 1, nil, 5}, answer{6, 0, 1, nil, 6}, answer{7, 300, 0, nil, 6}, answer{20, 300, 0, nil, 6}),
	)

	It("goes on with what the ingesters store when the queue is never short, and no further", func() {
		i := ruleworker.NewIngest()
		Expect(i.Answer(at(0), 0, 1, nil)).To(BeZero())
		Expect(i.Answer(at(5), 0, 1, nil)).To(BeTemporally("==", at(5)))
		Expect(i.Answer(at(600), 9000, 1, nil)).To(BeTemporally("==", at(5)), "nothing is known")
		Expect(i.Answer(at(601), 9000, 1, nil, at(-90_000), at(99), at(100), at(101), at(9000))).To(BeTemporally("==", at(95)), "an old event and a fast clock say nothing")
		Expect(i.Answer(at(602), 9000, 1, nil, at(50), at(50))).To(BeTemporally("==", at(95)), "it does not go back")
		Expect(i.Answer(at(603), 9000, 0, nil, at(300))).To(BeTemporally("==", at(95)), "nobody takes what waits")
		Expect(i.Answer(at(604), 9000, 1, nil, at(700))).To(BeTemporally("==", at(599)))
	})

	It("is not what ingesters hold: what they took long ago, what one holds that is silent, until others must have it", func() {
		i := ruleworker.NewIngest()
		says := func(beat int64, behind int) []ruleworker.IngestReport {
			return []ruleworker.IngestReport{{Ingester: "a", Beat: beat, Behind: time.Duration(behind) * time.Second}}
		}
		Expect(i.Reported(at(0), says(1, 0))).To(BeZero())
		Expect(i.Reported(at(5), says(6, 5))).To(BeTemporally("==", at(5)), "five seconds are on its way")
		Expect(i.Reported(at(6), says(7, 6))).To(BeTemporally("==", at(5)))
		Expect(i.Reported(at(60), says(60, 60))).To(BeTemporally("==", at(5)))
		Expect(i.Reported(at(61), says(61, 40), at(10), at(15), at(50))).To(BeTemporally("==", at(10)), "others store what is newer")
		Expect(i.Reported(at(62), says(62, 41), at(50), at(50), at(50))).To(BeTemporally("==", at(16)), "and not beyond what it holds")
		Expect(i.Reported(at(63), says(63, 0))).To(BeTemporally("==", at(16)))
		Expect(i.Reported(at(68), says(68, 0))).To(BeTemporally("==", at(68)))
		Expect(i.Reported(at(70), says(68, 0))).To(BeTemporally("==", at(70)), "it may be late itself")
		Expect(i.Reported(at(74), says(68, 0))).To(BeTemporally("==", at(70)), "or paused, or dead")
		Expect(i.Reported(at(128), says(68, 0))).To(BeTemporally("==", at(70)))
		Expect(i.Reported(at(129), says(68, 0))).To(BeTemporally("==", at(70)))
		Expect(i.Reported(at(134), says(68, 0))).To(BeTemporally("==", at(134)), "the broker has given to others what it held")
	})

	It("keeps keys from looking silent while their events wait before the ingester", func(ctx SpecContext) {
		f := fleet.New(ctx)
		_, err := f.Store.CreateRule(ctx, silent("whole"))
		Expect(err).NotTo(HaveOccurred())
		f.Start(ctx, "rule-worker", ruleworker.Wire)
		count := func() int { return len(alertsOf(ctx, f, "whole")) }
		Eventually(ctx, count).WithTimeout(20 * time.Second).Should(BeNumerically(">=", 2))

		f.Publish(ctx, broker.Message{RoutingKey: "events.spec", MessageID: "waits", Body: []byte("{}")})
		Eventually(ctx, func() int { return f.Depth(ctx, topology.Ingest) }).Should(Equal(1))
		waiting := count()
		Consistently(ctx, count).WithTimeout(5*time.Second).Should(BeNumerically("<=", waiting+2), "two may have been under way")

		c := broker.NewConsumer(f.Connection, f.Publisher, f.Topology.Work(topology.Ingest), broker.ConsumerOptions{Prefetch: 1, Log: f.Log})
		run, stop := context.WithCancel(context.WithoutCancel(ctx))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = c.Run(run, broker.Each(1, func(context.Context, *broker.Delivery) error { return nil }))
		}()
		DeferCleanup(func() { stop(); <-ended })
		Eventually(ctx, count).WithTimeout(20*time.Second).Should(BeNumerically(">=", waiting+5), "what waited is decided")
		var slots []int64
		for _, n := range notificationsOf(ctx, f, "whole") {
			slots = append(slots, n.Alert.Slot)
		}
		slices.Sort(slots)
		Expect(slots[len(slots)-1]-slots[0]).To(BeEquivalentTo(len(slots)-1), "no slot is left out: %v", slots)
	}, SpecTimeout(time.Minute))

	It("counts what waits to be tried again", func(ctx SpecContext) {
		f := fleet.New(ctx)
		_, err := f.Store.CreateRule(ctx, silent("whole"))
		Expect(err).NotTo(HaveOccurred())
		f.Start(ctx, "rule-worker", ruleworker.Wire)
		count := func() int { return len(alertsOf(ctx, f, "whole")) }
		Eventually(ctx, count).WithTimeout(20 * time.Second).Should(BeNumerically(">=", 2))

		queue := f.Topology.Work(topology.Ingest)
		Expect(f.Publisher.Publish(ctx, broker.Message{Exchange: queue.RetryExchange, RoutingKey: queue.Tier(time.Minute), MessageID: "tried", Body: []byte("{}")})).To(Succeed())
		Eventually(ctx, func() (int, error) {
			waiting, _, err := f.Connection.Depth(ctx, queue.Tier(time.Minute))
			return waiting, err
		}).Should(Equal(1))
		waiting := count()
		Consistently(ctx, count).WithTimeout(6*time.Second).Should(BeNumerically("<=", waiting+3), "until it is looked at again")
	}, SpecTimeout(time.Minute))
})
