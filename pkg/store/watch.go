package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
)

// ErrStreamRefused: the server answers, but does not open or continue the
// change stream from there. Its history is lost, or the place is of another
// database, or the server does not let anybody watch; who opens a stream
// without a place learns which.
var ErrStreamRefused = errors.New("the change stream is refused")

// Watched is what can be watched: stored events, metrics, notifications.
type Watched string

// The collections behind the live streams.
const (
	WatchedEvents        Watched = "events"
	WatchedMetrics       Watched = "metrics"
	WatchedNotifications Watched = "notifications"
)

// invalidate is the end of a collection that was dropped or renamed, and of the
// stream with it. One that hid it would end without a word, and begin again
// before it, for ever.
const invalidate = "invalidate"

// operations are what a stream tells: events are never changed in a way that
// somebody waits for, the others are.
func (w Watched) operations() bson.A {
	if w == WatchedEvents {
		return bson.A{"insert", invalidate}
	}
	return bson.A{"insert", "update", "replace", invalidate}
}

// Change is one change as the stream tells it.
type Change struct {
	Place    Place     // continue after this change
	Document bson.Raw  // as it is now, or was inserted; nil when it is gone already, or the whole collection is
	At       time.Time // when it was written, by the server's clock
}

// Stream is an open change stream. It knows its place.
type Stream struct {
	stream *mongo.ChangeStream
	place  Place
	begun  Place
}

// Watch opens a change stream over what is written from now on, or after the
// place; ErrStreamRefused when the server does not continue from there.
func (s *Store) Watch(ctx context.Context, what Watched, after *Place) (*Stream, error) {
	if after == nil {
		return s.watchFromNow(ctx, what)
	}
	o := options.ChangeStream()
	if len(after.Token) > 0 {
		o.SetStartAfter(after.Token) // other than resumeAfter, also after the end of a collection
	} else { // the first moment that the place does not cover
		next := after.Time
		next.I++
		o.SetStartAtOperationTime(&next)
	}
	stream, err := s.watch(ctx, what, o)
	if err != nil {
		return nil, err
	}
	return &Stream{stream: stream, place: *after, begun: *after}, nil
}

