package event_test

import (
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/event"
)

const eventHead = `{"event_id":"7c9e6679-7425-40de-944b-e07fc1f90ae7","type":"LOGIN","source":"auth"`

func decodeOne(d *event.Decoder, in event.Input) *event.Document {
	GinkgoHelper()
	docs, err := d.Decode(in)
	Expect(err).NotTo(HaveOccurred())
	Expect(docs).To(HaveLen(1))
	return docs[0]
}

var _ = Describe("Decoder", func() {
	It("says where the text stops being JSON, and what else was wrong before", func() {
		_, err := newDecoder(event.Options{}).Decode(event.Input{Body: []byte(`{"severity":99,"payload":{"a" 1}}`), Now: now})
		Expect(err).To(MatchError(`/severity: expected an integer from 1 to 10, found 99; byte 30: expected ':', found "1"`))
	})

	It("says where a text ends too early", func() {
		_, err := newDecoder(event.Options{}).Decode(event.Input{Body: []byte(eventHead), Now: now})
		Expect(err).To(MatchError(fmt.Sprintf("byte %d: the text ends, expected ',' or '}'", len(eventHead))))
	})

	It("says what it expected and what it found", func() {
		_, err := newDecoder(event.Options{}).Decode(event.Input{Body: []byte(eventHead + `,"user_id":{"a":1},"session_id":["x"],"trace_id":7,"payload":"a\"b","metadata":null,"severity":"5"}`), Now: now})
		Expect(err).To(MatchError(And(
			ContainSubstring(`/user_id: expected a string of at most 256 characters, found an object`),
			ContainSubstring(`/session_id: expected a string of at most 256 characters, found an array`),
			ContainSubstring(`/trace_id: expected a string of at most 256 characters, found 7`),
			ContainSubstring(`/payload: expected an object, found the string "a\\\"b"`),
			ContainSubstring(`/severity: expected an integer from 1 to 10, found the string "5"`),
		)))
	})

	It("explains an unknown member by naming those that there are", func() {
		_, err := newDecoder(event.Options{}).Decode(event.Input{Body: []byte(eventHead + `,"correlation_id":"x"}`), Now: now})
		Expect(err).To(MatchError("/correlation_id: is no member of an event (event_id, type, source, severity, timestamp, " +
			"user_id, session_id, trace_id, payload, metadata); put it under payload or metadata"))
	})

	It("bounds what one message can make it say", func() {
		var b strings.Builder
		for i := range 20_000 {
			fmt.Fprintf(&b, `,"$%d":1`, i)
		}
		docs, err := newDecoder(event.Options{}).Decode(event.Input{Body: []byte(eventHead + b.String() + `}`), Now: now})
		invalid := expectInvalid(docs, err)
		Expect(invalid.Violations).To(HaveLen(65))
		Expect(invalid.Violations[64].Message).To(Equal("and 19936 more violations"))
		long := strings.Repeat("k", 100_000)
		docs, err = newDecoder(event.Options{}).Decode(event.Input{Body: []byte(eventHead + `,"` + long + `":{"$` + long + `":1}}`), Now: now})
		Expect(len(expectInvalid(docs, err).Error())).To(BeNumerically("<", 2000))
	})

	It("judges one object of tens of thousands of keys in little time", func(SpecContext) {
		var b strings.Builder
		b.WriteString(eventHead + `,"payload":{"k":0`)
		for i := 0; b.Len() < 250_000; i++ {
			fmt.Fprintf(&b, `,"%d":0`, i)
		}
		docs, err := newDecoder(event.Options{}).Decode(event.Input{Body: []byte(b.String() + `,"k":1}}`), Now: now})
		Expect(pointers(expectInvalid(docs, err))).To(ConsistOf("/payload/k"))
	}, SpecTimeout(5*time.Second))

	It("takes the retention of the event's type", func() {
		d := newDecoder(event.Options{Retention: time.Hour, RetentionByType: map[string]time.Duration{"LOGIN": time.Minute}})
		in := event.Input{Body: []byte(eventHead + `}`), Now: now}
		Expect(decodeOne(d, in).Raw.Lookup("expires_at").Time()).To(BeTemporally("==", now.Add(time.Minute)))
		in.Body = []byte(`{"event_id":"7c9e6679-7425-40de-944b-e07fc1f90ae7","type":"LOGOUT","source":"auth"}`)
		Expect(decodeOne(d, in).Raw.Lookup("expires_at").Time()).To(BeTemporally("==", now.Add(time.Hour)))
	})

	It("takes a time until ten minutes ahead", func() {
		d := newDecoder(event.Options{})
		body := func(at time.Time) event.Input {
			return event.Input{Body: []byte(eventHead + `,"timestamp":"` + at.Format(time.RFC3339Nano) + `"}`), Now: now}
		}
		Expect(decodeOne(d, body(now.Add(10*time.Minute))).Timestamp).To(Equal(now.Add(10 * time.Minute)))
		docs, err := d.Decode(body(now.Add(10*time.Minute + time.Millisecond)))
		Expect(pointers(expectInvalid(docs, err))).To(ConsistOf("/timestamp"))
	})

	DescribeTable("refuses an AMQP timestamp in the timestamp's place that",
		func(at time.Time, message string) {
			docs, err := newDecoder(event.Options{}).Decode(event.Input{Body: []byte(eventHead + `}`), Timestamp: at, Now: now})
			Expect(expectInvalid(docs, err)).To(MatchError(And(HavePrefix("/timestamp: "), ContainSubstring(message))))
			decodeOne(newDecoder(event.Options{}), event.Input{
				Body: []byte(eventHead + `,"timestamp":"2026-01-01T00:00:00Z"}`), Timestamp: at, Now: now,
			})
		},
		Entry("is in milliseconds", time.Unix(1_750_000_000_000, 0), "beyond the year 9999"),
		Entry("is a little ahead", now.Add(11*time.Minute), "2026-03-04T05:17:07Z"),
		Entry("has its highest bit set", time.Unix(-1<<63, 0), "before the year 1"),
		Entry("is the largest", time.Unix(1<<62, 0), "beyond the year 9999"),
	)

	It("tells equal bodies apart by the message's time, and equal times by the body", func() {
		d := newDecoder(event.Options{})
		id := func(body string, seconds int64) string {
			return decodeOne(d, event.Input{Body: []byte(body), Timestamp: time.Unix(seconds, 0), Now: now}).EventID
		}
		a, b := `{"type":"LOGIN","source":"auth"}`, `{"type":"LOGIN","source":"auth","user_id":"u"}`
		Expect(id(a, 1)).To(Equal(id(a, 1)))
		Expect(id(a, 1)).NotTo(Equal(id(a, 2)))
		Expect(id(a, 1)).NotTo(Equal(id(b, 1)))
	})

	It("derives the id from source and message-id, whatever else there is", func() {
		d := newDecoder(event.Options{})
		one := decodeOne(d, event.Input{Body: []byte(`{"type":"LOGIN","source":"auth"}`), MessageID: "7", Now: now})
		two := decodeOne(d, event.Input{Body: []byte(`{"source":"auth","type":"LOGOUT","timestamp":"2026-01-01T00:00:00Z"}`), MessageID: "7", Now: now})
		other := decodeOne(d, event.Input{Body: []byte(`{"type":"LOGIN","source":"auth2"}`), MessageID: "7", Now: now})
		Expect(one.EventID).To(And(Equal(two.EventID), Not(Equal(other.EventID)), Equal(event.DeriveID("auth", "7"))))
		Expect(event.DeriveID("s", "42")).To(Equal("3c7b62da-13bb-54ec-bf6a-9322d3fc7e1f"), "producers rely on it")
	})

	It("makes a routing key of any bytes text", func() {
		doc := decodeOne(newDecoder(event.Options{}), event.Input{Body: []byte(eventHead + `}`), RoutingKey: "a\xffb\x00", Now: now})
		Expect(doc.Raw.Lookup("metadata", "routing_key").StringValue()).To(Equal("a\uFFFDb\x00"))
		Expect(doc.Raw.Validate()).To(Succeed())
	})

	It("keeps documents apart from the message and from each other", func() {
		d := newDecoder(event.Options{})
		body := []byte(eventHead + `,"user_id":"u-1","payload":{"a":"one"},"metadata":{"region":"eu"}}`)
		doc := decodeOne(d, event.Input{Body: body, Now: now})
		before := doc.Raw.String()
		for i := range body {
			body[i] = 'x'
		}
		decodeOne(d, event.Input{Body: []byte(eventHead + `,"user_id":"u-2","payload":{"a":"two"},"metadata":{"region":"us"}}`), Now: now})
		Expect(doc.Raw.String()).To(Equal(before))
		Expect(doc.Region + doc.Type + doc.Source).To(Equal("euLOGINauth"))
	})

	It("is safe for concurrent use", func() {
		d := newDecoder(event.Options{SchemaDir: "testdata/schemas"})
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				defer GinkgoRecover()
				for i := range 200 {
					user := fmt.Sprintf("%d-%d", g, i)
					docs, err := d.Decode(event.Input{Body: []byte(eventHead + `,"user_id":"` + user + `","payload":{"u":"` + user + `"}}`), Now: now})
					Expect(err).NotTo(HaveOccurred())
					Expect(docs[0].Raw.Lookup("payload", "u").StringValue()).To(Equal(user))
					Expect(docs[0].Raw.Lookup("user_id").StringValue()).To(Equal(user))
					_, err = d.Decode(event.Input{Body: []byte(`{"` + user + `":`), Now: now})
					Expect(err).To(HaveOccurred())
				}
			})
		}
		wg.Wait()
	})

	DescribeTable("search_text",
		func(payload, metadata, want string) {
			doc := decodeOne(newDecoder(event.Options{Region: "configured"}), event.Input{
				Body: []byte(`{"metadata":` + metadata + `,"payload":` + payload + `,` + eventHead[1:] + `}`), RoutingKey: "events.key", Now: now,
			})
			got := doc.Raw.Lookup("search_text").StringValue()
			Expect(got).To(Equal(want))
			Expect(utf8.ValidString(got)).To(BeTrue())
		},
		Entry("is the strings of payload and metadata in lower case, payload first",
			`{"a":"Hello World","b":[1,"ÄÖ",{"c":"X"}],"d":true,"e":""}`, `{"z":"Y"}`, "hello world äö x y"),
		Entry("is empty where there are none", `{"a":1}`, `{}`, ""),
		Entry("is cut at 4 KiB", quoted(strings.Repeat("A", 5000)), `{"m":"x"}`, strings.Repeat("a", 4096)),
		Entry("is cut on a rune's boundary, and nothing follows", quoted(strings.Repeat("A", 4095)+"é"), `{"m":"x"}`, strings.Repeat("a", 4095)),
		Entry("is full to the last byte", quoted(strings.Repeat("A", 4094)+"É"), `{"m":"x"}`, strings.Repeat("a", 4094)+"é"),
		Entry("has no blank at the end of what fits", quoted(strings.Repeat("A", 4095)), `{"m":"x"}`, strings.Repeat("a", 4095)),
		Entry("has room for one more character", quoted(strings.Repeat("A", 4094)), `{"m":"xy"}`, strings.Repeat("a", 4094)+" x"),
		Entry("measures lower case, which may be longer", quoted(strings.Repeat("Ⱥ", 1366)), `{}`, strings.Repeat("ⱥ", 1365)),
	)
})

