package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
)

// TargetState says whether a target is called.
type TargetState string

// An open breaker holds messages back; a half-open one is being probed with one
// message. A disabled endpoint gets none until somebody enables it again.
const (
	TargetClosed   TargetState = "closed"
	TargetOpen     TargetState = "open"
	TargetHalfOpen TargetState = "half_open"
	TargetDisabled TargetState = "disabled"
)

// Target is a document of the collection `targets`: the breaker of a target (a
// URL's host, a channel), or an endpoint (a URL without its query, by its hash)
// that is disabled. A target without a document is closed.
type Target struct {
	ID        string      `bson:"_id" json:"target_id"`
	Target    string      `bson:"target" json:"target"` // the host or channel
	State     TargetState `bson:"state" json:"state"`
	Reason    string      `bson:"reason,omitempty" json:"reason,omitempty"`
	Since     time.Time   `bson:"since" json:"since"` // of the state
	RetryAt   *time.Time  `bson:"retry_at,omitempty" json:"retry_at,omitempty"`
	Opened    int         `bson:"opened" json:"opened"` // in a row without a success between
	By        string      `bson:"by,omitempty" json:"by,omitempty"`
	UpdatedAt time.Time   `bson:"updated_at" json:"updated_at"`
	ExpiresAt *time.Time  `bson:"expires_at,omitempty" json:"-"` // of what is closed
}

// closedKept is how long a closed breaker can still be looked at.
const closedKept = 24 * time.Hour

// HeldTargets are all that are not closed, at most 10,000.
func (s *Store) HeldTargets(ctx context.Context) ([]Target, error) {
	return s.findTargets(ctx, bson.D{field("state", bson.D{field("$in", bson.A{TargetOpen, TargetHalfOpen, TargetDisabled})})}, 10_000)
}

// Targets lists them by id, after the given one; state "" means all.
func (s *Store) Targets(ctx context.Context, state TargetState, after string, limit int) ([]Target, error) {
	q := bson.D{field("_id", bson.D{field("$gt", after)})}
	if state != "" {
		q = append(q, field("state", state))
	}
	return s.findTargets(ctx, q, limit)
}

func (s *Store) findTargets(ctx context.Context, q bson.D, limit int) ([]Target, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	found, err := page[Target](ctx, s, s.targets, q, options.Find().SetSort(keys("_id", 1)), limit)
	return found, classify("list targets", err)
}

// Target reads one; ErrNotFound when nothing was ever held back for it.
func (s *Store) Target(ctx context.Context, id string) (Target, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var t Target
	err := s.targets.FindOne(ctx, bson.D{field("_id", id)}).Decode(&t)
	return t, classify("read target "+id, err)
}

// OpenTarget opens a breaker until retryAt, unless it is open already; opened is
// how often it was opened in a row, this time included.
func (s *Store) OpenTarget(ctx context.Context, id, reason, by string, now time.Time, retryAt func(opened int) time.Time) (Target, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	for range 3 {
		t, err := s.Target(ctx, id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return t, err
		}
		known := err == nil
		if known && t.State == TargetOpen && t.RetryAt != nil && t.RetryAt.After(now) {
			return t, nil
		}
		was := t.State
		t.ID, t.Target, t.State, t.Reason, t.By, t.Since, t.UpdatedAt, t.ExpiresAt = id, id, TargetOpen, reason, by, now, now, nil
		if was != TargetHalfOpen {
			t.Opened = 0
		}
		t.Opened++
		at := retryAt(t.Opened)
		t.RetryAt = &at
		if !known {
			_, err = s.targets.InsertOne(ctx, t)
			if isDuplicateKey(err) {
				continue
			}
			return t, classify("open target "+id, err)
		}
		result, err := s.targets.ReplaceOne(ctx, bson.D{field("_id", id), field("state", was)}, t)
		if err != nil || result.MatchedCount == 1 {
			return t, classify("open target "+id, err)
		}
	}
	return s.Target(ctx, id)
}

