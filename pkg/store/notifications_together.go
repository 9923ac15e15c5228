package store

import (
	"cmp"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// likeness is what attempts have in common that one statement can record.
type likeness struct {
	number int
	status notification.Status
	reason string
}

// recordings are the writes that record attempts. Those that are alike, as nearly
// all are while deliveries succeed, are one statement: an update of each notification by
// itself costs some servers several times as much.
func recordings(records []AttemptRecord, now time.Time) []mongo.WriteModel {
	var models []mongo.WriteModel
	alike := map[likeness][]AttemptRecord{}
	for _, r := range records {
		switch {
		case r.Suppress:
			models = append(models, suppression(r, now))
		case r.Token != "" || r.NextAttemptAt != nil:
			models = append(models, recording(r, now))
		default:
			l := likeness{r.Attempt.Number, r.Status, r.Reason}
			alike[l] = append(alike[l], r)
		}
	}
	for l, records := range alike {
		if len(records) == 1 {
			models = append(models, recording(records[0], now))
		} else {
			models = append(models, together(l, records, now))
		}
	}
	return models
}

// together is recording for several. A notification whose attempts are no list is
// left out, so that it fails for itself alone.
func together(l likeness, records []AttemptRecord, now time.Time) mongo.WriteModel {
	slices.SortFunc(records, func(a, b AttemptRecord) int { return cmp.Compare(a.ID, b.ID) })
	ids := make([]string, len(records))
	for i, r := range records {
		ids[i] = r.ID
	}
	set := bson.D{
		field("attempts", bson.D{field("$concatArrays", bson.A{"$attempts", bson.A{attemptByID(records)}})}),
		field("attempt_count", l.number), field("status", literal(l.status)), field("updated_at", now),
	}
	unset := bson.A{"claim", "next_attempt_at"}
	if l.reason != "" {
		set = append(set, field("reason", literal(l.reason)))
	} else {
		unset = append(unset, "reason")
	}
	return mongo.NewUpdateManyModel().
		SetFilter(bson.D{field("_id", bson.D{field("$in", ids)}), field("status", notification.Pending),
			field("attempt_count", l.number-1), heldBy("", now), field("attempts", bson.D{field("$type", "array")})}).
		SetUpdate(mongo.Pipeline{{field("$set", set)}, {field("$unset", unset)}})
}

// attemptByID is the expression for the attempt of a notification's record, by
// halves: eight comparisons find one of two hundred. The records are in the order
// of their ids.
func attemptByID(records []AttemptRecord) bson.D {
	if len(records) == 1 {
		return literal(records[0].Attempt)
	}
	half := len(records) / 2
	return bson.D{field("$cond", bson.A{
		bson.D{field("$lt", bson.A{"$_id", literal(records[half].ID)})},
		attemptByID(records[:half]), attemptByID(records[half:]),
	})}
}

// literal keeps an expression from reading a text that begins with $ as a field.
func literal(v any) bson.D { return bson.D{field("$literal", v)} }
