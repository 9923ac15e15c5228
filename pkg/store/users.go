package store

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/user"
)

// CreateUser stores a user; ErrConflict when the address is taken.
func (s *Store) CreateUser(ctx context.Context, u user.User) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if u.APIKeys == nil {
		u.APIKeys = []user.APIKey{}
	}
	_, err := s.users.InsertOne(ctx, u)
	if isDuplicateKey(err) {
		return fmt.Errorf("a user with the address %s, or with this key, exists: %w", u.Email, ErrConflict)
	}
	return classify("create user", err)
}

// UserByKeyHash finds the user of an API key; ErrNotFound when there is none.
func (s *Store) UserByKeyHash(ctx context.Context, hash string) (user.User, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var u user.User
	err := s.users.FindOne(ctx, bson.D{field("api_keys.hash", hash)}).Decode(&u)
	return u, classify("look up API key", err)
}

// UserByEmail finds a user by address.
func (s *Store) UserByEmail(ctx context.Context, email string) (user.User, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var u user.User
	err := s.users.FindOne(ctx, bson.D{field("email", email)}).Decode(&u)
	return u, classify("read user", err)
}

// Users lists all users by address.
func (s *Store) Users(ctx context.Context, limit int) ([]user.User, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	found, err := page[user.User](ctx, s, s.users, bson.D{}, options.Find().SetSort(keys("email", 1)), limit)
	return found, classify("list users", err)
}

// HasUsers says whether there is any user.
func (s *Store) HasUsers(ctx context.Context) (bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	n, err := s.users.CountDocuments(ctx, bson.D{}, options.Count().SetLimit(1))
	return n > 0, classify("count users", err)
}

// ReplaceKeys gives a user exactly these API keys.
func (s *Store) ReplaceKeys(ctx context.Context, userID string, now time.Time, apiKeys ...user.APIKey) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	result, err := s.users.UpdateOne(ctx, bson.D{field("_id", userID)},
		bson.D{field("$set", bson.D{field("api_keys", apiKeys), field("updated_at", now)})})
	if err == nil && result.MatchedCount == 0 {
		return fmt.Errorf("user %s: %w", userID, ErrNotFound)
	}
	return classify("replace API keys", err)
}

// TouchKey notes when a key was last used.
func (s *Store) TouchKey(ctx context.Context, hash string, now time.Time) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := s.users.UpdateOne(ctx, bson.D{field("api_keys.hash", hash)},
		bson.D{field("$set", bson.D{field("api_keys.$.last_used_at", now)})})
	return classify("note key use", err)
}

// People are the users with the ids, and all of the roles, by address; at most
// 1,000.
func (s *Store) People(ctx context.Context, ids []string, roles []user.Role) ([]user.User, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	either := bson.A{}
	if len(ids) > 0 {
		either = append(either, bson.D{field("_id", bson.D{field("$in", ids)})})
	}
	if len(roles) > 0 {
		either = append(either, bson.D{field("role", bson.D{field("$in", roles)})})
	}
	if len(either) == 0 {
		return nil, nil
	}
	found, err := page[user.User](ctx, s, s.users, bson.D{field("$or", either)},
		options.Find().SetProjection(bson.D{field("api_keys", 0)}).SetSort(keys("email", 1)), 1000)
	return found, classify("look up recipients", err)
}
