package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

const (
	// knownFor is how long a key's user is believed without asking again: a
	// revoked key works for at most so long.
	knownFor = 5 * time.Second
	// keysKnown bounds the memory; beyond it the oldest half is forgotten.
	keysKnown = 10_000
	// noteUseEvery bounds the writes of last_used_at.
	noteUseEvery = time.Minute
)

// Users is where API keys are looked up.
type Users interface {
	UserByKeyHash(ctx context.Context, hash string) (user.User, error)
	TouchKey(ctx context.Context, hash string, now time.Time) error
}

// auth recognises users by their API keys and limits the rate of each key.
type auth struct {
	users Users
	limit rate.Limit
	burst int
	now   func() time.Time
	log   *zap.Logger

	mu    sync.Mutex
	known map[string]*knownKey // by hash
}

type knownKey struct {
	user    user.User
	valid   bool
	until   time.Time
	noted   time.Time
	limiter *rate.Limiter
}

func newAuth(users Users, perSecond, burst int, log *zap.Logger, now func() time.Time) *auth {
	return &auth{users: users, limit: rate.Limit(perSecond), burst: burst, log: log, now: now, known: map[string]*knownKey{}}
}

const userKey = "user"

// currentUser is who asks; only behind require.
func currentUser(c echo.Context) user.User {
	u, _ := c.Get(userKey).(user.User)
	return u
}

// require lets requests with a valid key pass, and only admins where admin.
func (a *auth) require(admin bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			key, err := a.check(c)
			if err != nil {
				return err
			}
			if admin && key.user.Role != user.Admin {
				return problem(http.StatusForbidden, "forbidden", "this needs the role admin; your role is %s", key.user.Role)
			}
			c.Set(userKey, key.user)
			return next(c)
		}
	}
}

func (a *auth) check(c echo.Context) (*knownKey, error) {
	scheme, plain, _ := strings.Cut(c.Request().Header.Get(echo.HeaderAuthorization), " ")
	if !strings.EqualFold(scheme, "Bearer") || plain == "" {
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Bearer realm="events-aggregator"`)
		return nil, problem(http.StatusUnauthorized, "no_key", "send an API key: `Authorization: Bearer <key>`; `eactl users create` makes one")
	}
	key, err := a.lookUp(c.Request().Context(), user.HashKey(strings.TrimSpace(plain)))
	if err != nil {
		return nil, err
	}
	if !key.valid {
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Bearer realm="events-aggregator", error="invalid_token"`)
		return nil, problem(http.StatusUnauthorized, "wrong_key", "this API key is not known, or was replaced")
	}
	header := c.Response().Header()
	header.Set("X-RateLimit-Limit", strconv.Itoa(a.burst))
	header.Set("X-RateLimit-Remaining", strconv.Itoa(max(0, int(key.limiter.Tokens())-1)))
	if !key.limiter.Allow() {
		header.Set(echo.HeaderRetryAfter, "1")
		return nil, problem(http.StatusTooManyRequests, "rate_limited", "this key made more than %v requests a second; wait a second", float64(a.limit))
	}
	return key, nil
}

// lookUp finds the user of a key, from memory if asked within knownFor. Wrong
// keys are remembered as well, so that they cost the database nothing.
func (a *auth) lookUp(ctx context.Context, hash string) (*knownKey, error) {
	now := a.now()
	a.mu.Lock()
	key := a.known[hash]
	a.mu.Unlock()
	if key != nil && now.Before(key.until) {
		return key, nil
	}
	u, err := a.users.UserByKeyHash(ctx, hash)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	fresh := &knownKey{user: u, valid: err == nil, until: now.Add(knownFor), limiter: rate.NewLimiter(a.limit, a.burst)}
	if a.remember(hash, fresh, now) {
		if err := a.users.TouchKey(ctx, hash, now); err != nil {
			a.log.Warn("use of an API key not noted", zap.String("user_id", u.ID), zap.Error(err))
		}
	}
	return fresh, nil
}

// remember keeps what was looked up, and says whether to note the key's use.
func (a *auth) remember(hash string, fresh *knownKey, now time.Time) (note bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if old := a.known[hash]; old != nil {
		fresh.limiter, fresh.noted = old.limiter, old.noted
	}
	if len(a.known) >= keysKnown {
		a.forget(now)
	}
	note = fresh.valid && now.Sub(fresh.noted) > noteUseEvery
	if note {
		fresh.noted = now
	}
	a.known[hash] = fresh
	return note
}

// forget drops what has run out, or everything when nothing has.
func (a *auth) forget(now time.Time) {
	for hash, key := range a.known {
		if now.After(key.until) {
			delete(a.known, hash)
		}
	}
	if len(a.known) >= keysKnown {
		clear(a.known)
	}
}

// UserMaker is where the first admin is created.
type UserMaker interface {
	HasUsers(ctx context.Context) (bool, error)
	CreateUser(ctx context.Context, u user.User) error
}

const bootstrapEmail = "admin@localhost"

// bootstrap creates the first admin with the configured key when there are no
// users. Several api processes may do so at once: one wins.
func bootstrap(ctx context.Context, users UserMaker, plain string, now time.Time, log *zap.Logger) error {
	if plain == "" {
		return nil
	}
	have, err := users.HasUsers(ctx)
	if err != nil || have {
		return err
	}
	key, err := user.KeyFrom(plain, now)
	if err != nil {
		return fmt.Errorf("api.bootstrap_admin_key (EA_API_BOOTSTRAP_ADMIN_KEY): %w", err)
	}
	err = users.CreateUser(ctx, user.User{
		ID: uuid.NewString(), Email: bootstrapEmail, Name: "First admin", Role: user.Admin,
		Preferences: user.Preferences{NotificationChannels: []string{}, EventTypes: []string{}},
		APIKeys:     []user.APIKey{key}, CreatedAt: now, UpdatedAt: now,
	})
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	if err == nil {
		log.Info("first admin created", zap.String("email", bootstrapEmail), zap.String("key_prefix", key.Prefix))
	}
	return err
}
