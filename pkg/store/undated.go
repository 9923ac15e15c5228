package store

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/bson"
)

// Documents whose time is no date (it is missing, or was changed by hand) or the zero
// one have no place among the others of a timeline. They come behind all of them, in
// the order of their _id alone, with the zero time: so the place of one, which is
// what its reader saw, says by itself that the list goes on among them.

// dated is what a time is within spans.
var dated = field("$gt", time.Time{})

// behindAllTimes says that the list goes on among the documents without a time.
func (l timeline) behindAllTimes() bool {
	return l.undated && l.after != nil && l.after.at.IsZero()
}

// withoutWrongTime is a document as it is, or without a time that is none: that
// would keep it from being read.
func (l timeline) withoutWrongTime(doc bson.Raw) bson.Raw {
	if at, is := doc.Lookup(l.path).TimeOK(); is && at.After(time.Time{}) {
		return doc
	}
	without, err := bson.Marshal(fieldsBut(l.path, doc))
	if err != nil {
		return doc
	}
	return without
}

// eachUndated is each for the documents without a time, when none is asked for. What
// does not count takes nobody's place: the server is asked for no certain number.
func (l timeline) eachUndated(ctx context.Context, s *Store, missing int, f func(bson.Raw) (bool, error)) error {
	if !l.undated || !l.from.IsZero() || !l.to.IsZero() {
		return nil
	}
	var beyond bson.D
	if l.after != nil {
		beyond = bson.D{field("_id", bson.D{field("$lt", l.after.id)})}
	}
	at := bson.D{field(l.path, bson.D{field("$not", bson.D{dated})})}
	o := s.findBy(ctx, l.index).SetSort(keys("_id", -1)).SetMaxTime(l.maxTime()).SetBatchSize(int32(max(0, min(missing, batchMost))))
	if l.project != nil {
		o.SetProjection(l.project)
	}
	cur, err := l.collection.Find(ctx, l.selected(at, beyond), o)
	if err != nil {
		return searched(l.doing, err)
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	for (l.limit == 0 || missing > 0) && cur.Next(ctx) {
		counts, err := f(cur.Current)
		if err != nil {
			return err
		}
		if counts {
			missing--
		}
	}
	return searched(l.doing, cur.Err())
}
