package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
)

// timeline is a list in the order of a time and then of _id. It is asked for in
// spans of time that grow until it is full: where an index has no such order
// (`type_time` ends with the severity), and on servers that sort all that matches
// before they look at a limit, a list would otherwise cost as much as there is.
// Spans follow each other without a gap, so the answer is that of one query.
type timeline struct {
	collection *mongo.Collection
	doing      string
	path       string // of the time
	index      string // that serves it; "": for the server to say
	by         bson.D // what the index begins with, before the time
	untimed    bool   // the index has no time: one query finds all
	rest       bson.D // what else must hold
	from, to   time.Time
	after      *place
	limit      int
	textIDs    bool // every _id is a text
	undated    bool // documents without a time come, too, see undated.go

	oldestFirst bool
	project     bson.D
	maxTime     func() time.Duration // of each query
}

// listOf reads a timeline. What cannot be read is named and left out, see
// unreadable.go.
func listOf[T any](ctx context.Context, s *Store, l timeline) (found []T, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	l.undated, l.maxTime = true, func() time.Duration { return operationTimeout / 2 }
	err = l.each(ctx, s, func(doc bson.Raw) (bool, error) {
		var one T
		id := doc.Lookup("_id")
		err := bson.Unmarshal(l.withoutWrongTime(doc), &one)
		if l.textIDs && id.Type != bson.TypeString {
			err = errors.Join(errNotText, err)
		}
		if err != nil {
			s.leftOut(l.collection, id, &Unreadable{err})
			return false, nil //nolint:nilerr // said, and left out
		}
		found = append(found, one)
		return true, nil
	})
	return found, err
}

// place is where a document of a timeline stands.
type place struct {
	at time.Time
	id any
}

const (
	firstSpan   = time.Second
	longestSpan = 400 * 24 * time.Hour // what is left is asked for at once
	// aheadSpan is farther ahead than any clock: nothing newer is waited for.
	aheadSpan = 24 * time.Hour
)

// each hands the documents over as they come; f says whether one counts, and may
// not keep it. The place of one that does not count goes to the next.
func (l timeline) each(ctx context.Context, s *Store, f func(bson.Raw) (bool, error)) error {
	// As they are sent and stored: an event of the same millisecond as from is
	// within, and must not look as if it were before it when the list goes on there.
	l.from, l.to = l.from.Truncate(time.Millisecond), l.to.Truncate(time.Millisecond)
	if l.after != nil && (l.oldestFirst && l.after.at.Before(l.from) || !l.oldestFirst && !l.to.IsZero() && !l.after.at.Before(l.to)) {
		l.after = nil // everything is behind it
	}
	if l.behindAllTimes() {
		return l.eachUndated(ctx, s, l.limit, f)
	}
	spans := l.spans(time.Now())
	missing := l.limit
	for {
		read, counted, last, err := l.read(ctx, s, spans.bounds(), missing, f)
		if err != nil {
			return err
		}
		asked := missing
		missing -= counted
		switch {
		case l.limit > 0 && missing == 0:
			return nil
		case l.limit > 0 && read == asked: // some did not count; there may be more behind them
			l.after, spans.after = &last, true
			spans.edge = last.at
		case !spans.next(l.limit-missing, missing):
			l.after = nil
			return l.eachUndated(ctx, s, missing, f)
		default:
			l.after = nil // the next span begins where this one ends
		}
	}
}

