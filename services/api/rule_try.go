package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// testRequest is the body of POST /rules/test.
type testRequest struct {
	draft

	Events []json.RawMessage `json:"events"` // documents, or ids of stored events
}

// testsMost bounds the events of one test.
const testsMost = 100

// tested is the verdict about one event.
type tested struct {
	Index       int              `json:"index"`
	EventID     string           `json:"event_id,omitempty"`
	Matched     bool             `json:"matched"`
	Text        string           `json:"text"`
	Note        string           `json:"note,omitempty"`
	Explanation rule.Explanation `json:"explanation"`
}

// testedAll is the answer to a test.
type testedAll struct {
	page

	Warnings []FieldFlaw `json:"warnings,omitempty"`
}

// testRule: POST /rules/test, a rule or a condition on pasted or stored events,
// each with a verdict about each clause. Nothing is stored or done.
func (s *Server) testRule(c echo.Context) error {
	ctx := c.Request().Context()
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	var asked testRequest
	if err := readBody(body, &asked); err != nil {
		return err
	}
	if len(asked.Events) == 0 || len(asked.Events) > testsMost {
		return problem(http.StatusBadRequest, "wrong_count", "%d events, expected 1 to %d, each a document or the id of a stored event", len(asked.Events), testsMost)
	}
	r, _, err := s.draftRule(ctx, asked.draft)
	if err != nil {
		return err
	}
	compiled, err := rule.Compile(r.Conditions)
	if err != nil {
		return err
	}
	items := make([]tested, len(asked.Events))
	for i, one := range asked.Events {
		doc, note, err := s.testEvent(ctx, one)
		if err != nil {
			return ofItem(i, err)
		}
		e := compiled.Explain(doc)
		id, _ := doc.Lookup("event_id").StringValueOK()
		items[i] = tested{Index: i, EventID: id, Matched: e.Matched, Text: e.Text, Note: note, Explanation: e}
		if why := compiled.Guarded(doc); why != "" {
			items[i].Matched, items[i].Text = false, why
		}
	}
	return c.JSON(http.StatusOK, testedAll{page{Items: items}, warningsOf(r)})
}

// testEvent is a document as it would be stored, or as it is when it is no valid
// event.
func (s *Server) testEvent(ctx context.Context, given json.RawMessage) (doc bson.Raw, note string, err error) {
	var id string
	if json.Unmarshal(given, &id) == nil {
		doc, err := s.storedEvent(ctx, strings.ToLower(id))
		return doc, "", err
	}
	return s.pasted(given)
}

// ofItem says which of several events a problem is about.
func ofItem(i int, err error) error {
	var p *Problem
	if !errors.As(err, &p) {
		return err
	}
	one := *p
	one.Detail = fmt.Sprintf("event %d: %s", i, p.Detail)
	return &one
}
