package api

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

const (
	// knownFor is how long a key's user is believed without asking again: what
	// another process revokes, deletes or lowers works here for at most so long.
	// It costs each key in use one small read in that time.
	knownFor = 2 * time.Second
	// wrongKnown bounds the memory of wrong keys; goodKnown that of keys in force,
	// beyond which those are forgotten that nobody has sent for goodKept.
	wrongKnown = 10_000
	goodKnown  = 10_000
	goodKept   = 10 * time.Minute
	// noteUseEvery bounds the writes of last_used_at.
	noteUseEvery = time.Minute
)

// KeyUsers is where API keys are looked up.
type KeyUsers interface {
	UserByKeyHash(ctx context.Context, hash string) (user.User, error)
	TouchKey(ctx context.Context, hash string, now time.Time, every time.Duration) error
}

// auth recognises users by their API keys and limits the rate of each key, in
// this process: sharing the count would cost each request a write.
type auth struct {
	users    KeyUsers
	tickets  Tickets
	sessions *sessions
	limit    rate.Limit
	burst    int
	failures *failures
	now      func() time.Time
	log      *zap.Logger

	mu      sync.Mutex
	known   map[string]*knownKey // in force when last looked up, by hash
	wrong   map[string]time.Time // until when, by hash
	changes int                  // of users by this process
}

type knownKey struct {
	user    user.User
	ends    *time.Time // of the key
	until   time.Time  // it is believed
	limiter *rate.Limiter
}

func newAuth(users KeyUsers, tickets Tickets, cfg config.API, log *zap.Logger, now func() time.Time) *auth {
	return &auth{users: users, tickets: tickets, limit: rate.Limit(cfg.RateLimit), burst: cfg.RateBurst, failures: newFailures(cfg.WrongKeysPerMinute), log: log, now: now,
		known: map[string]*knownKey{}, wrong: map[string]time.Time{}}
}

const userKey, hashKey = "user", "key_hash"

// keyHashOf is the hash of the key that asks; only behind require.
func keyHashOf(c echo.Context) string {
	hash, _ := c.Get(hashKey).(string)
	return hash
}

// clientOf is by what live clients are counted.
func clientOf(c echo.Context) string { return cmp.Or(keyHashOf(c), currentUser(c).ID) }

// currentUser is who asks; only behind require.
func currentUser(c echo.Context) user.User {
	u, _ := c.Get(userKey).(user.User)
	return u
}

// require lets requests with a key in force pass, and only admins where the route
// says so. A stream ends when its key is no longer in force.
func (a *auth) require(r route) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			key, hash, err := a.check(c)
			if err != nil {
				return err
			}
			if r.admin && key.user.Role != user.Admin {
				return problem(http.StatusForbidden, "forbidden", "this needs the role admin; your role is %s", key.user.Role)
			}
			c.Set(userKey, key.user)
			c.Set(hashKey, hash)
			if isStream(r.path) {
				ctx, cancel := context.WithCancel(c.Request().Context())
				defer cancel()
				c.SetRequest(c.Request().WithContext(ctx))
				go a.watch(ctx, cancel, hash, sessionHashOf(c))
			}
			return next(c)
		}
	}
}

// watch ends a stream whose key is revoked or expires, or whose session ends. That
// the database does not answer ends none.
func (a *auth) watch(ctx context.Context, end func(), hash, session string) {
	ticker := time.NewTicker(knownFor)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if a.stillGood(ctx, hash, session) != nil {
			end()
			return
		}
	}
}

// stillGood refuses to go on for a key that was revoked or expired, or for a
// session, if there is one, that has ended. That the database does not answer
// ends nothing.
func (a *auth) stillGood(ctx context.Context, hash, session string) error {
	key, err := a.lookUp(ctx, hash)
	if err == nil && (key == nil || key.expired(a.now())) {
		return problem(http.StatusUnauthorized, "wrong_key", "this API key was revoked or expired meanwhile")
	}
	if session == "" {
		return nil
	}
	if _, err := a.sessions.find(ctx, session); errors.Is(err, store.ErrNotFound) {
		return problem(http.StatusUnauthorized, "session_ended", "this browser was signed out meanwhile")
	}
	return nil
}

func (k *knownKey) expired(now time.Time) bool { return k.ends != nil && !now.Before(*k.ends) }

// check is the key of a request, and its hash.
func (a *auth) check(c echo.Context) (*knownKey, string, error) {
	header := c.Response().Header()
	now := a.now()
	hash, err := a.credential(c)
	if err != nil {
		return nil, "", err
	}
	if !a.wasGood(hash) { // whoever is in goes on, also from an address that others try keys from
		if wait := a.failures.wait(c.RealIP(), now); wait > 0 {
			header.Set(echo.HeaderRetryAfter, seconds(wait))
			return nil, "", problem(http.StatusTooManyRequests, "too_many_failures", "too many wrong keys came from this address; wait as long as Retry-After says")
		}
	}
	key, err := a.lookUp(c.Request().Context(), hash)
	if err != nil {
		return nil, "", err
	}
	if key == nil || key.expired(now) {
		a.failures.note(c.RealIP(), now)
		header.Set(echo.HeaderWWWAuthenticate, `Bearer realm="events-aggregator", error="invalid_token"`)
		if key != nil {
			return nil, "", problem(http.StatusUnauthorized, "expired_key", "this API key expired at %s; make another one, or rotate keys before they expire", key.ends.UTC().Format(time.RFC3339))
		}
		return nil, "", problem(http.StatusUnauthorized, "wrong_key", "this API key is not known, or was replaced")
	}
	return key, hash, a.take(header, key)
}

