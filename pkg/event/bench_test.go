package event_test

import (
	"bytes"
	"os"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/event"
)

// benchmarkEvents are 40 events of 620 bytes on average, the load that the
// product is measured with.
func benchmarkEvents(b *testing.B) (lines [][]byte, size int64) {
	b.Helper()
	data, err := os.ReadFile("testdata/events.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	lines = bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	return lines, int64(len(data) / len(lines))
}

func BenchmarkDecode(b *testing.B) {
	lines, size := benchmarkEvents(b)
	d, err := event.NewDecoder(event.Options{Ingester: "host-1", Region: "eu-west-1"})
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	id := primitive.NewObjectID()
	b.SetBytes(size)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		docs, err := d.Decode(event.Input{
			Body: lines[i%len(lines)], ContentType: "application/json", RoutingKey: "events.payment.failed", Now: now,
		})
		if err != nil {
			b.Fatal(err)
		}
		docs[0].Stamp(id, "0123456789abcdef01234567")
	}
}

// BenchmarkDriverReader is the driver's own reader of JSON, which does less:
// no rules, no dates, no search text.
func BenchmarkDriverReader(b *testing.B) {
	lines, size := benchmarkEvents(b)
	b.SetBytes(size)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		var d bson.D
		if err := bson.UnmarshalExtJSON(lines[i%len(lines)], false, &d); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFromJSON(b *testing.B) {
	lines, size := benchmarkEvents(b)
	b.SetBytes(size)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := event.FromJSON(lines[i%len(lines)]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkToJSON(b *testing.B) {
	lines, size := benchmarkEvents(b)
	var docs []bson.Raw
	for _, l := range lines {
		doc, err := event.FromJSON(l)
		if err != nil {
			b.Fatal(err)
		}
		docs = append(docs, doc)
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := event.ToJSON(docs[i%len(docs)]); err != nil {
			b.Fatal(err)
		}
	}
}
