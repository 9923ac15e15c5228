package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Time is a time of the API. It is written as it was read, which may be with or
// without fractions of a second.
type Time struct {
	time.Time

	read string
}

// At makes a Time.
func At(t time.Time) Time { return Time{Time: t} }

// String writes it in UTC, as exactly as it is known.
func (t Time) String() string {
	if t.read != "" {
		if at, err := time.Parse(time.RFC3339Nano, t.read); err == nil && at.Equal(t.Time) { // not set to another one since
			return t.read
		}
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// MarshalJSON writes it as String does.
func (t Time) MarshalJSON() ([]byte, error) { return []byte(`"` + t.String() + `"`), nil }

// UnmarshalJSON reads it.
func (t *Time) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	*t = Time{Time: at, read: text}
	return err
}

// Strings is a list; one text stands for a list of one.
type Strings []string

// UnmarshalJSON reads both.
func (s *Strings) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*s = Strings{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(s))
}

// Change is what a patch does to a field. Its zero value leaves the field as it
// is; To sets and Removed removes it.
type Change[T any] struct {
	to      *T
	removed bool
}

// To sets a field.
func To[T any](value T) Change[T] { return Change[T]{to: &value} }

// Removed removes a field, which then has its default.
func Removed[T any]() Change[T] { return Change[T]{removed: true} }

// IsZero says whether the field stays as it is.
func (c Change[T]) IsZero() bool { return c.to == nil && !c.removed }

// MarshalJSON writes the value, or null.
func (c Change[T]) MarshalJSON() ([]byte, error) { return json.Marshal(c.to) }

// UnmarshalJSON reads what MarshalJSON writes.
func (c *Change[T]) UnmarshalJSON(b []byte) error {
	*c = Change[T]{removed: string(b) == "null"}
	if c.removed {
		return nil
	}
	return json.Unmarshal(b, &c.to)
}

// choice is one of the objects that a value may be, and what it has then.
type choice struct {
	to       any // **T
	required []string
}

// choose decodes the first of the objects that has all that it must have.
func choose(b []byte, choices ...choice) error {
	var there map[string]json.RawMessage
	if err := json.Unmarshal(b, &there); err != nil {
		return err
	}
	for _, c := range choices {
		if hasAll(there, c.required) {
			return json.Unmarshal(b, c.to)
		}
	}
	return errors.New("none of the objects that it may be")
}

func hasAll(there map[string]json.RawMessage, names []string) bool {
	for _, name := range names {
		if _, ok := there[name]; !ok {
			return false
		}
	}
	return true
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// add writes a parameter of a query or header, unless it is the zero value of
// its type.
func add(to map[string][]string, name string, value any) {
	text := ""
	switch v := value.(type) {
	case string:
		text = v
	case *string:
		if v != nil {
			to[name] = []string{*v} // empty says something, too
			return
		}
	case int64:
		if v != 0 {
			text = number(v)
		}
	case *int64:
		if v != nil {
			text = number(*v)
		}
	case bool:
		if v {
			text = "true"
		}
	case *bool:
		if v != nil {
			text = strconv.FormatBool(*v)
		}
	case Time:
		if !v.IsZero() {
			text = v.String()
		}
	default:
		panic(fmt.Sprintf("the parameter %s is a %T", name, value)) // a mistake of the generator, which a spec finds
	}
	if text != "" {
		to[name] = []string{text}
	}
}
