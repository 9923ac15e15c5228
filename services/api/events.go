package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

const pageDefault = 50

// pageBytes ends a page of events before its limit: some may have 256 KiB each.
const pageBytes = 8 << 20

// Events is where stored events are read.
type Events interface {
	FindEvents(ctx context.Context, l store.EventList) ([]bson.Raw, error)
	// EachEvent is FindEvents without keeping them.
	EachEvent(ctx context.Context, l store.EventList, f func(bson.Raw) error) error
	// Narrowed says whether an index or a time range serves a filter.
	Narrowed(ctx context.Context, f store.EventFilter) (bool, error)
	// SearchEvents looks for texts; next is where the next page goes on.
	SearchEvents(ctx context.Context, q store.EventSearch) (found []store.FoundEvent, next *store.SearchPosition, err error)
	SearchMode() store.SearchMode
	Event(ctx context.Context, eventID string) (bson.Raw, error)
	// Events are those of the ids that are there.
	Events(ctx context.Context, eventIDs []string) (map[string]bson.Raw, error)
}

// listEvents: GET /events, newest first unless asked otherwise.
func (s *Server) listEvents(c echo.Context) error {
	p := read(c, append([]string{"sort", "fields", "limit", "cursor"}, searchParameters...)...)
	l := store.EventList{
		EventFilter: p.stored(), OldestFirst: p.oneOf("sort", newestFirst, oldestFirst) == oldestFirst,
		Limit: p.integer("limit", pageDefault, s.cfg.PageLimit), Fields: p.fields(),
	}
	l.After = behind[store.EventPosition](p)
	if err := p.err(); err != nil {
		return err
	}
	ctx, cancel := s.searchTime(c)
	defer cancel()
	if err := s.narrowed(ctx, l.EventFilter); err != nil {
		return err
	}
	var last store.EventPosition
	size := 0
	items := make([]json.RawMessage, 0, l.Limit)
	err := s.events.EachEvent(ctx, l, func(doc bson.Raw) error {
		last = store.PositionOf(doc)
		item, err := event.ToJSON(doc)
		items = append(items, item)
		if size += len(item); err == nil && size >= pageBytes {
			return errPageFull
		}
		return err
	})
	full := errors.Is(err, errPageFull)
	if err != nil && !full {
		return err
	}
	answer := page{Items: items}
	if full || len(items) == l.Limit {
		answer.NextCursor = cursorOf(last)
	}
	return c.JSON(http.StatusOK, answer)
}

// searchTime is how long the database may look for stored events.
func (s *Server) searchTime(c echo.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.Request().Context(), s.cfg.SearchTimeout)
}

// getEvent: GET /events/{event_id}.
func (s *Server) getEvent(c echo.Context) error {
	ctx, cancel := s.searchTime(c)
	defer cancel()
	doc, err := s.events.Event(ctx, strings.ToLower(c.Param("event_id")))
	if err != nil {
		return err
	}
	body, err := event.ToJSON(doc)
	if err != nil {
		return err
	}
	return c.JSONBlob(http.StatusOK, body)
}
