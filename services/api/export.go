package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/sheet"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

const exportPath = "/events/export"

const (
	// exportPage is how many events one query of an export reads. Each has the time
	// of a search, so an export of any length needs no cursor that lives as long.
	exportPage = 1000
	// exportBytes ends a page before: with it, an export's memory is bounded
	// whatever the size of the events.
	exportBytes = 4 << 20
	exportMost  = 100_000_000
	// exportsAtOnce leaves the database time for others, exportsOfKey leaves exports
	// to others: a client that reads slowly keeps its place.
	exportsAtOnce = 4
	exportsOfKey  = 2
)

// export is one answer in the making.
type export struct {
	s      *Server
	list   store.EventList
	left   int // events that are still wanted
	format exportFormat
	page   bytes.Buffer
	sent   int
}

// exportFormat writes events as text.
type exportFormat interface {
	contentType() string
	begin(b *bytes.Buffer) error
	add(b *bytes.Buffer, doc bson.Raw) error
	// cut writes the last line of what is not whole.
	cut(b *bytes.Buffer, p *Problem, events int, cursor string)
}

// exportEvents: GET /events/export, all events that match, as they are read.
func (s *Server) exportEvents(c echo.Context) error {
	p := read(c, append([]string{"format", "sort", "fields", "limit", "cursor"}, searchParameters...)...)
	fields := p.fields()
	e := &export{s: s, list: store.EventList{
		EventFilter: p.stored(), OldestFirst: p.oneOf("sort", newestFirst, oldestFirst) == oldestFirst, Fields: fields, Lean: true,
	}, left: p.integer("limit", exportMost, exportMost)}
	e.list.After = behind[store.EventPosition](p)
	format := p.oneOf("format", "ndjson", "csv")
	if err := p.err(); err != nil {
		return err
	}
	if format == "csv" || format == "" && strings.Contains(c.Request().Header.Get(echo.HeaderAccept), "text/csv") {
		e.format = newCSVFormat(&e.list)
	} else {
		e.format = linesFormat{}
	}
	release, err := s.exporting.take(keyHashOf(c))
	if err != nil {
		return problem(http.StatusServiceUnavailable, "busy", "%d exports are under way already, or %d with this key; try again when one is done", exportsAtOnce, exportsOfKey)
	}
	defer release()
	ctx := c.Request().Context()
	if err := s.narrowed(ctx, e.list.EventFilter); err != nil {
		return err
	}
	if err := e.format.begin(&e.page); err != nil {
		return err
	}
	more, err := e.read(ctx)
	if err != nil {
		return err // nothing was sent: an answer like any other
	}
	return e.send(c, more)
}

// errPageFull ends a page before its last event.
var errPageFull = errors.New("the page is full")

// read reads the next page; false when it was the last one.
func (e *export) read(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.s.cfg.SearchTimeout)
	defer cancel()
	e.list.Limit = min(e.left, exportPage)
	n := 0
	err = e.s.events.EachEvent(ctx, e.list, func(doc bson.Raw) error {
		if err := e.format.add(&e.page, doc); err != nil {
			return err
		}
		at := store.PositionOf(doc)
		e.list.After = &at
		if n++; e.page.Len() >= exportBytes {
			return errPageFull
		}
		return nil
	})
	e.sent, e.left = e.sent+n, e.left-n
	full := errors.Is(err, errPageFull)
	if full {
		err = nil
	}
	return e.left > 0 && (full || n == e.list.Limit), err
}

