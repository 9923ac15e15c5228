package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/deadletter"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// DeadLetters are those of one work queue, as they lie in the broker.
type DeadLetters interface {
	Replay(ctx context.Context, f deadletter.Filter, o deadletter.Options) (deadletter.Result, error)
}

// deadParameters are the filters that the list and the groups share.
var deadParameters = []string{"queue", "reason", "error_class", "cause", "rule", "target", "event_type", "event_id", "from", "to", "waiting"}

func (p *parameters) deadLetters(waiting bool) store.DeadLetterFilter {
	f := store.DeadLetterFilter{
		Queue: p.text("queue"), Reason: p.text("reason"), ErrorClass: p.text("error_class"), Cause: p.text("cause"),
		RuleID: p.text("rule"), Target: p.text("target"), EventType: p.text("event_type"), EventID: p.text("event_id"),
		Waiting: waiting,
	}
	f.From, f.To = p.span()
	if w := p.boolean("waiting"); w != nil {
		f.Waiting = *w
	}
	return f
}

// listDeadLetters: GET /dead-letters, newest first, as they were recorded;
// waiting=true leaves out what was replayed or purged.
func (s *Server) listDeadLetters(c echo.Context) error {
	p := read(c, append([]string{"limit", "cursor"}, deadParameters...)...)
	f := p.deadLetters(false)
	limit := p.integer("limit", pageDefault, s.cfg.PageLimit)
	after := behind[store.DeadLetterPosition](p)
	if err := p.err(); err != nil {
		return err
	}
	found, err := s.reads.FindDeadLetters(c.Request().Context(), f, after, limit)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, pageOf(append([]store.DeadLetterRecord{}, found...), found, limit, func(last store.DeadLetterRecord) any {
		return store.DeadLetterPosition{DeadAt: last.DeadAt, ID: last.ID}
	}))
}

