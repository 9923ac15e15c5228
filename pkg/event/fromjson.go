package event

import (
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"
)

// jsonDepthMax is MongoDB's limit of nesting.
const jsonDepthMax = 100

// FromJSON transcodes one JSON object to BSON. Keys keep their order, integers
// stay integers (int32 if it fits, else int64). The top-level times of an event
// (timestamp, created_at, expires_at) become dates where they are RFC 3339, so
// that a condition says the same of the text as of the stored event; all other
// strings stay strings. It judges no event: any object will do, and keys may
// begin with `$`. The error is an *Invalid: no JSON, invalid UTF-8, a key twice
// or with NUL, an integer beyond 64 bits, nesting beyond 100.
func FromJSON(b []byte) (bson.Raw, error) {
	t := transcoder{maxDepth: jsonDepthMax, dollar: true}
	t.out = make([]byte, 0, len(b)+len(b)/4+16)
	t.in = b
	t.space()
	if t.pos < len(b) && b[t.pos] != '{' {
		t.refuse("expected an object, found %s", t.found())
		_ = t.skip(0) && t.end()
		return nil, t.bad.err()
	}
	if typ := t.value(0); typ == 0 || !t.end() || !t.bad.none() {
		return nil, t.bad.err()
	}
	return datesOf(t.out), nil
}

// datesOf turns the top-level times of an event into dates.
func datesOf(doc []byte) bson.Raw {
	out := append(make([]byte, 0, len(doc)), 0, 0, 0, 0)
	for rest := body(doc); len(rest) > 0; {
		e, next, ok := bsoncore.ReadElement(rest)
		if !ok {
			break
		}
		rest = next
		switch key := e.Key(); key {
		case "timestamp", "created_at", "expires_at":
			s, _ := stringBytes(e.Value())
			if at, ok := parseTimestamp(s); ok {
				out = appendDate(out, key, at.UnixMilli())
				continue
			}
		}
		out = append(out, e...)
	}
	return finishDocument(append(out, 0))
}
