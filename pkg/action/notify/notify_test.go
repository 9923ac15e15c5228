package notify_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/action/actiontest"
	"github.com/events-aggregator/events-aggregator/pkg/action/notify"
)

var _ = Describe("The type", func() {
	actiontest.DescribeType(notify.Type{}, "notifications.critical", "notifications.default")
})

var _ = Describe("A configuration whose names must exist", func() {
	known := action.Known{
		action.KindQueue: {"notifications.default", "mail"}, action.KindChannel: {"mail", "room"},
		action.KindTemplate: {"default", "incident"}, action.KindUser: {"u-1", "u-2"},
	}
	check := func(config bson.M) []action.Problem {
		raw, err := bson.Marshal(config)
		Expect(err).NotTo(HaveOccurred())
		t, _ := action.NewTable(notify.Type{}).Knowing(known).Lookup("SEND_NOTIFICATION")
		return t.Check(raw)
	}
	It("is taken when they do", func() {
		Expect(check(bson.M{"recipients": bson.A{"u-1", "a@example.com", "role:user"}, "template": "incident", "channel": "room", "queue": "mail"})).To(BeEmpty())
	})
	It("is refused with the names that there are", func() {
		problems := check(bson.M{"recipients": bson.A{"a@example.com", "u-9"}, "template": "incidnet", "channel": "rom", "queue": "fast"})
		Expect(problems).To(ConsistOf(
			action.Problem{Pointer: "/queue", Message: `there is no queue "fast"; there are notifications.default, mail`},
			action.Problem{Pointer: "/template", Message: `there is no template "incidnet"; there are default, incident`},
			action.Problem{Pointer: "/channel", Message: `there is no channel "rom"; there are mail, room`},
			action.Problem{Pointer: "/recipients/1", Message: `there is no user "u-9"; there are u-1, u-2`},
		))
	})
})