// credential is the hash of the key that a request shows: in its header or, of
// a live stream, by a ticket. Wrong tickets count as wrong keys.
func (a *auth) credential(c echo.Context) (hash string, err error) {
	header := c.Response().Header()
	if ticket := c.QueryParam(ticketParameter); ticket != "" && c.Request().Header.Get(echo.HeaderAuthorization) == "" && isStream(c.Path()) {
		if wait := a.failures.wait(c.RealIP(), a.now()); wait > 0 {
			header.Set(echo.HeaderRetryAfter, seconds(wait))
			return "", problem(http.StatusTooManyRequests, "too_many_failures", "too many wrong keys came from this address; wait as long as Retry-After says")
		}
		hash, session, err := a.tickets.TakeTicket(c.Request().Context(), ticket, a.now())
		if err == nil && session != "" {
			_, err = a.sessions.find(c.Request().Context(), session)
		}
		if errors.Is(err, store.ErrNotFound) {
			a.failures.note(c.RealIP(), a.now())
			header.Set(echo.HeaderWWWAuthenticate, `Bearer realm="events-aggregator", error="invalid_token"`)
			return "", problem(http.StatusUnauthorized, "wrong_ticket", "this ticket is not known, was used, or has run out; get another by POST /api/v1/stream/ticket")
		}
		c.Set(sessionKey, nil) // the ticket says who opens it, not a cookie beside it
		c.Set(ticketSession, session)
		return hash, err
	}
	hash, sent := sentKey(c)
	if !sent {
		header.Set(echo.HeaderWWWAuthenticate, `Bearer realm="events-aggregator"`)
		return "", problem(http.StatusUnauthorized, "no_key", "send an API key: `Authorization: Bearer <key>`; `eactl users create` makes one")
	}
	return hash, nil
}

// take counts a request against its key's rate, in the headers of
// draft-ietf-httpapi-ratelimit-headers: what may be asked at once, what is left
// of it, and in how many seconds all of it is there again.
func (a *auth) take(header http.Header, key *knownKey) error {
	allowed := key.limiter.Allow()
	tokens := max(0, key.limiter.Tokens())
	header.Set("RateLimit-Limit", strconv.Itoa(a.burst))
	header.Set("RateLimit-Remaining", strconv.Itoa(int(tokens)))
	header.Set("RateLimit-Reset", strconv.Itoa(int(math.Ceil((float64(a.burst)-tokens)/float64(a.limit)))))
	if allowed {
		return nil
	}
	header.Set(echo.HeaderRetryAfter, "1")
	return problem(http.StatusTooManyRequests, "rate_limited", "this key made more than %v requests a second; wait a second", float64(a.limit))
}

func (a *auth) wasGood(hash string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known[hash] != nil
}

// lookUp finds a key, from memory if it was asked for within knownFor; nil when
// there is none. Wrong keys are remembered as well, so that they cost the
// database nothing.
func (a *auth) lookUp(ctx context.Context, hash string) (*knownKey, error) {
	now := a.now()
	a.mu.Lock()
	key, wrong, changes := a.known[hash], now.Before(a.wrong[hash]), a.changes
	a.mu.Unlock()
	if wrong || key != nil && now.Before(key.until) {
		return key, nil
	}
	u, err := a.users.UserByKeyHash(ctx, hash)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	fresh := a.remember(hash, u, err == nil, now, changes)
	if fresh != nil && !fresh.expired(now) && unnoted(u, hash, now) {
		if err := a.users.TouchKey(ctx, hash, now, noteUseEvery); err != nil {
			a.log.Warn("use of an API key not noted", zap.String("user_id", u.ID), zap.Error(err))
		}
	}
	return fresh, nil
}

// unnoted says whether the use of a key is to be noted.
func unnoted(u user.User, hash string, now time.Time) bool {
	for _, k := range u.APIKeys {
		if k.Hash == hash {
			return k.LastUsedAt == nil || now.Sub(*k.LastUsedAt) >= noteUseEvery
		}
	}
	return false
}

// remember keeps what was looked up after so many changes of this process. What it
// has changed meanwhile may not be in it: then it holds for this once.
func (a *auth) remember(hash string, u user.User, valid bool, now time.Time, changes int) *knownKey {
	a.mu.Lock()
	defer a.mu.Unlock()
	until := now.Add(knownFor)
	if changes != a.changes {
		until = now
	}
	if !valid {
		delete(a.known, hash)
		if len(a.wrong) >= wrongKnown {
			clear(a.wrong)
		}
		a.wrong[hash] = until
		return nil
	}
	delete(a.wrong, hash)
	fresh := &knownKey{user: u, until: until}
	for _, k := range u.APIKeys {
		if k.Hash == hash {
			fresh.ends = k.ExpiresAt
		}
	}
	if old := a.known[hash]; old != nil {
		fresh.limiter = old.limiter
	} else {
		fresh.limiter = rate.NewLimiter(a.limit, a.burst)
		if len(a.known) >= goodKnown {
			maps.DeleteFunc(a.known, func(_ string, k *knownKey) bool { return now.Sub(k.until) > goodKept })
		}
	}
	a.known[hash] = fresh
	return fresh
}

// forget has every key looked up again: this process has changed users.
func (a *auth) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes++
	for hash, key := range a.known {
		stale := *key
		stale.until = a.now()
		a.known[hash] = &stale
	}
	clear(a.wrong)
}

// seconds is a time to wait as Retry-After has it.
func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }
