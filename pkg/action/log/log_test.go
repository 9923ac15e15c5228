package logaction_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action/actiontest"
	logaction "github.com/events-aggregator/events-aggregator/pkg/action/log"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

var _ = Describe("The type", func() {
	actiontest.DescribeType(logaction.Type{}, "notifications.critical", "notifications.default")
})

var _ = Describe("A line", func() {
	event, _ := bson.Marshal(bson.D{{Key: "type", Value: "PAYMENT_FAILED"}})
	msg := notification.Message{
		Event:        event,
		Notification: notification.Notification{RuleName: "payments", EventID: "e-1"},
	}
	render := func(config bson.D) (string, string) {
		raw, err := bson.Marshal(config)
		Expect(err).NotTo(HaveOccurred())
		cfg, problems := logaction.Parse(raw)
		Expect(problems).To(BeEmpty())
		level, text, err := cfg.Render(msg)
		Expect(err).NotTo(HaveOccurred())
		return level, text
	}
	It("says by default which rule matched which event", func() {
		level, text := render(bson.D{})
		Expect(level).To(Equal("info"))
		Expect(text).To(Equal("rule payments matched event e-1"))
	})
	It("says by default what a window rule found", func() {
		msg.Notification.Alert = &notification.Alert{Text: "12 events in 5m"}
		DeferCleanup(func() { msg.Notification.Alert = nil })
		_, text := render(bson.D{})
		Expect(text).To(Equal("rule payments: 12 events in 5m"))
	})
	It("says by default how many matches a group has", func() {
		msg.Notification.Group = &notification.Group{Matches: 5}
		DeferCleanup(func() { msg.Notification.Group = nil })
		_, text := render(bson.D{})
		Expect(text).To(Equal("rule payments matched 5 times, last event e-1"))
	})
	It("is the template's output at the given level", func() {
		level, text := render(bson.D{{Key: "level", Value: "warn"}, {Key: "message", Value: " {{.Event.type}} "}})
		Expect(level).To(Equal("warn"))
		Expect(text).To(Equal("PAYMENT_FAILED"))
	})
})
