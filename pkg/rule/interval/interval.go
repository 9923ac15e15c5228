// Package interval is how rules write lengths of time: 30s, 5m, 2h, 7d, 1w.
package interval

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/bsontype"
)

// Duration is a length of time that is written as text, in JSON, YAML and BSON.
type Duration time.Duration

// Std is the standard library's.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// units from the longest on; weeks are read and not written.
var units = []struct {
	name   string
	length time.Duration
}{
	{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond},
}

// String writes 90m as 1h30m; zero is 0s.
func (d Duration) String() string {
	if d == 0 {
		return "0s"
	}
	var b strings.Builder
	rest := time.Duration(d)
	if rest < 0 {
		b.WriteByte('-')
		rest = -rest
	}
	for _, u := range units {
		if n := int64(rest / u.length); n > 0 {
			b.WriteString(strconv.FormatInt(n, 10) + u.name)
			rest %= u.length
		}
	}
	return b.String()
}

// Parse reads what String writes, and weeks. Parts of a millisecond and
// negative lengths are refused.
func Parse(text string) (Duration, error) {
	bad := fmt.Errorf("%q is no length of time; expected one as 30s, 5m, 2h, 7d or 1h30m", text)
	if text == "" {
		return 0, bad
	}
	var sum time.Duration
	for rest := text; rest != ""; {
		digits := 0
		for digits < len(rest) && '0' <= rest[digits] && rest[digits] <= '9' {
			digits++
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil {
			return 0, bad
		}
		letters := digits
		for letters < len(rest) && ('0' > rest[letters] || rest[letters] > '9') {
			letters++
		}
		length, ok := unit(rest[digits:letters])
		if !ok || n > int64((1<<63-1-sum)/length) {
			return 0, bad
		}
		sum += time.Duration(n) * length
		rest = rest[letters:]
	}
	return Duration(sum), nil
}

func unit(name string) (time.Duration, bool) {
	if name == "w" {
		return 7 * 24 * time.Hour, true
	}
	for _, u := range units {
		if u.name == name {
			return u.length, true
		}
	}
	return 0, false
}

// MarshalJSON writes the text.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads the text.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	parsed, err := Parse(text)
	*d = parsed
	return err
}

// MarshalBSONValue writes the text.
func (d Duration) MarshalBSONValue() (bsontype.Type, []byte, error) {
	return bson.MarshalValue(d.String())
}

// UnmarshalBSONValue reads the text.
func (d *Duration) UnmarshalBSONValue(t bsontype.Type, b []byte) error {
	text, ok := bson.RawValue{Type: t, Value: b}.StringValueOK()
	if !ok {
		return fmt.Errorf("a length of time is stored as text, not as %s", t)
	}
	parsed, err := Parse(text)
	*d = parsed
	return err
}