// getDeadLetter: GET /dead-letters/{dead_id}, with the beginning of its body.
func (s *Server) getDeadLetter(c echo.Context) error {
	d, err := s.reads.DeadLetter(c.Request().Context(), c.Param("dead_id"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, deadletter.Show(d))
}

// groupDeadLetters: GET /dead-letters/groups, the largest first: what waits
// unless waiting=false asks for the whole history. The sums are of all groups,
// also of those beyond the limit.
func (s *Server) groupDeadLetters(c echo.Context) error {
	p := read(c, append([]string{"limit"}, deadParameters...)...)
	f := p.deadLetters(true)
	limit := p.integer("limit", pageDefault, s.cfg.PageLimit)
	if err := p.err(); err != nil {
		return err
	}
	groups, err := s.reads.DeadLetterGroups(c.Request().Context(), f)
	if err != nil {
		return err
	}
	if groups == nil {
		groups = []store.DeadLetterGroup{}
	}
	return c.JSON(http.StatusOK, struct {
		deadletter.Summary
		page
	}{deadletter.Summarise(groups), page{Items: groups[:min(limit, len(groups))]}})
}

const (
	replayDefault = 1000
	replayMost    = 10_000
	// namedMost bounds the dead letters that an answer names.
	namedMost = 100
)

// replayRequest is the body of POST /dead-letters/replay.
type replayRequest struct {
	Queue  string `json:"queue"`
	Filter struct {
		DeadID     string          `json:"dead_id"`
		Reason     string          `json:"reason"`
		ErrorClass string          `json:"error_class"`
		Cause      string          `json:"cause"`
		Rule       string          `json:"rule"`
		Target     string          `json:"target"`
		EventType  string          `json:"event_type"`
		Error      string          `json:"error"`
		From       time.Time       `json:"from"`
		To         time.Time       `json:"to"`
		Condition  json.RawMessage `json:"condition"`
	} `json:"filter"`
	Limit  *int    `json:"limit"`
	Rate   float64 `json:"rate"`
	DryRun bool    `json:"dry_run"`
	ToRule string  `json:"to_rule"` // the id of a rule that stored events are given to, instead of their owner
	Canary bool    `json:"canary"`  // one first, and the others only if it succeeds
}

// replayAnswer says what a replay came to. It is not complete when the limit
// or the time of a request ended it: then the same request goes on.
type replayAnswer struct {
	ReplayID string         `json:"replay_id,omitempty"` // stands in the records
	Queue    string         `json:"queue"`
	DryRun   bool           `json:"dry_run"`
	Matched  int            `json:"matched"`
	Replayed int            `json:"replayed"`
	Failed   int            `json:"failed"`
	Complete bool           `json:"complete"`
	Detail   string         `json:"detail,omitempty"`
	DeadIDs  []string       `json:"dead_ids"` // the first ones that were met
	Failures []failedReplay `json:"failures"`
}

type failedReplay struct {
	DeadID string `json:"dead_id"`
	Error  string `json:"error"`
}

// replayDeadLetters: POST /dead-letters/replay gives dead letters back to the
// queue that they came from, and to no other. It reads the queue itself, so it
// finds what lies there, whatever is recorded.
func (s *Server) replayDeadLetters(c echo.Context) error {
	request, f, err := readReplay(c)
	if err != nil {
		return err
	}
	if err := s.checkToRule(c.Request().Context(), request.ToRule); err != nil {
		return err
	}
	queue, err := s.dead(request.Queue)
	if err != nil {
		return invalidReplay(FieldFlaw{Pointer: "/queue", Message: err.Error()})
	}
	answer := replayAnswer{Queue: request.Queue, DryRun: request.DryRun, DeadIDs: []string{}, Failures: []failedReplay{}}
	// What was only looked at is given back within the request's time, too, and before
	// the process has ended.
	ctx, cancel := context.WithTimeout(c.Request().Context(), s.cfg.RequestTimeout*4/5)
	defer cancel()
	defer context.AfterFunc(s.streams.over, cancel)()
	o := deadletter.Options{Limit: *request.Limit, Rate: request.Rate, DryRun: request.DryRun, ToRule: request.ToRule, Done: answer.note}
	if request.Canary {
		o.Canary = s.cfg.RequestTimeout / 2
	}
	noted, err := s.noteDeadReplay(c, request)
	if err != nil {
		return err
	}
	var failed *deadletter.CanaryError
	r, err := queue.Replay(ctx, f, o)
	s.endDeadReplay(ctx, noted, r, err)
	switch {
	case errors.As(err, &failed):
		return problem(http.StatusConflict, "canary_failed", "%s", failed)
	case errors.Is(err, deadletter.ErrNotStored), errors.Is(err, deadletter.ErrNoCanary):
		return invalidReplay(FieldFlaw{Pointer: "/to_rule", Message: err.Error()})
	case errors.Is(err, deadletter.ErrCopies):
		return invalidReplay(FieldFlaw{Pointer: "/queue", Message: err.Error()})
	case err != nil && r.Done == 0:
		return err
	case err != nil:
		answer.Detail = "interrupted; nothing is lost, the same request goes on"
		s.log.Warn("replay of dead letters interrupted", zap.String("replay_id", r.ID), zap.Error(err))
	}
	answer.Matched, answer.Replayed, answer.Failed, answer.Complete = r.Matched, r.Done, r.Failed, r.Complete
	if r.Done > 0 {
		answer.ReplayID = r.ID
		s.log.Info("dead letters replayed", zap.String("replay_id", r.ID), zap.String("queue", request.Queue),
			zap.String("by", currentUser(c).Email), zap.Int("replayed", r.Done), zap.Int("failed", r.Failed), zap.Bool("complete", r.Complete))
	}
	return c.JSON(http.StatusOK, answer)
}

// noteDeadReplay notes in the audit that dead letters are given back, before they
// are: the broker has no part in a transaction. Of a dry run nothing is noted.
func (s *Server) noteDeadReplay(c echo.Context, asked replayRequest) (noted primitive.ObjectID, err error) {
	if asked.DryRun {
		return noted, nil
	}
	filter, err := json.Marshal(asked.Filter)
	if err != nil {
		return noted, fmt.Errorf("note replay: %w", err)
	}
	return s.audit.NoteAudit(c.Request().Context(), store.Audit{At: s.now(), By: currentUser(c).Email, Action: "dead_letter.replay", Subject: asked.Queue,
		Detail: bson.D{{Key: "filter", Value: string(filter)}, {Key: "limit", Value: *asked.Limit}, {Key: "to_rule", Value: asked.ToRule}}})
}

// endDeadReplay says what came of it; of nothing, nothing is kept. Of one that was
// interrupted, more may have gone back than is known: what is published and not
// yet taken out counts as nothing.
func (s *Server) endDeadReplay(ctx context.Context, noted primitive.ObjectID, r deadletter.Result, interrupted error) {
	if noted.IsZero() {
		return
	}
	refused := errors.Is(interrupted, deadletter.ErrNotStored) || errors.Is(interrupted, deadletter.ErrNoCanary) || errors.Is(interrupted, deadletter.ErrCopies)
	if r.Done == 0 && (interrupted == nil || refused) {
		s.endAudit(ctx, noted, nil)
		return
	}
	after := bson.D{{Key: "replay_id", Value: r.ID}, {Key: "replayed", Value: r.Done}, {Key: "failed", Value: r.Failed}, {Key: "complete", Value: r.Complete}}
	if interrupted != nil {
		if !errors.As(interrupted, new(*deadletter.CanaryError)) {
			after = append(after, bson.E{Key: "outcome", Value: "unknown"})
		}
		after = append(after, bson.E{Key: "error", Value: interrupted.Error()})
	}
	s.endAudit(ctx, noted, after)
}

func (a *replayAnswer) note(l *deadletter.Letter, failed error) {
	if len(a.DeadIDs) < namedMost {
		a.DeadIDs = append(a.DeadIDs, l.ID)
	}
	if failed != nil && len(a.Failures) < namedMost {
		a.Failures = append(a.Failures, failedReplay{l.ID, failed.Error()})
	}
}

// readReplay reads the body and names every mistake in it.
func readReplay(c echo.Context) (request replayRequest, f deadletter.Filter, err error) {
	if p := read(c); p.err() != nil {
		return request, f, p.err()
	}
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return request, f, err
	}
	if err := readBody(body, &request); err != nil {
		return request, f, err
	}
	var wrong []FieldFlaw
	flaw := func(pointer, format string, args ...any) {
		wrong = append(wrong, FieldFlaw{Pointer: pointer, Message: fmt.Sprintf(format, args...)})
	}
	if request.Queue == "" {
		flaw("/queue", "is missing: a replay is of one queue")
	}
	if request.Limit == nil {
		preset := replayDefault
		request.Limit = &preset
	}
	if n := *request.Limit; n < 1 || n > replayMost {
		flaw("/limit", "%d, expected 1 to %d", n, replayMost)
	}
	if request.Rate < 0 {
		flaw("/rate", "is negative")
	}
	from := request.Filter
	f = deadletter.Filter{ID: from.DeadID, Reason: from.Reason, Class: from.ErrorClass, Cause: from.Cause, Rule: from.Rule,
		Target: from.Target, Type: from.EventType, Error: from.Error, Since: from.From, Until: from.To}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		flaw("/filter/from", "not before to")
	}
	if len(from.Condition) > 0 {
		raw, err := rule.ParseCondition(from.Condition)
		if err == nil {
			f.Condition, err = rule.Compile(raw)
		}
		if err != nil {
			flaw("/filter/condition", "%s", err)
		}
	}
	if len(wrong) > 0 {
		return request, f, invalidReplay(wrong...)
	}
	return request, f, nil
}

func invalidReplay(wrong ...FieldFlaw) *Problem {
	p := problem(http.StatusUnprocessableEntity, "invalid_replay", "the replay cannot be made as it is asked for")
	p.Errors = wrong
	return p
}
