package event

import (
	"fmt"
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"
)

// Batch is what the ingester stored in one transaction and what travels in one
// ea.stored message: the ledger row's figures and the stored documents
// themselves, so that no consumer parses JSON again or reads an event back.
type Batch struct {
	ID          string             `bson:"batch_id"`
	FirstID     primitive.ObjectID `bson:"first_id"`
	LastID      primitive.ObjectID `bson:"last_id"`
	MaxSeverity int                `bson:"max_severity"`
	StoredAt    time.Time          `bson:"stored_at"`
	Events      []bson.Raw         `bson:"events"`
	// Rules are the only ones that are asked, by id. Such a batch is none of the
	// ledger's: its events were decided before, and are given to these rules too.
	Rules []string `bson:"rules,omitempty"`
}

// MarshalBSON is what the struct's tags say, in one buffer of the right size:
// a batch is half a megabyte, and growing up to it would copy it twice.
func (b Batch) MarshalBSON() ([]byte, error) {
	size := 256
	for _, e := range b.Events {
		size += len(e) + 12
	}
	at, dst := bsoncore.AppendDocumentStart(make([]byte, 0, size))
	dst = bsoncore.AppendStringElement(dst, "batch_id", b.ID)
	dst = bsoncore.AppendObjectIDElement(dst, "first_id", b.FirstID)
	dst = bsoncore.AppendObjectIDElement(dst, "last_id", b.LastID)
	dst = bsoncore.AppendInt32Element(dst, "max_severity", int32(b.MaxSeverity))
	dst = bsoncore.AppendDateTimeElement(dst, "stored_at", b.StoredAt.UnixMilli())
	list, dst := bsoncore.AppendArrayElementStart(dst, "events")
	for i, e := range b.Events {
		dst = append(dst, byte(bson.TypeEmbeddedDocument))
		dst = append(strconv.AppendInt(dst, int64(i), 10), 0)
		dst = append(dst, e...)
	}
	dst, err := bsoncore.AppendArrayEnd(dst, list)
	if err != nil {
		return nil, err
	}
	if len(b.Rules) > 0 {
		rules := bsoncore.NewArrayBuilder()
		for _, id := range b.Rules {
			rules.AppendString(id)
		}
		dst = bsoncore.AppendArrayElement(dst, "rules", rules.Build())
	}
	return bsoncore.AppendDocumentEnd(dst, at)
}

// UnmarshalBSON reads what MarshalBSON wrote, without copying the events: they
// are parts of data, which must not be written into afterwards.
func (b *Batch) UnmarshalBSON(data []byte) error {
	elements, err := bsoncore.Document(data).Elements()
	if err != nil {
		return fmt.Errorf("%w: %w", errCorrupt, err)
	}
	read := Batch{}
	for _, e := range elements {
		ok := true
		switch v := e.Value(); e.Key() {
		case "batch_id":
			read.ID, ok = v.StringValueOK()
		case "first_id":
			read.FirstID, ok = v.ObjectIDOK()
		case "last_id":
			read.LastID, ok = v.ObjectIDOK()
		case "max_severity":
			var n int64
			n, ok = v.AsInt64OK()
			read.MaxSeverity = int(n)
		case "stored_at":
			var ms int64
			ms, ok = v.DateTimeOK()
			read.StoredAt = time.UnixMilli(ms).UTC()
		case "events":
			read.Events, ok = documents(v)
		case "rules":
			read.Rules, ok = texts(v)
		}
		if !ok {
			return fmt.Errorf("%w: %s of a batch", errCorrupt, e.Key())
		}
	}
	*b = read
	return nil
}

// documents are the members of an array of documents; null is none.
func documents(v bsoncore.Value) (docs []bson.Raw, ok bool) {
	if v.Type != typeArray {
		return nil, v.Type == typeNull
	}
	docs = make([]bson.Raw, 0, len(v.Data)/usualDocument+1)
	for rest := body(v.Data); len(rest) > 0; {
		e, next, ok := bsoncore.ReadElement(rest)
		if !ok {
			return nil, false
		}
		doc, ok := e.Value().DocumentOK()
		if !ok || len(doc) < len(emptyDocument) {
			return nil, false
		}
		docs, rest = append(docs, bson.Raw(doc)), next
	}
	return docs, true
}

// texts are the members of an array of texts.
func texts(v bsoncore.Value) (all []string, ok bool) {
	list, ok := v.ArrayOK()
	if !ok {
		return nil, false
	}
	values, err := list.Values()
	for _, one := range values {
		text, is := one.StringValueOK()
		if !is {
			return nil, false
		}
		all = append(all, text)
	}
	return all, err == nil
}

// usualDocument is a little less than an event's usual size, to guess how many
// there are.
const usualDocument = 600

// Critical says whether the batch overtakes a backlog: events of severity 9 and
// 10 form batches of their own.
func (b Batch) Critical() bool { return b.MaxSeverity >= CriticalSeverity }

// Match is one stored event with the ids of the rules that it matched.
type Match struct {
	ID    primitive.ObjectID
	Rules []string
}

// CriticalSeverity is the lowest severity of the level "critical".
const CriticalSeverity = 9

// Level names the severity's band: info 1–3, warning 4–6, error 7–8,
// critical 9–10.
func Level(severity int) string {
	switch {
	case severity >= CriticalSeverity:
		return "critical"
	case severity >= 7:
		return "error"
	case severity >= 4:
		return "warning"
	default:
		return "info"
	}
}
