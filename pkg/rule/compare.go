package rule

import (
	"bytes"
	"cmp"
	"encoding/binary"
)

// compare is MongoDB's total order of BSON values: by class, then within it.
// NaN is equal to NaN and less than every other number, as in a sort; that
// comparisons against NaN never hold is the operators' business.
func compare(a, b value) int {
	ca, cb := a.class(), b.class()
	if ca != cb {
		return cmp.Compare(ca, cb)
	}
	return compareWithin(ca, a, b)
}

// compareWithin compares two values of one class.
func compareWithin(c class, a, b value) int {
	switch c {
	case classNumber:
		return compareNumbers(a, b)
	case classString, classCode:
		return bytes.Compare(a.text(), b.text())
	case classObject:
		return compareDocuments(a.b, b.b)
	case classArray:
		return compareDocuments(a.b, b.b)
	case classBinary:
		return compareBinary(a.b, b.b)
	case classObjectID:
		return bytes.Compare(a.b, b.b)
	case classBool:
		return cmp.Compare(a.b[0], b.b[0])
	case classDate:
		return cmp.Compare(a.int64(), b.int64())
	case classTimestamp:
		return cmp.Compare(a.uint64(), b.uint64())
	case classRegex:
		ap, ao := a.regex()
		bp, bo := b.regex()
		if x := bytes.Compare(ap, bp); x != 0 {
			return x
		}
		return bytes.Compare(ao, bo)
	case classPointer:
		if x := cmp.Compare(len(a.b), len(b.b)); x != 0 {
			return x
		}
		return bytes.Compare(a.b, b.b)
	case classCodeScope:
		return compareCodeScope(a.b, b.b)
	default: // null, missing, the minimum and the maximum have one value each
		return 0
	}
}

// compareDocuments goes through both from the front: an element is compared by
// the class of its value, then its name, then its value; a document that ends
// first is less. Arrays are the same with equal names.
func compareDocuments(a, b []byte) int {
	ea, eb := elementsOf(a), elementsOf(b)
	for {
		ka, va, oka := ea.next()
		kb, vb, okb := eb.next()
		switch {
		case !oka && !okb:
			return 0
		case !oka:
			return -1
		case !okb:
			return 1
		}
		ca, cb := va.class(), vb.class()
		if ca != cb {
			return cmp.Compare(ca, cb)
		}
		if x := bytes.Compare(ka, kb); x != 0 {
			return x
		}
		if x := compareWithin(ca, va, vb); x != 0 {
			return x
		}
	}
}

// compareBinary orders by length, then subtype, then content.
func compareBinary(a, b []byte) int {
	if x := cmp.Compare(len(a), len(b)); x != 0 {
		return x
	}
	return bytes.Compare(a[4:], b[4:])
}

// compareCodeScope orders by code, then scope.
func compareCodeScope(a, b []byte) int {
	codeA, scopeA := splitCodeScope(a)
	codeB, scopeB := splitCodeScope(b)
	if x := bytes.Compare(codeA, codeB); x != 0 {
		return x
	}
	return compareDocuments(scopeA, scopeB)
}

func splitCodeScope(b []byte) (code, scope []byte) {
	n := int(int32(binary.LittleEndian.Uint32(b[4:])))
	if n < 1 || 8+n > len(b) {
		return nil, nil
	}
	return b[8 : 8+n-1], b[8+n:]
}
