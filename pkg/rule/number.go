package rule

import (
	"cmp"
	"math"
	"math/bits"
	"strconv"

	"go.mongodb.org/mongo-driver/bson"
)

// compareNumbers compares int32, int64, double and decimal128 by their exact
// mathematical values, never by a rounded one: 2^53+1 as int64 is more than
// 2^53 as double. NaN is equal to NaN and less than all else.
func compareNumbers(a, b value) int {
	if a.t == bson.TypeDecimal128 || b.t == bson.TypeDecimal128 {
		return decimalOf(a).compare(decimalOf(b))
	}
	ai, aInt := integer(a)
	bi, bInt := integer(b)
	switch {
	case aInt && bInt:
		return cmp.Compare(ai, bi)
	case aInt:
		return compareIntFloat(ai, float(b))
	case bInt:
		return -compareIntFloat(bi, float(a))
	default:
		return cmp.Compare(float(a), float(b)) // NaN first, -0 equal to 0
	}
}

func integer(v value) (int64, bool) {
	switch v.t {
	case bson.TypeInt32:
		return int64(v.int32()), true
	case bson.TypeInt64:
		return v.int64(), true
	default:
		return 0, false
	}
}

func float(v value) float64 { return math.Float64frombits(v.uint64()) }

// maxExact is the end of the integers that a double holds without gaps.
const maxExact = 1 << 53

func compareIntFloat(i int64, f float64) int {
	switch {
	case f != f:
		return 1
	case -maxExact <= i && i <= maxExact:
		return cmp.Compare(float64(i), f)
	case f >= math.MaxInt64: // the constant rounds up to 2^63, which no int64 reaches
		return -1
	case f < math.MinInt64:
		return 1
	default: // a double of this size has no fraction that matters against i
		return cmp.Compare(i, int64(f))
	}
}

// isNaN says whether a number is none.
func isNaN(v value) bool {
	switch v.t {
	case bson.TypeDouble:
		f := float(v)
		return f != f
	case bson.TypeDecimal128:
		return decimalOf(v).kind == decimalNaN
	default:
		return false
	}
}

// exactFloat is the double that is equal to the number, if there is one. Two
// numbers that have one are equal if and only if these are, so hashes and
// thresholds can work with doubles.
func exactFloat(v value) (float64, bool) {
	switch v.t {
	case bson.TypeInt32:
		return float64(v.int32()), true
	case bson.TypeDouble:
		f := float(v)
		return f, f == f
	case bson.TypeInt64:
		i := v.int64()
		f := float64(i)
		return f, f < math.MaxInt64 && int64(f) == i
	default:
		return exactDecimalFloat(v)
	}
}

// exactDecimalFloat looks for the double of a decimal128.
func exactDecimalFloat(v value) (float64, bool) {
	d := decimalOf(v)
	switch {
	case d.kind == decimalNaN:
		return 0, false
	case d.kind == decimalInf && d.negative:
		return math.Inf(-1), true
	case d.kind == decimalInf:
		return math.Inf(1), true
	case d.hi|d.lo == 0:
		return 0, true
	case d.magnitude > 310 || d.magnitude < -325: // beyond every double
		return 0, false
	}
	var buf [48]byte
	b := d.append(buf[:0])
	f, err := strconv.ParseFloat(view(b), 64)
	if err != nil {
		return 0, false
	}
	return f, decimalFromFloat(f).compare(d) == 0
}

type decimalKind uint8

const (
	decimalFinite decimalKind = iota
	decimalInf
	decimalNaN
)

// decimal is a decimal128 in one form per value: a coefficient of exactly 34
// digits (or 0) and the magnitude of its first digit, so that comparing is
// comparing the fields.
type decimal struct {
	kind      decimalKind
	negative  bool
	magnitude int // value = 0.d₁d₂d₃… × 10^magnitude
	hi, lo    uint64
}

const decimalDigits = 34

// pow10 are the powers of ten that fit a decimal's coefficient.
var pow10 = func() (p [decimalDigits + 1][2]uint64) {
	p[0] = [2]uint64{0, 1}
	for i := 1; i < len(p); i++ {
		p[i][0], p[i][1] = times10(p[i-1][0], p[i-1][1])
	}
	return p
}()

func times10(hi, lo uint64) (uint64, uint64) {
	carry, low := bits.Mul64(lo, 10)
	return hi*10 + carry, low
}

func less128(ahi, alo, bhi, blo uint64) bool { return ahi < bhi || ahi == bhi && alo < blo }

// normal fills the coefficient up to 34 digits.
func normal(negative bool, hi, lo uint64, exponent int) decimal {
	if hi|lo == 0 {
		return decimal{}
	}
	digits := 1
	for digits < decimalDigits && !less128(hi, lo, pow10[digits][0], pow10[digits][1]) {
		digits++
	}
	for i := digits; i < decimalDigits; i++ {
		hi, lo = times10(hi, lo)
	}
	return decimal{negative: negative, magnitude: exponent + digits, hi: hi, lo: lo}
}

