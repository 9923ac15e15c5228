package store

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo/options"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"

	"github.com/events-aggregator/events-aggregator/pkg/event"
)

// EventSearch is a list of events by their text, those that fit best first.
type EventSearch struct {
	EventFilter

	Search event.Search
	After  *SearchPosition // goes on behind it; nil begins
	Limit  int
	Bytes  int // ends a page before the limit, once its events have so many; 0 does not
}

// full says whether a page has as many bytes as it may.
func (q EventSearch) full(size int) bool { return q.Bytes > 0 && size >= q.Bytes }

// SearchPosition is the place of an event in the order of a search. A score
// depends on the event alone, so pages stay stable while events arrive.
type SearchPosition struct {
	Score float64
	ID    primitive.ObjectID
}

// before says whether p comes before o.
func (p SearchPosition) before(o SearchPosition) bool {
	if p.Score != o.Score {
		return p.Score > o.Score
	}
	return slices.Compare(p.ID[:], o.ID[:]) > 0
}

// FoundEvent is an event that a search found.
type FoundEvent struct {
	SearchPosition

	Event bson.Raw
}

// SearchMode is how the server looked for words.
type SearchMode string

// The modes. Both find the same events.
const (
	TextIndex SearchMode = "text_index" // by $text, ranked by the server
	TermMatch SearchMode = "term_match" // by reading search_text of what the other filters leave
)

// SearchMode is what this server can do, known from when the indexes were made.
func (s *Store) SearchMode() SearchMode {
	if s.hasText.Load() {
		return TextIndex
	}
	return TermMatch
}

// SearchEvents looks for events by their text. next is where the next page goes
// on, nil when there is none. A query that takes longer than ctx allows is
// TooSlow.
func (s *Store) SearchEvents(ctx context.Context, q EventSearch) (found []FoundEvent, next *SearchPosition, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if s.SearchMode() == TextIndex {
		return s.searchByIndex(ctx, q)
	}
	return s.searchByTerms(ctx, q)
}

// scoreField holds the server's score of an event.
const scoreField = "search_score"

