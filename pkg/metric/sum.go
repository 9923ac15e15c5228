package metric

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"

	"github.com/events-aggregator/events-aggregator/pkg/event"
)

// Sum counts stored events by minute and series. Events before oldest are not
// counted but only their number returned. An error means that a document is
// not a stored event; nothing is counted then.
//
// The documents are read in one pass each, without decoding: this runs for
// every event of the product.
func Sum(events []bson.Raw, oldest time.Time) (counts []Increment, tooOld int, err error) {
	s := summer{at: make(map[counterKey]int, 16), names: make(map[string]string, 16)}
	oldestMS := oldest.UnixMilli()
	for i, doc := range events {
		f, err := readFields(doc)
		if err != nil {
			return nil, 0, fmt.Errorf("event %d: %w", i, err)
		}
		if f.timestamp < oldestMS {
			tooOld++
			continue
		}
		s.add(f)
	}
	for i := range s.counts {
		s.counts[i].Response.Histogram = s.counts[i].Response.Histogram.Sorted()
	}
	slices.SortFunc(s.counts, compareIncrements)
	return s.counts, tooOld, nil
}

type counterKey struct {
	minute              int64 // Unix minutes
	typ, source, region string
}

// summer adds events up. names holds each dimension value once, so that an
// event whose values were seen before allocates nothing.
type summer struct {
	at     map[counterKey]int
	names  map[string]string
	counts []Increment
}

func (s *summer) name(b []byte) string {
	if name, known := s.names[string(b)]; known {
		return name
	}
	name := string(b)
	s.names[name] = name
	return name
}

func (s *summer) add(f fields) {
	key := counterKey{floorDiv(f.timestamp, time.Minute.Milliseconds()), s.name(f.typ), s.name(f.source), s.name(f.region)}
	i, known := s.at[key]
	if !known {
		i = len(s.counts)
		s.at[key] = i
		s.counts = append(s.counts, Increment{
			Minute: time.Unix(key.minute*60, 0).UTC(),
			Series: Series{Type: key.typ, Source: key.source, Region: key.region},
		})
	}
	c := &s.counts[i]
	c.Totals.Add(TotalsOf(int(f.severity), 1))
	if f.hasExpiry {
		c.EventsUntil = earlier(c.EventsUntil, time.UnixMilli(f.expiresAt).UTC())
	}
	if ms, ok := f.responseTime(); ok {
		r, us := &c.Response, int64(math.Floor(ms*1000))
		hist := append(r.Histogram, Bucket{bucketOf(us), 1}) //nolint:gocritic // put in order when all are in
		r.Histogram = nil
		r.Add(Response{Count: 1, SumMicros: us, MinMS: ms, MaxMS: ms})
		r.Histogram = hist
	}
}

// TotalsOf is what n events of one severity add.
func TotalsOf(severity int, n int64) Totals {
	t := Totals{Count: n, Severity: int64(severity) * n}
	switch event.Level(severity) {
	case "critical":
		t.Levels.Critical, t.Errors = n, n
	case "error":
		t.Levels.Error, t.Errors = n, n
	case "warning":
		t.Levels.Warning = n
	default:
		t.Levels.Info = n
	}
	return t
}

// floorDiv rounds towards minus infinity, so that times before 1970 fall into
// their minute, too.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// fields are what counting needs of an event; the slices point into it.
type fields struct {
	typ, source, region  []byte
	severity             int64
	timestamp, expiresAt int64 // Unix milliseconds
	hasExpiry            bool
	hasTime, hasSeverity bool
	response, duration   number // payload.response_time_ms, payload.duration_ms
}

// ResponseTimeMax rejects nonsense: nobody waits a week for a response, and
// larger values could overflow the sum.
const ResponseTimeMax = float64(7 * 24 * time.Hour / time.Millisecond)

// responseTime is the first of the two fields that holds a sensible number.
func (f *fields) responseTime() (ms float64, ok bool) {
	for _, n := range []number{f.response, f.duration} {
		if n.ok && n.value >= 0 && n.value <= ResponseTimeMax { // NaN is neither
			return n.value, true
		}
	}
	return 0, false
}

type number struct {
	value float64
	ok    bool
}

var errNotAnEvent = errors.New("not a stored event")

// readFields reads a stored event in one pass over its elements.
func readFields(doc bson.Raw) (fields, error) {
	f, err := scan(doc)
	switch {
	case err != nil:
		return f, err
	case f.typ == nil:
		return f, fmt.Errorf("%w: no type", errNotAnEvent)
	case f.source == nil:
		return f, fmt.Errorf("%w: no source", errNotAnEvent)
	case !f.hasSeverity:
		return f, fmt.Errorf("%w: no severity", errNotAnEvent)
	case !f.hasTime:
		return f, fmt.Errorf("%w: no timestamp", errNotAnEvent)
	}
	return f, nil
}

// scan reads whatever there is of the fields.
func scan(doc bson.Raw) (f fields, err error) {
	err = eachElement(doc, func(key []byte, v bsoncore.Value) {
		switch string(key) {
		case "type":
			f.typ = text(v)
		case "source":
			f.source = text(v)
		case "severity":
			n := numeric(v)
			f.severity, f.hasSeverity = int64(n.value), n.ok
		case "timestamp":
			f.timestamp, f.hasTime = v.DateTimeOK()
		case "expires_at":
			f.expiresAt, f.hasExpiry = v.DateTimeOK()
		case "metadata":
			f.readMetadata(v)
		case "payload":
			f.readPayload(v)
		}
	})
	return f, err
}

func (f *fields) readMetadata(v bsoncore.Value) {
	_ = eachElement(embedded(v), func(key []byte, v bsoncore.Value) {
		if string(key) == "region" {
			f.region = text(v)
		}
	})
}

func (f *fields) readPayload(v bsoncore.Value) {
	_ = eachElement(embedded(v), func(key []byte, v bsoncore.Value) {
		switch string(key) {
		case "response_time_ms":
			f.response = numeric(v)
		case "duration_ms":
			f.duration = numeric(v)
		}
	})
}

// eachElement calls see for each element of a BSON document.
func eachElement(doc []byte, see func(key []byte, v bsoncore.Value)) error {
	if len(doc) == 0 {
		return nil
	}
	if len(doc) < 5 || int(binary.LittleEndian.Uint32(doc)) != len(doc) {
		return fmt.Errorf("%w: a BSON document of the wrong length", errNotAnEvent)
	}
	for rest := doc[4 : len(doc)-1]; len(rest) > 0; {
		element, after, ok := bsoncore.ReadElement(rest)
		if !ok {
			return fmt.Errorf("%w: broken BSON", errNotAnEvent)
		}
		key, err := element.KeyBytesErr()
		if err != nil {
			return fmt.Errorf("%w: broken BSON", errNotAnEvent)
		}
		see(key, element.Value())
		rest = after
	}
	return nil
}

// text is the value's string without a copy, nil when it is none.
func text(v bsoncore.Value) []byte {
	if v.Type != bson.TypeString || len(v.Data) < 5 {
		return nil
	}
	return v.Data[4 : len(v.Data)-1]
}

func embedded(v bsoncore.Value) []byte {
	if v.Type != bson.TypeEmbeddedDocument {
		return nil
	}
	return v.Data
}

func numeric(v bsoncore.Value) number {
	if i, ok := v.Int32OK(); ok {
		return number{float64(i), true}
	}
	if i, ok := v.Int64OK(); ok {
		return number{float64(i), true}
	}
	d, ok := v.DoubleOK()
	return number{d, ok}
}
