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

// Notification reads one by its id.
func (s *Store) Notification(ctx context.Context, id string) (notification.Notification, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var n notification.Notification
	err := decode(s.notifications.FindOne(ctx, bson.D{field("_id", id)}), &n, "read notification "+id)
	return n, err
}

// InsertNotification stores one that no match owes.
func (s *Store) InsertNotification(ctx context.Context, n notification.Notification) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := s.notifications.InsertOne(ctx, n)
	return classify("insert notification "+n.ID, err)
}

// Claim asks for a notification before a call that another dispatcher may be
// making for it.
type Claim struct {
	ID         string
	Attempt    int // that will be made: one less are recorded
	Token      string
	Now, Until time.Time
}

// Claim takes a pending notification for one dispatcher, unless another holds a
// claim that has not run out, or the attempt is recorded already (a claim that
// no record ends would keep the next attempt's record out). claimed false comes
// with the current state, or ErrNotFound.
func (s *Store) Claim(ctx context.Context, c Claim) (n notification.Notification, claimed bool, err error) {
	bound, cancel := bounded(ctx)
	defer cancel()
	err = decode(s.notifications.FindOneAndUpdate(bound,
		bson.D{field("_id", c.ID), field("status", notification.Pending), field("attempt_count", c.Attempt-1), unclaimed(c.Now)},
		bson.D{field("$set", bson.D{field("claim", notification.Claim{Token: c.Token, Until: c.Until})})},
		options.FindOneAndUpdate().SetReturnDocument(options.After)), &n, "claim notification "+c.ID)
	if err == nil {
		return n, true, nil
	}
	if !errors.Is(err, ErrNotFound) {
		return n, false, err
	}
	n, err = s.Notification(ctx, c.ID)
	// The answer to an earlier try of the same claim may have been lost.
	return n, err == nil && n.Claim != nil && n.Claim.Token == c.Token, err
}

// ReleaseClaim ends the claim of a token, if it is in force.
func (s *Store) ReleaseClaim(ctx context.Context, id, token string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := s.notifications.UpdateOne(ctx, bson.D{field("_id", id), field("claim.token", token)},
		bson.D{field("$unset", bson.D{field("claim", "")})})
	return classify("release claim of notification "+id, err)
}

// unclaimed matches notifications without a claim in force. Not as an $or: with one
// in it, one supported server reads the whole collection for an _id (8 ms an
// update with 20,000 notifications, against 0.3).
func unclaimed(now time.Time) bson.E {
	return field("claim.until", bson.D{field("$not", bson.D{field("$gte", now)})})
}

// heldBy matches notifications that the token's holder may write: those of its
// claim, also when that has run out and nobody took it over; without a token,
// those without a claim in force.
func heldBy(token string, now time.Time) bson.E {
	if token == "" {
		return unclaimed(now)
	}
	return field("claim.token", token)
}

// AttemptRecord is one attempt with what it means for its notification.
type AttemptRecord struct {
	ID            string
	Token         string // of the claim, "" when the delivery was not claimed
	Attempt       notification.Attempt
	Status        notification.Status // pending when it will be tried again
	Reason        string
	NextAttemptAt *time.Time
	Suppress      bool // without an attempt
}

// Recorded says what became of one AttemptRecord. When it was not accepted
// (another dispatcher recorded this attempt, or holds a claim, or the
// notification is settled) Current is the state that stands instead.
type Recorded struct {
	Accepted bool
	Found    bool
	Current  notification.Notification
}

