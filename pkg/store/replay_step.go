package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/replay"
)

// ErrReplayLost: the replay is somebody else's by now, was paused or cancelled, or
// this step of it was saved already. Nothing was written.
var ErrReplayLost = errors.New("the replay is not this owner's to go on with")

// StepReplay saves one page of a replay in one transaction: its position and its
// figures, and the notifications that it makes, begins anew or has called once
// more. What exists is read in the same transaction, so a notification that
// changes meanwhile makes it start again. The notifications are unpublished until
// the caller has published their messages; a sweep does when it dies over it.
func (s *Store) StepReplay(ctx context.Context, j replay.Job, p replay.Page, now time.Time) (next replay.Job, work replay.Work, err error) {
	next, work, err = s.tryStep(ctx, j, p, nil, now)
	if isDuplicateKey(err) {
		// What has an id that this makes was not found by its event, and stays: it says
		// that it is of another one.
		taken, look := s.ExistingNotifications(ctx, work.Makes())
		if look == nil && len(taken) > 0 {
			next, work, err = s.tryStep(ctx, j, p, slices.Sorted(maps.Keys(taken)), now)
		}
	}
	if err == nil && !j.DryRun {
		s.countThrottled(ctx, work.Make)
	}
	return next, work, unexplained("save a step of replay "+j.ID, err)
}

// tryStep saves a step, again when somebody writes one of its notifications meanwhile.
// taken are ids that something has which the events do not lead to.
func (s *Store) tryStep(ctx context.Context, j replay.Job, p replay.Page, taken []string, now time.Time) (next replay.Job, work replay.Work, err error) {
	patience := backoff.WithMaxRetries(backoff.NewConstantBackOff(undoneWait), undoneTries)
	err = backoff.Retry(func() error {
		err := s.transaction(ctx, func(sc mongo.SessionContext) (err error) {
			next, work, err = s.stepReplay(sc, j, p, taken, now)
			fault.At(fault.RuleWorkerReplaying)
			return err
		})
		switch {
		case isDuplicateKey(err), errors.Is(err, errMoved): // a rule-worker has just decided one of the events, or somebody retried
			return err
		case errors.Is(err, ErrReplayLost):
			return backoff.Permanent(err)
		default:
			return permanently(classify("save a step of replay "+j.ID, err))
		}
	}, backoff.WithContext(patience, ctx))
	return next, work, err
}

func (s *Store) stepReplay(sc mongo.SessionContext, j replay.Job, p replay.Page, taken []string, now time.Time) (next replay.Job, work replay.Work, err error) {
	// The fence comes before the work: who has lost the replay does nothing.
	fenced, err := s.replays.UpdateOne(sc, ownStep(j), bson.D{field("$set", bson.D{field("step", j.Step+1)})})
	if err != nil {
		return next, work, err
	}
	if fenced.MatchedCount == 0 {
		return next, work, fmt.Errorf("replay %s: %w", j.ID, ErrReplayLost)
	}
	existing, err := s.notificationsOf(sc, p.EventIDs())
	if err != nil {
		return next, work, err
	}
	for _, id := range taken {
		existing = append(existing, notification.Notification{ID: id})
	}
	work = j.Plan(p, existing, now)
	if !j.DryRun {
		made, err := s.owe(sc, now, work.Make)
		if err != nil {
			return next, work, err
		}
		work = work.Held(made)
		if err := s.replayAgain(sc, existing, work); err != nil {
			return next, work, err
		}
		if err := s.matchedBy(sc, work.Make); err != nil {
			return next, work, err
		}
	}
	next = j.After(work.Page, p.To, p.Last, now)
	set := bson.D{field("state", next.State), field("position", next.Position), field("progress", next.Progress), field("updated_at", now)}
	if next.EndedAt != nil {
		set = append(set, field("ended_at", next.EndedAt), field("expires_at", next.ExpiresAt))
	}
	_, err = s.replays.UpdateOne(sc, bson.D{field("_id", j.ID)}, bson.D{field("$set", set)})
	return next, work, err
}

// notificationsOf are all notifications of the events, as the transaction sees
// them. One that nobody understands counts as under way: it is left alone, and
// keeps the others from nothing.
func (s *Store) notificationsOf(sc mongo.SessionContext, eventIDs []string) ([]notification.Notification, error) {
	if len(eventIDs) == 0 {
		return nil, nil
	}
	var spoilt []notification.Notification
	cur, err := s.notifications.Find(sc, bson.D{field("event_id", bson.D{field("$in", eventIDs)})})
	found, err := readable[notification.Notification](sc, cur, err, func(id bson.RawValue, doc bson.Raw, err error) {
		s.leftOut(s.notifications, id, err)
		n := notification.Notification{ID: idText(id), Status: notification.Pending}
		n.EventID, _ = doc.Lookup("event_id").StringValueOK()
		n.RuleID, _ = doc.Lookup("rule_id").StringValueOK()
		version, _ := doc.Lookup("rule_version").AsInt64OK()
		n.RuleVersion = int(version)
		spoilt = append(spoilt, n)
	})
	return append(found, spoilt...), err
}

// replayAgain writes what begins anew and what is called once more, all of it or
// none.
func (s *Store) replayAgain(sc mongo.SessionContext, existing []notification.Notification, work replay.Work) error {
	var models []mongo.WriteModel
	was := map[string]notification.Notification{}
	for _, n := range existing {
		was[n.ID] = n
	}
	change := func(o decision.Owed, update bson.D) {
		old := was[o.ID]
		models = append(models, mongo.NewUpdateOneModel().SetUpdate(update).
			SetFilter(bson.D{field("_id", o.ID), field("status", old.Status), field("attempt_count", old.AttemptCount)}))
	}
	for _, o := range work.Retry {
		change(o, beginAnew(o.Notification))
	}
	for _, o := range work.Repeat {
		change(o, bson.D{field("$set", bson.D{field("forced", o.Forced), field("unpublished", o.Unpublished), field("updated_at", o.UpdatedAt)}), oneOrderMore})
	}
	if len(models) == 0 {
		return nil
	}
	result, err := s.notifications.BulkWrite(sc, models)
	if err == nil && int(result.MatchedCount) != len(models) {
		return errMoved
	}
	return err
}

// matchedBy adds the rules to the events that they now own notifications of, as
// deciding a batch does: one update for each different list of rules.
func (s *Store) matchedBy(sc mongo.SessionContext, made []decision.Owed) error {
	rulesOf := map[primitive.ObjectID][]string{}
	var order []primitive.ObjectID
	for _, o := range made {
		id, ok := o.Event.Lookup("_id").ObjectIDOK()
		if !ok {
			continue
		}
		have := rulesOf[id]
		if len(have) == 0 {
			order = append(order, id)
		}
		if len(have) == 0 || have[len(have)-1] != o.RuleID {
			rulesOf[id] = append(have, o.RuleID)
		}
	}
	byRules := map[string]int{}
	var lists [][]string
	var ids [][]primitive.ObjectID
	for _, id := range order {
		key := strings.Join(rulesOf[id], "\x00")
		at, known := byRules[key]
		if !known {
			at = len(lists)
			byRules[key] = at
			lists, ids = append(lists, rulesOf[id]), append(ids, nil)
		}
		ids[at] = append(ids[at], id)
	}
	for i, rules := range lists {
		_, err := s.events.UpdateMany(sc, listedEvents(ids[i]),
			bson.D{field("$addToSet", bson.D{field("matched_rules", bson.D{field("$each", rules)})})})
		if err != nil {
			return err
		}
	}
	return nil
}
