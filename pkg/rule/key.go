package rule

import (
	"encoding/binary"
)

// key is what equal values have in common, for hashing: the text of a string,
// the double of a number, some bytes of anything else.
type key struct {
	kind keyKind
	num  float64
	text []byte // also keyBytes
}

type keyKind uint8

const (
	keyNone keyKind = iota // null, documents, arrays, regular expressions: not hashed
	keyText
	keyNumber
	keyBytes
)

// keyOf is a value's key. Two values with keys are equal if and only if the
// keys are. buf is room for keyBytes.
func keyOf(v value, buf []byte) key {
	c := v.class()
	switch c {
	case classString:
		return key{kind: keyText, text: v.text()}
	case classNumber:
		if f, ok := exactFloat(v); ok {
			return key{kind: keyNumber, num: f}
		}
		return key{kind: keyBytes, text: appendNumber(append(buf, byte(c)), decimalOf(v))}
	case classBool, classDate, classTimestamp, classObjectID, classBinary:
		return key{kind: keyBytes, text: append(append(buf, byte(c)), v.b...)}
	default:
		return key{}
	}
}

// appendNumber is the key of NaN and of numbers that no double is equal to.
func appendNumber(b []byte, d decimal) []byte {
	b = append(b, byte(d.kind), byte(b2i(d.negative)))
	b = binary.BigEndian.AppendUint32(b, uint32(int32(d.magnitude)))
	b = binary.BigEndian.AppendUint64(b, d.hi)
	return binary.BigEndian.AppendUint64(b, d.lo)
}
