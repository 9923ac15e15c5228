package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/silence"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

// Problem is every error's body: application/problem+json (RFC 9457) with a
// stable code for programs and, where a field is to blame, its place.
type Problem struct {
	Type      string      `json:"type"`
	Title     string      `json:"title"`
	Status    int         `json:"status"`
	Code      string      `json:"code"`
	Detail    string      `json:"detail,omitempty"`
	RequestID string      `json:"request_id,omitempty"`
	Errors    []FieldFlaw `json:"errors,omitempty"`
}

// FieldFlaw is one mistake: a JSON pointer into the body, or the name of a
// query parameter.
type FieldFlaw struct {
	Line      int    `json:"line,omitempty"` // of the body, where that has many rules
	Rule      string `json:"rule,omitempty"` // its name
	Pointer   string `json:"pointer,omitempty"`
	Parameter string `json:"parameter,omitempty"`
	Message   string `json:"message"`
}

func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// problem makes one; the codes are part of the API.
func problem(status int, code, format string, args ...any) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// problemOf translates every error that a handler may return.
func problemOf(err error) *Problem {
	var (
		p       *Problem
		invalid *event.Invalid
		wrong   *rule.ValidationError
		unquiet *silence.Invalid
		unfit   *user.Invalid
		compile *rule.CompileError
		file    *rule.FileError
		slow    *store.TooSlow
		spoilt  *store.Unreadable
		web     *echo.HTTPError

		unroutable *broker.UnroutableError
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &invalid):
		p = problem(http.StatusUnprocessableEntity, "invalid_event", "the event breaks a rule of the format")
		for _, v := range invalid.Violations {
			p.Errors = append(p.Errors, FieldFlaw{Pointer: v.Pointer, Message: v.Message})
		}
		return p
	case errors.As(err, &wrong):
		p = problem(http.StatusUnprocessableEntity, "invalid_rule", "the rule cannot be saved")
		for _, v := range wrong.Problems {
			p.Errors = append(p.Errors, FieldFlaw{Pointer: v.Pointer, Message: v.Message})
		}
		return p
	case errors.As(err, &unquiet):
		p = problem(http.StatusUnprocessableEntity, "invalid_silence", "the silence cannot be saved")
		for _, v := range unquiet.Problems {
			p.Errors = append(p.Errors, FieldFlaw{Pointer: v.Pointer, Message: v.Message})
		}
		return p
	case errors.As(err, &unfit):
		p = problem(http.StatusUnprocessableEntity, invalidUser, "this cannot be saved")
		for _, v := range unfit.Problems {
			p.Errors = append(p.Errors, FieldFlaw{Pointer: v.Pointer, Message: v.Message})
		}
		return p
	case errors.Is(err, store.ErrLastAdmin):
		return problem(http.StatusConflict, "last_admin", "afterwards no admin would have a key that works, and nobody could change that; make another admin first")
	case errors.Is(err, store.ErrTooManyKeys):
		return problem(http.StatusConflict, "too_many_keys", "%s", err)
	case errors.As(err, &file):
		p = problem(http.StatusUnprocessableEntity, "invalid_rule", "a rule cannot be saved, so none was")
		for _, m := range file.Mistakes {
			flaw := FieldFlaw{Line: m.Line, Rule: m.Rule, Message: m.Message}
			if m.Index >= 0 {
				flaw.Pointer = fmt.Sprintf("/%d%s", m.Index, m.Pointer)
			}
			p.Errors = append(p.Errors, flaw)
		}
		return p
	case errors.As(err, &compile):
		return problem(http.StatusBadRequest, "invalid_condition", "%s", compile.Error())
	case errors.Is(err, store.ErrNotFound):
		return problem(http.StatusNotFound, "not_found", "there is nothing under this id")
	case errors.Is(err, store.ErrConflict):
		return problem(http.StatusConflict, "conflict", "%s", err.Error())
	case store.IsRefusal(err):
		return problem(http.StatusBadRequest, "refused_query", "MongoDB refuses the query; a condition that asks less of it may do: %s", err)
	case errors.As(err, &spoilt): // err names it
		return problem(http.StatusInternalServerError, "unreadable_document", "%s; mend the document in the database, or remove it", err)
	case errors.As(err, &unroutable):
		return problem(http.StatusConflict, "no_queue", "the queue that this would go to is not in the configuration any more")
	case errors.As(err, &slow):
		return problem(http.StatusGatewayTimeout, "too_slow", "the database did not find the answer in the time that one question has; "+
			"ask for a shorter range, or name what an index serves (type, source, user_id, session_id, trace_id)")
	case errors.Is(err, context.Canceled): // the client went away: nobody reads this, and it is no fault of ours
		return problem(statusClientGone, "client_gone", "the client closed the connection")
	case broker.IsOutage(err), errors.Is(err, context.DeadlineExceeded):
		return problem(http.StatusServiceUnavailable, "unavailable", "MongoDB or RabbitMQ does not answer; nothing is lost, try again (GET /health says more)")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem(http.StatusRequestTimeout, "slow_body", "the body did not arrive in the time of a request")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return problem(http.StatusBadRequest, "invalid_json", "the body ended before its Content-Length")
	case errors.As(err, &web) && web.Code == http.StatusRequestEntityTooLarge:
		return problem(web.Code, codeOf(web.Code), "the body is larger than api.body_limit")
	case errors.As(err, &web):
		return problem(web.Code, codeOf(web.Code), "%v", web.Message)
	default:
		return problem(http.StatusInternalServerError, "internal", "an unexpected error; the log has it under the request id")
	}
}

// statusClientGone is in the metrics alone; servers before this one have called it
// so.
const statusClientGone = 499

func codeOf(status int) string {
	codes := map[int]string{
		http.StatusNotFound: "no_such_route", http.StatusMethodNotAllowed: "method_not_allowed",
		http.StatusRequestEntityTooLarge: "body_too_large", http.StatusUnsupportedMediaType: "unsupported_media_type",
		http.StatusTooManyRequests: "rate_limited", http.StatusServiceUnavailable: "unavailable",
	}
	if code, ok := codes[status]; ok {
		return code
	}
	return "request_error"
}

// retryAfter is how many seconds a client should wait for what is away: the
// product is back within five of its servers' return.
const retryAfter = "5"

// write answers a request with the problem.
func (p *Problem) write(c echo.Context) error {
	answer := *p
	answer.RequestID = requestID(c)
	if p.Status == http.StatusServiceUnavailable {
		c.Response().Header().Set(echo.HeaderRetryAfter, retryAfter)
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encode problem: %w", err)
	}
	return c.Blob(p.Status, "application/problem+json", body)
}
