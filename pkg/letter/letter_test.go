package letter_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/letter"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

func message(event bson.D) notification.Message {
	GinkgoHelper()
	raw, err := bson.Marshal(event)
	Expect(err).NotTo(HaveOccurred())
	return notification.Message{Event: raw, Attempt: 1, Notification: notification.Notification{ID: "ntf_1", EventID: "e-1", RuleName: "r"}}
}

func fill(t letter.Template, event bson.D) letter.Letter {
	GinkgoHelper()
	c, problems := t.Compile()
	Expect(problems).To(BeEmpty())
	l, err := c.Fill(message(event))
	Expect(err).NotTo(HaveOccurred())
	return l
}

var _ = Describe("A template", func() {
	It("is filled in, in text and in HTML that no event can break out of", func() {
		t := letter.Template{Name: "a", Subject: "{{.Event.type}}: {{.Event.payload.text}}", Text: "{{.Event.payload.text}}\n", HTML: `<p title="{{.Event.payload.text}}">{{.Event.payload.text}}</p><a href="{{.Event.payload.link}}">x</a>{{.Event.nothing}}`}
		l := fill(t, bson.D{{Key: "type", Value: "A"}, {Key: "payload", Value: bson.D{{Key: "text", Value: `<b>"1 & 2"</b>`}, {Key: "link", Value: "javascript:alert(1)"}}}})
		Expect(l).To(Equal(letter.Letter{
			Subject: `A: <b>"1 & 2"</b>`,
			Text:    `<b>"1 & 2"</b>`,
			HTML:    `<p title="&lt;b&gt;&#34;1 &amp; 2&#34;&lt;/b&gt;">&lt;b&gt;&#34;1 &amp; 2&#34;&lt;/b&gt;</p><a href="#ZgotmplZ">x</a>`,
		}))
	})
	It("has a subject of one line, and not too long", func() {
		t := letter.Template{Name: "a", Subject: "{{.Event.s}}", Text: "x"}
		Expect(fill(t, bson.D{{Key: "s", Value: "a\r\nBcc: evil@example.com\x00"}}).Subject).To(Equal("a Bcc: evil@example.com"))
		Expect([]rune(fill(t, bson.D{{Key: "s", Value: strings.Repeat("ü", 500)}}).Subject)).To(HaveLen(200))
	})
	DescribeTable("is refused with the place and the reason", func(t letter.Template, pointer, text string) {
		_, problems := t.Compile()
		Expect(problems).To(HaveLen(1))
		Expect(problems[0].Pointer).To(Equal(pointer))
		Expect(problems[0].Message).To(ContainSubstring(text))
	},
		Entry("without a subject", letter.Template{Name: "a", Text: "x"}, "/subject", "is missing"),
		Entry("without a text", letter.Template{Name: "a", Subject: "x", HTML: "<p>"}, "/text", "is missing"),
		Entry("with a name that no path can hold", letter.Template{Name: "A/b", Subject: "x", Text: "x"}, "/name", "a-z"),
		Entry("with an action that does not end", letter.Template{Name: "a", Subject: "x", Text: "{{if .Event}}"}, "/text", "unexpected EOF"),
		Entry("with an unknown function", letter.Template{Name: "a", Subject: "{{env}}", Text: "x"}, "/subject", `function "env" not defined`),
		Entry("with HTML in which nobody can tell what would be safe", letter.Template{Name: "a", Subject: "x", Text: "x", HTML: `<a {{if .Event.a}}href="{{end}}`}, "/html", "branches"),
		Entry("with HTML that calls a template", letter.Template{Name: "a", Subject: "x", Text: "x", HTML: `{{template "b"}}`}, "/html", "not available"),
	)
	It("says all mistakes at once", func() {
		_, problems := letter.Template{Name: "", Subject: "{{", HTML: "{{"}.Compile()
		Expect(problems).To(HaveLen(4))
	})
	It("has an end, whatever an event brings", func() {
		c, problems := letter.Template{Name: "a", Subject: "x", Text: "x", HTML: "{{range .Event.list}}{{range $.Event.list}}x{{end}}{{end}}"}.Compile()
		Expect(problems).To(BeEmpty())
		list := make(bson.A, 5000)
		for i := range list {
			list[i] = int32(i)
		}
		_, err := c.Fill(message(bson.D{{Key: "list", Value: list}}))
		Expect(err).To(MatchError(ContainSubstring("steps")))
	})
})
