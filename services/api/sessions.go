package api

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

const (
	sessionPath   = "/session"
	sessionCookie = "ea_session"
	csrfHeader    = "X-CSRF-Token"
	// sessionKnownFor is how long a session is believed without asking again: one
	// that was ended in another process works here for at most so long. Its key is
	// asked for beside it, as every key is.
	sessionKnownFor = 2 * time.Second
	// sessionsKnown bounds the memory; beyond it everything is asked for anew.
	sessionsKnown = 10_000
	// signInMost bounds the body of a sign-in, which anybody may send.
	signInMost = 4 << 10
)

// SessionKeeper is where browsers that signed in are kept.
type SessionKeeper interface {
	SaveSession(ctx context.Context, one user.Session) error
	Session(ctx context.Context, hash string) (user.Session, error)
	DeleteSession(ctx context.Context, hash string) (found bool, err error)
}

// sessions knows browsers by their cookie: pages never hold a key. A session
// stands for the key that it began with, so it has that key's user, role and rate,
// and ends with it.
type sessions struct {
	keep     SessionKeeper
	lifetime time.Duration
	failures *failures
	now      func() time.Time

	mu    sync.Mutex
	known map[string]knownSession // by hash
}

type knownSession struct {
	user.Session
	until time.Time
}

func newSessions(keep SessionKeeper, lifetime time.Duration, wrong *failures, now func() time.Time) *sessions {
	return &sessions{keep: keep, lifetime: lifetime, failures: wrong, now: now, known: map[string]knownSession{}}
}

const sessionKey, ticketSession = "session", "ticket_session"

// sessionHashOf is the hash of the session that asks, directly or by a ticket;
// empty: a key asks.
func sessionHashOf(c echo.Context) string {
	if one, ok := c.Get(sessionKey).(user.Session); ok {
		return one.Hash
	}
	hash, _ := c.Get(ticketSession).(string)
	return hash
}

// sentKey is the hash of the key that a request has, by its header or by its
// session.
func sentKey(c echo.Context) (hash string, sent bool) {
	if one, ok := c.Get(sessionKey).(user.Session); ok {
		return one.KeyHash, true
	}
	scheme, plain, _ := strings.Cut(c.Request().Header.Get(echo.HeaderAuthorization), " ")
	plain = strings.TrimSpace(plain)
	return user.HashKey(plain), strings.EqualFold(scheme, "Bearer") && plain != ""
}

// recognise finds the session of a request that has no key. Changes need the
// token of sessionShown in a header: a page of another origin can neither read it
// nor send headers of its own.
func (ss *sessions) recognise(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		token := sessionToken(c)
		if token == "" || c.Request().Header.Get(echo.HeaderAuthorization) != "" {
			return next(c)
		}
		if changes(c.Request().Method) && subtle.ConstantTimeCompare([]byte(c.Request().Header.Get(csrfHeader)), []byte(user.CSRFToken(token))) == 0 {
			return problem(http.StatusUnauthorized, "no_csrf_token", "a change by a browser's session needs %s, as GET %s says it", csrfHeader, sessionPath)
		}
		hash := user.HashKey(token)
		if err := ss.heard(c, hash); err != nil {
			return err
		}
		one, err := ss.find(c.Request().Context(), hash)
		if errors.Is(err, store.ErrNotFound) {
			ss.failures.note(c.RealIP(), ss.now())
			ss.forget(hash)
			return problem(http.StatusUnauthorized, "session_ended", "this browser is not signed in any more; sign in with an API key")
		}
		if err != nil {
			return err
		}
		c.Set(sessionKey, one)
		return next(c)
	}
}

// heard refuses an address that sent too many cookies that are none, as it is done
// with keys: each costs the database a look. A session that is known goes through.
func (ss *sessions) heard(c echo.Context, hash string) error {
	ss.mu.Lock()
	_, known := ss.known[hash]
	ss.mu.Unlock()
	if known {
		return nil
	}
	wait := ss.failures.wait(c.RealIP(), ss.now())
	if wait <= 0 {
		return nil
	}
	c.Response().Header().Set(echo.HeaderRetryAfter, seconds(wait))
	return problem(http.StatusTooManyRequests, "too_many_failures", "too many wrong keys or sessions came from this address; wait as long as Retry-After says")
}

func sessionToken(c echo.Context) string {
	cookie, err := c.Cookie(sessionCookie)
	if err != nil {
		return ""
	}
	return cookie.Value
}

func changes(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

func (ss *sessions) find(ctx context.Context, hash string) (user.Session, error) {
	now := ss.now()
	ss.mu.Lock()
	found, ok := ss.known[hash]
	ss.mu.Unlock()
	if !ok || !now.Before(found.until) {
		one, err := ss.keep.Session(ctx, hash)
		if err != nil {
			return one, err
		}
		found = knownSession{one, now.Add(sessionKnownFor)}
		ss.remember(found)
	}
	if !now.Before(found.ExpiresAt) {
		return user.Session{}, store.ErrNotFound
	}
	return found.Session, nil
}

func (ss *sessions) remember(found knownSession) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if len(ss.known) >= sessionsKnown {
		clear(ss.known)
	}
	ss.known[found.Hash] = found
}