// RecordAttempts writes attempts in one bulk. Each is conditional: the
// notification is pending, has exactly Number−1 attempts, and no other
// dispatcher's claim is in force; so an attempt is recorded once, whoever
// comes back late, and delivered is never left. The answers are in the order
// of the records. After an outage the same records may be given again.
func (s *Store) RecordAttempts(ctx context.Context, now time.Time, records []AttemptRecord) ([]Recorded, error) {
	bound, cancel := bounded(ctx)
	defer cancel()
	result, err := s.notifications.BulkWrite(bound, recordings(records, now), options.BulkWrite().SetOrdered(false))
	if err != nil {
		return nil, classify("record attempts", err)
	}
	answers := make([]Recorded, len(records))
	if int(result.MatchedCount) == len(records) {
		for i := range answers {
			answers[i] = Recorded{Accepted: true, Found: true}
		}
		return answers, nil
	}
	return s.readBack(ctx, records)
}

// recording adds an attempt to its notification.
func recording(r AttemptRecord, now time.Time) mongo.WriteModel {
	set := bson.D{field("status", r.Status), field("attempt_count", r.Attempt.Number), field("updated_at", now)}
	unset := bson.D{field("claim", "")}
	if r.Reason != "" {
		set = append(set, field("reason", r.Reason))
	} else {
		unset = append(unset, field("reason", "")) // of a death that was not the last word
	}
	if r.NextAttemptAt != nil {
		set = append(set, field("next_attempt_at", *r.NextAttemptAt))
	} else {
		unset = append(unset, field("next_attempt_at", ""))
	}
	return mongo.NewUpdateOneModel().
		SetFilter(bson.D{field("_id", r.ID), field("status", notification.Pending),
			field("attempt_count", r.Attempt.Number-1), heldBy(r.Token, now)}).
		SetUpdate(bson.D{field("$push", bson.D{field("attempts", r.Attempt)}), field("$set", set), field("$unset", unset)})
}

// suppression ends a pending notification without an attempt.
func suppression(r AttemptRecord, now time.Time) mongo.WriteModel {
	return mongo.NewUpdateOneModel().
		SetFilter(bson.D{field("_id", r.ID), field("status", notification.Pending), heldBy(r.Token, now)}).
		SetUpdate(bson.D{
			field("$set", bson.D{field("status", r.Status), field("reason", r.Reason), field("updated_at", now)}),
			field("$unset", bson.D{field("claim", ""), field("next_attempt_at", "")}),
		})
}

// readBack finds out which of the records stand, by worker and time of the
// attempt with the record's number.
func (s *Store) readBack(ctx context.Context, records []AttemptRecord) ([]Recorded, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	ids := make([]string, len(records))
	for i, r := range records {
		ids[i] = r.ID
	}
	have := make(map[string]notification.Notification, len(ids))
	var spoilt error
	cur, err := s.notifications.Find(ctx, bson.D{field("_id", bson.D{field("$in", ids)})})
	found, err := readable[notification.Notification](ctx, cur, err, func(id bson.RawValue, _ bson.Raw, err error) {
		s.leftOut(s.notifications, id, err)
		spoilt = errors.Join(spoilt, fmt.Errorf("notification %s: %w", idText(id), err))
	})
	if err != nil {
		return nil, classify("read notifications", err)
	}
	if spoilt != nil { // no outage: given one by one, the other records are accepted
		return nil, fmt.Errorf("record attempts: %w", spoilt)
	}
	for _, n := range found {
		have[n.ID] = n
	}
	answers := make([]Recorded, len(records))
	for i, r := range records {
		n, found := have[r.ID]
		answers[i] = Recorded{Accepted: found && (holds(n, r.Attempt) || r.Suppress && n.Status == r.Status && n.Reason == r.Reason), Found: found, Current: n}
	}
	return answers, nil
}

// holds says whether this very attempt is in the record; times are stored in
// milliseconds.
func holds(n notification.Notification, a notification.Attempt) bool {
	for _, got := range n.Attempts {
		if got.Number == a.Number {
			return got.Worker == a.Worker && got.At.Equal(a.At.Truncate(time.Millisecond))
		}
	}
	return false
}

