package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// What the audit says about notifications.
const (
	notificationRetried   = "notification.retry"
	notificationForced    = "notification.force"
	notificationCancelled = "notification.cancel"
)

// againTries: somebody else changes the same notification at most so often.
const againTries = 5

// RetryNotification makes a notification pending again, with a schedule that
// begins anew, and unpublished: whoever asked for it publishes it, and a sweep
// does when they die over it. It is ErrConflict for one that is delivered, or
// that is under way: only one that waits for its next attempt can be hurried.
func (s *Store) RetryNotification(ctx context.Context, id, by string, now time.Time) (notification.Notification, error) {
	return s.changeNotification(ctx, id, notificationRetried, by, now, func(n *notification.Notification) (bson.D, error) {
		switch {
		case n.Status == notification.Delivered:
			return nil, fmt.Errorf("notification %s is delivered; ?force=true calls once more: %w", id, ErrConflict)
		case n.Claim != nil && n.Claim.Until.After(now), n.Status == notification.Pending && n.NextAttemptAt == nil:
			return nil, fmt.Errorf("notification %s is under way: %w", id, ErrConflict)
		}
		return beginAnew(n.Again(now)), nil
	})
}

// beginAnew writes what Notification.Again says.
func beginAnew(n notification.Notification) bson.D {
	unset := bson.D{field("reason", ""), field("held", ""), field("next_attempt_at", ""), field("claim", "")}
	if n.Forced == nil {
		unset = append(unset, field("forced", ""))
	}
	return bson.D{
		field("$set", bson.D{field("status", n.Status), field("base", n.Base), field("unpublished", n.Unpublished), field("updated_at", n.UpdatedAt)}),
		oneOrderMore,
		field("$unset", unset),
	}
}

// oneOrderMore tells the message that is asked for from the one before.
var oneOrderMore = field("$inc", bson.D{field("orders", 1)})

// ForceNotification asks for one attempt more, whatever the status is, except
// for one that is pending: that is retried. The nonce tells requests apart. It is
// unpublished until whoever asked has published it, as a retry is.
func (s *Store) ForceNotification(ctx context.Context, id, nonce, by string, now time.Time) (notification.Notification, error) {
	return s.changeNotification(ctx, id, notificationForced, by, now, func(n *notification.Notification) (bson.D, error) {
		if n.Status == notification.Pending {
			return nil, fmt.Errorf("notification %s is pending; retry it without force: %w", id, ErrConflict)
		}
		return bson.D{
			field("$set", bson.D{field("forced", notification.Forced{Nonce: nonce, At: now, By: by}), field("unpublished", true), field("updated_at", now)}),
			oneOrderMore,
		}, nil
	})
}

// CancelNotification suppresses one that waits for its next attempt. A first
// attempt cannot be called back: its message is carried out without a look here.
// It is unpublished until whoever cancelled it has published its outcome event.
func (s *Store) CancelNotification(ctx context.Context, id, by string, now time.Time) (notification.Notification, error) {
	return s.changeNotification(ctx, id, notificationCancelled, by, now, func(n *notification.Notification) (bson.D, error) {
		switch {
		case n.Status != notification.Pending:
			return nil, fmt.Errorf("notification %s is %s already: %w", id, n.Status, ErrConflict)
		case n.Claim != nil && n.Claim.Until.After(now), n.NextAttemptAt == nil:
			return nil, fmt.Errorf("notification %s is under way and cannot be called back; what waits for its next attempt can: %w", id, ErrConflict)
		}
		return bson.D{
			field("$set", bson.D{field("status", notification.Suppressed), field("reason", notification.Cancelled), field("unpublished", true), field("updated_at", now)}),
			field("$unset", bson.D{field("next_attempt_at", ""), field("claim", "")}),
			oneOrderMore,
		}, nil
	})
}

// changeNotification applies what change says of a notification as it stands,
// and says so in the audit.
func (s *Store) changeNotification(ctx context.Context, id, action, by string, now time.Time, change func(*notification.Notification) (bson.D, error)) (n notification.Notification, err error) {
	for range againTries {
		err = s.transaction(ctx, func(sc mongo.SessionContext) error {
			n = notification.Notification{}
			if err := read(s.notifications.FindOne(sc, bson.D{field("_id", id)}), &n); err != nil {
				return err
			}
			update, err := change(&n)
			if err != nil {
				return err
			}
			was := bson.D{field("_id", id), field("status", n.Status), field("attempt_count", n.AttemptCount)}
			changed := notification.Notification{}
			err = read(s.notifications.FindOneAndUpdate(sc, was, update, options.FindOneAndUpdate().SetReturnDocument(options.After)), &changed)
			if errors.Is(err, mongo.ErrNoDocuments) {
				return errMoved
			}
			if err != nil {
				return err
			}
			before := shownStatus(n)
			n = changed
			return s.noteAudit(sc, Audit{At: now, By: by, Action: action, Subject: id, Detail: bson.D{field("rule_id", n.RuleID)}, Before: before, After: shownStatus(n)})
		})
		if !errors.Is(err, errMoved) {
			break
		}
	}
	if errors.Is(err, ErrConflict) || errors.Is(err, errMoved) {
		return n, err
	}
	return n, classify("change notification "+id, err)
}

func shownStatus(n notification.Notification) bson.D {
	d := bson.D{field("status", n.Status)}
	if n.Reason != "" {
		d = append(d, field("reason", n.Reason))
	}
	return d
}

// errMoved: the notification changed while it was looked at.
var errMoved = fmt.Errorf("the notification changes all the time: %w", ErrConflict)

