package api

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// timed gives every body its time, whoever sends it and wherever to: before an answer
// goes out, net/http waits for a body that nobody has read.
func (s *Server) timed(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if r.ContentLength == 0 {
			return next(c)
		}
		limit := s.cfg.RequestTimeout
		if c.Path() == apiPath+importPath {
			limit = max(limit, importTime)
		}
		allowBody(c, limit)
		r.Body = &timedBody{r.Body, http.NewResponseController(c.Response())}
		return next(c)
	}
}

// allowBody gives a body so much time from now on.
func allowBody(c echo.Context, limit time.Duration) {
	if c.Request().ContentLength != 0 {
		_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Now().Add(limit))
	}
}

// drained reads a body that nobody has a use for: behind its deadline a stream would
// end.
func drained(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if r := c.Request(); r.ContentLength != 0 && !changes(r.Method) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return err
			}
		}
		return next(c)
	}
}

// timedBody ends the deadline of a body with the body. Behind it net/http reads on, to
// learn that the client has gone: a deadline that passed then would tell so of this
// request and of every later one of the connection.
type timedBody struct {
	io.ReadCloser

	connection *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.connection.SetReadDeadline(time.Time{})
	}
	return n, err
}
