package differential_test

import (
	"fmt"
	"strconv"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/test/support/querygen"
)

// together are how many rules a set has: what a rule is found by depends on the
// others. 0 is all of the round.
var together = []int{1, 20, 0}

// index is the answers of sets that hold a round's conditions, as rules: for each
// size of the sets, document and condition.
type index struct {
	conditions []bson.D
	matches    [][][]bool
}

// newIndex asks sets about every document.
func newIndex(conditions []bson.D, docs []bson.Raw) (*index, error) {
	x := &index{conditions: conditions}
	for _, n := range together {
		answers := make([][]bool, len(docs))
		for i := range answers {
			answers[i] = make([]bool, len(conditions))
		}
		x.matches = append(x.matches, answers)
		for _, some := range chunks(len(conditions), n) {
			set, err := setOf(conditions, some)
			if err != nil {
				return nil, err
			}
			for i, doc := range docs {
				for _, c := range found(set, doc) {
					answers[i][c] = true
				}
			}
		}
	}
	return x, nil
}

// chunks are the numbers up to n, so many together; 0: all.
func chunks(n, size int) (all [][]int) {
	if size == 0 {
		size = n
	}
	for from := 0; from < n; from += size {
		var some []int
		for i := from; i < min(n, from+size); i++ {
			some = append(some, i)
		}
		all = append(all, some)
	}
	return all
}

// setOf is the set of some conditions, whose rules are named by their numbers.
func setOf(conditions []bson.D, some []int) (*rule.Set, error) {
	rules := make([]rule.Rule, len(some))
	for i, c := range some {
		rules[i] = rule.Rule{ID: strconv.Itoa(c), Name: strconv.Itoa(c), Priority: 1 + c%3, Enabled: true, Mode: rule.Live, Conditions: querygen.Marshal(conditions[c])}
	}
	return rule.NewSet(rules)
}

// found are the numbers of the conditions that a set finds for a document.
func found(set *rule.Set, doc bson.Raw) []int {
	matched := set.Match(doc, nil)
	numbers := make([]int, len(matched))
	for i, c := range matched {
		n, err := strconv.Atoi(c.Rule.ID)
		if err != nil {
			panic(err)
		}
		numbers[i] = n
	}
	return numbers
}

// differs says in which way the sets say something else about a pair than is
// true, made small; "" when none does.
func (x *index) differs(condition, doc int, document bson.D, truth bool) string {
	for i, n := range together {
		if x.matches[i][doc][condition] == truth {
			continue
		}
		for _, some := range chunks(len(x.conditions), n) {
			if some[0] <= condition && condition <= some[len(some)-1] {
				return x.smallest(some, condition, document)
			}
		}
	}
	return ""
}

// smallest makes a set, a condition and a document small, as long as the set and
// the condition by itself say different things about the document.
func (x *index) smallest(some []int, condition int, document bson.D) string {
	conditions := make([]bson.D, 0, len(some)) // the odd one first
	conditions = append(conditions, x.conditions[condition])
	for _, c := range some {
		if c != condition {
			conditions = append(conditions, x.conditions[c])
		}
	}
	for part := len(conditions) / 2; part >= 1; part /= 2 {
		for at := 1; at < len(conditions); {
			fewer := append(append([]bson.D{}, conditions[:at]...), conditions[min(at+part, len(conditions)):]...)
			if odd(fewer, document) {
				conditions = fewer
			} else {
				at += part
			}
		}
	}
	for again := true; again; {
		again = false
		for _, d := range documentsOf(smaller(document)) {
			if odd(conditions, d) {
				document, again = d, true
				break
			}
		}
		for i := range conditions {
			for _, c := range documentsOf(smaller(conditions[i])) {
				changed := append([]bson.D{}, conditions...)
				changed[i] = c
				if odd(changed, document) {
					conditions, again = changed, true
					break
				}
			}
		}
	}
	says := "does not find"
	if _, finds := judged(conditions, document); finds {
		says = "finds"
	}
	odd := fmt.Sprintf("the index %s %s for %s, other than the condition itself says", says, text(conditions[0]), text(document))
	for i, c := range conditions[1:] {
		odd += []string{"; beside it are ", ", "}[min(i, 1)] + text(c)
	}
	return odd
}

// odd says that the set of all conditions judges the first one wrongly.
func odd(conditions []bson.D, document bson.D) bool {
	alone, finds := judged(conditions, document)
	return alone != finds
}

// judged is what the first condition says by itself, and in the set of all.
func judged(conditions []bson.D, document bson.D) (alone, finds bool) {
	compiled, err := rule.Compile(querygen.Marshal(conditions[0]))
	if err != nil {
		return false, false // what is left of it is no condition
	}
	set, err := setOf(conditions, chunks(len(conditions), 0)[0])
	if err != nil {
		return false, false
	}
	doc := querygen.Marshal(document)
	for _, c := range found(set, doc) {
		finds = finds || c == 0
	}
	return compiled.Match(doc), finds
}
