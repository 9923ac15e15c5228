package event

import (
	"encoding/binary"
	"strings"

	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"
)

// metadata is what the ingester must know of an event's metadata, and adds.
type metadata struct {
	region      []byte // the event's, else the configured one
	traceparent []byte // W3C trace context: the event's own, else the message's
	hasRegion   bool   // the event names it
	hasTrace    bool
	replaced    bool // the event has members that the ingester sets itself
}

// traceID is the event's own trace_id, else that of its trace context.
func (m metadata) traceID(d *draft) []byte {
	if len(d.trace) > 0 {
		return d.trace
	}
	return traceID(m.traceparent)
}

// judgeMetadata looks at the members that the pipeline relies on: region is a
// dimension of the metrics, location is indexed, hops stops loops. All others
// are the producer's own, of any type.
func (w *work) judgeMetadata() (m metadata) {
	for rest := body(w.metadata.out); len(rest) > 0; {
		e, next, ok := bsoncore.ReadElement(rest)
		if !ok {
			break
		}
		rest = next
		switch key, v := e.KeyBytes(), e.Value(); string(key) {
		case "region":
			m.region, m.hasRegion = w.judgeRegion(v)
			m.replaced = m.replaced || !m.hasRegion
		case "traceparent":
			m.traceparent, _ = stringBytes(v)
			m.hasTrace = true
		case "location":
			w.judgeLocation(v)
		case "hops":
			if n, ok := numeric(v); !ok || v.Type == typeDouble || n < 0 {
				w.refuseMeta("/hops", "expected an integer of 0 or more")
			}
		case "ingested_by", "routing_key":
			m.replaced = true
		}
	}
	if !m.hasRegion {
		m.region = []byte(w.decoder.options.Region)
	}
	if !m.hasTrace {
		if s, ok := w.msg.Headers["traceparent"].(string); ok && traceID([]byte(s)) != nil {
			m.traceparent = []byte(s)
		}
	}
	return m
}

// judgeRegion returns the region; null and "" are none.
func (w *work) judgeRegion(v bsoncore.Value) (region []byte, given bool) {
	if v.Type == typeNull {
		return nil, false
	}
	s, ok := stringBytes(v)
	if !ok || len(s) > 0 && !sized(s, sourceMax) {
		w.refuseMeta("/region", "expected a string of at most %d characters", sourceMax)
	}
	return s, len(s) > 0
}

// judgeLocation lets only through what the 2dsphere index takes: one document
// that it refuses would fail the whole batch's insert.
func (w *work) judgeLocation(v bsoncore.Value) {
	const want = `a GeoJSON Point such as {"type": "Point", "coordinates": [13.4, 52.5]}: longitude, then latitude`
	if v.Type == typeNull {
		return
	}
	doc, ok := v.DocumentOK()
	if !ok {
		w.refuseMeta("/location", "expected %s", want)
		return
	}
	if kind, _ := stringBytes(doc.Lookup("type")); string(kind) != "Point" {
		w.refuseMeta("/location/type", "expected %s", want)
	}
	if doc.Lookup("crs").Type != 0 {
		// MongoDB refuses reference systems that it does not know, and RFC 7946
		// has only one.
		w.refuseMeta("/location/crs", "is not supported: coordinates are WGS 84")
	}
	coordinates := doc.Lookup("coordinates")
	if coordinates.Type != typeArray {
		w.refuseMeta("/location/coordinates", "expected %s", want)
		return
	}
	w.judgeCoordinates(body(coordinates.Data))
}

// judgeCoordinates wants a longitude, a latitude, and perhaps an altitude.
func (w *work) judgeCoordinates(rest []byte) {
	limits := [...]struct {
		name string
		most float64
	}{{"longitude", 180}, {"latitude", 90}, {"altitude", 1e9}}
	n := 0
	for ; len(rest) > 0; n++ {
		e, next, ok := bsoncore.ReadElement(rest)
		if !ok || n >= len(limits) {
			n++
			break
		}
		rest = next
		f, ok := numeric(e.Value())
		if limit := limits[n]; !ok || f < -limit.most || f > limit.most {
			w.refuseMeta("/location/coordinates/"+e.Key(), "expected a %s from -%g to %g", limit.name, limit.most, limit.most)
		}
	}
	if n != 2 && n != 3 {
		w.refuseMeta("/location/coordinates", "expected longitude, latitude and perhaps altitude")
	}
}

// appendMetadata writes the event's metadata and what the ingester adds:
// ingested_by and routing_key, in place of the event's own if it has them, since
// both are facts of this ingest; the configured region, and the message's trace
// context, where the event has none. None of these are in search_text: they are
// the same for thousands of events, and would be what every search finds.
func (w *work) appendMetadata(b []byte, m metadata) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	own := body(w.metadata.out)
	if !m.replaced {
		b = append(b, own...)
		own = nil
	}
	for len(own) > 0 {
		e, next, ok := bsoncore.ReadElement(own)
		if !ok {
			break
		}
		own = next
		if k := string(e.KeyBytes()); k == "ingested_by" || k == "routing_key" || k == "region" && !m.hasRegion {
			continue
		}
		b = append(b, e...)
	}
	if !m.hasRegion {
		b = appendGiven(b, "region", m.region)
	}
	if !m.hasTrace {
		b = appendGiven(b, "traceparent", m.traceparent)
	}
	b = appendGiven(b, "ingested_by", w.decoder.options.Ingester)
	b = appendGiven(b, "routing_key", strings.ToValidUTF8(w.msg.RoutingKey, "\uFFFD")) // AMQP allows any bytes
	b = append(b, 0)
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start))
	return b
}

// refuseMeta records a violation of a member of metadata.
func (w *work) refuseMeta(pointer, format string, args ...any) {
	if !w.draft.cloudEvent { // whose extension attributes are at its top level
		pointer = "/metadata" + pointer
	}
	w.refuseAt(pointer, format, args...)
}

// numeric is a number's value.
func numeric(v bsoncore.Value) (float64, bool) {
	switch v.Type {
	case typeInt32:
		n, ok := v.Int32OK()
		return float64(n), ok
	case typeInt64:
		n, ok := v.Int64OK()
		return float64(n), ok
	case typeDouble:
		return v.DoubleOK()
	}
	return 0, false
}

// body is a document's elements without length and end.
func body(doc []byte) []byte {
	if len(doc) < len(emptyDocument) {
		return nil
	}
	return doc[4 : len(doc)-1]
}

// stringBytes is a string value's text.
func stringBytes(v bsoncore.Value) ([]byte, bool) {
	if v.Type != typeString || len(v.Data) < 5 {
		return nil, false
	}
	return v.Data[4 : len(v.Data)-1], true
}
