package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/user"
)

// ErrLastAdmin: afterwards no admin would have a key in force, so that nobody
// could change anything any more.
var ErrLastAdmin = errors.New("no admin with a key would be left")

// ErrTooManyKeys: the user has as many keys as one may have.
var ErrTooManyKeys = fmt.Errorf("a user has %d keys at most; revoke one that is not used", user.KeysMost)

// usersStampID is the document of `stamps` that every change of a user writes.
// Of two admins who take the role from each other at the same moment, one
// transaction then conflicts with the other, and sees it when it starts again.
const usersStampID = "users"

// What the audit says about users and their keys.
const (
	userCreated = "user.create"
	userChanged = "user.update"
	userDeleted = "user.delete"
	keyCreated  = "key.create"
	keyRotated  = "key.rotate"
	keyRevoked  = "key.revoke"
)

// CreateUser stores a user as version 1; ErrConflict when the address is taken.
func (s *Store) CreateUser(ctx context.Context, u user.User) error {
	if u.APIKeys == nil {
		u.APIKeys = []user.APIKey{}
	}
	u.Version = 1
	err := s.changeUsers(ctx, func(sc mongo.SessionContext) error {
		if _, err := s.users.InsertOne(sc, u); err != nil {
			return err
		}
		return s.noteAudit(sc, Audit{At: u.CreatedAt, By: u.CreatedBy, Action: userCreated, Subject: u.ID, After: shownUser(u)})
	})
	if isDuplicateKey(err) && !isTransient(err) {
		return fmt.Errorf("a user with the address %s, or with this key, exists: %w", u.Email, ErrConflict)
	}
	return classify("create user", err)
}

// ChangeUser stores what change makes of a user, but for the keys, as the next
// version; nothing when it makes no difference. An error of change is returned as
// it is. ErrConflict when the address is taken, ErrLastAdmin when no admin would
// be left.
func (s *Store) ChangeUser(ctx context.Context, id, by string, now time.Time, change func(user.User) (user.User, error)) (user.User, error) {
	var u user.User
	var refused error
	err := s.changeUsers(ctx, func(sc mongo.SessionContext) error {
		old, err := s.userToChange(sc, bson.D{field("_id", id)})
		if err != nil {
			return err
		}
		if u, refused = change(old); refused != nil {
			return refused
		}
		u.ID, u.APIKeys, u.Version = old.ID, old.APIKeys, old.Version
		if sameUser(old, u) {
			return nil
		}
		u.Version, u.UpdatedAt = old.Version+1, now
		_, err = s.users.UpdateOne(sc, bson.D{field("_id", id)}, bson.D{field("$set", bson.D{
			field("email", u.Email), field("name", u.Name), field("role", u.Role), field("preferences", u.Preferences),
			field("version", u.Version), field("updated_at", u.UpdatedAt),
		})})
		if err != nil {
			return err
		}
		if old.Role == user.Admin && u.Role != user.Admin {
			if err := s.anAdminIsLeft(sc, now); err != nil {
				return err
			}
		}
		return s.noteAudit(sc, Audit{At: now, By: by, Action: userChanged, Subject: id, Before: shownUser(old), After: shownUser(u)})
	})
	switch {
	case refused != nil:
		return u, refused
	case isDuplicateKey(err) && !isTransient(err):
		return u, fmt.Errorf("another user has the address %s: %w", u.Email, ErrConflict)
	}
	return u, usersError("change user "+id, err)
}

// DeleteUser takes a user away, with all keys. match may be nil; an error of it, which sees the
// user as they are, is returned as it is.
func (s *Store) DeleteUser(ctx context.Context, id, by string, now time.Time, match func(user.User) error) error {
	var refused error
	err := s.changeUsers(ctx, func(sc mongo.SessionContext) error {
		old, err := s.userToChange(sc, bson.D{field("_id", id)})
		if err != nil {
			return err
		}
		if refused = matches(match, old); refused != nil {
			return refused
		}
		if _, err := s.users.DeleteOne(sc, bson.D{field("_id", id)}); err != nil {
			return err
		}
		if old.Role == user.Admin {
			if err := s.anAdminIsLeft(sc, now); err != nil {
				return err
			}
		}
		return s.noteAudit(sc, Audit{At: now, By: by, Action: userDeleted, Subject: id, Before: shownUser(old)})
	})
	if refused != nil {
		return refused
	}
	return usersError("delete user "+id, err)
}

