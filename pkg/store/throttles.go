package store

import (
	"context"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
)

// hold asks what the rules remember which of the notifications are held back,
// in the deciding transaction: for each collection one find of all that is
// needed and one bulk of what changed. Two transactions that would change the
// same document conflict, and one of them starts again and reads what the other
// wrote; so a throttle lets through one, however many workers ask.
func (s *Store) hold(sc mongo.SessionContext, owed []decision.Owed) ([]decision.Owed, error) {
	h := decision.NewHolder(owed)
	if err := recall(sc, s, s.throttles, &h.Throttles); err != nil {
		return nil, err
	}
	if err := recall(sc, s, s.ruleHours, &h.Hours); err != nil {
		return nil, err
	}
	if err := recall(sc, s, s.groups, &h.Groups); err != nil {
		return nil, err
	}
	held := h.Hold()
	if err := memorise(sc, s.throttles, &h.Throttles); err != nil {
		return nil, err
	}
	if err := memorise(sc, s.ruleHours, &h.Hours); err != nil {
		return nil, err
	}
	if err := memorise(sc, s.groups, &h.Groups); err != nil {
		return nil, err
	}
	return held, s.announce(sc, h.Announcements)
}

// recall reads what a memory needs. What cannot be read is forgotten, and written
// anew: as an error it would keep all batches back that need it, until they are
// dead letters.
func recall[T any](sc mongo.SessionContext, s *Store, c *mongo.Collection, m *decision.Memory[T]) error {
	ids := m.Needed()
	if len(ids) == 0 {
		return nil
	}
	cur, err := c.Find(sc, bson.D{field("_id", bson.D{field("$in", ids)})})
	if err != nil {
		return err
	}
	defer cur.Close(sc)
	for cur.Next(sc) {
		var doc T
		if err := cur.Decode(&doc); err != nil {
			id := cur.Current.Lookup("_id")
			s.log.Error("what a rule remembers cannot be read, so it begins anew",
				zap.String("collection", c.Name()), zap.String("id", idText(id)), zap.Error(err))
			s.toldSpoilt(c, id)
			continue
		}
		id, _ := cur.Current.Lookup("_id").StringValueOK()
		m.Put(id, doc)
	}
	return cur.Err()
}

// memorise writes what changed in a memory.
func memorise[T any](sc mongo.SessionContext, c *mongo.Collection, m *decision.Memory[T]) error {
	ids := m.Changed()
	if len(ids) == 0 {
		return nil
	}
	models := make([]mongo.WriteModel, len(ids))
	for i, id := range ids {
		models[i] = mongo.NewReplaceOneModel().SetFilter(bson.D{field("_id", id)}).SetReplacement(m.Get(id)).SetUpsert(true)
	}
	_, err := c.BulkWrite(sc, models)
	return raced(err)
}

// raced makes the duplicate key of an upsert by _id what it is in a transaction:
// another one has just inserted the document, and this one must start again to
// see it.
func raced(err error) error {
	if isDuplicateKey(err) {
		return &raceLost{err}
	}
	return err
}

// raceLost does not unwrap: callers take a duplicate key for work that is done.
type raceLost struct{ err error }

func (e *raceLost) Error() string { return "another transaction inserted it first: " + e.err.Error() }

// HasErrorLabel makes the transaction start again.
func (e *raceLost) HasErrorLabel(label string) bool { return label == transientTransaction }

// countThrottled adds what was held back to the throttles, after the commit: in
// the transaction it would make every two workers conflict that hold something
// back for the same key, which is what they all do in a flood. It is a figure
// for people, so an error is only said.
func (s *Store) countThrottled(ctx context.Context, owed []decision.Owed) {
	held := decision.Throttled(owed)
	if len(held) == 0 {
		return
	}
	models := make([]mongo.WriteModel, 0, len(held))
	for id, n := range held {
		models = append(models, mongo.NewUpdateOneModel().SetFilter(bson.D{field("_id", id)}).
			SetUpdate(bson.D{field("$inc", bson.D{field("suppressed", n)})}))
	}
	bound, cancel := bounded(ctx)
	defer cancel()
	if _, err := s.throttles.BulkWrite(bound, models, options.BulkWrite().SetOrdered(false)); err != nil {
		s.log.Warn("matches held back by throttles not counted, the notifications are recorded", zap.Error(err))
	}
}
