package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

const (
	// relatedTold bounds the events of a trace, and those that an event led to.
	relatedTold = 100
	// tracedTold bounds the notifications of one event.
	tracedTold = 200
)

// relatedFields are what is told of events beside the one that is traced.
var relatedFields = []string{"event_id", "type", "source", "severity", "timestamp", "processed", "matched_rules", "trace_id", "metadata.caused_by"}

// trace is what became of an event: a tree from its batch to each attempt.
type trace struct {
	Event     json.RawMessage   `json:"event"`
	Batch     *tracedBatch      `json:"batch,omitempty"` // absent a week after its stages are done
	Rules     []tracedRule      `json:"rules"`
	CausedBy  json.RawMessage   `json:"caused_by,omitempty"`
	Caused    []json.RawMessage `json:"caused"`
	SameTrace []json.RawMessage `json:"same_trace"`
	LeftOut   []string          `json:"left_out,omitempty"` // lists that have more
}

type tracedBatch struct {
	store.LedgerRow

	DecidedAt *time.Time `json:"decided_at,omitempty"`
}

// tracedRule is a rule that matched, with what it owes for that.
type tracedRule struct {
	RuleID        string              `json:"rule_id"`
	RuleName      string              `json:"rule_name,omitempty"` // absent when the rule is gone, and it owed nothing
	RuleVersion   int                 `json:"rule_version,omitempty"`
	Notifications []shownNotification `json:"notifications"`
}

// Ledger is where the stages of batches are kept.
type Ledger interface {
	Batch(ctx context.Context, id string) (store.LedgerRow, error)
}

// traceEvent: GET /events/{event_id}/trace.
func (s *Server) traceEvent(c echo.Context) error {
	ctx, cancel := s.searchTime(c)
	defer cancel()
	doc, err := s.events.Event(ctx, strings.ToLower(c.Param("event_id")))
	if err != nil {
		return err
	}
	var t trace
	if t.Event, err = event.ToJSON(doc); err != nil {
		return err
	}
	if t.Batch, err = s.tracedBatch(ctx, doc); err != nil {
		return err
	}
	if err := s.traceRules(ctx, doc, &t); err != nil {
		return err
	}
	if err := s.traceRelated(ctx, doc, &t); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, t)
}

// tracedBatch is the event's batch with the times of its stages.
func (s *Server) tracedBatch(ctx context.Context, doc bson.Raw) (*tracedBatch, error) {
	id := event.Text(doc, "batch_id")
	row, err := s.ledger.Batch(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil //nolint:nilnil // it is not kept any more
	}
	if err != nil {
		return nil, err
	}
	batch := &tracedBatch{LedgerRow: row}
	decided, err := s.decisions.Decision(ctx, id)
	switch {
	case err == nil:
		batch.DecidedAt = &decided.At
	case !errors.Is(err, store.ErrNotFound):
		return nil, err
	}
	return batch, nil
}

// traceRules tells the rules that matched, in the event's order, and those that
// did so later: a replay asks rules about events of the past.
func (s *Server) traceRules(ctx context.Context, doc bson.Raw, t *trace) error {
	var ids []string
	values, _ := doc.Lookup("matched_rules").ArrayOK()
	matched, _ := values.Values()
	for _, v := range matched {
		if id, ok := v.StringValueOK(); ok {
			ids = append(ids, id)
		}
	}
	owed, err := s.reads.FindNotifications(ctx, store.NotificationFilter{EventID: event.Text(doc, "event_id")}, nil, tracedTold)
	if err != nil {
		return err
	}
	if len(owed) == tracedTold {
		t.LeftOut = append(t.LeftOut, "notifications")
	}
	slices.Reverse(owed) // the oldest first, as it went
	for _, n := range owed {
		if !slices.Contains(ids, n.RuleID) {
			ids = append(ids, n.RuleID)
		}
	}
	t.Rules = make([]tracedRule, len(ids))
	names := map[string]string{}
	rules, err := s.rules.RulesBy(ctx, ids, nil)
	if err != nil {
		return err
	}
	for _, r := range rules {
		names[r.ID] = r.Name
	}
	for i, id := range ids {
		t.Rules[i] = tracedRule{RuleID: id, RuleName: names[id], Notifications: []shownNotification{}}
	}
	for _, n := range owed {
		r := &t.Rules[slices.Index(ids, n.RuleID)]
		r.RuleName, r.RuleVersion = n.RuleName, n.RuleVersion
		shown, err := s.showNotification(n)
		if err != nil {
			return err
		}
		r.Notifications = append(r.Notifications, shown)
	}
	return nil
}

// traceRelated tells the events around this one: what led to it, what it led to,
// and what else is of its trace.
func (s *Server) traceRelated(ctx context.Context, doc bson.Raw, t *trace) error {
	id := event.Text(doc, "event_id")
	if cause, ok := doc.Lookup("metadata", "caused_by").StringValueOK(); ok {
		found, err := s.events.Event(ctx, strings.ToLower(cause))
		if err == nil {
			t.CausedBy, err = event.ToJSON(found)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	var err error
	if t.Caused, err = s.related(ctx, store.EventFilter{CausedBy: id}, id, "caused", t); err != nil {
		return err
	}
	if of := event.Text(doc, "trace_id"); of != "" {
		t.SameTrace, err = s.related(ctx, store.EventFilter{TraceID: of}, id, "same_trace", t) // but for what it caused
	} else {
		t.SameTrace = []json.RawMessage{}
	}
	return err
}

// related are the events of a filter beside the one that is traced, the oldest
// first.
func (s *Server) related(ctx context.Context, f store.EventFilter, but, list string, t *trace) ([]json.RawMessage, error) {
	items := []json.RawMessage{}
	n := 0
	err := s.events.EachEvent(ctx, store.EventList{EventFilter: f, OldestFirst: true, Limit: relatedTold + 1, Fields: relatedFields}, func(doc bson.Raw) error {
		if n++; n > relatedTold {
			t.LeftOut = append(t.LeftOut, list)
			return nil
		}
		if event.Text(doc, "event_id") == but || f.CausedBy == "" && event.Text(doc, "metadata", "caused_by") == but {
			return nil
		}
		item, err := event.ToJSON(doc)
		items = append(items, item)
		return err
	})
	return items, err
}
