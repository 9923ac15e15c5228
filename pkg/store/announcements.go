package store

import (
	"context"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
)

// announce inserts events about rules in the transaction that made them true.
func (s *Store) announce(sc mongo.SessionContext, all []decision.Announcement) error {
	if len(all) == 0 {
		return nil
	}
	docs := make([]any, len(all))
	for i, a := range all {
		docs[i] = a
	}
	_, err := s.announcements.InsertMany(sc, docs)
	return err
}

// Announce makes an event about a rule owed, if it is not.
func (s *Store) Announce(ctx context.Context, a decision.Announcement) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := s.announcements.InsertOne(ctx, a)
	if isDuplicateKey(err) {
		return nil
	}
	return classify("announce "+a.Type, err)
}

// Announcements lists the events about rules that the broker may not have yet,
// oldest first.
func (s *Store) Announcements(ctx context.Context, limit int) ([]decision.Announcement, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	found, err := page[decision.Announcement](ctx, s, s.announcements, bson.D{}, options.Find().SetSort(keys("created_at", 1)), limit)
	return found, classify("list announcements", err)
}

// MarkAnnounced removes announcements that the broker has.
func (s *Store) MarkAnnounced(ctx context.Context, eventIDs ...string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if len(eventIDs) == 0 {
		return nil
	}
	_, err := s.announcements.DeleteMany(ctx, bson.D{field("_id", bson.D{field("$in", eventIDs)})})
	return classify("remove announcements", err)
}
