package store

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
)

// ErrHistoryLost: the change stream cannot continue from the given token; what
// happened since then must be read from the collection.
var ErrHistoryLost = errors.New("the change stream's history is lost")

// Change is one stored event as the change stream tells it.
type Change struct {
	Token bson.Raw // resume after this change; opaque
	Event bson.Raw // the document as it was inserted
}

// EventStream is an open change stream over inserted events.
type EventStream struct{ stream *mongo.ChangeStream }

// WatchEvents opens a change stream over the events that are stored from now
// on, or after the given token. ErrHistoryLost when the token is too old.
func (s *Store) WatchEvents(ctx context.Context, after bson.Raw) (*EventStream, error) {
	o := options.ChangeStream()
	if len(after) > 0 {
		o.SetResumeAfter(after)
	}
	pipeline := mongo.Pipeline{bson.D{field("$match", bson.D{field("operationType", "insert")})}}
	stream, err := s.events.Watch(ctx, pipeline, o)
	if err != nil {
		return nil, streamError(err)
	}
	return &EventStream{stream}, nil
}

// Next waits for the next change, until ctx ends.
func (e *EventStream) Next(ctx context.Context) (Change, error) {
	if !e.stream.Next(ctx) {
		if err := e.stream.Err(); err != nil {
			return Change{}, streamError(err)
		}
		if err := ctx.Err(); err != nil {
			return Change{}, err
		}
		return Change{}, &outage{errors.New("the change stream ended")}
	}
	return Change{
		Token: append(bson.Raw(nil), e.stream.ResumeToken()...),
		Event: append(bson.Raw(nil), e.stream.Current.Lookup("fullDocument").Document()...),
	}, nil
}

// TryNext is Next without waiting longer than one round trip; false when there
// is nothing now. The token then moves on all the same (see Token).
func (e *EventStream) TryNext(ctx context.Context) (Change, bool, error) {
	if !e.stream.TryNext(ctx) {
		if err := e.stream.Err(); err != nil {
			return Change{}, false, streamError(err)
		}
		if err := ctx.Err(); err != nil {
			return Change{}, false, err
		}
		if e.stream.ID() == 0 {
			return Change{}, false, &outage{errors.New("the change stream ended")}
		}
		return Change{}, false, nil
	}
	return Change{
		Token: append(bson.Raw(nil), e.stream.ResumeToken()...),
		Event: append(bson.Raw(nil), e.stream.Current.Lookup("fullDocument").Document()...),
	}, true, nil
}

// Token is the stream's position now: after the last change, or later when the
// server said that nothing happened since.
func (e *EventStream) Token() bson.Raw { return append(bson.Raw(nil), e.stream.ResumeToken()...) }

// Close ends the stream.
func (e *EventStream) Close(ctx context.Context) error { return e.stream.Close(ctx) }

func streamError(err error) error {
	for _, code := range []int{286, 280, 136, 260} { // ChangeStreamHistoryLost, ChangeStreamFatalError, CappedPositionLost, InvalidResumeToken
		if hasCode(err, code) {
			return fmt.Errorf("%w: %w", ErrHistoryLost, err)
		}
	}
	return classify("watch events", err)
}

// EventsAfter lists events in the order of storage after the given _id, for
// those who must read what a lost change stream would have told them.
func (s *Store) EventsAfter(ctx context.Context, id primitive.ObjectID, limit int) ([]bson.Raw, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.events.Find(ctx, bson.D{field("_id", bson.D{field("$gt", id)})},
		options.Find().SetSort(keys("_id", 1)).SetLimit(int64(limit)))
	var docs []bson.Raw
	if err == nil {
		err = cur.All(ctx, &docs)
	}
	return docs, classify("list events", err)
}
