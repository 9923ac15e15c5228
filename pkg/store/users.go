package store

import (
	"context"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/user"
)

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

// User reads one; ErrNotFound when there is none of the id.
func (s *Store) User(ctx context.Context, id string) (user.User, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var u user.User
	err := decode(s.users.FindOne(ctx, bson.D{field("_id", id)}), &u, "read user "+id)
	return u, err
}

// FindUsers lists users by address, after the given one: all ("") or those of a
// role.
func (s *Store) FindUsers(ctx context.Context, role user.Role, after string, limit int) ([]user.User, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	q := bson.D{field("email", bson.D{field("$gt", after)})}
	if role != "" {
		q = append(q, field("role", role))
	}
	found, err := page[user.User](ctx, s, s.users, q, options.Find().SetSort(keys("email", 1)).SetMaxTime(operationTimeout/2), limit)
	return found, classify("list users", err)
}

// HasUsers says whether there is any user.
func (s *Store) HasUsers(ctx context.Context) (bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	n, err := s.users.CountDocuments(ctx, bson.D{}, options.Count().SetLimit(1))
	return n > 0, classify("count users", err)
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
