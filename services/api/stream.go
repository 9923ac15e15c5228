package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/services/api/live"
)

// clientTimeout is how long one write to a client may take.
const clientTimeout = 30 * time.Second

func isSlow(err error) bool { return errors.Is(err, live.ErrSlow) }

// eventWriter writes server-sent events; its methods may be called by the
// stream and its heartbeat at once.
type eventWriter struct {
	fields     fields
	mu         sync.Mutex
	w          http.ResponseWriter
	controller *http.ResponseController
	last       string
	quietSince time.Time
}

func newEventWriter(c echo.Context, f fields) (*eventWriter, error) {
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, "text/event-stream")
	h.Set(echo.HeaderCacheControl, "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies must not collect
	out := &eventWriter{fields: f, w: c.Response(), controller: http.NewResponseController(c.Response()), quietSince: time.Now()}
	_ = out.controller.SetReadDeadline(time.Time{})
	c.Response().WriteHeader(http.StatusOK)
	return out, out.write("retry: 1000\n\n")
}

func (o *eventWriter) write(text string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.writeLocked([]byte(text))
}

func (o *eventWriter) writeLocked(text []byte) error {
	o.quietSince = time.Now()
	if err := o.controller.SetWriteDeadline(o.quietSince.Add(clientTimeout)); err != nil {
		return err
	}
	if _, err := o.w.Write(text); err != nil {
		return err
	}
	return o.controller.Flush()
}

// frames writes some frames with one flush.
func (o *eventWriter) frames(name string, frames []live.Frame) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, _ := buffers.Get().(*bytes.Buffer)
	defer func() {
		if b.Cap() <= bufferKept {
			b.Reset()
			buffers.Put(b)
		}
	}()
	for _, f := range frames {
		o.last = f.ID()
		b.WriteString("id: ")
		b.WriteString(o.last)
		switch {
		case f.Gap != nil:
			body, err := json.Marshal(f.Gap)
			if err != nil {
				return err
			}
			b.WriteString("\nevent: gap\ndata: ")
			b.Write(body)
		case f.Waits:
			b.WriteString("\nevent: waiting\ndata: {}")
		case f.IsChange():
			b.WriteString("\nevent: ")
			b.WriteString(name)
			b.WriteString("\ndata: ")
			b.Write(o.fields.of(f.JSON()))
		}
		b.WriteString("\n\n")
	}
	return o.writeLocked(b.Bytes())
}

// buffers are for one write each: as many as write at the same time, not one for
// every client. bufferKept bounds what one of them keeps, and is above the frames
// of ordinary events that are told at once.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const bufferKept = 256 << 10

// heartbeat writes the position, or a comment, when nothing else was written
// for that long; the returned function ends it.
func (o *eventWriter) heartbeat(every time.Duration) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	ticker := time.NewTicker(every)
	go func() {
		defer close(ended)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			o.mu.Lock()
			if time.Since(o.quietSince) >= every {
				text := ": alive\n\n"
				if o.last != "" {
					text = "id: " + o.last + "\n\n"
				}
				_ = o.writeLocked([]byte(text))
			}
			o.mu.Unlock()
		}
	}()
	return func() { close(done); <-ended }
}
