package event_test

import (
	"encoding/json"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/event"
)

var _ = Describe("events of the CloudEvents SDK", func() {
	sent := func() cloudevents.Event {
		e := cloudevents.New()
		e.SetID("42")
		e.SetSource("/shop")
		e.SetType("com.example.order.created")
		e.SetTime(now)
		e.SetSubject("order-7")
		e.SetExtension("severity", 8)
		e.SetExtension("userid", "u-1")
		e.SetExtension("flag", true)
		Expect(e.SetData("application/json", map[string]any{"amount": 7, "tags": []string{"a"}})).To(Succeed())
		return e
	}
	check := func(doc *event.Document) {
		GinkgoHelper()
		expectStorable(doc)
		Expect(doc.Type).To(Equal("COM_EXAMPLE_ORDER_CREATED"))
		Expect(doc.Source).To(Equal("/shop"))
		Expect(doc.EventID).To(Equal(event.DeriveID("/shop", "42")))
		Expect(doc.Severity).To(Equal(8))
		Expect(doc.Timestamp).To(Equal(now))
		Expect(doc.Raw.Lookup("user_id").StringValue()).To(Equal("u-1"))
		Expect(doc.Raw.Lookup("payload", "amount").Int32()).To(Equal(int32(7)))
		Expect(doc.Raw.Lookup("metadata", "subject").StringValue()).To(Equal("order-7"))
		Expect(doc.Raw.Lookup("metadata", "flag").Boolean()).To(BeTrue())
		Expect(doc.Raw.Lookup("metadata", "ce_type").StringValue()).To(Equal("com.example.order.created"))
	}

	It("are read in structured mode", func() {
		body, err := json.Marshal(sent())
		Expect(err).NotTo(HaveOccurred())
		check(decodeOne(newDecoder(event.Options{}), event.Input{Body: body, ContentType: cloudevents.ApplicationCloudEventsJSON, Now: now}))
	})

	It("are read as a batch", func() {
		body, err := json.Marshal([]cloudevents.Event{sent(), sent()})
		Expect(err).NotTo(HaveOccurred())
		docs, err := newDecoder(event.Options{}).Decode(event.Input{Body: body, ContentType: cloudevents.ApplicationCloudEventsBatchJSON, Now: now})
		Expect(err).NotTo(HaveOccurred())
		Expect(docs).To(HaveLen(2))
		check(docs[0])
		check(docs[1])
	})

	DescribeTable("are read in binary mode, with the prefix",
		func(prefix string) {
			e := sent()
			headers := map[string]any{
				prefix + "specversion": e.SpecVersion(), prefix + "id": e.ID(), prefix + "source": e.Source(), prefix + "type": e.Type(),
				prefix + "time": e.Time().Format(time.RFC3339Nano), prefix + "subject": e.Subject(),
			}
			for name, value := range e.Extensions() {
				headers[prefix+name] = value
			}
			check(decodeOne(newDecoder(event.Options{}), event.Input{Body: e.Data(), ContentType: e.DataContentType(), Headers: headers, Now: now}))
		},
		Entry(nil, "ce-"), Entry(nil, "cloudEvents:"), Entry(nil, "cloudEvents_"), Entry(nil, "CLOUDEVENTS:"),
	)

	It("take AMQP's own types as attributes", func() {
		doc := decodeOne(newDecoder(event.Options{}), event.Input{Now: now, Headers: map[string]any{
			"ce-specversion": []byte("1.0"), "ce-id": "42", "ce-source": "/shop", "ce-type": "t", "ce-time": now,
			"ce-severity": int8(7), "ce-big": int64(1) << 40, "ce-none": nil,
		}})
		Expect(doc.Timestamp).To(Equal(now))
		Expect(doc.Severity).To(Equal(7))
		Expect(doc.Raw.Lookup("metadata", "big").Int64()).To(Equal(int64(1) << 40))
		Expect(doc.Raw.Lookup("metadata", "none").IsZero()).To(BeTrue())
	})
})
