package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

// Users is where users and their keys are kept.
type Users interface {
	CreateUser(ctx context.Context, u user.User) error
	User(ctx context.Context, id string) (user.User, error)
	UserByEmail(ctx context.Context, email string) (user.User, error)
	FindUsers(ctx context.Context, role user.Role, after string, limit int) ([]user.User, error)
	ChangeUser(ctx context.Context, id, by string, now time.Time, change func(user.User) (user.User, error)) (user.User, error)
	DeleteUser(ctx context.Context, id, by string, now time.Time, match func(user.User) error) error
	AddKey(ctx context.Context, userID, by string, now time.Time, key user.APIKey) error
	RotateKey(ctx context.Context, id, owner, by string, now, until time.Time, key user.APIKey) (u user.User, made user.APIKey, err error)
	RevokeKey(ctx context.Context, id, owner, by string, now time.Time) error
}

// shownUser is a user as they leave the process: lists are lists, also empty ones.
func shownUser(u user.User) user.User {
	p := &u.Preferences
	p.NotificationChannels, p.EventTypes = orEmpty(p.NotificationChannels), orEmpty(p.EventTypes)
	u.APIKeys = orEmpty(u.APIKeys)
	return u
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// listUsers: GET /users, by address; ?role=admin|user, or the one of ?email=.
func (s *Server) listUsers(c echo.Context) error {
	p := read(c, "email", "role", "limit", "cursor")
	email, role := user.Address(p.text("email")), user.Role(p.oneOf("role", string(user.Admin), string(user.Plain)))
	limit := p.integer("limit", pageDefault, s.cfg.PageLimit)
	after := ""
	p.cursor(&after)
	if err := p.err(); err != nil {
		return err
	}
	var found []user.User
	var err error
	if email != "" {
		found, err = s.userOf(c.Request().Context(), email)
	} else {
		found, err = s.users.FindUsers(c.Request().Context(), role, after, limit)
	}
	if err != nil {
		return err
	}
	items := make([]user.User, len(found))
	for i, u := range found {
		items[i] = shownUser(u)
	}
	answer := page{Items: items}
	if email == "" && len(found) == limit {
		answer.NextCursor = cursorOf(found[len(found)-1].Email)
	}
	return c.JSON(http.StatusOK, answer)
}

// userOf is the user of an address, if there is one.
func (s *Server) userOf(ctx context.Context, email string) ([]user.User, error) {
	u, err := s.users.UserByEmail(ctx, email)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return []user.User{u}, err
}

// getUser: GET /users/{user_id}, with the version as the ETag.
func (s *Server) getUser(c echo.Context) error {
	u, err := s.users.User(c.Request().Context(), c.Param("user_id"))
	if err != nil {
		return err
	}
	return answerUser(c, http.StatusOK, u)
}

// me: GET /users/me.
func (s *Server) me(c echo.Context) error {
	u, err := s.users.User(c.Request().Context(), currentUser(c).ID)
	if err != nil {
		return err
	}
	return answerUser(c, http.StatusOK, u)
}

func answerUser(c echo.Context, status int, u user.User) error {
	c.Response().Header().Set("ETag", etag(u.Version))
	return c.JSON(status, shownUser(u))
}

// userChange is the body of a change; what is not there stays.
type userChange struct {
	Email *string    `json:"email"`
	Role  *user.Role `json:"role"`
	ownChange
}

// ownChange is what users may change of themselves.
type ownChange struct {
	Name        *string `json:"name"`
	Preferences *struct {
		NotificationChannels *[]string `json:"notification_channels"`
		EventTypes           *[]string `json:"event_types"`
	} `json:"preferences"`
}

func (w userChange) of(u user.User) user.User {
	if w.Email != nil {
		u.Email = user.Address(*w.Email)
	}
	if w.Role != nil {
		u.Role = *w.Role
	}
	return w.ownChange.of(u)
}

func (w ownChange) of(u user.User) user.User {
	if w.Name != nil {
		u.Name = *w.Name
	}
	if p := w.Preferences; p != nil {
		if p.NotificationChannels != nil {
			u.Preferences.NotificationChannels = *p.NotificationChannels
		}
		if p.EventTypes != nil {
			u.Preferences.EventTypes = *p.EventTypes
		}
	}
	return u
}

// createUser: POST /users. With "key" the user has a key from the beginning, which
// the answer shows once.
func (s *Server) createUser(c echo.Context) error {
	var asked struct {
		userChange
		Key *newKey `json:"key"`
	}
	if err := readRequest(c, &asked); err != nil {
		return err
	}
	now, by := s.now().Truncate(time.Millisecond), currentUser(c).Email
	u := asked.of(user.User{ID: uuid.NewString(), Role: user.Plain, CreatedBy: by, CreatedAt: now, UpdatedAt: now, Version: 1})
	u = shownUser(u)
	if err := s.checkUser(u); err != nil {
		return err
	}
	answer := struct {
		user.User
		APIKey string `json:"api_key,omitempty"`
	}{User: u}
	if asked.Key != nil {
		plain, key, err := asked.Key.make(now, "/key")
		if err != nil {
			return err
		}
		answer.APIKey, answer.APIKeys = plain, []user.APIKey{key}
	}
	if err := s.users.CreateUser(c.Request().Context(), answer.User); err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, "/api/v1/users/"+u.ID)
	c.Response().Header().Set("ETag", etag(u.Version))
	return c.JSON(http.StatusCreated, answer)
}

