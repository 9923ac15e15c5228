package api

import (
	"context"
	"encoding/json"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/singleflight"
)

// lagEvery is how often the lag is read, and told, while somebody listens.
const lagEvery = 2 * time.Second

// recent is something that is read once for all who ask at the same time, or
// within a moment of that. A failure is shared like an answer: a server that is
// away costs each client one wait, not one for every client before it.
type recent struct {
	fresh time.Duration
	read  func() ([]byte, error)

	reading singleflight.Group // also guards what follows
	at      time.Time
	text    []byte
	err     error
}

// get waits for the answer no longer than the context says.
func (r *recent) get(ctx context.Context) ([]byte, error) {
	answer := r.reading.DoChan("", func() (any, error) {
		if r.at.IsZero() || time.Since(r.at) >= r.fresh {
			r.text, r.err = r.read()
			r.at = time.Now()
		}
		return r.text, r.err
	})
	select {
	case a := <-answer:
		text, _ := a.Val.([]byte)
		return text, a.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// readLag reads the lag of all stages, until the streams end.
func (s *Server) readLag() ([]byte, error) {
	stages, err := s.reads.Lag(s.streams.over, s.now())
	if err != nil {
		return nil, err
	}
	return json.Marshal(page{Items: stages})
}

// streamLag is GET /stream/lag: the lag of each stage, every two seconds. It is
// a figure of now, so there is nothing to resume.
func (s *Server) streamLag(c echo.Context) error {
	if err := readTicketed(c).err(); err != nil {
		return err
	}
	release, err := s.streams.places.take(clientOf(c))
	if err != nil {
		return err
	}
	defer release()
	out, err := newEventWriter(c, nil)
	if err != nil {
		return nil // the client has gone
	}
	defer out.heartbeat(s.cfg.StreamHeartbeat)()
	s.metrics.streams.Inc()
	defer s.metrics.streams.Dec()
	ctx, cancel := context.WithCancel(c.Request().Context())
	defer cancel()
	defer context.AfterFunc(s.streams.over, cancel)()
	ticker := time.NewTicker(lagEvery)
	defer ticker.Stop()
	for {
		// Without an answer the database is away; the heartbeat goes on.
		if text, err := s.streams.lag.get(ctx); err == nil && out.write("event: lag\ndata: "+string(text)+"\n\n") != nil {
			return nil // the client has gone
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
