package event

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"
)

// ToJSON renders a stored document as the API's JSON: keys in their order, times
// in RFC 3339 with milliseconds, in UTC, 64-bit integers as numbers, `_id` left
// out. A double keeps a fraction or exponent, so that FromJSON gives the same
// types again. What events never hold (ObjectIDs aside, which become their
// hexadecimal digits) is rendered as extended JSON.
func ToJSON(raw bson.Raw) ([]byte, error) {
	return AppendJSON(make([]byte, 0, len(raw)+len(raw)/4), raw)
}

// AppendText appends a text as JSON.
func AppendText(dst []byte, s string) []byte { return appendJSONString(dst, []byte(s)) }

// AppendJSON is ToJSON into an existing buffer, for streams.
func AppendJSON(dst []byte, raw bson.Raw) ([]byte, error) {
	return appendJSONObject(dst, raw, true)
}

// AppendValue appends one value as ToJSON writes it.
func AppendValue(dst []byte, v bson.RawValue) ([]byte, error) {
	return appendJSONValue(dst, bsoncore.Value{Type: v.Type, Data: v.Value})
}

var errCorrupt = errors.New("event: not a BSON document")

func appendJSONObject(dst, doc []byte, top bool) ([]byte, error) {
	length, _, ok := bsoncore.ReadLength(doc)
	if !ok || int(length) != len(doc) || length < int32(len(emptyDocument)) {
		return nil, errCorrupt
	}
	dst = append(dst, '{')
	first := true
	for rest := body(doc); len(rest) > 0; {
		e, next, ok := bsoncore.ReadElement(rest)
		if !ok {
			return nil, errCorrupt
		}
		rest = next
		key := e.KeyBytes()
		if top && string(key) == "_id" {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(appendJSONString(dst, key), ':')
		var err error
		if dst, err = appendJSONValue(dst, e.Value()); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func appendJSONArray(dst, doc []byte) ([]byte, error) {
	dst = append(dst, '[')
	first := true
	for rest := body(doc); len(rest) > 0; {
		e, next, ok := bsoncore.ReadElement(rest)
		if !ok {
			return nil, errCorrupt
		}
		rest = next
		if !first {
			dst = append(dst, ',')
		}
		first = false
		var err error
		if dst, err = appendJSONValue(dst, e.Value()); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func appendJSONValue(dst []byte, v bsoncore.Value) ([]byte, error) {
	switch v.Type {
	case typeString:
		s, ok := stringBytes(v)
		if !ok {
			return nil, errCorrupt
		}
		return appendJSONString(dst, s), nil
	case typeObject:
		return appendJSONObject(dst, v.Data, false)
	case typeArray:
		return appendJSONArray(dst, v.Data)
	case typeInt32, typeInt64:
		n, _ := v.AsInt64OK()
		return strconv.AppendInt(dst, n, 10), nil
	case typeBool:
		b, _ := v.BooleanOK()
		return strconv.AppendBool(dst, b), nil
	case typeNull:
		return append(dst, "null"...), nil
	case typeDouble:
		if f, _ := v.DoubleOK(); !math.IsInf(f, 0) && !math.IsNaN(f) {
			return appendJSONDouble(dst, f), nil
		}
	case typeDate:
		ms, _ := v.DateTimeOK()
		if t := time.UnixMilli(ms).UTC(); t.Year() >= 1 && t.Year() <= 9999 {
			return append(t.AppendFormat(append(dst, '"'), TimeFormat), '"'), nil
		}
	case bson.TypeObjectID:
		if id, ok := v.ObjectIDOK(); ok {
			return append(hex.AppendEncode(append(dst, '"'), id[:]), '"'), nil
		}
	}
	text := v.String() // extended JSON
	if text == "" {
		return nil, fmt.Errorf("%w: a value of type %s", errCorrupt, v.Type)
	}
	return append(dst, text...), nil
}

// TimeFormat is how the API writes times: always UTC, always milliseconds, which
// is what BSON dates hold, so that texts sort like times.
const TimeFormat = "2006-01-02T15:04:05.000Z"

// appendJSONDouble writes the shortest text that reads as f again, and as a
// double: 3 is written 3.0.
func appendJSONDouble(dst []byte, f float64) []byte {
	from := len(dst)
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, f, format, -1, 64)
	for _, c := range dst[from:] {
		if c == '.' || c == 'e' {
			return dst
		}
	}
	return append(dst, ".0"...)
}

// appendJSONString escapes what JSON must, and the two line separators that
// JavaScript once took for line ends, as server-sent events are read there.
func appendJSONString(dst, s []byte) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		if plain[s[i]] {
			i++
			continue
		}
		size := 1
		var escaped string
		switch c := s[i]; {
		case c == '"':
			escaped = `\"`
		case c == '\\':
			escaped = `\\`
		case c == '\n':
			escaped = `\n`
		case c == '\r':
			escaped = `\r`
		case c == '\t':
			escaped = `\t`
		case c < ' ':
			escaped = `\u00` + string([]byte{hexDigits[c>>4], hexDigits[c&15]})
		default:
			var r rune
			r, size = utf8.DecodeRune(s[i:])
			switch {
			case r == utf8.RuneError && size == 1:
				escaped = `\ufffd`
			case r == '\u2028':
				escaped = `\u2028`
			case r == '\u2029':
				escaped = `\u2029`
			default:
				i += size
				continue
			}
		}
		dst = append(append(dst, s[from:i]...), escaped...)
		i += size
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}