// Reopen makes a dead notification pending, with a schedule that begins anew, for
// a replay of its dead letter: once, however often that one's message comes. It is
// returned as it now is: still dead when somebody else calls for it at the moment.
func (s *Store) Reopen(ctx context.Context, id, replay string, now time.Time) (n notification.Notification, err error) {
	for range againTries {
		n, err = s.Notification(ctx, id)
		if err != nil || n.Status != notification.Dead || n.ReopenedBy == replay || n.Claim != nil && !n.Claim.Until.Before(now) {
			return n, err
		}
		reopened, err := s.reopen(ctx, n, replay, now)
		if !errors.Is(err, ErrNotFound) {
			return reopened, err
		}
	}
	return n, err
}

// reopen is ErrNotFound when the notification has changed meanwhile.
func (s *Store) reopen(ctx context.Context, was notification.Notification, replay string, now time.Time) (n notification.Notification, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	unset := bson.D{field("reason", ""), field("next_attempt_at", ""), field("claim", "")}
	if was.Forced != nil && !was.Forced.Done { // as a retry, it stands for that, too
		unset = append(unset, field("forced", ""))
	}
	err = decode(s.notifications.FindOneAndUpdate(ctx,
		bson.D{field("_id", was.ID), field("status", notification.Dead), field("attempt_count", was.AttemptCount), unclaimed(now)},
		bson.D{
			field("$set", bson.D{field("status", notification.Pending), field("base", was.AttemptCount), field("reopened_by", replay), field("updated_at", now)}),
			field("$unset", unset),
		},
		options.FindOneAndUpdate().SetReturnDocument(options.After)), &n, "reopen notification "+was.ID)
	return n, err
}

// ClaimForced takes a forced attempt for one dispatcher. claimed false comes with
// the current state: it was made, somebody else makes it, or another request has
// replaced it; or with ErrNotFound.
func (s *Store) ClaimForced(ctx context.Context, id, nonce, token string, now, until time.Time) (n notification.Notification, claimed bool, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	err = read(s.notifications.FindOneAndUpdate(ctx,
		bson.D{field("_id", id), field("forced.nonce", nonce), field("forced.done", false), unclaimed(now)},
		bson.D{field("$set", bson.D{field("claim", notification.Claim{Token: token, Until: until})})},
		options.FindOneAndUpdate().SetReturnDocument(options.After)), &n)
	if errors.Is(err, mongo.ErrNoDocuments) {
		n, err = s.Notification(ctx, id)
		return n, err == nil && n.Claim != nil && n.Claim.Token == token, err
	}
	return n, err == nil, classify("claim forced attempt of "+id, err)
}

// RecordForced records a forced attempt. It never undoes a delivery: only one
// that succeeded changes the status.
func (s *Store) RecordForced(ctx context.Context, id, nonce string, a notification.Attempt, now time.Time) (recorded bool, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	set := bson.D{field("attempt_count", a.Number), field("forced.done", true), field("updated_at", now)}
	unset := bson.D{field("claim", "")}
	if a.Outcome == notification.OutcomeOK {
		set = append(set, field("status", notification.Delivered))
		unset = append(unset, field("reason", ""), field("held", ""), field("next_attempt_at", ""))
	}
	result, err := s.notifications.UpdateOne(ctx,
		bson.D{field("_id", id), field("forced.nonce", nonce), field("forced.done", false), field("attempt_count", a.Number-1)},
		bson.D{field("$push", bson.D{field("attempts", a)}), field("$set", set), field("$unset", unset)})
	if err != nil {
		return false, classify("record forced attempt of "+id, err)
	}
	return result.MatchedCount == 1, nil
}

// OverdueNotifications lists those whose next attempt should have been made
// before the given time, oldest first: their messages are lost, as when somebody
// purged a queue.
func (s *Store) OverdueNotifications(ctx context.Context, before time.Time, limit int) ([]notification.Notification, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	found, err := page[notification.Notification](ctx, s, s.notifications,
		bson.D{field("status", notification.Pending), field("next_attempt_at", bson.D{field("$lt", before)})},
		options.Find().SetSort(keys("next_attempt_at", 1)), limit)
	return found, classify("list overdue notifications", err)
}

// LeftAlone lists those of some queues that are pending, wait for no time, and
// have not changed since before the given one, oldest first: they are new, or
// somebody had them tried again. Either they wait in the queue, or their message
// is lost.
func (s *Store) LeftAlone(ctx context.Context, before time.Time, queues []string, limit int) ([]notification.Notification, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	found, err := page[notification.Notification](ctx, s, s.notifications,
		bson.D{
			field("status", notification.Pending), field("created_at", bson.D{field("$lt", before)}), field("updated_at", bson.D{field("$lt", before)}),
			field("next_attempt_at", bson.D{field("$exists", false)}), field("queue", bson.D{field("$in", queues)}),
		},
		options.Find().SetSort(keys("created_at", 1, "_id", 1)), limit)
	return found, classify("list notifications that were left alone", err)
}

// Postpone lets the next attempts of pending notifications be due (again) at a
// time, if they are not due later.
func (s *Store) Postpone(ctx context.Context, ids []string, until time.Time) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := s.notifications.UpdateMany(ctx,
		bson.D{field("_id", bson.D{field("$in", ids)}), field("status", notification.Pending), field("next_attempt_at", bson.D{field("$not", bson.D{field("$gte", until)})})},
		bson.D{field("$set", bson.D{field("next_attempt_at", until)})})
	return classify("postpone overdue attempts", err)
}