// searchByIndex asks the text index for events with all the words; what else the
// search asks for is looked at here, since servers differ about it.
func (s *Store) searchByIndex(ctx context.Context, q EventSearch) (found []FoundEvent, next *SearchPosition, err error) {
	const doing = "search events by the text index"
	quoted := make([]string, len(q.Search.Words))
	for i, w := range q.Search.Words {
		quoted[i] = `"` + w + `"` // in quotes all must be there, otherwise one is enough
	}
	stages := bson.A{bson.D{field("$match", bson.D{field("$text", bson.D{field("$search", strings.Join(quoted, " "))})})}}
	if filter := q.Query(); len(filter) > 0 {
		// A stage of its own, which MongoDB joins to the first: other servers look for
		// the words alone when both are asked for in one.
		stages = append(stages, bson.D{field("$match", filter)})
	}
	stages = append(stages, bson.D{field("$addFields", bson.D{field(scoreField, bson.D{field("$meta", "textScore")})})})
	if q.After != nil {
		stages = append(stages, bson.D{field("$match", bson.D{field("$or", bson.A{
			bson.D{field(scoreField, bson.D{field("$lt", q.After.Score)})},
			bson.D{field(scoreField, q.After.Score), field("_id", bson.D{field("$lt", q.After.ID)})},
		})})})
	}
	stages = append(stages, bson.D{field("$sort", keys(scoreField, -1, "_id", -1))}, bson.D{field("$limit", q.Limit)})
	cur, err := s.events.Aggregate(ctx, stages, options.Aggregate().SetAllowDiskUse(true).SetMaxTime(timeLeft(ctx)))
	if err != nil {
		return nil, nil, searched(doing, err)
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	var last SearchPosition
	n, size := 0, 0
	for !q.full(size) && cur.Next(ctx) {
		doc := slices.Clone(cur.Current)
		n++
		last.ID, _ = doc.Lookup("_id").ObjectIDOK()
		last.Score, _ = doc.Lookup(scoreField).DoubleOK()
		text, _ := doc.Lookup("search_text").StringValueOK()
		if q.Search.Score(text) > 0 {
			found = append(found, FoundEvent{last, without(doc, scoreField)})
			size += len(doc)
		}
	}
	if err := cur.Err(); err != nil {
		return nil, nil, searched(doing, err)
	}
	if n == q.Limit || q.full(size) {
		next = &last
	}
	return found, next, nil
}

// without is a document without one of its fields.
func without(doc bson.Raw, name string) bson.Raw {
	elements, err := doc.Elements()
	if err != nil {
		return doc
	}
	at, out := bsoncore.AppendDocumentStart(make([]byte, 0, len(doc)))
	for _, e := range elements {
		if e.Key() != name {
			out = append(out, e...)
		}
	}
	if out, err = bsoncore.AppendDocumentEnd(out, at); err != nil {
		return doc
	}
	return out
}

// searchByTerms reads the search_text of the events that the other filters leave
// and that has the words in it, and keeps the best of them; only those are read
// whole.
func (s *Store) searchByTerms(ctx context.Context, q EventSearch) (found []FoundEvent, next *SearchPosition, err error) {
	const doing = "search events by their terms"
	terms := bson.A{}
	for _, w := range q.Search.Words { // case-sensitive, since search_text is in lower case: thirty times faster
		terms = append(terms, bson.D{field("search_text", bson.D{field("$regex", regexp.QuoteMeta(w))})})
	}
	if len(q.Condition) > 0 {
		terms = append(terms, q.Condition)
	}
	how, others := q.served(), q.EventFilter
	others.Condition = nil // one document has a key once
	cur, err := s.events.Find(ctx, others.selected(how, field("$and", terms)),
		s.findBy(ctx, how.index).SetProjection(bson.D{field("search_text", 1)}).SetMaxTime(timeLeft(ctx)).SetBatchSize(batchMost))
	if err != nil {
		return nil, nil, searched(doing, err)
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	best := make([]SearchPosition, 0, q.Limit+1) // in order
	for cur.Next(ctx) {
		text, _ := cur.Current.Lookup("search_text").StringValueOK()
		at := SearchPosition{Score: q.Search.Score(text)}
		at.ID, _ = cur.Current.Lookup("_id").ObjectIDOK()
		if at.Score == 0 || q.After != nil && !q.After.before(at) {
			continue
		}
		i, _ := slices.BinarySearchFunc(best, at, func(b, at SearchPosition) int {
			if b.before(at) {
				return -1
			}
			return 1
		})
		if i < q.Limit {
			best = slices.Insert(best, i, at)[:min(len(best)+1, q.Limit)]
		}
	}
	if err := cur.Err(); err != nil {
		return nil, nil, searched(doing, err)
	}
	return s.readFound(ctx, q, best)
}

// readTogether bounds the events that are read whole before their size is known.
const readTogether = 50

// readFound reads what a search found, up to the size of a page.
func (s *Store) readFound(ctx context.Context, q EventSearch, best []SearchPosition) (found []FoundEvent, next *SearchPosition, err error) {
	size := 0
	for some := range slices.Chunk(best, readTogether) {
		ids := make([]primitive.ObjectID, len(some))
		for i, b := range some {
			ids[i] = b.ID
		}
		docs, err := s.EventsByID(ctx, ids)
		if err != nil {
			return nil, nil, err
		}
		for _, b := range some {
			doc := docs[b.ID]
			if doc == nil { // it expired meanwhile
				continue
			}
			found = append(found, FoundEvent{b, doc})
			if size += len(doc); q.full(size) {
				return found, &b, nil
			}
		}
	}
	if len(best) == q.Limit {
		next = &best[len(best)-1]
	}
	return found, next, nil
}