// AddKey gives a user one key more.
func (s *Store) AddKey(ctx context.Context, userID, by string, now time.Time, key user.APIKey) error {
	_, err := s.changeKeys(ctx, bson.D{field("_id", userID)}, now, func(u *user.User) (Audit, error) {
		if err := addKey(u, key, now); err != nil {
			return Audit{}, err
		}
		return Audit{By: by, Action: keyCreated, Subject: key.ID, Detail: ofUser(*u), After: shownKey(key)}, nil
	})
	return err
}

// RotateKey puts a key in the place of another one, which stays in force until
// the given time at most. owner "" means whoever has it; of anybody else's key it
// is ErrNotFound. The new key, which is returned with its user, has the old one's
// name, and as long a life.
func (s *Store) RotateKey(ctx context.Context, id, owner, by string, now, until time.Time, key user.APIKey) (u user.User, made user.APIKey, err error) {
	u, err = s.changeKeys(ctx, keyOf(id, owner), now, func(u *user.User) (Audit, error) {
		i := slices.IndexFunc(u.APIKeys, func(k user.APIKey) bool { return k.ID == id })
		if i < 0 {
			return Audit{}, fmt.Errorf("key %s: %w", id, ErrNotFound)
		}
		old := u.APIKeys[i]
		made = key
		made.Name = old.Name
		if old.ExpiresAt != nil {
			ends := now.Add(old.ExpiresAt.Sub(old.CreatedAt))
			made.ExpiresAt = &ends
		}
		if old.ExpiresAt == nil || old.ExpiresAt.After(until) {
			u.APIKeys[i].ExpiresAt = &until
		}
		if err := addKey(u, made, now); err != nil {
			return Audit{}, err
		}
		return Audit{By: by, Action: keyRotated, Subject: id, Detail: ofUser(*u), Before: shownKey(old), After: shownKey(made)}, nil
	})
	return u, made, err
}

// RevokeKey takes a key away. owner is as of RotateKey.
func (s *Store) RevokeKey(ctx context.Context, id, owner, by string, now time.Time) error {
	_, err := s.changeKeys(ctx, keyOf(id, owner), now, func(u *user.User) (Audit, error) {
		old, known := u.Key(id)
		if !known {
			return Audit{}, fmt.Errorf("key %s: %w", id, ErrNotFound)
		}
		u.APIKeys = slices.DeleteFunc(u.APIKeys, func(k user.APIKey) bool { return k.ID == id })
		return Audit{By: by, Action: keyRevoked, Subject: id, Detail: ofUser(*u), Before: shownKey(old)}, nil
	})
	return err
}

func keyOf(id, owner string) bson.D {
	q := bson.D{field("api_keys.id", id)}
	if owner != "" {
		q = append(q, field("_id", owner))
	}
	return q
}

// addKey adds one; keys that expired make room.
func addKey(u *user.User, key user.APIKey, now time.Time) error {
	if len(u.APIKeys) >= user.KeysMost {
		u.APIKeys = slices.DeleteFunc(u.APIKeys, func(k user.APIKey) bool { return k.Expired(now) })
	}
	if len(u.APIKeys) >= user.KeysMost {
		return ErrTooManyKeys
	}
	u.APIKeys = append(u.APIKeys, key)
	return nil
}