func decimalOf(v value) decimal {
	switch v.t {
	case bson.TypeDecimal128:
		return decimalFromBits(value{b: v.b[8:]}.uint64(), v.uint64())
	case bson.TypeDouble:
		return decimalFromFloat(float(v))
	default:
		i, _ := integer(v)
		u := uint64(i)
		if i < 0 {
			u = -u
		}
		return normal(i < 0, 0, u, 0)
	}
}

// decimalFromBits reads the IEEE 754 binary encoding.
func decimalFromBits(hi, lo uint64) decimal {
	const bias = 6176
	negative := hi>>63 == 1
	switch top := hi >> 58 & 0x1f; {
	case top == 0x1f:
		return decimal{kind: decimalNaN}
	case top == 0x1e:
		return decimal{kind: decimalInf, negative: negative}
	case top>>3 == 3: // a coefficient of more than 34 digits: zero by the standard
		return decimal{}
	}
	exponent := int(hi>>49&0x3fff) - bias
	hi &= 1<<49 - 1
	if !less128(hi, lo, pow10[decimalDigits][0], pow10[decimalDigits][1]) {
		return decimal{}
	}
	return normal(negative, hi, lo, exponent)
}

// decimalFromFloat rounds a double's exact value to 34 digits, which is what
// MongoDB does before it compares a double with a decimal128.
func decimalFromFloat(f float64) decimal {
	switch {
	case f != f:
		return decimal{kind: decimalNaN}
	case math.IsInf(f, 0):
		return decimal{kind: decimalInf, negative: f < 0}
	case f == 0:
		return decimal{}
	}
	var buf [64]byte
	b := strconv.AppendFloat(buf[:0], math.Abs(f), 'e', decimalDigits-1, 64)
	var hi, lo uint64
	i := 0
	for ; i < len(b) && b[i] != 'e'; i++ {
		if b[i] == '.' {
			continue
		}
		hi, lo = times10(hi, lo)
		var carry uint64
		lo, carry = bits.Add64(lo, uint64(b[i]-'0'), 0)
		hi += carry
	}
	exponent, _ := strconv.Atoi(view(b[i+1:]))
	return decimal{negative: f < 0, magnitude: exponent + 1, hi: hi, lo: lo}
}

func (d decimal) sign() int {
	switch {
	case d.kind == decimalFinite && d.hi|d.lo == 0:
		return 0
	case d.negative:
		return -1
	default:
		return 1
	}
}

func (d decimal) compare(o decimal) int {
	if d.kind == decimalNaN || o.kind == decimalNaN {
		return cmp.Compare(b2i(o.kind == decimalNaN), b2i(d.kind == decimalNaN))
	}
	s := d.sign()
	if x := cmp.Compare(s, o.sign()); x != 0 || s == 0 {
		return x
	}
	return s * d.compareSize(o)
}

// compareSize compares without the signs.
func (d decimal) compareSize(o decimal) int {
	if d.kind == decimalInf || o.kind == decimalInf {
		return cmp.Compare(b2i(d.kind == decimalInf), b2i(o.kind == decimalInf))
	}
	if x := cmp.Compare(d.magnitude, o.magnitude); x != 0 {
		return x
	}
	if x := cmp.Compare(d.hi, o.hi); x != 0 {
		return x
	}
	return cmp.Compare(d.lo, o.lo)
}

// append writes the value as 0.d…E±n for the parser of doubles.
func (d decimal) append(b []byte) []byte {
	if d.negative {
		b = append(b, '-')
	}
	b = append(b, "0."...)
	from := len(b)
	hi, lo := d.hi, d.lo
	b = b[:from+decimalDigits]
	for i := decimalDigits - 1; i >= 0; i-- {
		var r uint64
		q := hi / 10
		lo, r = bits.Div64(hi%10, lo, 10)
		hi = q
		b[from+i] = byte('0' + r)
	}
	b = append(b, 'e')
	return strconv.AppendInt(b, int64(d.magnitude), 10)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// truncated is the value without its fraction, if 64 bits hold that.
func (d decimal) truncated() (int64, bool) {
	const mostDigits = 19 // of an int64
	switch {
	case d.kind != decimalFinite || d.magnitude > mostDigits:
		return 0, false
	case d.magnitude <= 0:
		return 0, true
	}
	hi, lo := d.hi, d.lo
	for range decimalDigits - d.magnitude {
		hi, lo = hi/10, quotient(bits.Div64(hi%10, lo, 10))
	}
	if d.negative {
		return -int64(lo), lo <= 1<<63
	}
	return int64(lo), lo < 1<<63
}

func quotient(q, _ uint64) uint64 { return q }

// finite is a number as a double, rounded if it must be; neither NaN nor an
// infinity.
func finite(v value) (float64, bool) {
	var f float64
	switch v.t {
	case bson.TypeInt32, bson.TypeInt64:
		i, _ := integer(v)
		f = float64(i)
	case bson.TypeDouble:
		f = float(v)
	case bson.TypeDecimal128:
		d := decimalOf(v)
		if d.kind != decimalFinite {
			return 0, false
		}
		var buf [48]byte
		f, _ = strconv.ParseFloat(view(d.append(buf[:0])), 64)
	default:
		return 0, false
	}
	return f, !math.IsInf(f, 0) && f == f
}
