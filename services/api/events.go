package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

const pageDefault = 50

// Events is where stored events are read.
type Events interface {
	FindEvents(ctx context.Context, f store.EventFilter, after *store.EventPosition, limit int) ([]bson.Raw, error)
	Event(ctx context.Context, eventID string) (bson.Raw, error)
	// Events are those of the ids that are there.
	Events(ctx context.Context, eventIDs []string) (map[string]bson.Raw, error)
}

// rawJSON renders stored documents as the API shows events.
func rawJSON(docs []bson.Raw) ([]json.RawMessage, error) {
	items := make([]json.RawMessage, len(docs))
	for i, d := range docs {
		var err error
		if items[i], err = event.ToJSON(d); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// listEvents: GET /events, newest first.
func (s *Server) listEvents(c echo.Context) error {
	p := read(c, append([]string{"from", "to", "processed", "rule", "limit", "cursor"}, eventParameters...)...)
	f := p.events()
	f.From, f.To = p.span()
	f.Processed, f.Rule = p.boolean("processed"), p.text("rule")
	limit := p.integer("limit", pageDefault, s.cfg.PageLimit)
	var after *store.EventPosition
	if position := (store.EventPosition{}); p.cursor(&position) {
		after = &position
	}
	if err := p.err(); err != nil {
		return err
	}
	docs, err := s.events.FindEvents(c.Request().Context(), f, after, limit)
	if err != nil {
		return err
	}
	items, err := rawJSON(docs)
	if err != nil {
		return err
	}
	answer := page{Items: items}
	if len(docs) == limit {
		last := docs[len(docs)-1]
		answer.NextCursor = cursorOf(store.EventPosition{Timestamp: last.Lookup("timestamp").Time(), ID: last.Lookup("_id").ObjectID()})
	}
	return c.JSON(http.StatusOK, answer)
}

// getEvent: GET /events/{event_id}.
func (s *Server) getEvent(c echo.Context) error {
	doc, err := s.events.Event(c.Request().Context(), strings.ToLower(c.Param("event_id")))
	if err != nil {
		return err
	}
	body, err := event.ToJSON(doc)
	if err != nil {
		return err
	}
	return c.JSONBlob(http.StatusOK, body)
}

// accepted and refusedItem answer for one event of a POST.
type accepted struct {
	Index   int    `json:"index"`
	EventID string `json:"event_id"`
}

type refusedItem struct {
	Index  int         `json:"index"`
	Errors []FieldFlaw `json:"errors"`
}

type posted struct {
	Accepted []accepted    `json:"accepted"`
	Rejected []refusedItem `json:"rejected"`
}

// postEvents: POST /events, one event or an array. Good ones are published
// with confirms, so a 202 means that they will be stored; bad ones are named
// and harm nobody else. None good is a 422.
func (s *Server) postEvents(c echo.Context) error {
	if p := read(c); p.err() != nil {
		return p.err()
	}
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	items, err := s.split(body)
	if err != nil {
		return err
	}
	now := s.now()
	answer := posted{Accepted: []accepted{}, Rejected: []refusedItem{}}
	messages := make([]broker.Message, 0, len(items))
	for i, item := range items {
		message, id, err := s.message(item, now)
		var invalid *event.Invalid
		switch {
		case errors.As(err, &invalid):
			refused := refusedItem{Index: i}
			for _, v := range invalid.Violations {
				refused.Errors = append(refused.Errors, FieldFlaw{Pointer: v.Pointer, Message: v.Message})
			}
			answer.Rejected = append(answer.Rejected, refused)
		case err != nil:
			return err
		default:
			messages = append(messages, message)
			answer.Accepted = append(answer.Accepted, accepted{Index: i, EventID: id})
		}
	}
	if len(messages) > 0 {
		ctx, cancel := context.WithTimeout(c.Request().Context(), s.cfg.PublishTimeout)
		defer cancel()
		if err := s.publisher.Publish(ctx, messages...); err != nil {
			return err
		}
		return c.JSON(http.StatusAccepted, answer)
	}
	return c.JSON(http.StatusUnprocessableEntity, answer)
}

// split takes the body apart: an object is one event, an array several.
func (s *Server) split(body []byte) ([]json.RawMessage, error) {
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	if len(trimmed) == 0 {
		return nil, problem(http.StatusBadRequest, "empty_body", "expected an event, or an array of events, as JSON")
	}
	if trimmed[0] != '[' {
		return []json.RawMessage{body}, nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(body, &items); err != nil {
		return nil, problem(http.StatusBadRequest, "invalid_json", "the array cannot be read: %s", err)
	}
	if len(items) == 0 || len(items) > s.cfg.EventsPerRequest {
		return nil, problem(http.StatusBadRequest, "wrong_count", "%d events, expected 1 to %d", len(items), s.cfg.EventsPerRequest)
	}
	return items, nil
}

// message is the event as a producer would publish it. An event without an id
// gets one through its message id, from which the ingester derives the same.
func (s *Server) message(item []byte, now time.Time) (broker.Message, string, error) {
	id := uuid.NewString()
	docs, err := s.decoder.Decode(event.Input{Body: item, ContentType: echo.MIMEApplicationJSON, MessageID: id, Timestamp: now.Truncate(time.Second), Now: now})
	if err != nil {
		return broker.Message{}, "", err
	}
	return broker.Message{
		Exchange:    s.topology.Exchange(topology.ExchangeEvents),
		RoutingKey:  "events." + strings.ToLower(strings.ReplaceAll(docs[0].Type, "_", ".")),
		ContentType: echo.MIMEApplicationJSON, MessageID: id, AppID: "events-aggregator-api",
		Timestamp: now, Body: item,
	}, docs[0].EventID, nil
}