// changeKeys stores what change makes of the keys of the user that the filter
// selects, and what it says of it in the audit.
func (s *Store) changeKeys(ctx context.Context, which bson.D, now time.Time, change func(*user.User) (Audit, error)) (user.User, error) {
	var u user.User
	err := s.changeUsers(ctx, func(sc mongo.SessionContext) error {
		var err error
		if u, err = s.userToChange(sc, which); err != nil {
			return err
		}
		note, err := change(&u)
		if err != nil {
			return err
		}
		if _, err := s.users.UpdateOne(sc, bson.D{field("_id", u.ID)}, bson.D{field("$set", bson.D{field("api_keys", u.APIKeys)})}); err != nil {
			return err
		}
		if u.Role == user.Admin && !u.Enters(now) {
			if err := s.anAdminIsLeft(sc, now); err != nil {
				return err
			}
		}
		note.At = now
		return s.noteAudit(sc, note)
	})
	if isDuplicateKey(err) && !isTransient(err) {
		return u, fmt.Errorf("the key is somebody's already: %w", ErrConflict)
	}
	return u, usersError("change API keys", err)
}

// changeUsers runs a change with the users' stamp raised in the same transaction.
func (s *Store) changeUsers(ctx context.Context, change func(mongo.SessionContext) error) error {
	return s.transaction(ctx, func(sc mongo.SessionContext) error {
		_, err := s.stamps.UpdateOne(sc, bson.D{field("_id", usersStampID)},
			bson.D{field("$inc", bson.D{field("stamp", int64(1))})}, options.Update().SetUpsert(true))
		if err != nil {
			return raced(err)
		}
		return change(sc)
	})
}

func (s *Store) userToChange(sc mongo.SessionContext, which bson.D) (user.User, error) {
	var u user.User
	err := s.users.FindOne(sc, which).Decode(&u)
	return u, err
}

// anAdminIsLeft is ErrLastAdmin when no admin has a key in force. It sees what
// its transaction has written.
func (s *Store) anAdminIsLeft(sc mongo.SessionContext, now time.Time) error {
	cur, err := s.users.Find(sc, bson.D{field("role", user.Admin)}, options.Find().SetProjection(bson.D{field("api_keys", 1)}))
	admins, err := readable[user.User](sc, cur, err, s.leavesOut(s.users))
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(admins, func(u user.User) bool { return u.Enters(now) }) {
		return ErrLastAdmin
	}
	return nil
}

func usersError(doing string, err error) error {
	if errors.Is(err, ErrLastAdmin) || errors.Is(err, ErrTooManyKeys) {
		return err
	}
	return classify(doing, err)
}

// TouchKey notes when a key was last used, unless that was noted less than every
// ago: several processes see the same key.
func (s *Store) TouchKey(ctx context.Context, hash string, now time.Time, every time.Duration) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := s.users.UpdateOne(ctx,
		bson.D{field("api_keys.hash", hash), field("api_keys", bson.D{field("$elemMatch", bson.D{
			field("hash", hash), field("last_used_at", bson.D{field("$not", bson.D{field("$gt", now.Add(-every))})}),
		})})},
		bson.D{field("$set", bson.D{field("api_keys.$.last_used_at", now)})})
	return classify("note key use", err)
}

func sameUser(a, b user.User) bool {
	return a.Email == b.Email && a.Name == b.Name && a.Role == b.Role &&
		slices.Equal(a.Preferences.NotificationChannels, b.Preferences.NotificationChannels) &&
		slices.Equal(a.Preferences.EventTypes, b.Preferences.EventTypes)
}

// shownUser is what the audit keeps of a user: not the keys, which have entries
// of their own.
func shownUser(u user.User) bson.D {
	return bson.D{field("email", u.Email), field("name", u.Name), field("role", u.Role), field("preferences", bson.D{
		field("notification_channels", u.Preferences.NotificationChannels), field("event_types", u.Preferences.EventTypes),
	}), field("version", u.Version)}
}

func ofUser(u user.User) bson.D { return bson.D{field("user_id", u.ID), field("email", u.Email)} }

// shownKey is what the audit keeps of a key: what a list shows.
func shownKey(k user.APIKey) bson.D {
	d := bson.D{field("prefix", k.Prefix), field("name", k.Name), field("created_at", k.CreatedAt)}
	if k.ExpiresAt != nil {
		d = append(d, field("expires_at", *k.ExpiresAt))
	}
	return d
}
