package store

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
)

// DueGroups lists the groups that are to be told, the longest due first.
func (s *Store) DueGroups(ctx context.Context, now time.Time, limit int) ([]decision.Group, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.groups.Find(ctx, bson.D{field("flush_at", bson.D{field("$lte", now)})},
		options.Find().SetSort(keys("flush_at", 1)).SetLimit(int64(limit)))
	var spoilt []bson.RawValue
	found, err := readable[decision.Group](ctx, cur, err, func(id bson.RawValue, _ bson.Raw, err error) {
		s.leftOut(s.groups, id, err)
		spoilt = append(spoilt, id)
	})
	for i := 0; err == nil && i < len(spoilt); i++ { // they take no place from the others
		_, err = s.groups.UpdateOne(ctx, bson.D{field("_id", spoilt[i])}, bson.D{field("$set", bson.D{field("flush_at", now.Add(spoiltFor))})})
	}
	return found, classify("list due groups", err)
}

// PostponeGroups lets groups wait that cannot be told now.
func (s *Store) PostponeGroups(ctx context.Context, ids []string, until time.Time) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := s.groups.UpdateMany(ctx, bson.D{field("_id", bson.D{field("$in", ids)}), field("flush_at", bson.D{field("$lt", until)})},
		bson.D{field("$set", bson.D{field("flush_at", until)})})
	return classify(fmt.Sprintf("postpone %d groups", len(ids)), err)
}

// FlushGroups tells groups in one transaction: each is read again, and if it is
// still due, tell says what it owes and how it is afterwards. A group that gets a
// match at the same moment conflicts, so a match is either told now or waits for
// the next time; one that somebody else has flushed is not due any more.
func (s *Store) FlushGroups(ctx context.Context, at time.Time, ids []string, tell func(decision.Group) (decision.Group, []decision.Owed)) (committed []decision.Owed, err error) {
	err = s.transaction(ctx, func(sc mongo.SessionContext) error {
		committed = nil
		cur, err := s.groups.Find(sc, bson.D{field("_id", bson.D{field("$in", ids)})}, options.Find().SetSort(keys("_id", 1)))
		groups, err := readable[decision.Group](sc, cur, err, s.leavesOut(s.groups))
		if err != nil {
			return err
		}
		var models []mongo.WriteModel
		var owed []decision.Owed
		for _, g := range groups {
			if !g.Due(at) {
				continue
			}
			next, owes := tell(g)
			owed = append(owed, owes...)
			models = append(models, mongo.NewReplaceOneModel().SetFilter(bson.D{field("_id", g.ID)}).SetReplacement(next))
		}
		if len(models) == 0 {
			return nil
		}
		if _, err := s.groups.BulkWrite(sc, models); err != nil {
			return err
		}
		committed, err = s.owe(sc, at, owed)
		return err
	})
	return committed, classify(fmt.Sprintf("flush %d groups", len(ids)), err)
}