// send writes page after page. A trailer says that it is whole; what ends before
// says so in its last line, and then the connection is broken off, so that no
// client takes a part for all.
func (e *export) send(c echo.Context, more bool) error {
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, e.format.contentType())
	h.Set(echo.HeaderCacheControl, "no-store")
	h.Set("Trailer", trailerEvents)
	c.Response().WriteHeader(http.StatusOK)
	ctx, controller := c.Request().Context(), http.NewResponseController(c.Response())
	for {
		_ = controller.SetWriteDeadline(time.Now().Add(clientTimeout)) // for a page
		if _, err := c.Response().Write(e.page.Bytes()); err != nil {
			return e.abort("export not taken", err)
		}
		if err := controller.Flush(); err != nil {
			return e.abort("export not taken", err)
		}
		e.page.Reset()
		if !more {
			h.Set(trailerEvents, strconv.Itoa(e.sent))
			return nil
		}
		err := e.s.auth.stillGood(ctx, keyHashOf(c), sessionHashOf(c))
		if err == nil {
			more, err = e.read(ctx)
		}
		if err != nil {
			cursor := ""
			if e.list.After != nil {
				cursor = cursorOf(*e.list.After)
			}
			e.format.cut(&e.page, problemOf(err), e.sent, cursor)
			_, _ = c.Response().Write(e.page.Bytes())
			_ = controller.Flush()
			return e.abort("export cut", err)
		}
	}
}

// trailerEvents is how many events a whole export has.
const trailerEvents = "X-Export-Events"

func (e *export) abort(what string, err error) error {
	e.s.log.Warn(what, zap.Int("events", e.sent), zap.Error(err))
	panic(http.ErrAbortHandler) // how net/http breaks a connection off
}

// linesFormat is JSON lines.
type linesFormat struct{}

func (linesFormat) contentType() string       { return "application/x-ndjson" }
func (linesFormat) begin(*bytes.Buffer) error { return nil }

func (linesFormat) add(b *bytes.Buffer, doc bson.Raw) error {
	line, err := event.AppendJSON(b.AvailableBuffer(), doc)
	b.Write(append(line, '\n'))
	return err
}

func (linesFormat) cut(b *bytes.Buffer, p *Problem, events int, cursor string) {
	line, err := json.Marshal(map[string]any{"error": map[string]any{"code": p.Code, "detail": p.Detail, "events": events, "cursor": cursor}})
	if err == nil {
		b.Write(append(line, '\n'))
	}
}

// csvColumns are those of an export that names none.
var csvColumns = []string{"event_id", "timestamp", "type", "source", "severity", "user_id", "session_id", "trace_id", "processed", "matched_rules", "payload", "metadata", "created_at"}

// csvFormat is CSV (RFC 4180): a row of names, then a row an event.
type csvFormat struct {
	columns []string
	paths   [][]string
	row     []string
}

func newCSVFormat(l *store.EventList) *csvFormat {
	if l.Fields == nil {
		l.Fields = csvColumns
	}
	f := &csvFormat{columns: l.Fields, row: make([]string, len(l.Fields))}
	for _, c := range f.columns {
		f.paths = append(f.paths, strings.Split(c, "."))
	}
	return f
}

func (*csvFormat) contentType() string { return "text/csv; charset=utf-8" }

func (f *csvFormat) begin(b *bytes.Buffer) error { return sheet.Write(b, f.columns) }

func (f *csvFormat) add(b *bytes.Buffer, doc bson.Raw) error {
	for i, path := range f.paths {
		var err error
		if f.row[i], err = cellOf(doc.Lookup(path...)); err != nil {
			return err
		}
	}
	return sheet.Write(b, f.row)
}

func (*csvFormat) cut(b *bytes.Buffer, p *Problem, events int, cursor string) {
	fmt.Fprintf(b, "# cut after %d events (%s): %s; cursor=%s\n", events, p.Code, p.Detail, cursor)
}

// cellOf is a value in one cell: texts and times as they are, what has parts as
// JSON, nothing for what is not there.
func cellOf(v bson.RawValue) (string, error) {
	if v.Type == 0 || v.Type == bson.TypeNull {
		return "", nil
	}
	if s, ok := v.StringValueOK(); ok {
		return sheet.Text(s), nil
	}
	cell, err := event.AppendValue(nil, v)
	if v.Type == bson.TypeDateTime {
		cell = bytes.Trim(cell, `"`)
	}
	return string(cell), err
}
