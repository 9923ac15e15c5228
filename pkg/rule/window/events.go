package window

import (
	"context"
	"errors"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"
)

// single are rules whose alerts are about one event each. They are decided in
// short slots, some time after, when the events that may come before theirs have
// come.
type single struct{}

// singleSlot is a slot's length. Shorter ones decide sooner, and have more
// evaluations; all events of a rule in a slot are one.
const singleSlot = 10_000

func (single) length() int64        { return singleSlot }
func (single) settled() bool        { return true }
func (single) perKey() bool         { return false }
func (single) due(at int64) []int64 { return []int64{floor(at, singleSlot)} }
func (single) eachEvent()           {}

const (
	// When there is more to look up than this, what came shortly before is read at
	// once, and looked into first.
	lookUps      = 50
	shortly      = 60_000
	shortlyLimit = 20_000
)

// shortlyBefore are the events that came before the asked ones, the newest last;
// none when they are too many to help. complete says that they are all as far
// back as the rule looks (0: it looks at any age), so that nothing else needs to
// be looked up.
func shortlyBefore(ctx context.Context, r *reader, ask Ask, back int64) (before []Observation, complete bool, err error) {
	complete = back > 0 && back <= shortly
	reach := int64(shortly)
	if complete {
		reach = back
	}
	before, err = r.all(ctx, Query{From: ask.From - reach, To: ask.From, Keys: ask.Keys, Values: true}, shortlyLimit)
	if errors.Is(err, errFull) {
		return nil, false, nil
	}
	sortByTime(before)
	return before, complete, err
}

// longestShown bounds the values in an alert's text.
const longestShown = 80

// show writes an observation's value for a reader.
func show(value string) string {
	if value == "" {
		return "null"
	}
	text := bson.Raw(value).Index(0).Value().String()
	if utf8.RuneCountInString(text) > longestShown {
		return string([]rune(text)[:longestShown]) + "…"
	}
	return text
}

// withValue is a key with the value of a field.
func withValue(key, value string) bson.Raw {
	if _, err := keyOf(key).LookupErr(bson.Raw(value).Index(0).Key()); err == nil { // it is grouped by the field itself
		return keyOf(key)
	}
	at, b := bsoncore.AppendDocumentStart(nil)
	if key != "" {
		b = append(b, key[4:len(key)-1]...)
	}
	b = append(b, value[4:len(value)-1]...)
	b, _ = bsoncore.AppendDocumentEnd(b, at) // its only error is a length beyond 2 GiB
	return b
}
