package event

import (
	"encoding/binary"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
)

// finish judges what was read of one event as a whole and makes its document;
// false when the message has violations. timeMember is the timestamp's name in
// the message.
func (w *work) finish(timeMember string, doc *Document) bool {
	w.member = ""
	w.require()
	w.identify()
	at := w.when(timeMember)
	m := w.judgeMetadata()
	if w.bad.none() {
		w.judgeSchema(at)
	}
	if !w.bad.none() {
		return false
	}
	*doc = w.document(at, m)
	return true
}

func (w *work) require() {
	if w.draft.given&fieldType == 0 {
		w.refuseAt("/type", "is required: what happened, in UPPER_SNAKE")
	}
	if w.draft.given&fieldSource == 0 {
		w.refuseAt("/source", "is required: the service that the event comes from")
	}
}

// identify derives the event_id of an event that has none.
func (w *work) identify() {
	d := &w.draft
	switch {
	case d.given&fieldEventID != 0:
	case d.cloudEvent:
		copy(d.eventID[:], DeriveID(string(d.source), string(d.cloudID)))
	case w.msg.MessageID != "":
		copy(d.eventID[:], DeriveID(string(d.source), w.msg.MessageID))
	case d.given&fieldTimestamp != 0:
		copy(d.eventID[:], bodyID(w.msg.Body, time.Time{}))
	case !w.msg.Timestamp.IsZero():
		copy(d.eventID[:], bodyID(w.msg.Body, w.msg.Timestamp))
	default:
		w.refuseAt("/event_id", "is required when the message has neither a message-id nor a timestamp: "+
			"two equal messages could not be told from one that is delivered twice")
	}
}

// when is the event's time: its own, else the message's, else now.
func (w *work) when(member string) time.Time {
	own, beside := w.draft.timestamp, w.msg.Timestamp
	switch {
	case w.draft.given&fieldTimestamp != 0:
		w.refuseFuture(member, own)
		return own
	case !beside.IsZero():
		// The property is any 64-bit number of seconds, and often one of
		// milliseconds by mistake.
		if beside.Unix() < earliest {
			w.refuseAt("/"+member, "is absent, and the AMQP timestamp in its place (%d seconds) is before the year 1", beside.Unix())
		}
		w.refuseFuture(member, beside)
		return beside
	default:
		return w.msg.Now
	}
}

// earliest is 0001-01-01T00:00:00Z in Unix seconds.
const earliest = -62135596800

func (w *work) refuseFuture(member string, at time.Time) {
	if latest := w.msg.Now.Add(w.decoder.options.MaxFuture); at.After(latest) {
		w.refuseAt("/"+member, "expected a time until %s, %s from now, found %s",
			latest.UTC().Format(time.RFC3339), w.decoder.options.MaxFuture, describe(at))
	}
}

func describe(t time.Time) string {
	if y := t.Year(); y < 1 || y > 9999 {
		return "one beyond the year 9999"
	}
	return t.UTC().Format(time.RFC3339)
}

// emptyDocument is BSON's {}.
var emptyDocument = []byte{5, 0, 0, 0, 0}

// fixedSize is at most what a document takes besides what varies: names,
// lengths, times, and ids.
const fixedSize = 384

// document writes the stored document: one allocation for it and one for the
// strings beside it.
func (w *work) document(at time.Time, m metadata) Document {
	d, o := &w.draft, &w.decoder.options
	payload, text := w.payload.out, &w.payload.text
	if len(payload) == 0 {
		payload = emptyDocument
	}
	text.join(&w.metadata.text)
	created := w.msg.Now.UnixMilli()
	retention, ok := o.RetentionByType[string(d.typ)]
	if !ok {
		retention = o.Retention
	}

	b := make([]byte, 0, fixedSize+len(d.typ)+len(d.source)+len(d.user)+len(d.session)+len(d.trace)+
		len(payload)+len(w.metadata.out)+len(o.Region)+len(o.Ingester)+len(w.msg.RoutingKey)+len(text.b))
	b = append(b, 0, 0, 0, 0)
	b = append(b, "\x07_id\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	b = appendString(b, "event_id", d.eventID[:])
	b = appendString(b, "type", d.typ)
	b = appendString(b, "source", d.source)
	b = appendInt32(b, "severity", d.severity)
	b = appendDate(b, "timestamp", at.UnixMilli())
	b = appendGiven(b, "user_id", d.user)
	b = appendGiven(b, "session_id", d.session)
	b = appendGiven(b, "trace_id", m.traceID(d))
	b = append(appendName(b, typeObject, "payload"), payload...)
	b = w.appendMetadata(appendName(b, typeObject, "metadata"), m)
	b = append(appendName(b, typeBool, "processed"), 0)
	b = appendString(b, "search_text", text.b)
	b = appendString(b, "batch_id", placeholder)
	batchAt := len(b) - BatchIDLength - 1
	b = appendDate(b, "created_at", created)
	b = appendDate(b, "expires_at", created+retention.Milliseconds())
	b = finishDocument(append(b, 0))

	var s strings.Builder
	s.Grow(uuidLength + len(d.typ) + len(d.source) + len(m.region))
	s.Write(d.eventID[:])
	s.Write(d.typ)
	s.Write(d.source)
	s.Write(m.region)
	all := s.String()
	typeEnd := uuidLength + len(d.typ)
	sourceEnd := typeEnd + len(d.source)
	return Document{
		Raw: bson.Raw(b), EventID: all[:uuidLength], Type: all[uuidLength:typeEnd],
		Source: all[typeEnd:sourceEnd], Region: all[sourceEnd:],
		Severity: d.severity, Timestamp: time.UnixMilli(at.UnixMilli()).UTC(), batchAt: batchAt,
	}
}

// placeholder stands for the batch id until Stamp.
const placeholder = "000000000000000000000000"

// finishDocument writes the length of the document that b is.
func finishDocument(b []byte) []byte {
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	return b
}

func appendName(b []byte, typ byte, name string) []byte {
	b = append(b, typ)
	b = append(b, name...)
	return append(b, 0)
}

func appendString[T string | []byte](b []byte, name string, v T) []byte {
	b = appendName(b, typeString, name)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(v)+1))
	b = append(b, v...)
	return append(b, 0)
}

// appendGiven leaves out what was not given.
func appendGiven[T string | []byte](b []byte, name string, v T) []byte {
	if len(v) == 0 {
		return b
	}
	return appendString(b, name, v)
}

func appendInt32(b []byte, name string, v int) []byte {
	return binary.LittleEndian.AppendUint32(appendName(b, typeInt32, name), uint32(int32(v)))
}

func appendDate(b []byte, name string, ms int64) []byte {
	return binary.LittleEndian.AppendUint64(appendName(b, typeDate, name), uint64(ms))
}
