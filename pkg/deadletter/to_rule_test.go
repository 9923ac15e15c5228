package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/deadletter"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// stored is an event as it lies in the database; without an _id it stands for an
// alert.
func stored(id string, inDatabase bool) bson.Raw {
	GinkgoHelper()
	d := bson.D{{Key: "event_id", Value: id}, {Key: "type", Value: "PAYMENT_FAILED"}}
	if inDatabase {
		d = append(bson.D{{Key: "_id", Value: primitive.NewObjectID()}}, d...)
	}
	raw, err := bson.Marshal(d)
	Expect(err).NotTo(HaveOccurred())
	return raw
}

// orderOf delivers a notification about an event.
func orderOf(f *fleet.Fleet, e bson.Raw) broker.Message {
	GinkgoHelper()
	id := e.Lookup("event_id").StringValue()
	m, err := f.Topology.Actions().Encode(notification.Message{Attempt: 1, Event: e,
		Notification: notification.Notification{ID: "ntf_" + id, EventID: id, RuleID: "old", Queue: topology.WebhooksDefault, Action: notification.Action{Type: "WEBHOOK"}}})
	Expect(err).NotTo(HaveOccurred())
	return m
}

// given are the batches that a rule-worker gets, until the spec ends.
func given(f *fleet.Fleet) func() []event.Batch {
	var mu sync.Mutex
	var got []event.Batch
	consumer := broker.NewConsumer(f.Connection, f.Publisher, f.Topology.Work(topology.RuleWorkerNormal), broker.ConsumerOptions{Log: f.Log})
	run, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- consumer.Run(run, broker.Each(1, func(_ context.Context, d *broker.Delivery) error {
			b, err := f.Topology.Stored().Decode(d.Message)
			mu.Lock()
			defer mu.Unlock()
			got = append(got, b)
			return err
		}))
	}()
	DeferCleanup(func() {
		stop()
		Eventually(ended).WithTimeout(20 * time.Second).Should(Receive(BeNil()))
	})
	return func() []event.Batch {
		mu.Lock()
		defer mu.Unlock()
		return append([]event.Batch(nil), got...)
	}
}

var _ = Describe("dead letters that are given to a rule", func() {
	It("reach a rule-worker with their stored events, and are done with; what holds none stays", func(ctx SpecContext) {
		f := fleet.New(ctx)
		f.Dead(ctx, topology.WebhooksDefault, refuse, orderOf(f, stored("e1", true)), orderOf(f, stored("e2", false)))
		b := event.Batch{ID: "b1", StoredAt: time.Now().UTC().Truncate(time.Millisecond), Events: []bson.Raw{stored("e3", true), stored("e4", true)}}
		m, err := f.Topology.Stored().Encode(b)
		Expect(err).NotTo(HaveOccurred())
		f.Dead(ctx, topology.RuleWorkerNormal, refuse, m)
		batches := given(f)

		var left []error
		o := deadletter.Options{ToRule: "r1", Done: func(_ *deadletter.Letter, err error) {
			if err != nil {
				left = append(left, err)
			}
		}}
		q := open(f, topology.WebhooksDefault)
		dry := o
		dry.DryRun = true
		Expect(q.Replay(ctx, deadletter.Filter{}, dry)).To(HaveField("Matched", 2))
		r, err := q.Replay(ctx, deadletter.Filter{}, o)
		Expect(err).NotTo(HaveOccurred())
		Expect(r).To(And(HaveField("Done", 1), HaveField("Failed", 1), HaveField("Complete", true)))
		Expect(left).To(ConsistOf(MatchError(ContainSubstring("holds no stored event"))))
		Expect(lying(ctx, q, deadletter.Filter{})).To(ConsistOf("ntf_e2"))

		second, err := open(f, topology.RuleWorkerNormal).Replay(ctx, deadletter.Filter{}, o)
		Expect(err).NotTo(HaveOccurred())
		Expect(second.Done).To(Equal(1))
		eventIDs := func(b event.Batch) (ids []string) {
			for _, e := range b.Events {
				ids = append(ids, e.Lookup("event_id").StringValue())
			}
			return ids
		}
		Eventually(ctx, func() []string {
			var all []string
			for _, b := range batches() {
				all = append(all, fmt.Sprintf("%s to %v: %v", b.ID, b.Rules, eventIDs(b)))
			}
			return all
		}).WithTimeout(10 * time.Second).Should(ConsistOf(r.ID+" to [r1]: [e1]", second.ID+" to [r1]: [e3 e4]"))
		Expect(ends(ctx, f, 2)).To(HaveKeyWithValue("b1", HaveField("ReplayID", second.ID)))
		Expect(f.Depth(ctx, topology.WebhooksDefault)).To(BeZero(), "nothing went back to its owner")
	}, SpecTimeout(time.Minute))

	It("are refused where there are no stored events, and with a canary", func(ctx SpecContext) {
		f := fleet.New(ctx)
		_, err := open(f, topology.Ingest).Replay(ctx, deadletter.Filter{}, deadletter.Options{ToRule: "r1"})
		Expect(errors.Is(err, deadletter.ErrNotStored)).To(BeTrue())
		_, err = open(f, topology.WebhooksDefault).Replay(ctx, deadletter.Filter{}, deadletter.Options{ToRule: "r1", Canary: time.Second})
		Expect(errors.Is(err, deadletter.ErrNoCanary)).To(BeTrue())
	}, SpecTimeout(time.Minute))
})