func quoted(s string) string { return `{"s":"` + s + `"}` }

var _ = Describe("Document.Stamp", func() {
	It("writes _id and batch_id in place, and may do so again", func() {
		doc := decodeOne(newDecoder(event.Options{Ingester: "i", Region: "eu"}), event.Input{Body: []byte(eventHead + `,"payload":{"batch_id":"mine","_id":1}}`), Now: now})
		for range 2 {
			id := primitive.NewObjectID()
			size := len(doc.Raw)
			doc.Stamp(id, id.Hex())
			Expect(doc.Raw).To(HaveLen(size))
			Expect(doc.Raw.Validate()).To(Succeed())
			elements, err := doc.Raw.Elements()
			Expect(err).NotTo(HaveOccurred())
			Expect(elements[0].Key()).To(Equal("_id"))
			Expect(elements[0].Value().ObjectID()).To(Equal(id))
			Expect(doc.Raw.Lookup("batch_id").StringValue()).To(Equal(id.Hex()))
			Expect(doc.Raw.Lookup("payload").String()).To(ContainSubstring("mine"))
		}
	})

	It("panics on a batch id of another length, which would break the document", func() {
		doc := decodeOne(newDecoder(event.Options{}), event.Input{Body: []byte(eventHead + `}`), Now: now})
		Expect(func() { doc.Stamp(primitive.NilObjectID, "short") }).To(Panic())
	})
})

