package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// Reads is everything that is only looked at.
type Reads interface {
	FindNotifications(ctx context.Context, f store.NotificationFilter, after *store.NotificationPosition, limit int) ([]notification.Notification, error)
	Notification(ctx context.Context, id string) (notification.Notification, error)
	NotificationCounts(ctx context.Context, most int64) (counts map[notification.Status]int64, atLeast []notification.Status, err error)
	FindDeadLetters(ctx context.Context, f store.DeadLetterFilter, after *store.DeadLetterPosition, limit int) ([]store.DeadLetterRecord, error)
	DeadLetter(ctx context.Context, id string) (store.DeadLetterRecord, error)
	WaitingDeadLetters(ctx context.Context, most int64) (int64, error)
	DeadLetterGroups(ctx context.Context, f store.DeadLetterFilter) ([]store.DeadLetterGroup, error)
	Lag(ctx context.Context, now time.Time) ([]store.StageLag, error)
	EventCounts(ctx context.Context) (stored, unprocessed int64, err error)
	Leases(ctx context.Context) ([]store.LeaseHolder, error)
}

// shownNotification is a notification as it leaves the process: the action's
// configuration with its secrets masked.
type shownNotification struct {
	notification.Notification
	Action shownAction `json:"action"`
}

type shownAction struct {
	Type   string          `json:"type"`
	Config json.RawMessage `json:"config"`
}

func (s *Server) showNotification(n notification.Notification) (shownNotification, error) {
	config, err := s.showConfig(n.Action.Type, n.Action.Config)
	return shownNotification{Notification: n, Action: shownAction{Type: n.Action.Type, Config: config}}, err
}

// listNotifications: GET /notifications, newest first.
func (s *Server) listNotifications(c echo.Context) error {
	p := read(c, "status", "reason", "held_by", "replay", "rule", "event_id", "from", "to", "limit", "cursor")
	f := p.notifications()
	f.HeldBy, f.ReplayID = p.text("held_by"), p.text("replay")
	f.From, f.To = p.span()
	limit := p.integer("limit", pageDefault, s.cfg.PageLimit)
	after := behind[store.NotificationPosition](p)
	if err := p.err(); err != nil {
		return err
	}
	found, err := s.reads.FindNotifications(c.Request().Context(), f, after, limit)
	if err != nil {
		return err
	}
	items := make([]shownNotification, len(found))
	for i, n := range found {
		if items[i], err = s.showNotification(n); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, pageOf(items, found, limit, func(last notification.Notification) any {
		return store.NotificationPosition{CreatedAt: last.CreatedAt, ID: last.ID}
	}))
}

// getNotification: GET /notifications/{notification_id}, with its attempts.
func (s *Server) getNotification(c echo.Context) error {
	n, err := s.reads.Notification(c.Request().Context(), c.Param("notification_id"))
	if err != nil {
		return err
	}
	answer, err := s.showNotification(n)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, answer)
}

// lag: GET /lag, how far each stage is behind.
func (s *Server) lag(c echo.Context) error {
	stages, err := s.reads.Lag(c.Request().Context(), s.now())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, page{Items: stages})
}

// countedMost of a status are counted one by one: a dashboard asks every five
// seconds, and counting goes through the index.
const countedMost = 100_000

// deadCountedMost is less: their index does not tell null from missing, so each is
// read, with its body.
const deadCountedMost = 1000

type statusAnswer struct {
	Events        statusEvents                  `json:"events"`
	Notifications map[notification.Status]int64 `json:"notifications"`
	AtLeast       []notification.Status         `json:"notifications_at_least,omitempty"`
	Dead          int64                         `json:"dead_letters_waiting"`
	DeadAtLeast   bool                          `json:"dead_letters_at_least,omitempty"`
	Lag           map[string]store.StageLag     `json:"lag"`
	Leases        []store.LeaseHolder           `json:"leases"`
	StreamClients int                           `json:"stream_clients"`
}

type statusEvents struct {
	Stored      int64 `json:"stored"`
	Unprocessed int64 `json:"unprocessed"`
}

// status: GET /status, the balance of the ledger in one answer.
func (s *Server) status(c echo.Context) error {
	ctx := c.Request().Context()
	stored, unprocessed, err := s.reads.EventCounts(ctx)
	if err != nil {
		return err
	}
	notifications, atLeast, err := s.reads.NotificationCounts(ctx, countedMost)
	if err != nil {
		return err
	}
	dead, err := s.reads.WaitingDeadLetters(ctx, deadCountedMost)
	if err != nil {
		return err
	}
	stages, err := s.reads.Lag(ctx, s.now())
	if err != nil {
		return err
	}
	leases, err := s.reads.Leases(ctx)
	if err != nil {
		return err
	}
	lag := map[string]store.StageLag{}
	for _, l := range stages {
		lag[string(l.Stage)] = l
	}
	return c.JSON(http.StatusOK, statusAnswer{
		Events: statusEvents{stored, unprocessed}, Notifications: notifications, AtLeast: atLeast, Dead: dead, DeadAtLeast: dead >= deadCountedMost,
		Lag: lag, Leases: leases, StreamClients: s.streams.places.taken(),
	})
}

func bytesText(n int) string { return strconv.Itoa(n) + "B" }
