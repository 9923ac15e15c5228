package dispatcher_test

import (
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

var _ = Describe("A record that nobody understands", func() {
	It("is one dead letter with the reason, whoever asks for it, and holds nobody else up", func(ctx SpecContext) {
		f, receiver := fleet.New(ctx), receive()
		receiver.SetFaults(sink.Faults{Status: http.StatusOK})
		owed := oweHooks(ctx, f, 4, receiver.URL)
		first, claimed, forced, healthy := owed[0], owed[1], owed[2], owed[3]
		for _, m := range []*notification.Message{&forced, &healthy} {
			record(ctx, f, *m, notification.Delivered, notification.OutcomeOK, "")
			n, err := f.Store.ForceNotification(ctx, m.Notification.ID, "one", "ops", time.Now())
			Expect(err).NotTo(HaveOccurred())
			m.Notification, m.Attempt, m.Republished, m.Force = n, 2, true, "one"
		}
		claimed.Republished = true
		for _, m := range owed[:3] {
			f.Spoil(ctx, "notifications", m.Notification.ID, "attempts")
		}
		start(ctx, f)
		send(ctx, f, first, claimed, forced, healthy)
		Eventually(ctx, func() int { return now(ctx, f, healthy).AttemptCount }).Should(Equal(2))
		Eventually(ctx, func() int { return f.Depth(ctx, queue+".dead") }).Should(Equal(3))
		empty(ctx, f)
		for _, d := range f.DeadLetters(ctx, queue) {
			Expect(d.Reason).To(Equal(broker.ReasonPermanent))
			if d.MessageID == first.Notification.ID { // it was called, and the database refuses the record
				Expect(d.Error).To(ContainSubstring("record attempts"))
				continue
			}
			Expect(d.ErrorClass).To(Equal("unreadable_document"))
			Expect(d.Error).To(And(ContainSubstring(d.MessageID), ContainSubstring("cannot be decoded")))
		}
	}, SpecTimeout(time.Minute))
})