// watchFromNow lets the server begin where it is, and asks for its time before
// and after. To ask first, and begin at that time, loses changes: those of a
// transaction that had its time by then and commits later, and on SecantusDB all
// that are written while it searches its history for the time.
func (s *Store) watchFromNow(ctx context.Context, what Watched) (*Stream, error) {
	e := &Stream{}
	var err error
	if e.place, err = s.placeNow(ctx); err != nil {
		return nil, err
	}
	if e.stream, err = s.watch(ctx, what, options.ChangeStream()); err != nil {
		return nil, err
	}
	if e.begun, err = s.placeNow(ctx); err != nil {
		_ = e.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	e.begun.N = e.place.N
	e.remember(e.stream.ResumeToken())
	return e, nil
}

// placeNow is after all that has the server's time now, or an earlier one.
func (s *Store) placeNow(ctx context.Context) (Place, error) {
	seen := time.Now()
	now, err := s.operationTime(ctx)
	return Place{Time: now, N: beginning | rand.Uint32(), Seen: seen}, err
}

// remember takes the server's token for where the stream is. Without one, a place
// at the beginning needs a time before the stream began, to begin there again;
// with one, a time after which the stream that continues there tells everything.
func (e *Stream) remember(token bson.Raw) {
	if len(token) == 0 {
		return
	}
	e.place.Token = append(bson.Raw(nil), token...)
	if e.place.AtBeginning() {
		e.place.Time = e.begun.Time
	}
}

func (s *Store) watch(ctx context.Context, what Watched, o *options.ChangeStreamOptions) (*mongo.ChangeStream, error) {
	if what != WatchedEvents {
		o.SetFullDocument(options.UpdateLookup)
	}
	pipeline := mongo.Pipeline{bson.D{field("$match", bson.D{field("operationType", bson.D{field("$in", what.operations())})})}}
	stream, err := s.db.Collection(string(what)).Watch(ctx, pipeline, o)
	if err != nil {
		return nil, streamError("watch "+string(what), err)
	}
	return stream, nil
}

// operationTime is the server's logical time now.
func (s *Store) operationTime(ctx context.Context) (primitive.Timestamp, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	session, err := s.client.StartSession()
	if err != nil {
		return primitive.Timestamp{}, classify("ask for the operation time", err)
	}
	defer session.EndSession(ctx)
	if err := s.db.RunCommand(mongo.NewSessionContext(ctx, session), bson.D{field("ping", 1)}).Err(); err != nil {
		return primitive.Timestamp{}, streamError("ask for the operation time", err)
	}
	now := session.OperationTime()
	if now == nil {
		return primitive.Timestamp{}, &outage{errors.New("the server tells no operation time; change streams need a replica set")}
	}
	return *now, nil
}

// Place is where the stream is: after all that it told, or later when the
// server said that nothing happened since.
func (e *Stream) Place() Place { return e.place }

// Begun is a place where the stream had begun: it tells every change after it.
// Of one that began now, some changes that it tells may lie before.
func (e *Stream) Begun() Place { return e.begun }

// Buffered is how many changes are there without asking the server.
func (e *Stream) Buffered() int { return e.stream.RemainingBatchLength() }

// TryNext is the next change, false when there is none within the second that
// the server waits for one. The place then moves on all the same. The change
// after which a collection is gone is the stream's last: ErrStreamRefused comes
// next, and a stream after its place tells what is written from then on.
func (e *Stream) TryNext(ctx context.Context) (Change, bool, error) {
	asked := time.Now()
	if !e.stream.TryNext(ctx) {
		if err := e.stream.Err(); err != nil {
			return Change{}, false, streamError("read the change stream", err)
		}
		if err := ctx.Err(); err != nil {
			return Change{}, false, err
		}
		if e.stream.ID() == 0 {
			return Change{}, false, fmt.Errorf("read the change stream: %w: the server ended it", ErrStreamRefused)
		}
		e.remember(e.stream.ResumeToken())
		e.place.Seen = asked
		return Change{}, false, nil
	}
	var c Change
	raw := e.stream.Current
	if t, i, ok := raw.Lookup("clusterTime").TimestampOK(); ok {
		e.place.pass(primitive.Timestamp{T: t, I: i})
	} else {
		e.place.pass(e.place.Time)
	}
	token := e.stream.ResumeToken()
	if operation, _ := raw.Lookup("operationType").StringValueOK(); operation == invalidate { // its own is what a stream starts after
		token = raw.Lookup("_id").Document()
	}
	e.place.Token = append(bson.Raw(nil), token...)
	if at, ok := raw.Lookup("wallTime").TimeOK(); ok {
		c.At = at
	} else {
		c.At = time.Unix(int64(e.place.Time.T), 0)
	}
	if document, ok := raw.Lookup("fullDocument").DocumentOK(); ok {
		c.Document = append(bson.Raw(nil), document...)
	}
	c.Place = e.place
	return c, true, nil
}

// Next waits for the next change, until ctx ends.
func (e *Stream) Next(ctx context.Context) (Change, error) {
	for {
		if c, found, err := e.TryNext(ctx); err != nil || found {
			return c, err
		}
	}
}

// Close ends the stream.
func (e *Stream) Close(ctx context.Context) error { return e.stream.Close(ctx) }

// streamError tells the server's own no from a server that is away: a command
// that was answered with an error that no election or stop explains.
func streamError(doing string, err error) error {
	var command mongo.CommandError
	if errors.As(err, &command) && !command.IsMaxTimeMSExpiredError() && !mongo.IsNetworkError(err) && !mongo.IsTimeout(err) &&
		!command.HasErrorLabel("ResumableChangeStreamError") && !command.HasErrorLabel("RetryableReadError") && !isPassing(command) {
		return fmt.Errorf("%s: %w: %w", doing, ErrStreamRefused, err)
	}
	return classify(doing, err)
}

// isPassing: codes of a server that stops, starts or elects.
func isPassing(err mongo.CommandError) bool {
	for _, code := range []int{
		91,    // ShutdownInProgress
		189,   // PrimarySteppedDown
		10107, // NotWritablePrimary
		11600, // InterruptedAtShutdown
		11602, // InterruptedDueToReplStateChange
		13435, // NotPrimaryNoSecondaryOk
		13436, // NotPrimaryOrSecondary
		11601, // Interrupted
		43,    // CursorNotFound
		237,   // CursorKilled
	} {
		if err.HasErrorCode(code) {
			return true
		}
	}
	return false
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
