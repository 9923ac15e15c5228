package ruleworker_test

import (
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

var _ = Describe("a rule that costs too much", func() {
	It("is disabled after the third event, with an event about it; the others and the events go on", func(ctx SpecContext) {
		f := fleet.New(ctx)
		expressions := bson.A{}
		for i := range 20 {
			expressions = append(expressions, bson.D{{Key: "payload.text", Value: bson.D{{Key: "$regex", Value: fmt.Sprintf("word+ %d", i)}}}})
		}
		costly := logRule("costly", "")
		costly.Conditions = document(bson.D{{Key: "$or", Value: expressions}})
		costly, err := f.Store.CreateRule(ctx, costly)
		Expect(err).NotTo(HaveOccurred())
		_, err = f.Store.CreateRule(ctx, logRule("cheap", "PAYMENT_FAILED"))
		Expect(err).NotTo(HaveOccurred())
		events := published(ctx, f)
		for range 2 {
			f.Start(ctx, "rule-worker", ruleworker.Wire)
		}
		large := bson.D{{Key: "payload", Value: bson.D{{Key: "text", Value: strings.Repeat("no such word here ", 14_000)}}}}
		first := batchOf("PAYMENT_FAILED", one{at: time.Now().UTC(), more: large})
		offer(ctx, f, first)
		offer(ctx, f, batchOf("PAYMENT_FAILED", one{at: time.Now().UTC(), more: large}))
		Eventually(ctx, func() int64 { return unprocessed(ctx, f) }).WithTimeout(30 * time.Second).Should(BeZero())
		for range 3 { // the same events again are not more events
			republish(ctx, f, first)
		}
		Consistently(ctx, func() (bool, error) {
			r, err := f.Store.Rule(ctx, costly.ID)
			return r.Enabled, err
		}, 2*time.Second).Should(BeTrue())

		offer(ctx, f, batchOf("PAYMENT_FAILED", one{at: time.Now().UTC(), more: large}))
		Eventually(ctx, func(g Gomega) {
			r, err := f.Store.Rule(ctx, costly.ID)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(r.Enabled).To(BeFalse())
			g.Expect(r.Version).To(Equal(costly.Version + 1))
			g.Expect(r.CreatedBy).To(Equal("rule-worker"))
			g.Expect(events()).To(HaveLen(1))
		}).WithTimeout(30 * time.Second).Should(Succeed())
		Expect(events()[0].RoutingKey).To(Equal("events.rule.disabled"))
		Expect(string(events()[0].Body)).To(And(ContainSubstring(`"type":"RULE_DISABLED"`), ContainSubstring(`"rule_name":"costly"`)))
		audit, err := f.Store.FindAudit(ctx, store.AuditFilter{Subject: costly.ID}, nil, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(audit[0]).To(And(HaveField("Action", "rule.disable"), HaveField("By", "rule-worker")))

		offer(ctx, f, batchOf("PAYMENT_FAILED", one{at: time.Now().UTC(), more: large}))
		Eventually(ctx, func() (int, error) {
			found, err := f.Store.FindNotifications(ctx, store.NotificationFilter{RuleID: "cheap", Status: notification.Pending}, nil, 10)
			return len(found), err
		}).WithTimeout(30 * time.Second).Should(Equal(4))
		Eventually(ctx, func() int64 { return unprocessed(ctx, f) }).Should(BeZero())
		Consistently(ctx, events, time.Second).Should(HaveLen(1))
	}, SpecTimeout(2*time.Minute))
})