// NotificationFilter selects notifications; zero values do not restrict.
type NotificationFilter struct {
	Status          notification.Status
	RuleID, EventID string
	Reason          string    // why it is suppressed or dead
	HeldBy          string    // the silence, throttle or group that held it back
	ReplayID        string    // the replay that made it
	From, To        time.Time // created_at, To exclusive
}

// NotificationPosition is a notification's place in the order newest first.
type NotificationPosition struct {
	CreatedAt time.Time
	ID        string
}

// Query is the filter as a condition, for streams.
func (f NotificationFilter) Query() bson.D { return f.query() }

func (f NotificationFilter) query() bson.D {
	q := bson.D{}
	if f.Status != "" {
		q = append(q, field("status", f.Status))
	}
	if f.HeldBy != "" {
		q = append(q, field("held.id", f.HeldBy))
	}
	if f.ReplayID != "" {
		q = append(q, field("replay_id", f.ReplayID))
	}
	if f.Reason != "" {
		q = append(q, field("reason", f.Reason))
	}
	if f.RuleID != "" {
		q = append(q, field("rule_id", f.RuleID))
	}
	if f.EventID != "" {
		q = append(q, field("event_id", f.EventID))
	}
	return appendRange(q, "created_at", !f.From.IsZero(), f.From, !f.To.IsZero(), "$lt", f.To)
}

// FindNotifications lists notifications newest first, after the position.
func (s *Store) FindNotifications(ctx context.Context, f NotificationFilter, after *NotificationPosition, limit int) ([]notification.Notification, error) {
	t := timeline{collection: s.notifications, doing: "list notifications", path: "created_at", from: f.From, to: f.To, limit: limit, textIDs: true,
		untimed: f.EventID != ""}
	f.From, f.To = time.Time{}, time.Time{}
	t.by, t.rest = apart(f.query(), "event_id", "held.id", "replay_id", "rule_id", "status")
	if after != nil {
		t.after = &place{after.CreatedAt, after.ID}
	}
	return listOf[notification.Notification](ctx, s, t)
}

// statuses are all that a notification may have.
var statuses = []notification.Status{notification.Pending, notification.Delivered, notification.Dead, notification.Suppressed}

// NotificationCounts counts by status, each up to most, so that it takes no longer
// the more there are. When only one status has more, it is the rest of what the
// collection's metadata says; of several, each is said to be at least so many.
func (s *Store) NotificationCounts(ctx context.Context, most int64) (counts map[notification.Status]int64, atLeast []notification.Status, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if counts, err = s.countNotifications(ctx, NotificationFilter{}, most); err != nil {
		return nil, nil, err
	}
	sum := int64(0)
	for _, status := range statuses {
		if sum += counts[status]; counts[status] >= most {
			atLeast = append(atLeast, status)
		}
	}
	if len(atLeast) != 1 {
		return counts, atLeast, nil
	}
	all, err := s.notifications.EstimatedDocumentCount(ctx, options.EstimatedDocumentCount().SetMaxTime(operationTimeout/2))
	if err != nil {
		return nil, nil, searched("count notifications", err)
	}
	counts[atLeast[0]] += max(0, all-sum)
	return counts, nil, nil
}

// CountNotifications counts by status in the filter's range.
func (s *Store) CountNotifications(ctx context.Context, f NotificationFilter) (map[notification.Status]int64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return s.countNotifications(ctx, f, 0)
}

// countNotifications counts each status up to most; 0 is no bound.
func (s *Store) countNotifications(ctx context.Context, f NotificationFilter, most int64) (map[notification.Status]int64, error) {
	o := options.Count().SetMaxTime(operationTimeout / 2)
	if most > 0 {
		o.SetLimit(most)
	}
	counts := map[notification.Status]int64{}
	for _, status := range statuses {
		f.Status = status
		n, err := s.notifications.CountDocuments(ctx, f.query(), o)
		if err != nil {
			return nil, searched("count notifications", err)
		}
		counts[status] = n
	}
	return counts, nil
}
