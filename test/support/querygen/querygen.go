// Package querygen makes documents and conditions of few fields and few values,
// so that they meet often, over every BSON type and every operator of the
// condition language. The same seed makes the same.
package querygen

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
)

// Generator is a source of documents and conditions.
type Generator struct{ *rand.Rand }

// New is a generator that makes the same for the same seed.
func New(seed uint64) Generator {
	return Generator{rand.New(rand.NewPCG(seed, 1))}
}

// pick is one of some.
func pick[T any](g Generator, from ...T) T { return from[g.IntN(len(from))] }

// names are all fields; two of them are positions, too.
var names = []string{"a", "b", "c", "0", "1"}

func (g Generator) name() string { return pick(g, names...) }

// Path leads to a field, or to none.
func (g Generator) Path() string {
	parts := make([]string, pick(g, 1, 1, 1, 2, 2, 3))
	for i := range parts {
		parts[i] = g.name()
	}
	return strings.Join(parts, ".")
}

// Document has some of the fields, nested up to a depth.
func (g Generator) Document(depth int) bson.D {
	d := bson.D{}
	order := g.Perm(len(names))
	for _, i := range order[:g.IntN(4)] {
		d = append(d, bson.E{Key: names[i], Value: g.value(depth)})
	}
	return d
}

// Condition is a query document whose logical operators are nested up to a
// depth.
func (g Generator) Condition(depth int) bson.D {
	d := bson.D{}
	seen := map[string]bool{}
	for range 1 + g.IntN(2) {
		e := g.clause(depth)
		if !seen[e.Key] {
			seen[e.Key] = true
			d = append(d, e)
		}
	}
	return d
}

func (g Generator) clause(depth int) bson.E {
	if depth > 0 && g.IntN(4) == 0 {
		list := bson.A{}
		for range 1 + g.IntN(3) {
			list = append(list, g.Condition(depth-1))
		}
		return bson.E{Key: pick(g, "$or", "$or", "$and", "$nor"), Value: list}
	}
	switch g.IntN(5) {
	case 0, 1:
		return bson.E{Key: g.Path(), Value: g.plain()}
	default:
		return bson.E{Key: g.Path(), Value: g.Operators(2)}
	}
}

// plain is a value that is no document of operators.
func (g Generator) plain() any {
	if g.IntN(8) == 0 {
		return g.regex()
	}
	return g.operand()
}

// Marshal is the document as BSON.
func Marshal(d bson.D) bson.Raw {
	raw, err := bson.Marshal(d)
	if err != nil {
		panic(fmt.Sprint(d, err))
	}
	return raw
}
