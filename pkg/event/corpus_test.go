package event_test

import (
	"errors"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/test/support/hostile"
)

// now is when all messages of these specs are judged.
var now = time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.UTC)

func newDecoder(o event.Options) *event.Decoder {
	GinkgoHelper()
	d, err := event.NewDecoder(o)
	Expect(err).NotTo(HaveOccurred())
	return d
}

func input(m hostile.Message) event.Input {
	return event.Input{
		Body: m.Body, ContentType: m.ContentType, MessageID: m.MessageID, Headers: m.Headers,
		RoutingKey: "events.test", Now: now,
	}
}

var _ = Describe("the hostile corpus", func() {
	for _, c := range hostile.Corpus(uuid.NewString) {
		verb := "refuses "
		if c.Valid {
			verb = "stores "
		}
		It(verb+c.Why, func() {
			docs, err := newDecoder(event.Options{Region: "eu"}).Decode(input(c.Message))
			if c.Valid {
				Expect(err).NotTo(HaveOccurred())
				Expect(ids(docs)).To(Equal(c.EventIDs))
				for _, d := range docs {
					expectStorable(d)
				}
				return
			}
			invalid := expectInvalid(docs, err)
			Expect(pointers(invalid)).To(ConsistOf(c.Pointers), invalid.Error())
			Expect(invalid.Class()).To(Equal(c.Class))
		})
	}

	It("is decided alike when thousands of messages are made of it", func() {
		d := newDecoder(event.Options{})
		valid := 0
		for _, m := range hostile.Messages(GinkgoRandomSeed(), 4000) {
			docs, err := d.Decode(input(m))
			Expect(err == nil).To(Equal(m.Valid), "%s: %v\n%.2000q", m.Why, err, m.Body)
			if m.Valid {
				valid++
				Expect(ids(docs)).To(Equal(m.EventIDs), m.Why)
				for _, doc := range docs {
					expectStorable(doc)
				}
				continue
			}
			invalid := expectInvalid(docs, err)
			Expect(invalid.Class()).To(Equal(m.Class), "%s: %v", m.Why, err)
			for _, p := range m.Pointers {
				Expect(pointers(invalid)).To(ContainElement(HavePrefix(p)), "%s: %v", m.Why, err)
			}
		}
		Expect(valid).To(BeNumerically(">", 1000))
	})

	It("gives the same messages for the same seed", func() {
		Expect(hostile.Messages(7, 300)).To(Equal(hostile.Messages(7, 300)))
		Expect(hostile.Messages(7, 300)).NotTo(Equal(hostile.Messages(8, 300)))
	})
})

func ids(docs []*event.Document) (ids []string) {
	for _, d := range docs {
		ids = append(ids, d.EventID)
	}
	return ids
}

func expectInvalid(docs []*event.Document, err error) *event.Invalid {
	GinkgoHelper()
	var invalid *event.Invalid
	Expect(errors.As(err, &invalid)).To(BeTrue(), "%v", err)
	Expect(docs).To(BeEmpty())
	Expect(invalid.Violations).NotTo(BeEmpty())
	return invalid
}

func pointers(e *event.Invalid) (p []string) {
	for _, v := range e.Violations {
		p = append(p, v.Pointer)
	}
	return p
}

// expectStorable is what the store relies on.
func expectStorable(d *event.Document) {
	GinkgoHelper()
	Expect(d.Raw.Validate()).To(Succeed())
	Expect(d.Raw.Lookup("event_id").StringValue()).To(Equal(d.EventID))
	Expect(d.Raw.Lookup("type").StringValue()).To(Equal(d.Type))
	Expect(d.Raw.Lookup("source").StringValue()).To(Equal(d.Source))
	Expect(d.Raw.Lookup("severity").Int32()).To(BeEquivalentTo(d.Severity))
	Expect(d.Raw.Lookup("timestamp").Time().UTC()).To(Equal(d.Timestamp))
	region, _ := d.Raw.Lookup("metadata", "region").StringValueOK()
	Expect(region).To(Equal(d.Region))
	Expect(len(d.Raw.Lookup("search_text").StringValue())).To(BeNumerically("<=", 4096))
	Expect(d.Raw.Lookup("payload").Type.String()).To(Equal("embedded document"))
	Expect(d.Raw.Lookup("created_at").Time().UTC()).To(Equal(now))
}