// patchUser: PATCH /users/{user_id}. With If-Match a lost update is a 412.
func (s *Server) patchUser(c echo.Context) error {
	var asked userChange
	if err := readRequest(c, &asked); err != nil {
		return err
	}
	return s.changeUser(c, c.Param("user_id"), asked.of)
}

// patchMe: PATCH /users/me, the own name and preferences.
func (s *Server) patchMe(c echo.Context) error {
	var asked ownChange
	if err := readRequest(c, &asked); err != nil {
		return err
	}
	return s.changeUser(c, currentUser(c).ID, asked.of)
}

func (s *Server) changeUser(c echo.Context, id string, change func(user.User) user.User) error {
	now, by := s.now().Truncate(time.Millisecond), currentUser(c).Email
	u, err := s.users.ChangeUser(c.Request().Context(), id, by, now, func(old user.User) (user.User, error) {
		if err := ifMatch(c, old.Version); err != nil {
			return old, err
		}
		u := shownUser(change(old))
		return u, s.checkUser(u)
	})
	if err != nil {
		return err
	}
	s.auth.forget()
	return answerUser(c, http.StatusOK, u)
}

// deleteUser: DELETE /users/{user_id}. Their keys stop at once.
func (s *Server) deleteUser(c echo.Context) error {
	err := s.users.DeleteUser(c.Request().Context(), c.Param("user_id"), currentUser(c).Email, s.now().Truncate(time.Millisecond),
		func(u user.User) error { return ifMatch(c, u.Version) })
	if err != nil {
		return err
	}
	s.auth.forget()
	return c.NoContent(http.StatusNoContent)
}

// checkUser names everything that is wrong with a user, channels that are not
// configured among it.
func (s *Server) checkUser(u user.User) error {
	var wrong []FieldFlaw
	if err := u.Validate(); err != nil {
		p := problemOf(err)
		if p.Code != invalidUser {
			return err
		}
		wrong = p.Errors
	}
	known := s.channels.Names()
	for i, channel := range u.Preferences.NotificationChannels {
		if channel != "" && !slices.Contains(known, channel) {
			wrong = append(wrong, FieldFlaw{Pointer: fmt.Sprintf("/preferences/notification_channels/%d", i),
				Message: fmt.Sprintf("%q is not configured; there are %s", channel, strings.Join(known, ", "))})
		}
	}
	if len(wrong) > 0 {
		return userProblem(wrong...)
	}
	return nil
}

// invalidUser is the code of a user, or key, that cannot be saved.
const invalidUser = "invalid_user"

func userProblem(flaws ...FieldFlaw) error {
	p := problem(http.StatusUnprocessableEntity, invalidUser, "this cannot be saved")
	p.Errors = flaws
	return p
}

// readRequest reads a body that must be there.
func readRequest(c echo.Context, into any) error {
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	return readBody(body, into)
}
