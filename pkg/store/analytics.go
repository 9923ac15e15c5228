package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
)

// What metrics do not know is asked of the events; every query has a time range.
// Its time is the context's, and what takes longer is TooSlow.

// errorTextMost is how much of an error's text is looked at.
const errorTextMost = 1024

// ErrorTextFields are where an event's error text is looked for: the first that
// holds a string.
var ErrorTextFields = []string{"payload.error", "payload.error.message", "payload.error_message", "payload.message", "payload.reason"}

// ErrorEvent is one error.
type ErrorEvent struct {
	EventID string
	Type    string
	Text    string // "": none
	UserID  string // "": none
	At      time.Time
}

// EachError hands the errors of a range to f, until that returns false. Their texts
// differ from event to event, so a group of those that are alike would cost the
// database more than to hand over each.
func (s *Store) EachError(ctx context.Context, filter EventFilter, f func(ErrorEvent) bool) error {
	const doing = "list errors"
	read := keys("_id", 0, "event_id", 1, "type", 1, timestamp, 1, "user_id", 1)
	for _, path := range ErrorTextFields {
		if !slices.ContainsFunc(ErrorTextFields, func(other string) bool { return strings.HasPrefix(path, other+".") }) { // read with the other
			read = append(read, field(path, 1))
		}
	}
	cur, err := s.events.Find(ctx, filter.selected(served{by: filter.severity()}),
		s.reading(s.findBy(ctx, "error_time").SetMaxTime(timeLeft(ctx)).SetBatchSize(eventsTogether), read))
	if err != nil {
		return searched(doing, err)
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	for cur.Next(ctx) {
		if !f(errorEventOf(cur.Current)) {
			return nil
		}
	}
	return searched(doing, cur.Err())
}

func errorEventOf(doc bson.Raw) ErrorEvent {
	text := func(path ...string) string {
		s, _ := doc.Lookup(path...).StringValueOK()
		return s
	}
	at, _ := doc.Lookup(timestamp).TimeOK()
	e := ErrorEvent{EventID: text("event_id"), Type: text("type"), UserID: text("user_id"), At: at.UTC()}
	for _, path := range ErrorTextFields {
		if s, is := doc.Lookup(strings.Split(path, ".")...).StringValueOK(); is {
			e.Text = firstRunes(s, errorTextMost)
			break
		}
	}
	return e
}

// firstRunes are the first n characters of a text, which is not kept with them.
func firstRunes(text string, n int) string {
	for at := range text {
		if n == 0 {
			return strings.Clone(text[:at])
		}
		n--
	}
	return text
}

// slotOf is the number of the slot that an event is in. It is asked in numbers,
// since not every server subtracts dates.
func slotOf(from time.Time, slot time.Duration) bson.D {
	since := bson.D{field("$subtract", bson.A{bson.D{field("$toLong", "$timestamp")}, from.UnixMilli()})}
	return bson.D{field("$toInt", bson.D{field("$floor", bson.D{field("$divide", bson.A{since, slot.Milliseconds()})})})}
}

// RuleMatches are the events of one slot that a rule matched.
type RuleMatches struct {
	Rule  string `bson:"rule"`
	Slot  int    `bson:"slot"`
	Count int64  `bson:"n"`
}

// RuleMatches counts what these rules matched in a range. The slots begin with
// the range and count from 0; one without matches is left out.
func (s *Store) RuleMatches(ctx context.Context, rules []string, from, to time.Time, slot time.Duration) ([]RuleMatches, error) {
	const doing = "count matches of rules"
	one := field("matched_rules", bson.D{field("$in", rules)})
	cur, err := s.events.Aggregate(ctx, bson.A{
		bson.D{field("$match", EventFilter{Rules: rules, From: from, To: to}.Query())},
		bson.D{field("$project", bson.D{field("_id", 0), field("timestamp", 1), field("matched_rules", 1)})},
		bson.D{field("$unwind", "$matched_rules")},
		bson.D{field("$match", bson.D{one})}, // an event may have matched others, too
		bson.D{field("$group", bson.D{
			field("_id", bson.D{field("rule", "$matched_rules"), field("slot", slotOf(from, slot))}),
			field("n", bson.D{field("$sum", int64(1))}),
		})},
		bson.D{field("$project", bson.D{field("_id", 0), field("rule", "$_id.rule"), field("slot", "$_id.slot"), field("n", 1)})},
	}, s.aggregateBy(ctx, "rules_time").SetAllowDiskUse(true).SetMaxTime(timeLeft(ctx)).SetBatchSize(10_000))
	var found []RuleMatches
	if err == nil {
		err = cur.All(ctx, &found)
	}
	return found, searched(doing, err)
}

// UserEvents are a user's events of one type and session in one slot.
type UserEvents struct {
	Slot    int       `bson:"slot"`
	Type    string    `bson:"type"`
	Session string    `bson:"session"` // "": none
	Count   int64     `bson:"n"`
	Errors  int64     `bson:"errors"`
	First   time.Time `bson:"first"`
	Last    time.Time `bson:"last"`
}

// UserEvents hands what a user did in a range to f, the latest slots first: a user
// who is everybody that is not signed in has a session for each visit.
func (s *Store) UserEvents(ctx context.Context, filter EventFilter, slot time.Duration, f func(UserEvents)) error {
	const doing = "list a user's events"
	group := append(bson.D{field("_id", bson.D{
		field("slot", slotOf(filter.From, slot)), field("type", "$type"), field("session", bson.D{field("$ifNull", bson.A{"$session_id", ""})}),
	})}, activity("$timestamp", "$timestamp", int64(1), errorOf("$severity"))...)
	cur, err := s.events.Aggregate(ctx, bson.A{
		bson.D{field("$match", filter.selected(served{by: bson.D{field("user_id", filter.UserID)}}))},
		bson.D{field("$project", bson.D{field("_id", 0), field("timestamp", 1), field("type", 1), field("session_id", 1), field("severity", 1)})},
		bson.D{field("$group", group)},
		bson.D{field("$project", bson.D{
			field("_id", 0), field("slot", "$_id.slot"), field("type", "$_id.type"), field("session", "$_id.session"),
			field("n", 1), field("errors", 1), field("first", 1), field("last", 1),
		})},
		bson.D{field("$sort", keys("slot", -1))},
	}, s.aggregateBy(ctx, "user_time").SetAllowDiskUse(true).SetMaxTime(timeLeft(ctx)).SetBatchSize(eventsTogether))
	if err != nil {
		return searched(doing, err)
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	for cur.Next(ctx) {
		var u UserEvents
		if err := cur.Decode(&u); err != nil {
			return searched(doing, err)
		}
		f(u)
	}
	return searched(doing, cur.Err())
}

// ActiveUser is how active one user was.
type ActiveUser struct {
	UserID   string    `bson:"_id" json:"user_id"`
	Count    int64     `bson:"n" json:"count"`
	Errors   int64     `bson:"errors" json:"errors"`
	Sessions int64     `bson:"sessions" json:"sessions"`
	Types    []string  `bson:"-" json:"types"`
	First    time.Time `bson:"first" json:"first_seen"`
	Last     time.Time `bson:"last" json:"last_seen"`
}

// typesOfUser are as many types as are listed of one user.
const typesOfUser = 100

// ActiveUsers lists the users with the most events of a range, at most limit, each with
// the types of most of its events. These are asked of the users that are listed alone: a
// producer that makes up types would otherwise fill the memory of all.
func (s *Store) ActiveUsers(ctx context.Context, filter EventFilter, limit int) ([]ActiveUser, error) {
	const doing = "list active users"
	query := filter.selected(served{}, field("user_id", bson.D{field("$exists", true)}))
	sessions := append(bson.D{field("_id", bson.D{field("user", "$user_id"), field("session", bson.D{field("$ifNull", bson.A{"$session_id", ""})})})},
		activity("$timestamp", "$timestamp", int64(1), errorOf("$severity"))...)
	users := append(bson.D{field("_id", "$_id.user"),
		field("sessions", bson.D{field("$sum", bson.D{field("$cond", bson.A{bson.D{field("$eq", bson.A{"$_id.session", ""})}, 0, int64(1)})})}),
	}, activity("$first", "$last", "$n", "$errors")...)
	cur, err := s.events.Aggregate(ctx, bson.A{
		bson.D{field("$match", query)},
		bson.D{field("$project", bson.D{field("_id", 0), field("timestamp", 1), field("user_id", 1), field("session_id", 1), field("severity", 1)})},
		bson.D{field("$group", sessions)},
		bson.D{field("$group", users)},
		bson.D{field("$sort", keys("n", -1, "_id", 1))},
		bson.D{field("$limit", limit)},
	}, s.aggregateBy(ctx, "time").SetAllowDiskUse(true).SetMaxTime(timeLeft(ctx)))
	var found []ActiveUser
	if err == nil {
		err = cur.All(ctx, &found)
	}
	if err == nil && len(found) > 0 {
		err = s.typesOf(ctx, filter, found)
	}
	return found, searched(doing, err)
}

// typesOf gives users the types of most of their events.
func (s *Store) typesOf(ctx context.Context, filter EventFilter, users []ActiveUser) error {
	of, ids := map[string]*ActiveUser{}, make([]string, len(users))
	for i := range users {
		ids[i], users[i].Types = users[i].UserID, []string{}
		of[ids[i]] = &users[i]
	}
	cur, err := s.events.Aggregate(ctx, bson.A{
		bson.D{field("$match", filter.selected(served{by: bson.D{field("user_id", bson.D{field("$in", ids)})}}))},
		bson.D{field("$project", bson.D{field("_id", 0), field("type", 1), field("user_id", 1)})},
		bson.D{field("$group", bson.D{field("_id", bson.D{field("user", "$user_id"), field("type", "$type")}), field("n", bson.D{field("$sum", int64(1))})})},
		bson.D{field("$sort", keys("n", -1, "_id.type", 1))},
	}, s.aggregateBy(ctx, "user_time").SetAllowDiskUse(true).SetMaxTime(timeLeft(ctx)).SetBatchSize(eventsTogether))
	if err != nil {
		return err
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	for cur.Next(ctx) {
		var one struct {
			Key struct{ User, Type string } `bson:"_id"`
		}
		if err := cur.Decode(&one); err != nil {
			return err
		}
		if u := of[one.Key.User]; u != nil && len(u.Types) < typesOfUser {
			u.Types = append(u.Types, one.Key.Type)
		}
	}
	return cur.Err()
}

// activity are the accumulators of what somebody did.
func activity(first, last string, n, errors any) bson.D {
	return bson.D{
		field("n", bson.D{field("$sum", n)}), field("errors", bson.D{field("$sum", errors)}),
		field("first", bson.D{field("$min", first)}), field("last", bson.D{field("$max", last)}),
	}
}

// errorOf is 1 for a severity that is an error's, else 0.
func errorOf(severity string) bson.D {
	return bson.D{field("$cond", bson.A{bson.D{field("$gte", bson.A{severity, ErrorSeverity})}, int64(1), int64(0)})}
}

// ErrorSeverity is from where on an event is an error.
const ErrorSeverity = 7
