package differential_test

import (
	"context"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/test/support/querygen"
)

// minimised shrinks a condition and a document as long as they still differ.
func (t *trial) minimised(ctx context.Context, condition, document bson.D) (*difference, error) {
	const patience = 200 // steps; each takes something away
	for range patience {
		c, d, err := t.step(ctx, condition, document)
		if err != nil {
			return nil, err
		}
		if c == nil {
			break
		}
		condition, document = c, d
	}
	compiled, err := rule.Compile(querygen.Marshal(condition))
	if err != nil {
		return nil, err
	}
	return &difference{condition, document, compiled.Match(querygen.Marshal(document))}, nil
}

// step is a smaller pair that differs, nil when there is none: a smaller
// condition, a smaller document, or both at once, where the condition's query
// of elements becomes the condition and an element the document.
func (t *trial) step(ctx context.Context, condition, document bson.D) (bson.D, bson.D, error) {
	c, d, err := t.differ(ctx, documentsOf(smaller(condition)), []bson.D{document})
	if c == nil && err == nil {
		c, d, err = t.differ(ctx, []bson.D{condition}, documentsOf(smaller(document)))
	}
	if c == nil && err == nil {
		c, d, err = t.differ(ctx, documentsOf(within(condition)), documentsOf(within(document)))
	}
	return c, d, err
}

// differ is the first pair about which matcher and server differ, nil when
// there is none.
func (t *trial) differ(ctx context.Context, conditions, documents []bson.D) (bson.D, bson.D, error) {
	if len(documents) == 0 {
		return nil, nil, nil
	}
	c, err := t.server.keep(ctx, documents)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = c.Drop(ctx) }()
	for _, condition := range conditions {
		compiled, err := rule.Compile(querygen.Marshal(condition))
		if err != nil {
			continue // what is left of it is no condition
		}
		found, err := find(ctx, c, t.words(condition))
		if err != nil {
			continue
		}
		for i, d := range documents {
			if compiled.Match(querygen.Marshal(d)) != found[i] {
				return condition, d, nil
			}
		}
	}
	return nil, nil, ctx.Err()
}

func documentsOf(values []any) []bson.D {
	var out []bson.D
	for _, v := range values {
		if d, ok := v.(bson.D); ok {
			out = append(out, d)
		}
	}
	return out
}

// within are all values inside of one.
func within(v any) []any {
	var out []any
	switch v := v.(type) {
	case bson.D:
		for _, e := range v {
			out = append(append(out, e.Value), within(e.Value)...)
		}
	case bson.A:
		for _, e := range v {
			out = append(append(out, e), within(e)...)
		}
	}
	return out
}

// smaller are the values one step simpler: a part left out, a part in place of
// the whole, or the plainest value.
func smaller(v any) []any {
	var out []any
	switch v := v.(type) {
	case bson.D:
		for i, e := range v {
			out = append(out, append(append(bson.D{}, v[:i]...), v[i+1:]...), e.Value)
			for _, s := range smaller(e.Value) {
				changed := append(bson.D{}, v...)
				changed[i].Value = s
				out = append(out, changed)
			}
		}
	case bson.A:
		for i, e := range v {
			out = append(out, append(append(bson.A{}, v[:i]...), v[i+1:]...), e)
			for _, s := range smaller(e) {
				changed := append(bson.A{}, v...)
				changed[i] = s
				out = append(out, changed)
			}
		}
	case int: // the plainest
	default:
		out = append(out, 1)
	}
	return out
}
