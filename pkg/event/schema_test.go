package event_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/event"
)

var _ = Describe("JSON Schemas by event type", func() {
	decode := func(body string) ([]*event.Document, error) {
		d := newDecoder(event.Options{SchemaDir: "testdata/schemas", Region: "eu", Ingester: "i"})
		return d.Decode(event.Input{Body: []byte(body), RoutingKey: "events.x", Now: now})
	}
	const head = `{"event_id":"7c9e6679-7425-40de-944b-e07fc1f90ae7","type":"PAYMENT_FAILED","source":"s",`

	It("lists the types that have one", func() {
		Expect(newDecoder(event.Options{SchemaDir: "testdata/schemas"}).Schemas()).To(Equal([]string{"PAYMENT_FAILED"}))
	})

	It("lets an event through that follows its type's", func() {
		docs, err := decode(head + `"severity":5,"user_id":"u","payload":{"amount":0.5,"currency":"SEK","order_id":9223372036854775806},"metadata":{"a":1}}`)
		Expect(err).NotTo(HaveOccurred())
		Expect(docs).To(HaveLen(1))
	})

	It("names all that does not follow, by pointer", func() {
		docs, err := decode(head + `"payload":{"amount":0,"currency":"sek","order_id":9223372036854775807,"lines":[{"sku":1},{}],"x/y":1}}`)
		invalid := expectInvalid(docs, err)
		Expect(invalid.Class()).To(Equal(event.ClassSchema))
		Expect(pointers(invalid)).To(ConsistOf("", "/severity", "/payload", "/payload/amount", "/payload/currency",
			"/payload/order_id", "/payload/lines/1"), invalid.Error())
		Expect(invalid.Error()).To(And(ContainSubstring("user_id"), ContainSubstring("schema PAYMENT_FAILED")))
	})

	It("judges a CloudEvent in the native shape that it becomes", func() {
		d := newDecoder(event.Options{SchemaDir: "testdata/schemas"})
		docs, err := d.Decode(event.Input{
			Body:        []byte(`[{"specversion":"1.0","id":"1","source":"s","type":"payment.failed","data":{}}]`),
			ContentType: "application/cloudevents-batch+json", Now: now,
		})
		Expect(pointers(expectInvalid(docs, err))).To(ConsistOf("/0", "/0/severity", "/0/payload", "/0/metadata"))
	})

	It("leaves events of other types alone", func() {
		_, err := decode(`{"event_id":"7c9e6679-7425-40de-944b-e07fc1f90ae7","type":"ORDER_PAID","source":"s"}`)
		Expect(err).NotTo(HaveOccurred())
	})

	It("says only what is wrong with the event itself when it is none", func() {
		docs, err := decode(head + `"severity":99}`)
		Expect(pointers(expectInvalid(docs, err))).To(ConsistOf("/severity"))
	})

	It("reports all bad schemas at start", func() {
		_, err := event.NewDecoder(event.Options{SchemaDir: "testdata/schemas-bad"})
		Expect(err).To(MatchError(And(
			ContainSubstring("ORDER_CREATED.json"), ContainSubstring("ORDER_PAID.json"), ContainSubstring("ORDER_SHIPPED.json"),
			ContainSubstring("order-lost.json: the file's name must be an event type"), Not(ContainSubstring("ORDER_FINE")))))
	})

	It("has none where the directory does not exist", func() {
		Expect(newDecoder(event.Options{SchemaDir: "testdata/no-such-directory"}).Schemas()).To(BeEmpty())
	})

	It("refuses a directory that is a file", func() {
		_, err := event.NewDecoder(event.Options{SchemaDir: "testdata/stored.yaml"})
		Expect(err).To(MatchError(ContainSubstring("schemas: ")))
	})
})
