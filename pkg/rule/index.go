package rule

import (
	"cmp"
	"slices"
)

// index finds the rules that may match an event by what its fields hold.
type index struct {
	slots   []*slotIndex // by slot; nil: no rule is found by that field
	entries []entry
	always  span // the rules without a clause to be found by
	memos   int  // how many verdicts an event may need
}

// entry is one way to find a rule: it matches if the clauses hold, too.
type entry struct {
	rank    int32
	clauses []clause
}

// span is a run of entries.
type span struct{ from, to int32 }

// slotIndex finds entries by the value of one field.
type slotIndex struct {
	texts   map[string]span
	numbers map[float64]span
	bytes   map[string]span
	present span

	numberOrder thresholds[float64]
	textOrder   thresholds[string]
	dateOrder   thresholds[int64]

	regexes []regexEntries
	// Regular expressions whose match begins at the start with one of a few
	// texts, by that text; lengths are those of the texts.
	beginning map[string][]int32
	lengths   []int
	anywhere  []int32 // the other expressions
}

// regexEntries are the entries of one regular expression.
type regexEntries struct {
	re   *regex
	memo int32
	span span
}

// threshold are the entries of one relation, sorted by what the field is
// compared with.
type threshold[T cmp.Ordered] struct {
	keys []T     // distinct
	from []int32 // the first entry of each key, and the end
}

// thresholds are the entries by their relation.
type thresholds[T cmp.Ordered] [4]threshold[T]

// passed are the entries of one relation that the value fulfils.
func (t *thresholds[T]) passed(r relation, v T) span {
	l := &t[r]
	if len(l.keys) == 0 {
		return span{}
	}
	i, found := slices.BinarySearch(l.keys, v)
	if found && (r == greaterOrEqual || r == less) { // behind the equal one
		i++
	}
	return l.span(r, i)
}

// passedExactly is passed for a number that no double is equal to.
func passedExactly(t *thresholds[float64], r relation, v value) span {
	l := &t[r]
	if len(l.keys) == 0 {
		return span{}
	}
	i, _ := slices.BinarySearchFunc(l.keys, v, func(k float64, v value) int { return -compareWithFloat(v, k) })
	return l.span(r, i)
}

// span are the entries before the i-th key, for greater, or from it on.
func (l *threshold[T]) span(r relation, i int) span {
	if r == greater || r == greaterOrEqual {
		return span{l.from[0], l.from[i]}
	}
	return span{l.from[i], l.from[len(l.keys)]}
}

// compareWithFloat compares an int64 or decimal128 with a double.
func compareWithFloat(v value, f float64) int {
	if i, ok := integer(v); ok {
		return compareIntFloat(i, f)
	}
	return decimalOf(v).compare(decimalFromFloat(f))
}