// read reads a span.
func (l timeline) read(ctx context.Context, s *Store, bounds bson.D, missing int, f func(bson.Raw) (bool, error)) (read, counted int, last place, err error) {
	direction := -1
	if l.oldestFirst {
		direction = 1
	}
	o := s.findBy(ctx, l.index).SetSort(keys(l.path, direction, "_id", direction)).SetLimit(int64(missing)).
		SetMaxTime(l.maxTime()).SetBatchSize(int32(min(missing, batchMost)))
	if l.project != nil {
		o.SetProjection(l.project)
	}
	cur, err := l.collection.Find(ctx, l.query(bounds), o)
	if err != nil {
		return 0, 0, last, searched(l.doing, err)
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	for cur.Next(ctx) {
		read++
		counts, err := f(cur.Current)
		if err != nil {
			return read, counted, last, err
		}
		if counts {
			counted++
		}
		if read == missing && counted < missing { // needed only then
			last.at, _ = cur.Current.Lookup(l.path).TimeOK()
			id := cur.Current.Lookup("_id")
			id.Value = slices.Clone(id.Value)
			last.id = id
		}
	}
	return read, counted, last, searched(l.doing, cur.Err())
}

// query asks for what is within the bounds.
func (l timeline) query(bounds bson.D) bson.D {
	at := bson.D{}
	if len(bounds) > 0 {
		at = bson.D{field(l.path, bounds)}
	}
	beyond := bson.D{}
	if l.after != nil {
		than := "$lt"
		if l.oldestFirst {
			than = "$gt"
		}
		beyond = bson.D{field("$or", bson.A{
			bson.D{field(l.path, bson.D{field(than, l.after.at)})},
			bson.D{field(l.path, l.after.at), field("_id", bson.D{field(than, l.after.id)})},
		})}
	}
	return l.selected(at, beyond)
}

// selected asks for what has such a time, and fulfils the rest.
func (l timeline) selected(at, beyond bson.D) bson.D {
	if l.untimed {
		return selection(l.by, slices.Concat(at, l.rest), beyond)
	}
	return selection(slices.Concat(l.by, at), l.rest, beyond)
}

// selection joins the fields that an index begins with, and nothing else, to what
// must hold besides. That is put into an $or of one, which changes nothing on
// MongoDB: planners that look at all fields of a conjunction at once find no index
// that has them all, and then take the first that has any.
func selection(first bson.D, rest ...bson.D) bson.D {
	var besides bson.A
	for _, r := range rest {
		switch {
		case len(r) == 0:
		case len(r) == 1 && r[0].Key[0] == '$': // no field that could be looked at
			besides = append(besides, r)
		default:
			besides = append(besides, bson.D{field("$or", bson.A{r})})
		}
	}
	switch {
	case len(besides) == 0:
		return append(bson.D{}, first...) // never nil, which is no document
	case len(first) == 1 && first[0].Key == "$and":
		return bson.D{field("$and", append(bson.A{first}, besides...))}
	default:
		return append(slices.Clone(first), field("$and", besides))
	}
}

// apart takes the first of the fields out of a filter: what an index begins with.
func apart(filter bson.D, paths ...string) (by, rest bson.D) {
	for _, path := range paths {
		if i := slices.IndexFunc(filter, func(e bson.E) bool { return e.Key == path }); i >= 0 {
			by = bson.D{filter[i]}
			return by, slices.Delete(filter, i, i+1)
		}
	}
	return nil, filter
}

// walk goes through the spans of a timeline, one after the other.
type walk struct {
	timeline

	now    time.Time
	anchor time.Time     // where the first one begins, as far as that is known
	width  time.Duration // from there to the end of this one
	edge   time.Time     // where this one begins, unless it is the first
	after  bool          // the edge is a document's place, and behind it is its time's rest
	begun  bool
	last   bool // nothing is behind this one
}

func (l timeline) spans(now time.Time) *walk {
	s := &walk{timeline: l, now: now, width: firstSpan}
	if l.oldestFirst {
		s.anchor = l.from
		if l.after != nil {
			s.anchor = l.after.at
		}
		s.last = s.anchor.IsZero() // nobody knows where it begins
	} else {
		s.anchor = now
		if !l.to.IsZero() && l.to.Before(s.anchor) {
			s.anchor = l.to
		}
		if l.after != nil && l.after.at.Before(s.anchor) {
			s.anchor = l.after.at
		}
	}
	s.anchor = s.anchor.Truncate(time.Millisecond) // as it is stored
	s.last = s.last || l.untimed || l.limit == 0
	s.after = l.after != nil
	if s.after {
		s.edge = l.after.at
	}
	s.settle()
	return s
}

// far is where this span ends; whatever is behind it is none of the list's when it
// is the last.
func (s *walk) far() time.Time {
	if s.oldestFirst {
		return s.anchor.Add(s.width)
	}
	return s.anchor.Add(-s.width)
}

// settle makes the span the last one when nothing can be behind it.
func (s *walk) settle() {
	far := s.far()
	switch {
	case s.last:
	case s.width > longestSpan:
		s.last = true
	case s.oldestFirst:
		s.last = !s.to.IsZero() && !far.Before(s.to) || far.After(s.now.Add(aheadSpan))
	default:
		s.last = !s.from.IsZero() && !far.After(s.from)
	}
}

// bounds are what the time of this span's documents lies between.
func (s *walk) bounds() bson.D {
	least, most := s.from, s.to // most is exclusive
	if s.oldestFirst {
		if s.begun || s.after {
			least = s.edge
		}
		if !s.last {
			most = s.far()
		}
		return s.between(least, most, "$lt")
	}
	if !s.last {
		least = s.far()
	}
	switch {
	case s.after:
		return s.between(least, s.edge, "$lte")
	case s.begun:
		most = s.edge
	}
	return s.between(least, most, "$lt")
}

func (l timeline) between(least, most time.Time, below string) bson.D {
	b := bson.D{}
	switch {
	case !least.IsZero():
		b = append(b, field("$gte", least))
	case l.undated:
		b = append(b, dated)
	}
	if !most.IsZero() {
		b = append(b, field(below, most))
	}
	return b
}

// next goes on to the next span, which is as long as the documents found so far
// promise; false when there is none.
func (s *walk) next(found, missing int) bool {
	if s.last {
		return false
	}
	s.edge, s.begun, s.after = s.far(), true, false
	width := 4 * float64(s.width)
	if found > 0 {
		promised := 1.5 * float64(s.width) * float64(found+missing) / float64(found)
		width = min(max(promised, 2*float64(s.width)), 16*float64(s.width))
	}
	s.width = time.Duration(width).Truncate(time.Millisecond)
	s.settle()
	return true
}
