package store

import (
	"context"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/user"
)

// SaveSession stores a new session.
func (s *Store) SaveSession(ctx context.Context, one user.Session) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := s.browserSessions.InsertOne(ctx, one)
	return classify("save session", err)
}

// Session finds a session by the hash of its token; ErrNotFound when there is
// none. The server removes those that are over within minutes, so the caller
// looks at ExpiresAt.
func (s *Store) Session(ctx context.Context, hash string) (user.Session, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var one user.Session
	err := s.browserSessions.FindOne(ctx, bson.D{field("_id", hash)}).Decode(&one)
	return one, classify("look up session", err)
}

// DeleteSession ends a session; one that is not there is no error.
func (s *Store) DeleteSession(ctx context.Context, hash string) (found bool, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	r, err := s.browserSessions.DeleteOne(ctx, bson.D{field("_id", hash)})
	if err != nil {
		return false, classify("delete session", err)
	}
	return r.DeletedCount > 0, nil
}
