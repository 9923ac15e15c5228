package action_test

import (
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/action/builtin"
	logaction "github.com/events-aggregator/events-aggregator/pkg/action/log"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

var _ = Describe("The table", func() {
	It("finds a type by its name", func() {
		for _, name := range builtin.Table().Names() {
			t, ok := builtin.Table().Lookup(name)
			Expect(ok).To(BeTrue())
			Expect(t.Name()).To(Equal(name))
		}
		_, ok := builtin.Table().Lookup("NONE")
		Expect(ok).To(BeFalse())
	})
	It("lists all types", func() {
		Expect(builtin.Table().Names()).To(Equal([]string{"WEBHOOK", "SEND_NOTIFICATION", "LOG", "PUBLISH", "ALERT"}))
		Expect(builtin.Table().Types()).To(HaveLen(5))
	})
	It("has each name once", func() {
		Expect(func() { action.NewTable(logaction.Type{}, logaction.Type{}) }).To(Panic())
	})
})

func render(text string, event any) (string, error) {
	t, err := action.ParseTemplate(text)
	ExpectWithOffset(1, err).NotTo(HaveOccurred())
	raw, err := bson.Marshal(event)
	ExpectWithOffset(1, err).NotTo(HaveOccurred())
	out, err := t.Render(notification.Message{Event: raw, Attempt: 1, Notification: notification.Notification{ID: "n", RuleName: "rule"}})
	return string(out), err
}

var _ = Describe("A template", func() {
	event := bson.D{
		{Key: "type", Value: "A"},
		{Key: "severity", Value: int32(9)},
		{Key: "timestamp", Value: time.Date(2025, 6, 1, 12, 0, 0, 5e6, time.UTC)},
		{Key: "none", Value: nil},
		{Key: "payload", Value: bson.D{{Key: "amount", Value: 12.5}, {Key: "tags", Value: bson.A{"x", "y"}}, {Key: "big", Value: int64(1) << 60}}},
	}
	It("links to the notification's page, where the dashboard is known", func() {
		t, err := action.ParseTemplate("{{with .Link}}<{{.}}>{{else}}no link{{end}}")
		Expect(err).NotTo(HaveOccurred())
		msg := notification.Message{Notification: notification.Notification{ID: "ntf_1"}}
		Expect(t.Render(msg)).To(BeEquivalentTo("no link"))
		msg.Dashboard = "https://events.example.com"
		Expect(t.Render(msg)).To(BeEquivalentTo("<https://events.example.com/#/notifications/ntf_1>"))
	})
	DescribeTable("prints", func(text, want string) {
		Expect(render(text, event)).To(Equal(want))
	},
		Entry("fields", "{{.Event.type}} {{.Event.payload.amount}} {{.Event.payload.big}}", "A 12.5 1152921504606846976"),
		Entry("times as RFC 3339", "{{.Event.timestamp}}", "2025-06-01T12:00:00.005Z"),
		Entry("nothing for what is absent", "[{{.Event.a}}{{.Event.a.b.c}}{{.Event.none.x}}]", "[]"),
		Entry("a default", `{{.Event.user_id | default "nobody"}} {{.Event.type | default "x"}}`, "nobody A"),
		Entry("comparisons with whole numbers", `{{if ge .Event.severity 9}}critical{{end}}`, "critical"),
		Entry("loops", `{{range $i, $t := .Event.payload.tags}}{{$i}}{{$t}};{{else}}none{{end}}`, "0x;1y;"),
		Entry("loops over nothing", `{{range .Event.a}}x{{else}}none{{end}}`, "none"),
		Entry("JSON", `{{json .Event.payload.tags}} {{json .Event.timestamp}} {{json .Event.a}}`, `["x","y"] "2025-06-01T12:00:00.005Z" null`),
		Entry("functions", `{{upper "a"}}{{lower "B"}}{{truncate 2 "abcd"}}{{join "," .Event.payload.tags}}`, "Abab…x,y"),
		Entry("the rule", `{{.Rule.Name}} {{.Notification}} {{.Attempt}}`, "rule n 1"),
	)
	It("prints the alert of a window rule, and nothing of it for others", func() {
		text := `{{if .Alert}}{{.Alert.Text}} {{.Alert.Value}} {{.Alert.Key.user_id}}{{index .Alert.Key "payload.shop"}} {{.Alert.To}}{{else}}{{.Alert.Text}}-{{end}}`
		t, err := action.ParseTemplate(text)
		Expect(err).NotTo(HaveOccurred())
		key, err := bson.Marshal(bson.D{{Key: "user_id", Value: "u"}, {Key: "payload.shop", Value: "s"}})
		Expect(err).NotTo(HaveOccurred())
		out, err := t.Render(notification.Message{Notification: notification.Notification{Alert: &notification.Alert{Text: "many", Value: 12, Key: key, To: time.UnixMilli(1).UTC()}}})
		Expect(err).NotTo(HaveOccurred())
		Expect(string(out)).To(Equal("many 12 us 1970-01-01T00:00:00.001Z"))
		Expect(render(text, event)).To(Equal("-"))
	})
	It("prints what a notification stands for when its rule groups or throttles, and nothing of a group for others", func() {
		text := `{{.Group.Matches}} {{join "," .Group.Samples}} {{.Group.Key.user_id}} {{.Group.LastAt}} {{.HeldBack}}`
		t, err := action.ParseTemplate(text)
		Expect(err).NotTo(HaveOccurred())
		key, err := bson.Marshal(bson.D{{Key: "user_id", Value: "u"}})
		Expect(err).NotTo(HaveOccurred())
		out, err := t.Render(notification.Message{Notification: notification.Notification{HeldBack: 4, Group: &notification.Group{
			Matches: 3, Samples: []string{"e3", "e2"}, Key: key, LastAt: time.UnixMilli(1).UTC()}}})
		Expect(err).NotTo(HaveOccurred())
		Expect(string(out)).To(Equal("3 e3,e2 u 1970-01-01T00:00:00.001Z 4"))
		Expect(render(`{{.Group.Matches}}-{{with .Group}}{{.Matches}}{{end}}{{.HeldBack}}`, event)).To(Equal("-0"))
	})
	DescribeTable("is bounded", func(text string, event any) {
		start := time.Now()
		_, err := render(text, event)
		Expect(err).To(HaveOccurred())
		Expect(time.Since(start)).To(BeNumerically("<", 5*time.Second))
	},
		Entry("in its loops over a number of an event", "{{range .Event.n}}{{end}}", bson.D{{Key: "n", Value: int64(1) << 60}}),
		Entry("in its loops over a number", "{{range 1000000000000}}{{end}}", bson.D{}),
		Entry("in nested loops", "{{range .Event.l}}{{range $.Event.l}}{{range $.Event.l}}{{range $.Event.l}}{{end}}{{end}}{{end}}{{end}}",
			bson.D{{Key: "l", Value: make([]int32, 1000)}}),
		Entry("in its output", `{{range .Event.l}}{{printf "%01000d" 1}}{{end}}`, bson.D{{Key: "l", Value: make([]int32, 1000)}}),
	)
	DescribeTable("is refused", func(text string) {
		_, err := action.ParseTemplate(text)
		Expect(err).To(HaveOccurred())
	},
		Entry("with a definition", `{{define "x"}}{{end}}`),
		Entry("with a block", `{{block "x" .}}{{end}}`),
		Entry("that calls itself", `{{template "template"}}`),
		Entry("that calls itself within others", `{{if .A}}{{with .B}}{{range .C}}{{template "template"}}{{end}}{{end}}{{end}}`),
		Entry("with an unknown function", `{{exec "x"}}`),
		Entry("when it is too long", strings.Repeat("x", 65<<10)),
		Entry("when it is nested too deep", strings.Repeat("{{if .A}}", 200)+strings.Repeat("{{end}}", 200)),
	)
})
