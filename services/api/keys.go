package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

const (
	// overlapDefault is how long a key stays beside the one that replaces it: a
	// day, so that whoever has it can be given the new one.
	overlapDefault = 24 * time.Hour
	overlapMost    = 30 * 24 * time.Hour
)

// shownKey is a key as it leaves the process; the key itself only when it is made.
type shownKey struct {
	user.APIKey
	UserID string `json:"user_id"`
	Plain  string `json:"api_key,omitempty"`
}

// newKey is what people say of a key that they want.
type newKey struct {
	Name      string     `json:"name"`
	ExpiresAt *time.Time `json:"expires_at"`
}

// make makes the key; mistakes are under the pointer.
func (w newKey) make(now time.Time, pointer string) (plain string, key user.APIKey, err error) {
	if plain, key, err = user.NewKey(now); err != nil {
		return "", key, err
	}
	key.Name = w.Name
	if w.ExpiresAt != nil {
		ends := w.ExpiresAt.UTC().Truncate(time.Millisecond)
		key.ExpiresAt = &ends
	}
	var wrong *user.Invalid
	if err := key.Validate(now); errors.As(err, &wrong) {
		flaws := make([]FieldFlaw, len(wrong.Problems))
		for i, p := range wrong.Problems {
			flaws[i] = FieldFlaw{Pointer: pointer + p.Pointer, Message: p.Message}
		}
		return "", key, userProblem(flaws...)
	}
	return plain, key, nil
}

// ownerOf is the user that a request about keys is for: the caller, or for an
// admin anybody.
func ownerOf(c echo.Context, asked string) (string, error) {
	me := currentUser(c)
	if asked == "" || asked == me.ID {
		return me.ID, nil
	}
	if me.Role != user.Admin {
		return "", problem(http.StatusForbidden, "forbidden", "these are somebody else's keys, which needs the role admin; your role is %s", me.Role)
	}
	return asked, nil
}

// listKeys: GET /api-keys, the caller's; for an admin ?user= anybody's.
func (s *Server) listKeys(c echo.Context) error {
	p := read(c, "user")
	asked := p.text("user")
	if err := p.err(); err != nil {
		return err
	}
	id, err := ownerOf(c, asked)
	if err != nil {
		return err
	}
	u, err := s.users.User(c.Request().Context(), id)
	if err != nil {
		return err
	}
	items := make([]shownKey, len(u.APIKeys))
	for i, k := range u.APIKeys {
		items[i] = shownKey{APIKey: k, UserID: u.ID}
	}
	return c.JSON(http.StatusOK, page{Items: items})
}

// createKey: POST /api-keys. The answer is the only time that the key is shown.
func (s *Server) createKey(c echo.Context) error {
	var asked struct {
		newKey
		UserID string `json:"user_id"`
	}
	if err := readRequest(c, &asked); err != nil {
		return err
	}
	id, err := ownerOf(c, asked.UserID)
	if err != nil {
		return err
	}
	if !storable(id) {
		return userProblem(FieldFlaw{Pointer: "/user_id", Message: "is no text"})
	}
	now := s.now().Truncate(time.Millisecond)
	plain, key, err := asked.make(now, "")
	if err != nil {
		return err
	}
	if err := s.users.AddKey(c.Request().Context(), id, currentUser(c).Email, now, key); err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, shownKey{APIKey: key, UserID: id, Plain: plain})
}

// rotateKey: POST /api-keys/{key_id}/rotate {"overlap": "24h"}, a new key in the
// place of another one, which stays in force for so long.
func (s *Server) rotateKey(c echo.Context) error {
	asked := struct {
		Overlap *string `json:"overlap"`
	}{}
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	if len(body) > 0 {
		if err := readBody(body, &asked); err != nil {
			return err
		}
	}
	overlap := overlapDefault
	if asked.Overlap != nil {
		d, err := interval.Parse(*asked.Overlap)
		if err != nil || d.Std() > overlapMost {
			return userProblem(FieldFlaw{Pointer: "/overlap", Message: fmt.Sprintf("%q, expected a time such as 24h, 0s to 30d", *asked.Overlap)})
		}
		overlap = d.Std()
	}
	now := s.now().Truncate(time.Millisecond)
	plain, key, err := user.NewKey(now)
	if err != nil {
		return err
	}
	u, made, err := s.users.RotateKey(c.Request().Context(), c.Param("key_id"), anyOwner(c), currentUser(c).Email, now, now.Add(overlap), key)
	if err != nil {
		return err
	}
	s.auth.forget()
	return c.JSON(http.StatusCreated, shownKey{APIKey: made, UserID: u.ID, Plain: plain})
}

// revokeKey: DELETE /api-keys/{key_id}. It stops at once.
func (s *Server) revokeKey(c echo.Context) error {
	if err := s.users.RevokeKey(c.Request().Context(), c.Param("key_id"), anyOwner(c), currentUser(c).Email, s.now().Truncate(time.Millisecond)); err != nil {
		return err
	}
	s.auth.forget()
	return c.NoContent(http.StatusNoContent)
}

// anyOwner is whose keys the caller may change: "" for an admin, everybody's. To
// others, somebody else's key is none.
func anyOwner(c echo.Context) string {
	if me := currentUser(c); me.Role != user.Admin {
		return me.ID
	}
	return ""
}
