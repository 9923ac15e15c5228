package event

import (
	"errors"

	"go.mongodb.org/mongo-driver/bson"
)

// ToJSON renders a stored document as the API's JSON: RFC 3339 times, int64 as
// numbers, `_id` left out, key order kept.
func ToJSON(raw bson.Raw) ([]byte, error) { return nil, errors.New("event: not built yet") }

// FromJSON transcodes one JSON object to BSON, keeping key order and integers
// (int32 if it fits, else int64); a top-level RFC 3339 `timestamp` becomes a
// date, other strings stay strings. The error is an *Invalid.
func FromJSON(b []byte) (bson.Raw, error) { return nil, errors.New("event: not built yet") }
