package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/replay"
)

// What the audit says about replays.
const (
	replayStarted   = "replay.start"
	replayPaused    = "replay.pause"
	replayResumed   = "replay.resume"
	replayCancelled = "replay.cancel"
)

// ReplaysOpen is how many replays may be there that are not over: one works at a
// time, and the others wait for it.
const ReplaysOpen = 20

// CreateReplay stores a new replay. It is ErrConflict when ReplaysOpen are not
// over.
func (s *Store) CreateReplay(ctx context.Context, j replay.Job) error {
	err := s.transaction(ctx, func(sc mongo.SessionContext) error {
		open := int64(0)
		for _, state := range replay.States {
			if state.Over() {
				continue
			}
			n, err := s.replays.CountDocuments(sc, bson.D{field("state", state)}, options.Count().SetLimit(ReplaysOpen))
			if err != nil {
				return err
			}
			open += n
		}
		if open >= ReplaysOpen {
			return fmt.Errorf("%d replays are not over, and no more may wait: %w", open, ErrConflict)
		}
		if _, err := s.replays.InsertOne(sc, j); err != nil {
			return err
		}
		return s.noteAudit(sc, Audit{At: j.CreatedAt, By: j.CreatedBy, Action: replayStarted, Subject: j.ID,
			Detail: bson.D{field("from", j.From), field("to", j.To), field("rules", j.Rules), field("dry_run", j.DryRun), field("skip_delivered", j.SkipDelivered)}})
	})
	if isDuplicateKey(err) && !isTransient(err) {
		return nil // ids are made for one replay each: an earlier commit took place
	}
	return classify("create replay "+j.ID, err)
}

// PauseReplay has a replay stop where it is until it is resumed. ErrConflict when
// nobody works on it.
func (s *Store) PauseReplay(ctx context.Context, id, by string, now time.Time) (replay.Job, error) {
	return s.changeReplay(ctx, id, replayPaused, by, now, func(j replay.Job) (replay.Job, bool) {
		may := j.State == replay.Waiting || j.State == replay.Running
		j.State = replay.Paused
		return j, may
	})
}

// ResumeReplay has a replay that was paused, or failed, go on from where it is.
func (s *Store) ResumeReplay(ctx context.Context, id, by string, now time.Time) (replay.Job, error) {
	return s.changeReplay(ctx, id, replayResumed, by, now, func(j replay.Job) (replay.Job, bool) {
		may := j.State == replay.Paused || j.State == replay.Failed
		j.State, j.Error, j.EndedAt, j.ExpiresAt = replay.Waiting, "", nil, nil
		return j, may
	})
}

// CancelReplay ends a replay for good. What it has made stays.
func (s *Store) CancelReplay(ctx context.Context, id, by string, now time.Time) (replay.Job, error) {
	return s.changeReplay(ctx, id, replayCancelled, by, now, func(j replay.Job) (replay.Job, bool) {
		return j.Ended(replay.Cancelled, now), !j.State.Over()
	})
}

// changeReplay writes the state that change says, beside the step that somebody
// may be saving: one of the two transactions starts again, and sees the other's.
func (s *Store) changeReplay(ctx context.Context, id, action, by string, now time.Time, change func(replay.Job) (replay.Job, bool)) (j replay.Job, err error) {
	err = s.transaction(ctx, func(sc mongo.SessionContext) error {
		j = replay.Job{}
		if err := s.replays.FindOne(sc, bson.D{field("_id", id)}).Decode(&j); err != nil {
			return err
		}
		next, may := change(j)
		if !may {
			return fmt.Errorf("replay %s is %s: %w", id, j.State, ErrConflict)
		}
		was := j.State
		next.UpdatedAt = now
		if _, err := s.replays.ReplaceOne(sc, bson.D{field("_id", id)}, next); err != nil {
			return err
		}
		j = next
		return s.noteAudit(sc, Audit{At: now, By: by, Action: action, Subject: id, Before: bson.D{field("state", was)}, After: bson.D{field("state", j.State)}})
	})
	if errors.Is(err, ErrConflict) {
		return j, err
	}
	return j, classify("change replay "+id, err)
}

// Replay reads one.
func (s *Store) Replay(ctx context.Context, id string) (replay.Job, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var j replay.Job
	err := s.replays.FindOne(ctx, bson.D{field("_id", id)}).Decode(&j)
	return j, classify("read replay "+id, err)
}

// ReplayPosition is a replay's place in the order of lists, newest first.
type ReplayPosition struct {
	CreatedAt time.Time
	ID        string
}

