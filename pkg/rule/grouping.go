package rule

import (
	"bytes"
	"math"
	"strconv"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"
)

// Key is what throttles, groups and windows tell events apart by: a document of
// the values at the paths, in their order. The keys of two events have the same
// bytes if and only if MongoDB takes the values for equal: 1 and 1.0 are the
// same, and a field that is not there is null. A path through an array gives
// the array of what its elements have, or the element at its position.
func Key(doc bson.Raw, paths []string) bson.Raw {
	at, b := bsoncore.AppendDocumentStart(nil)
	for _, p := range paths {
		b = appendCanonical(b, p, along(value{t: bson.TypeEmbeddedDocument, b: doc}, newPath(p).parts))
	}
	b, _ = bsoncore.AppendDocumentEnd(b, at) // its only error is a length beyond 2 GiB
	return b
}

// along is the value at the end of a path.
func along(v value, parts []part) value {
	for i, p := range parts {
		switch v.class() {
		case classObject:
			v = field(v.b, p.name)
		case classArray:
			if p.number {
				v = field(v.b, p.name) // an array's names are its positions
				continue
			}
			return gathered(v, parts[i:])
		default:
			return value{}
		}
	}
	return v
}

// gathered is the array of what the elements of an array have at the path.
func gathered(array value, parts []part) value {
	at, b := bsoncore.AppendArrayStart(nil)
	n := 0
	for it := elementsOf(array.b); ; {
		_, v, ok := it.next()
		if !ok {
			break
		}
		if found := along(v, parts); found.class() != classMissing {
			b = append(bsoncore.AppendHeader(b, found.t, strconv.Itoa(n)), found.b...)
			n++
		}
	}
	b, _ = bsoncore.AppendArrayEnd(b, at)
	return value{t: bson.TypeArray, b: b}
}

// appendCanonical appends an element in the one form that equal values share.
func appendCanonical(b []byte, key string, v value) []byte {
	switch v.class() {
	case classMissing, classNull:
		return bsoncore.AppendNullElement(b, key)
	case classNumber:
		return appendCanonicalNumber(b, key, v)
	case classString:
		return append(bsoncore.AppendHeader(b, bson.TypeString, key), v.b...)
	case classObject, classArray:
		var at int32
		at, b = bsoncore.AppendDocumentStart(bsoncore.AppendHeader(b, v.t, key))
		for it := elementsOf(v.b); ; {
			name, kid, ok := it.next()
			if !ok {
				break
			}
			b = appendCanonical(b, string(name), kid)
		}
		b, _ = bsoncore.AppendDocumentEnd(b, at)
		return b
	default:
		return append(bsoncore.AppendHeader(b, v.t, key), v.b...)
	}
}

// appendCanonicalNumber: whole numbers are int64 as far as doubles have no gaps,
// then what has an equal double is that, then int64 again, then decimal128.
func appendCanonicalNumber(b []byte, key string, v value) []byte {
	if isNaN(v) {
		return bsoncore.AppendDoubleElement(b, key, math.NaN())
	}
	if f, ok := exactFloat(v); ok {
		if f == math.Trunc(f) && math.Abs(f) <= maxExact {
			return bsoncore.AppendInt64Element(b, key, int64(f))
		}
		return bsoncore.AppendDoubleElement(b, key, f)
	}
	if i, ok := integer(v); ok {
		return bsoncore.AppendInt64Element(b, key, i)
	}
	text := decimalOf(v).canonical()
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return bsoncore.AppendInt64Element(b, key, i)
	}
	d, err := primitive.ParseDecimal128(text)
	if err != nil { // no number that the database holds
		return bsoncore.AppendNullElement(b, key)
	}
	return bsoncore.AppendDecimal128Element(b, key, d)
}

// canonical writes a finite decimal in the one way that equal ones share:
// without an exponent if it is a whole number of at most 19 digits.
func (d decimal) canonical() string {
	var buf [64]byte
	sign := []byte(nil)
	b := d.append(buf[:0])
	if b[0] == '-' {
		sign, b = b[:1], b[1:]
	}
	digits := bytes.TrimRight(b[len("0."):len("0.")+decimalDigits], "0")
	exponent := d.magnitude - len(digits)
	if exponent >= 0 && d.magnitude <= 19 {
		return string(sign) + string(digits) + string(bytes.Repeat([]byte("0"), exponent))
	}
	return string(sign) + string(digits) + "E" + strconv.Itoa(exponent)
}
