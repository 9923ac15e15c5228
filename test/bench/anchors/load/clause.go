package load

import (
	"fmt"
	"math"
	"math/rand"
	"regexp"
	"slices"

	"go.mongodb.org/mongo-driver/bson"
)

// clause is one thing that a generated rule asks of an event. What is true of an
// event is found here, on the event before it is JSON, and by no matcher's code.
type clause struct {
	field  string
	is     string   // equal to,
	oneOf  []string // or one of these,
	least  float64  // or a number that is at least so much,
	regex  *regexp.Regexp
	exists *bool
	either []clause // or one of these clauses
}

// text is a field of text, "" when the event has none.
func (e *event) text(field string) string {
	switch field {
	case "type":
		return e.Type
	case "source":
		return e.Source
	case "payload.currency":
		return e.Payload.Currency
	case "payload.error_code":
		return e.Payload.ErrorCode
	case "payload.customer_id":
		return e.Payload.CustomerID
	case "metadata.region":
		return e.Metadata.Region
	}
	return ""
}

// number is a field with a number.
func (e *event) number(field string) (n float64, there bool) {
	switch {
	case field == "severity":
		return float64(e.Severity), true
	case field == "payload.amount" && e.Payload.Amount != nil:
		return *e.Payload.Amount, true
	}
	return 0, false
}

func (c *clause) holds(e *event) bool {
	text := e.text(c.field)
	number, isNumber := e.number(c.field)
	switch {
	case c.either != nil:
		return slices.ContainsFunc(c.either, func(c clause) bool { return c.holds(e) })
	case c.exists != nil:
		return *c.exists == (isNumber || text != "")
	case c.regex != nil:
		return text != "" && c.regex.MatchString(text)
	case c.oneOf != nil:
		return slices.Contains(c.oneOf, text)
	case c.is != "":
		return c.is == text
	}
	return isNumber && number >= c.least
}

// condition is the clause as a part of a query document.
func (c *clause) condition() bson.E {
	operator := func(name string, operand any) bson.E {
		return bson.E{Key: c.field, Value: bson.D{{Key: name, Value: operand}}}
	}
	switch {
	case c.either != nil:
		list := bson.A{}
		for i := range c.either {
			list = append(list, bson.D{c.either[i].condition()})
		}
		return bson.E{Key: "$or", Value: list}
	case c.exists != nil:
		return operator("$exists", *c.exists)
	case c.regex != nil:
		return operator("$regex", c.regex.String())
	case c.oneOf != nil:
		return operator("$in", c.oneOf)
	case c.is != "":
		return bson.E{Key: c.field, Value: c.is}
	case c.least == math.Trunc(c.least):
		return operator("$gte", int32(c.least))
	}
	return operator("$gte", c.least)
}

// kinds of clauses and how many rules have one.
const (
	ofType = iota
	ofSeverity
	ofAmount
	ofSource
	ofList
	ofRegex
	ofExistence
	ofEither
)

var shares = [...]float64{ofType: .7, ofSeverity: .4, ofAmount: .3, ofSource: .2, ofList: .1, ofRegex: .05, ofExistence: .05, ofEither: .05}

// chances are with how much chance each kind is drawn, so that its share is right
// after rules without a clause were drawn again.
func chances() (c [len(shares)]float64) {
	c = shares
	for range 100 {
		none := 1.0
		for _, chance := range c {
			none *= 1 - chance
		}
		for i := range c {
			c[i] = shares[i] * (1 - none)
		}
	}
	return c
}

// rule draws the clauses of one rule, of which no two ask for the same field.
func (g *generator) rule(chances [len(shares)]float64) []clause {
	var has [len(shares)]bool
	for !slices.Contains(has[:], true) {
		for i, chance := range chances {
			has[i] = g.r.Float64() < chance
		}
	}
	// A rule that names neither type nor source is written for what is rare.
	named := has[ofType] || has[ofSource] || has[ofList]
	var all []clause
	add := func(c clause) {
		if !slices.ContainsFunc(all, func(o clause) bool { return o.field == c.field }) {
			all = append(all, c)
		}
	}
	for kind, is := range has {
		if is {
			add(g.clause(kind, named))
		}
	}
	if len(all) == 1 && all[0].exists != nil { // by itself it holds for most events
		add(clause{field: "severity", least: 8})
	}
	return all
}

func (g *generator) clause(kind int, named bool) clause {
	r := g.r
	severe, far := 7, 1.6
	if named {
		severe, far = 5, .5
	}
	switch kind {
	case ofType:
		return clause{field: "type", is: typeName(r.Intn(types))}
	case ofSource:
		return clause{field: "source", is: sourceName(r.Intn(sources))}
	case ofSeverity:
		return clause{field: "severity", least: float64(severe + r.Intn(11-severe))}
	case ofAmount:
		return clause{field: "payload.amount", least: amount(r, far)}
	case ofList:
		return g.list()
	case ofRegex:
		return clause{field: "payload.error_code", regex: regexp.MustCompile(g.regex())}
	case ofExistence:
		there := r.Float64() < .8
		return clause{field: oneOf(r, []string{"payload.customer_id", "payload.error_code", "payload.amount"}), exists: &there}
	}
	return g.either()
}

func (g *generator) list() clause {
	r := g.r
	c := clause{}
	n := 2 + r.Intn(4)
	switch u := r.Float64(); {
	case u < .5:
		c.field = "type"
		for range n + 2 {
			c.oneOf = append(c.oneOf, typeName(r.Intn(types)))
		}
	case u < .8:
		c.field = "source"
		for range n {
			c.oneOf = append(c.oneOf, sourceName(r.Intn(sources)))
		}
	case u < .9:
		c.field, c.oneOf = "metadata.region", []string{oneOf(r, regions), oneOf(r, regions)}
	default:
		c.field, c.oneOf = "payload.currency", []string{oneOf(r, currencies), oneOf(r, currencies)}
	}
	slices.Sort(c.oneOf)
	c.oneOf = slices.Compact(c.oneOf)
	return c
}

// regex is an expression of a beginning, an end, a part, or of what needs an
// automaton.
func (g *generator) regex() string {
	r := g.r
	family, suffix := oneOf(r, families), oneOf(r, suffixes)
	switch r.Intn(5) {
	case 0:
		return fmt.Sprintf("^%s-%d", family, 1+r.Intn(9))
	case 1:
		return fmt.Sprintf("%d-%s$", r.Intn(10), suffix)
	case 2:
		return fmt.Sprintf("-%d%d", 1+r.Intn(9), r.Intn(10))
	case 3:
		return fmt.Sprintf(`^(%s|%s)-[45]\d\d-`, family, oneOf(r, families))
	}
	return fmt.Sprintf(`^%s-\d{3}-(%s|%s)$`, family, suffix, oneOf(r, suffixes))
}

func (g *generator) either() clause {
	c := clause{field: "$or"}
	for len(c.either) < 2 {
		one := clause{field: "metadata.region", is: oneOf(g.r, regions)}
		if kind := g.r.Intn(5); kind < 4 {
			one = g.clause([]int{ofType, ofSource, ofSeverity, ofAmount}[kind], false)
		}
		if len(c.either) == 0 || c.either[0].field != one.field {
			c.either = append(c.either, one)
		}
	}
	return c
}

// amount is a threshold that few amounts reach, of two digits: between far and 3.1
// standard deviations above their median.
func amount(r *rand.Rand, far float64) float64 {
	x := math.Exp(4.5 + 1.6*(far+(3.1-far)*r.Float64()))
	digits := math.Pow(10, math.Floor(math.Log10(x))-1)
	return math.Round(x/digits) * digits
}
