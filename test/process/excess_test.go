package process_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// costlyRule looks at all of a large text, more often than its budget allows.
func costlyRule(ctx context.Context, f *fleet.Fleet) {
	GinkgoHelper()
	expressions := bson.A{}
	for i := range 20 {
		expressions = append(expressions, bson.D{{Key: "payload.text", Value: bson.D{{Key: "$regex", Value: fmt.Sprintf("word+ %d", i)}}}})
	}
	r := webhookRule("https://example.com/")
	r.Conditions = document(bson.D{{Key: "$or", Value: expressions}})
	_, err := f.Store.CreateRule(ctx, r)
	Expect(err).NotTo(HaveOccurred())
}

// publishLarge publishes one event that is too much for the rule, and waits until
// it is decided.
func publishLarge(ctx context.Context, f *fleet.Fleet) {
	GinkgoHelper()
	id := uuid.NewString()
	f.Publish(ctx, broker.Message{RoutingKey: "events.large", ContentType: "application/json", Body: fmt.Appendf(nil,
		`{"event_id":%q,"type":%q,"source":"spec","trace_id":%q,"payload":{"text":%q}}`, id, eventType, id, strings.Repeat("no such word here ", 14_000))})
	yes := true
	Eventually(ctx, func() (int64, error) {
		return f.Store.CountEvents(ctx, store.EventFilter{TraceID: id, Processed: &yes}, 0)
	}).
		WithTimeout(60 * time.Second).Should(BeEquivalentTo(1))
}

var _ = Describe("a rule-worker that is killed between a rule's last excess and what follows from it", func() {
	It("leaves it to the next event that exceeds: the rule is disabled, and that is told once", func(ctx SpecContext) {
		f := fleet.New(ctx)
		costlyRule(ctx, f)
		launch(f, "ingester", "").waitReady(ctx)
		victim := launch(f, "rule-worker", fmt.Sprintf("%s:kill:%d", fault.RuleWorkerDecided, decision.MostExcesses))
		victim.waitReady(ctx)
		for range decision.MostExcesses {
			publishLarge(ctx, f)
		}
		victim.waitEnded(ctx, killed)
		r, err := f.Store.Rule(ctx, "all")
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Enabled).To(BeTrue())

		launch(f, "rule-worker", "").waitReady(ctx)
		for range 2 {
			publishLarge(ctx, f)
		}
		yes := true
		Eventually(ctx, func(g Gomega) {
			r, err := f.Store.Rule(ctx, "all")
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(r.Enabled).To(BeFalse())
			g.Expect(r.Version).To(Equal(2))
			left, err := f.Store.Announcements(ctx, 10)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(left).To(BeEmpty())
			n, err := f.Store.CountEvents(ctx, store.EventFilter{Type: decision.RuleDisabled, Processed: &yes}, 0)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(n).To(BeEquivalentTo(1))
		}).WithTimeout(60 * time.Second).WithPolling(250 * time.Millisecond).Should(Succeed())
	}, SpecTimeout(3*time.Minute))
})
