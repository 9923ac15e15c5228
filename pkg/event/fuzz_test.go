package event_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/test/support/hostile"
)

// FuzzDecode holds for any body, in every form of a message: no panic; either
// valid documents within the limits whose payload and metadata are what
// encoding/json reads, or violations.
func FuzzDecode(f *testing.F) {
	for _, c := range hostile.Corpus(uuid.NewString) {
		if len(c.Body) < 4096 {
			f.Add(c.Body, c.ContentType, "", "", "")
		}
	}
	f.Add([]byte(`{"a":1}`), "application/json", "t", "id", "source")
	d, err := event.NewDecoder(event.Options{Region: "eu", SchemaDir: "testdata/schemas"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, contentType, ceType, ceID, extension string) {
		in := event.Input{Body: body, ContentType: contentType, RoutingKey: extension, MessageID: ceID, Now: now}
		if ceType != "" {
			in.Headers = map[string]any{
				"ce-specversion": "1.0", "ce-type": ceType, "cloudEvents:id": ceID, "cloudEvents_source": "s",
				"ce-" + extension: extension, "ce-mine": extension, "traceparent": extension,
			}
		}
		docs, err := d.Decode(in)
		if err != nil {
			checkInvalid(t, docs, err)
			return
		}
		if len(docs) == 0 {
			t.Fatal("neither documents nor an error")
		}
		for _, doc := range docs {
			checkDocument(t, doc)
		}
		if len(docs) == 1 && ceType == "" && !strings.Contains(strings.ToLower(contentType), "cloudevents") {
			checkContent(t, body, docs[0])
		}
	})
}

func checkInvalid(t *testing.T, docs []*event.Document, err error) {
	t.Helper()
	var invalid *event.Invalid
	if !errors.As(err, &invalid) || len(invalid.Violations) == 0 || invalid.Class() == "" || docs != nil {
		t.Fatalf("documents %v, error %v", docs, err)
	}
	for _, v := range invalid.Violations {
		if v.Message == "" || len(v.Pointer) > 300 || v.Pointer != "" && v.Pointer[0] != '/' {
			t.Fatalf("violation %q", v)
		}
	}
}

func checkDocument(t *testing.T, doc *event.Document) {
	t.Helper()
	if err := doc.Raw.Validate(); err != nil {
		t.Fatal(err)
	}
	if _, err := uuid.Parse(doc.EventID); err != nil || doc.EventID != strings.ToLower(doc.EventID) {
		t.Fatalf("event_id %q", doc.EventID)
	}
	if doc.Severity < 1 || doc.Severity > 10 || doc.Type == "" || len(doc.Type) > 64 || doc.Source == "" ||
		len([]rune(doc.Source)) > 128 || doc.Timestamp.After(now.Add(event.MaxFutureDefault)) ||
		len(doc.Raw.Lookup("search_text").StringValue()) > 4096 || len(doc.Raw) > 16<<20 {
		t.Fatalf("document %+v", doc)
	}
	text, err := event.ToJSON(doc.Raw)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(text) {
		t.Fatalf("no JSON: %q", text)
	}
	again, err := event.FromJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"payload", "timestamp", "expires_at", "search_text"} {
		if !bytes.Equal(again.Lookup(key).Value, doc.Raw.Lookup(key).Value) {
			t.Fatalf("%s: %s is read again as %s", key, doc.Raw.Lookup(key), again.Lookup(key))
		}
	}
}

// checkContent compares an event with what encoding/json reads of the body.
func checkContent(t *testing.T, body []byte, doc *event.Document) {
	t.Helper()
	text, err := event.ToJSON(doc.Raw)
	if err != nil {
		t.Fatal(err)
	}
	got, want := plainJSON(t, text), plainJSON(t, body)
	for _, key := range []string{"type", "source", "severity", "payload"} {
		if want[key] == nil { // a default
			continue
		}
		if !sameValue(got[key], want[key]) {
			t.Fatalf("%s: %#v, stored %#v", key, want[key], got[key])
		}
	}
	metadata, _ := want["metadata"].(map[string]any)
	stored, _ := got["metadata"].(map[string]any)
	for key, value := range metadata {
		if key != "ingested_by" && key != "routing_key" && key != "region" && !sameValue(stored[key], value) {
			t.Fatalf("metadata.%s: %#v, stored %#v", key, value, stored[key])
		}
	}
}

func plainJSON(t *testing.T, text []byte) (v map[string]any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("encoding/json refuses what was taken: %v: %q", err, text)
	}
	return v
}

// sameValue compares integers as texts, other numbers as doubles.
func sameValue(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		b, ok := b.(json.Number)
		if !ok {
			return false
		}
		if a == b || a == "0" && b == "-0" {
			return true
		}
		x, errX := a.Float64()
		y, errY := b.Float64()
		return errX == nil && errY == nil && math.Float64bits(x) == math.Float64bits(y) && strings.ContainsAny(string(b), ".eE")
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !sameValue(a[i], b[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k := range a {
			if !sameValue(a[k], b[k]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a, b)
}

// FuzzFromJSON: what is taken is valid BSON and what encoding/json reads; what is
// refused is no JSON, or breaks one of the few rules.
func FuzzFromJSON(f *testing.F) {
	for _, c := range hostile.Corpus(uuid.NewString) {
		if len(c.Body) < 4096 {
			f.Add(c.Body)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, err := event.FromJSON(text)
		if err != nil {
			checkInvalid(t, nil, err)
			return
		}
		if err := doc.Validate(); err != nil {
			t.Fatal(err)
		}
		back, err := event.ToJSON(doc)
		if err != nil {
			t.Fatal(err)
		}
		got, want := plainJSON(t, back), plainJSON(t, text)
		delete(want, "_id")
		for _, key := range []string{"timestamp", "created_at", "expires_at"} {
			delete(got, key)
			delete(want, key)
		}
		if !sameValue(got, want) {
			t.Fatalf("%q: rendered as %q", text, back)
		}
	})
}

// FuzzToJSON: any bytes that are valid BSON become JSON or an error, never a panic.
func FuzzToJSON(f *testing.F) {
	for _, v := range []any{1, "a", 1.5, nil, true, bson.A{1, bson.D{}}, bson.D{{Key: "b", Value: now}}} {
		raw, err := bson.Marshal(bson.D{{Key: "a", Value: v}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		text, err := event.ToJSON(raw)
		if err == nil && bson.Raw(raw).Validate() == nil && !json.Valid(text) {
			t.Fatalf("no JSON: %q", text)
		}
	})
}