var _ = Describe("NewIDBlock", func() {
	It("gives consecutive ids of one second", func() {
		for range 200 {
			first, at := event.NewIDBlock(500)
			Expect(at(0)).To(Equal(first))
			for i := 1; i < 500; i++ {
				Expect(at(i).Hex() > at(i-1).Hex()).To(BeTrue())
				Expect(at(i).Timestamp()).To(Equal(first.Timestamp()))
				Expect(at(i).Hex()[:18]).To(Equal(first.Hex()[:18]), "the counter does not run over")
			}
			Expect(first.Timestamp()).To(BeTemporally("~", time.Now(), 2*time.Second))
		}
	})

	It("fits the largest block, and refuses those that cannot be", func() {
		first, at := event.NewIDBlock(1 << 24)
		Expect(first.Hex()[18:]).To(Equal("000000"))
		Expect(at(1<<24 - 1).Hex()[18:]).To(Equal("ffffff"))
		Expect(func() { event.NewIDBlock(0) }).To(Panic())
		Expect(func() { event.NewIDBlock(1<<24 + 1) }).To(Panic())
	})

	It("gives no id twice", func() {
		seen := map[primitive.ObjectID]bool{}
		for range 1000 {
			first, _ := event.NewIDBlock(500)
			Expect(seen).NotTo(HaveKey(first))
			seen[first] = true
		}
	})
})

var _ = DescribeTable("Level",
	func(level string, severities ...int) {
		for _, s := range severities {
			Expect(event.Level(s)).To(Equal(level))
			Expect(event.Batch{MaxSeverity: s}.Critical()).To(Equal(level == "critical"))
		}
	},
	Entry(nil, "info", 1, 2, 3), Entry(nil, "warning", 4, 5, 6), Entry(nil, "error", 7, 8), Entry(nil, "critical", 9, 10),
)