// ProbeTarget takes an open breaker whose time has come for one call; of several
// dispatchers one gets it. Until `until` nobody else does: the probe may hang.
func (s *Store) ProbeTarget(ctx context.Context, id, by string, now, until time.Time) (bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	result, err := s.targets.UpdateOne(ctx,
		bson.D{field("_id", id), field("state", bson.D{field("$in", bson.A{TargetOpen, TargetHalfOpen})}), field("retry_at", bson.D{field("$lte", now)})},
		bson.D{field("$set", bson.D{field("state", TargetHalfOpen), field("retry_at", until), field("by", by), field("since", now), field("updated_at", now)})})
	if err != nil {
		return false, classify("probe target "+id, err)
	}
	return result.ModifiedCount == 1, nil
}

// CloseTarget closes a breaker that the given prober has half-open; false when it
// has not any more: it took so long that another probed, or opened it again.
func (s *Store) CloseTarget(ctx context.Context, id, by string, now time.Time) (bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	result, err := s.targets.UpdateOne(ctx,
		bson.D{field("_id", id), field("state", TargetHalfOpen), field("by", by)},
		bson.D{
			field("$set", bson.D{field("state", TargetClosed), field("opened", 0), field("by", by), field("since", now), field("updated_at", now), field("expires_at", now.Add(closedKept))}),
			field("$unset", bson.D{field("retry_at", ""), field("reason", "")}),
		})
	if err != nil {
		return false, classify("close target "+id, err)
	}
	return result.MatchedCount == 1, nil
}

// What the audit says about endpoints.
const (
	targetDisabled = "target.disable"
	targetEnabled  = "target.enable"
)

// DisableTarget disables an endpoint; target is what it belongs to. match may be
// nil; an error of it, which sees the target as it is, is returned as it is.
func (s *Store) DisableTarget(ctx context.Context, id, target, reason, by string, now time.Time, match func(Target) error) error {
	var refused error
	t := Target{ID: id, Target: target, State: TargetDisabled, Reason: reason, By: by, Since: now, UpdatedAt: now}
	err := s.transaction(ctx, func(sc mongo.SessionContext) error {
		var old Target
		err := s.targets.FindOne(sc, bson.D{field("_id", id)}).Decode(&old)
		known := !errors.Is(err, mongo.ErrNoDocuments)
		if err != nil && known {
			return err
		}
		var before bson.D
		if known {
			before = shownDoc(old)
			if refused = matches(match, old); refused != nil {
				return refused
			}
		}
		if old.State == TargetDisabled { // written all the same: a transaction beside this one that enables it must conflict
			_, err := s.targets.UpdateOne(sc, bson.D{field("_id", id)}, bson.D{field("$set", bson.D{field("updated_at", now)})})
			return err
		}
		if _, err := s.targets.ReplaceOne(sc, bson.D{field("_id", id)}, t, options.Replace().SetUpsert(true)); err != nil {
			return raced(err)
		}
		return s.noteAudit(sc, Audit{At: now, By: by, Action: targetDisabled, Subject: id, Detail: bson.D{field("target", target), field("reason", reason)},
			Before: before, After: shownDoc(t)})
	})
	if refused != nil {
		return refused
	}
	return classify("disable target "+id, err)
}

// EnableTarget lets an endpoint be called again, or closes a breaker by hand. An
// error of match, which sees the target as it is, is returned as it is.
func (s *Store) EnableTarget(ctx context.Context, id, by string, now time.Time, match func(Target) error) (Target, error) {
	var t Target
	var refused error
	err := s.transaction(ctx, func(sc mongo.SessionContext) error {
		t = Target{}
		if err := s.targets.FindOne(sc, bson.D{field("_id", id)}).Decode(&t); err != nil {
			return err
		}
		if refused = matches(match, t); refused != nil {
			return refused
		}
		if t.State == TargetClosed {
			return nil
		}
		before := shownDoc(t)
		expires := now.Add(closedKept)
		t.State, t.Reason, t.RetryAt, t.Opened, t.By, t.Since, t.UpdatedAt, t.ExpiresAt = TargetClosed, "", nil, 0, by, now, now, &expires
		if _, err := s.targets.ReplaceOne(sc, bson.D{field("_id", id)}, t); err != nil {
			return err
		}
		return s.noteAudit(sc, Audit{At: now, By: by, Action: targetEnabled, Subject: id, Detail: bson.D{field("target", t.Target)}, Before: before, After: shownDoc(t)})
	})
	if refused != nil {
		return t, refused
	}
	return t, classify(fmt.Sprintf("enable target %s", id), err)
}
