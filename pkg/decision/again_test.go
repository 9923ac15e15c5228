package decision_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

var _ = Describe("The order of a notification's next attempt", func() {
	n := notification.Notification{ID: "ntf_1", EventID: "e-1", AttemptCount: 2,
		Attempts: []notification.Attempt{{Number: 1, Receipts: []string{"mail:a@example.com"}}, {Number: 2}}}

	It("asks the record first, and knows who got it", func() {
		event, err := bson.Marshal(bson.D{{Key: "event_id", Value: "e-1"}, {Key: "type", Value: "A"}})
		Expect(err).NotTo(HaveOccurred())
		m, err := decision.Again(n, event)
		Expect(err).NotTo(HaveOccurred())
		Expect(m.Attempt).To(Equal(3))
		Expect(m.Republished).To(BeTrue())
		Expect(m.Receipts).To(Equal([]string{"mail:a@example.com"}))
		Expect(m.Notification.Attempts).To(BeNil())
		Expect(m.Event).To(Equal(bson.Raw(event)))
	})
	It("has an event that a dispatcher takes, also when that is no longer stored", func() {
		m, err := decision.Again(n, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(m.Event.Validate()).To(Succeed())
		Expect(m.Event.Lookup("event_id").StringValue()).To(Equal("e-1"))
	})

	It("asks for one attempt more of what is delivered, while somebody waits for it", func() {
		forced := n
		forced.Status, forced.Forced = notification.Delivered, &notification.Forced{Nonce: "x"}
		m, err := decision.Again(forced, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(m.Force).To(Equal("x"))
		forced.Forced = &notification.Forced{Nonce: "x", Done: true}
		m, err = decision.Again(forced, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(m.Force).To(BeEmpty())
	})
})