func (ss *sessions) forget(hash string) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	delete(ss.known, hash)
}

// signIn serves the sessions: begin with a key, say whose it is, end.
func (s *Server) signIn(e *echo.Echo) {
	bound, known := s.bound(route{}), s.auth.require(route{})
	e.POST(sessionPath, s.beginSession, noStore, bound, keyOfBody, known)
	e.GET(sessionPath, s.showSession, noStore, bound, askedByNobody, s.sessions.recognise, known)
	e.DELETE(sessionPath, s.endSession, noStore, bound)
}

// noStore: these answers are for one browser.
func noStore(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
		return next(c)
	}
}

// sessionShown is what a page may know of its session.
type sessionShown struct {
	User      user.User `json:"user"`
	KeyID     string    `json:"key_id"` // with which it ends
	CSRFToken string    `json:"csrf_token"`
	ExpiresAt time.Time `json:"expires_at"`
}

func shownSession(c echo.Context, token string, one user.Session) sessionShown {
	shown := sessionShown{User: shownUser(currentUser(c)), CSRFToken: user.CSRFToken(token), ExpiresAt: one.ExpiresAt}
	for _, k := range shown.User.APIKeys {
		if k.Hash == one.KeyHash {
			shown.KeyID = k.ID
		}
	}
	return shown
}

// askedByNobody: that a browser is not signed in is an answer, not an error.
func askedByNobody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if sessionToken(c) == "" {
			return c.NoContent(http.StatusNoContent)
		}
		return next(c)
	}
}

// keyOfBody reads the key of a sign-in, which from then on is checked as any
// other. JSON alone: a form of another origin could sign a browser in as somebody
// else.
func keyOfBody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		kind, _, err := mime.ParseMediaType(c.Request().Header.Get(echo.HeaderContentType))
		if err != nil || kind != echo.MIMEApplicationJSON {
			return problem(http.StatusUnsupportedMediaType, "unsupported_media_type", "send the key as application/json")
		}
		text, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, signInMost))
		if errors.As(err, new(*http.MaxBytesError)) {
			return problem(http.StatusRequestEntityTooLarge, "body_too_large", "the body has more than %d bytes, and a key is much shorter", signInMost)
		}
		if err != nil {
			return err
		}
		var body struct {
			Key string `json:"key"`
		}
		if err := json.Unmarshal(text, &body); err != nil {
			return problem(http.StatusBadRequest, "invalid_json", "the body is no JSON object with a key: %s", err)
		}
		c.Request().Header.Set(echo.HeaderAuthorization, "Bearer "+body.Key)
		return next(c)
	}
}

// beginSession: POST /session.
func (s *Server) beginSession(c echo.Context) error {
	hash, _ := sentKey(c)
	token, one, err := user.NewSession(hash, currentUser(c).ID, s.now().Truncate(time.Millisecond), s.sessions.lifetime)
	if err != nil {
		return err
	}
	if err := s.sessions.keep.SaveSession(c.Request().Context(), one); err != nil {
		return err
	}
	setSessionCookie(c, token, int(s.sessions.lifetime.Seconds()))
	return c.JSON(http.StatusCreated, shownSession(c, token, one))
}

// showSession: GET /session.
func (s *Server) showSession(c echo.Context) error {
	one, ok := c.Get(sessionKey).(user.Session)
	if !ok {
		return problem(http.StatusUnauthorized, "no_session", "this browser is not signed in; POST %s begins a session", sessionPath)
	}
	return c.JSON(http.StatusOK, shownSession(c, sessionToken(c), one))
}

// endSession: DELETE /session. The browser forgets it, also when the database does not
// answer.
func (s *Server) endSession(c echo.Context) error {
	token := sessionToken(c)
	if token == "" {
		return c.NoContent(http.StatusNoContent)
	}
	if subtle.ConstantTimeCompare([]byte(c.Request().Header.Get(csrfHeader)), []byte(user.CSRFToken(token))) == 0 {
		return problem(http.StatusUnauthorized, "no_csrf_token", "signing out needs %s, as GET %s says it", csrfHeader, sessionPath)
	}
	hash := user.HashKey(token)
	if err := s.sessions.heard(c, hash); err != nil { // the browser keeps the cookie, to try again
		return err
	}
	setSessionCookie(c, "", -1)
	s.sessions.forget(hash)
	found, err := s.sessions.keep.DeleteSession(c.Request().Context(), hash)
	if err != nil {
		return err
	}
	if !found { // a token for a cookie that is none can be had without asking
		s.sessions.failures.note(c.RealIP(), s.now())
	}
	return c.NoContent(http.StatusNoContent)
}

func setSessionCookie(c echo.Context, token string, seconds int) {
	c.SetCookie(&http.Cookie{ //nolint:gosec // Secure wherever the browser speaks HTTPS; make run is plain HTTP on the loopback
		Name: sessionCookie, Value: token, Path: "/", MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: c.Scheme() == "https",
	})
}
