package differential_test

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/test/support/querygen"
)

// trial compares the matcher, and the index of many rules, with the server, pair
// by pair of a condition and a document.
type trial struct {
	server   *server
	faults   []*fault // those that this server has
	seed     maphash.Seed
	seen     map[uint64]bool // distinct pairs
	matched  int             // pairs of a condition and a document that fulfils it
	aside    map[string]int  // differing pairs by the server's fault that explains them
	asked    int             // conditions
	excused  int             // conditions with a pair that was set aside
	reworded map[string]int  // conditions by the fault for which they were asked in other words
}

// newTrial asks the server for its faults.
func newTrial(ctx context.Context, s *server) (*trial, error) {
	t := &trial{server: s, seed: maphash.MakeSeed(), seen: map[uint64]bool{}, aside: map[string]int{}, reworded: map[string]int{}}
	for _, f := range faults {
		has, err := f.has(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		if has {
			t.faults = append(t.faults, f)
		}
	}
	return t, nil
}

// round compares conditions with documents, each with each, and says what nothing
// explains, each difference as small as it could be made.
func (t *trial) round(ctx context.Context, conditions, documents []bson.D) ([]string, error) {
	docs := make([]bson.Raw, len(documents))
	for i, d := range documents {
		docs[i] = querygen.Marshal(d)
	}
	c, err := t.server.keep(ctx, documents)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Drop(ctx) }()
	x, err := newIndex(conditions, docs)
	if err != nil {
		return nil, fmt.Errorf("the generator made conditions that are refused: %w", err)
	}
	var unexplained []string
	for n, condition := range conditions {
		raw := querygen.Marshal(condition)
		compiled, err := rule.Compile(raw)
		if err != nil {
			return nil, fmt.Errorf("the generator made a condition that is refused: %s: %w", text(condition), err)
		}
		answer, err := ask(ctx, c, t.words(condition), 0, len(docs))
		if err != nil {
			return nil, fmt.Errorf("the server refuses %s: %w", text(condition), err)
		}
		t.asked++
		before := t.setAside()
		for i, doc := range docs {
			matches := compiled.Match(doc)
			t.count(raw, doc, matches)
			// The matcher is compared with the server below: what both say is true, and
			// where a fault of the server explains that it says something else, the matcher.
			if odd := x.differs(n, i, documents[i], matches); odd != "" && !slices.Contains(unexplained, odd) {
				unexplained = append(unexplained, odd)
			}
			if err := answer.fails[i]; err != nil {
				if f := t.failure(condition, documents[i]); f != nil {
					t.aside[f.name]++
				} else {
					unexplained = append(unexplained, fmt.Sprintf("%s: %s: the server fails: %v", text(condition), text(documents[i]), err))
				}
				continue
			}
			if matches == answer.matches[i] {
				continue
			}
			d, err := t.minimised(ctx, condition, documents[i])
			if err != nil {
				return nil, err
			}
			if f := t.explanation(d); f != nil {
				t.aside[f.name]++
				continue
			}
			unexplained = append(unexplained, d.String())
		}
		if t.setAside() > before {
			t.excused++
		}
	}
	return unexplained, nil
}

func (t *trial) count(condition, doc bson.Raw, matches bool) {
	var h maphash.Hash
	h.SetSeed(t.seed)
	_, _ = h.Write(condition)
	_, _ = h.Write(doc)
	key := h.Sum64()
	if !t.seen[key] {
		t.seen[key] = true
		if matches {
			t.matched++
		}
	}
}

// words is the condition as this server understands it.
func (t *trial) words(condition bson.D) bson.D {
	for _, f := range t.faults {
		if f.reword == nil {
			continue
		}
		if again, changed := f.reword(condition); changed {
			t.reworded[f.name]++
			condition = again
		}
	}
	return condition
}

func (t *trial) explanation(d *difference) *fault {
	for _, f := range t.faults {
		if f.shape != nil && f.shape(d.condition, d.document) {
			return f
		}
	}
	return nil
}

// failure is the fault for which the server fails instead of answering.
func (t *trial) failure(condition, document bson.D) *fault {
	for _, f := range t.faults {
		if f.fails != nil && f.fails(condition, document) {
			return f
		}
	}
	return nil
}

// setAside is how many pairs faults explain.
func (t *trial) setAside() int {
	n := 0
	for _, count := range t.aside {
		n += count
	}
	return n
}

// difference is a pair about which matcher and server differ, as small as it
// could be made.
type difference struct {
	condition, document bson.D
	matcher             bool
}

func (d *difference) String() string {
	says := map[bool]string{true: "matches", false: "does not match"}
	return fmt.Sprintf("%s: %s: the matcher says that it %s, the server that it %s", text(d.condition), text(d.document), says[d.matcher], says[!d.matcher])
}

func text(d bson.D) string {
	b, err := bson.MarshalExtJSON(d, false, false)
	if err != nil {
		return fmt.Sprint(d)
	}
	return string(b)
}
