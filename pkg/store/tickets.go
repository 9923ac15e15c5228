package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"go.mongodb.org/mongo-driver/bson"
)

// A ticket opens one live connection in place of the API key, or the session,
// that asked for it, for clients that can only put it into a URL. Only its hash is kept, and every
// api process takes it.
type ticket struct {
	ID          string    `bson:"_id"` // hash
	KeyHash     string    `bson:"key_hash"`
	SessionHash string    `bson:"session_hash,omitempty"`
	ExpiresAt   time.Time `bson:"expires_at"`
}

func hashTicket(plain string) string {
	sum := sha256.Sum256([]byte(plain))
	return hex.EncodeToString(sum[:])
}

// SaveTicket keeps a ticket of the key, and of the session if one asked, until
// then.
func (s *Store) SaveTicket(ctx context.Context, plain, keyHash, sessionHash string, until time.Time) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := s.tickets.InsertOne(ctx, ticket{ID: hashTicket(plain), KeyHash: keyHash, SessionHash: sessionHash, ExpiresAt: until})
	return classify("save ticket", err)
}

// TakeTicket is the hashes of the ticket's key and session; ErrNotFound when there
// is none, it has run out, or somebody took it before.
func (s *Store) TakeTicket(ctx context.Context, plain string, now time.Time) (keyHash, sessionHash string, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var t ticket
	err = decode(s.tickets.FindOneAndDelete(ctx, bson.D{field("_id", hashTicket(plain)), field("expires_at", bson.D{field("$gt", now)})}), &t, "take ticket")
	return t.KeyHash, t.SessionHash, err
}
