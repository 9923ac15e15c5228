package api

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

const (
	ticketParameter = "ticket"
	// ticketTime is long enough to open a connection, and too short for a URL in
	// somebody's log to be worth anything.
	ticketTime = 30 * time.Second
)

// Tickets open one live connection each.
type Tickets interface {
	SaveTicket(ctx context.Context, plain, keyHash, sessionHash string, until time.Time) error
	TakeTicket(ctx context.Context, plain string, now time.Time) (keyHash, sessionHash string, err error)
}

// issued is a ticket as its owner hears of it, once.
type issued struct {
	Ticket    string    `json:"ticket"`
	ExpiresAt time.Time `json:"expires_at"`
}

// readTicketed is read of a route that a ticket opens.
func readTicketed(c echo.Context, known ...string) *parameters {
	p := read(c, append([]string{ticketParameter}, known...)...)
	p.text(ticketParameter) // that it is good is known by now
	return p
}

// createTicket: POST /stream/ticket. Browsers cannot give an EventSource or a
// WebSocket a header, and a key in a URL would be in every log.
func (s *Server) createTicket(c echo.Context) error {
	plain, until := rand.Text(), s.now().Add(ticketTime)
	if err := s.tickets.SaveTicket(c.Request().Context(), plain, keyHashOf(c), sessionHashOf(c), until); err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	return c.JSON(http.StatusCreated, issued{plain, until})
}
