package rule

import (
	"bytes"
	"encoding/binary"
	"unsafe"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/bsontype"
)

// value is one BSON value where it stands in its document: the type and the
// bytes after the element's name. The zero value is MongoDB's "missing".
type value struct {
	t bsontype.Type
	b []byte
}

// missing is the type of a path that leads nowhere.
const missing bsontype.Type = 0

// class is MongoDB's canonical type: values of one class can be compared, and a
// comparison never holds between classes (type bracketing). The numbers are the
// order of the classes.
type class int8

const (
	classMinKey    class = -1
	classMissing   class = 0 // and the deprecated undefined
	classNull      class = 5
	classNumber    class = 10
	classString    class = 15 // and symbol
	classObject    class = 20
	classArray     class = 25
	classBinary    class = 30
	classObjectID  class = 35
	classBool      class = 40
	classDate      class = 45
	classTimestamp class = 47
	classRegex     class = 50
	classPointer   class = 55
	classCode      class = 60
	classCodeScope class = 65
	classMaxKey    class = 127
)

func (v value) class() class {
	switch v.t {
	case missing, bson.TypeUndefined:
		return classMissing
	case bson.TypeNull:
		return classNull
	case bson.TypeInt32, bson.TypeInt64, bson.TypeDouble, bson.TypeDecimal128:
		return classNumber
	case bson.TypeString, bson.TypeSymbol:
		return classString
	case bson.TypeEmbeddedDocument:
		return classObject
	case bson.TypeArray:
		return classArray
	case bson.TypeBinary:
		return classBinary
	case bson.TypeObjectID:
		return classObjectID
	case bson.TypeBoolean:
		return classBool
	case bson.TypeDateTime:
		return classDate
	case bson.TypeTimestamp:
		return classTimestamp
	case bson.TypeRegex:
		return classRegex
	case bson.TypeDBPointer:
		return classPointer
	case bson.TypeJavaScript:
		return classCode
	case bson.TypeCodeWithScope:
		return classCodeScope
	case bson.TypeMinKey:
		return classMinKey
	default:
		return classMaxKey
	}
}

// text is the content of a string, symbol or code.
func (v value) text() []byte {
	if len(v.b) < 5 {
		return nil
	}
	return v.b[4 : len(v.b)-1]
}

func (v value) int32() int32   { return int32(binary.LittleEndian.Uint32(v.b)) }
func (v value) int64() int64   { return int64(binary.LittleEndian.Uint64(v.b)) }
func (v value) uint64() uint64 { return binary.LittleEndian.Uint64(v.b) }
func (v value) isTrue() bool   { return len(v.b) > 0 && v.b[0] != 0 }

// regex is the pattern and the options of a regular expression.
func (v value) regex() (pattern, options []byte) {
	i := bytes.IndexByte(v.b, 0)
	if i < 0 || len(v.b) < i+2 {
		return nil, nil
	}
	return v.b[:i], v.b[i+1 : len(v.b)-1]
}

// elements reads a document or array from front to back. Bytes that are no BSON
// end the document there: what a broken document holds cannot be known, and
// must harm nobody.
type elements struct{ rest []byte }

func elementsOf(doc []byte) elements {
	if len(doc) < 5 {
		return elements{}
	}
	n := int(int32(binary.LittleEndian.Uint32(doc)))
	if n < 5 || n > len(doc) {
		return elements{}
	}
	return elements{rest: doc[4 : n-1]}
}

// next is the next element. The key and the value stay where they are.
func (e *elements) next() (key []byte, v value, ok bool) {
	b := e.rest
	if len(b) < 2 {
		return nil, value{}, false
	}
	end := 1
	for b[end] != 0 {
		end++
		if end == len(b) {
			return nil, value{}, false
		}
	}
	v.t = bsontype.Type(b[0])
	key = b[1:end]
	b = b[end+1:]
	n := valueLength(v.t, b)
	if n < 0 || n > len(b) {
		return nil, value{}, false
	}
	v.b = b[:n:n]
	e.rest = b[n:]
	return key, v, true
}

// valueLength is the length of a value of that type that begins with b, or -1.
// It is not checked against len(b).
func valueLength(t bsontype.Type, b []byte) int {
	switch t {
	case bson.TypeNull, bson.TypeUndefined, bson.TypeMinKey, bson.TypeMaxKey:
		return 0
	case bson.TypeBoolean:
		return 1
	case bson.TypeInt32:
		return 4
	case bson.TypeDouble, bson.TypeDateTime, bson.TypeTimestamp, bson.TypeInt64:
		return 8
	case bson.TypeObjectID:
		return 12
	case bson.TypeDecimal128:
		return 16
	case bson.TypeString, bson.TypeSymbol, bson.TypeJavaScript:
		return prefixed(b, 4, 1)
	case bson.TypeEmbeddedDocument, bson.TypeArray:
		return prefixed(b, 0, 5)
	case bson.TypeCodeWithScope:
		return prefixed(b, 0, 14)
	case bson.TypeBinary:
		return prefixed(b, 5, 0)
	case bson.TypeDBPointer:
		return prefixed(b, 4+12, 1)
	case bson.TypeRegex:
		i := bytes.IndexByte(b, 0)
		if i < 0 {
			return -1
		}
		j := bytes.IndexByte(b[i+1:], 0)
		if j < 0 {
			return -1
		}
		return i + j + 2
	default:
		return -1
	}
}

// prefixed is a length that the value's first four bytes give, plus more.
func prefixed(b []byte, more, least int) int {
	if len(b) < 4 {
		return -1
	}
	n := int(int32(binary.LittleEndian.Uint32(b)))
	if n < least {
		return -1
	}
	return n + more
}

// view is a string over bytes that nobody changes while it is used: look-ups in
// maps and comparisons without a copy.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) } //nolint:gosec // the bytes outlive the string and do not change meanwhile