// FindReplays lists replays newest first, after the position: all, or those of a
// state.
func (s *Store) FindReplays(ctx context.Context, state replay.State, after *ReplayPosition, limit int) ([]replay.Job, error) {
	t := timeline{collection: s.replays, doing: "list replays", path: "created_at", limit: limit, textIDs: true}
	if state != "" {
		t.by = bson.D{field("state", state)}
	}
	if after != nil {
		t.after = &place{after.CreatedAt, after.ID}
	}
	return listOf[replay.Job](ctx, s, t)
}

// TakeReplay gives the holder of a lease's term the replay that is to go on: one
// whose owner's turn is over, or the oldest that waits. From now on it is saved
// under this term, and what an earlier owner writes is refused.
func (s *Store) TakeReplay(ctx context.Context, term int64, owner string, now time.Time) (j replay.Job, found bool, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	for _, state := range []replay.State{replay.Running, replay.Waiting} {
		set := bson.D{field("state", replay.Running), field("term", term), field("owner", owner), field("updated_at", now)}
		raw, err := s.replays.FindOneAndUpdate(ctx, bson.D{field("state", state), field("term", bson.D{field("$lte", term)})},
			bson.D{field("$set", set), field("$min", bson.D{field("started_at", now)})},
			options.FindOneAndUpdate().SetSort(keys("created_at", 1, "_id", 1)).SetReturnDocument(options.After)).Raw()
		if errors.Is(err, mongo.ErrNoDocuments) {
			continue
		}
		if err != nil {
			return j, false, classify("take a replay", err)
		}
		if err := bson.Unmarshal(raw, &j); err != nil {
			return replay.Job{}, false, s.setReplayAside(ctx, raw, err, now)
		}
		return j, true, nil
	}
	return j, false, nil
}

// setReplayAside ends a replay that somebody else wrote and that cannot be read: those
// behind it are not to wait for it.
func (s *Store) setReplayAside(ctx context.Context, raw bson.Raw, why error, now time.Time) error {
	_, err := s.replays.UpdateOne(ctx, bson.D{field("_id", raw.Lookup("_id"))}, bson.D{field("$set", bson.D{
		field("state", replay.Failed), field("error", "it cannot be read: "+why.Error()), field("ended_at", now), field("expires_at", now.Add(replay.Retention))})})
	if err != nil {
		return classify("set a replay aside", err)
	}
	return fmt.Errorf("replay %s was set aside: %w", raw.Lookup("_id"), why)
}

// ReplayEvents hands the events that come after a replay's position and before a
// time to f, in the order of (timestamp, _id), at most limit, until f returns
// false. A query that takes too long is TooSlow.
func (s *Store) ReplayEvents(ctx context.Context, j replay.Job, before time.Time, limit int, f func(bson.Raw) bool) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	at := j.Position
	later := bson.D{field("timestamp", bson.D{field("$gte", at.Timestamp), field("$lt", before)})}
	parts := []bson.D{later}
	if !at.ID.IsZero() { // first the rest of the position's own moment: as an $or no index of some servers serves both
		later[0].Value = bson.D{field("$gt", at.Timestamp), field("$lt", before)}
		parts = []bson.D{{field("timestamp", at.Timestamp), field("_id", bson.D{field("$gt", at.ID)})}, later}
	}
	left, more := limit, true
	for _, part := range parts {
		if left == 0 || !more {
			return nil
		}
		if elements, _ := j.Condition.Elements(); len(elements) > 0 {
			part = append(part, field("$and", bson.A{j.Condition}))
		}
		err := s.eachEvent(ctx, part, left, func(raw bson.Raw) bool {
			left--
			more = f(raw)
			return more
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachEvent hands events to f, in the order of (timestamp, _id), until it returns
// false.
func (s *Store) eachEvent(ctx context.Context, which bson.D, limit int, f func(bson.Raw) bool) error {
	const doing = "read events to replay"
	cur, err := s.events.Find(ctx, which, options.Find().SetSort(keys("timestamp", 1, "_id", 1)).SetLimit(int64(limit)).SetMaxTime(operationTimeout/2))
	if err != nil {
		return searched(doing, err)
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	for cur.Next(ctx) {
		if !f(cur.Current) {
			return nil
		}
	}
	return searched(doing, cur.Err())
}

// FailReplay ends a replay that cannot go on, if it is still the caller's.
func (s *Store) FailReplay(ctx context.Context, j replay.Job, why string, now time.Time) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	j = j.Ended(replay.Failed, now)
	_, err := s.replays.UpdateOne(ctx, ownStep(j), bson.D{field("$set", bson.D{field("state", j.State), field("error", why),
		field("ended_at", j.EndedAt), field("updated_at", now), field("expires_at", j.ExpiresAt)})})
	return classify("fail replay "+j.ID, err)
}

// ownStep matches a replay as its owner has read it, while it is to go on.
func ownStep(j replay.Job) bson.D {
	return bson.D{field("_id", j.ID), field("state", replay.Running), field("term", j.Term), field("step", j.Step)}
}
