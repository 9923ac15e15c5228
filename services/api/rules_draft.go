package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action/builtin"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// draft names the rule that a request is about: one that is stored, in any of
// its versions, a whole rule that is not saved, or a condition alone.
type draft struct {
	Rule       json.RawMessage `json:"rule"`
	Conditions json.RawMessage `json:"conditions"`
	RuleID     string          `json:"rule_id"`
	Version    int             `json:"version"`
}

// readBody reads a request's JSON object; fields that it does not have are
// refused, since a misspelt one would silently ask for something else.
func readBody(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		_, err = d.Token()
		if errors.Is(err, io.EOF) {
			err = nullField(body)
		} else {
			err = errors.New("something follows the object")
		}
	}
	if err != nil {
		return problem(http.StatusBadRequest, "invalid_json", "the body cannot be read: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// nullField refuses a field that is null: encoding/json would take it as absent,
// and a program that sends it has lost what it wanted to say. What is no object is
// for the reader of the body to refuse.
func nullField(body []byte) error {
	fields := map[string]json.RawMessage{}
	if json.Unmarshal(body, &fields) != nil {
		return nil //nolint:nilerr // the reader says so
	}
	if fields == nil {
		return errors.New("expected an object, not null")
	}
	for name, value := range fields {
		if string(value) == "null" {
			return fmt.Errorf("%q is null; leave it out", name)
		}
		if name == "filter" || name == "preferences" || name == "key" { // parts of the request, as conditions and rules are not
			if err := nullField(value); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// draftName is that of a rule that has none.
const draftName = "draft"

// draftRule is the rule that a request is about, and the stored rule of that id
// or name as it is now, nil if there is none. Its condition compiles; its actions
// need not be ready to be carried out.
func (s *Server) draftRule(ctx context.Context, d draft) (r rule.Rule, live *rule.Rule, err error) {
	given := 0
	for _, there := range []bool{d.Rule != nil, d.Conditions != nil, d.RuleID != ""} {
		if there {
			given++
		}
	}
	switch {
	case given != 1:
		return r, nil, problem(http.StatusBadRequest, "invalid_json", "expected one of rule, conditions and rule_id")
	case d.RuleID != "":
		return s.storedDraft(ctx, d)
	case d.Version != 0:
		return r, nil, problem(http.StatusBadRequest, "invalid_json", "version goes with rule_id")
	case d.Conditions != nil:
		d.Rule, err = json.Marshal(map[string]json.RawMessage{"conditions": d.Conditions})
	}
	if err == nil {
		r, err = parseDraft(d.Rule)
	}
	if err != nil {
		return r, nil, err
	}
	if live, err = s.liveOf(ctx, r); err != nil {
		return r, nil, err
	}
	r.Version = 0
	if live != nil {
		r.ID = live.ID
		if r, err = withSecretsOf(*live, r); err != nil {
			return r, nil, err
		}
	}
	return r, live, checkDraft(r)
}

func (s *Server) storedDraft(ctx context.Context, d draft) (r rule.Rule, live *rule.Rule, err error) {
	now, err := s.rules.Rule(ctx, d.RuleID)
	switch {
	case err == nil:
		live = &now
	case !errors.Is(err, store.ErrNotFound) || d.Version == 0: // an old version of a deleted rule is there
		return r, nil, err
	}
	if d.Version == 0 || live != nil && d.Version == live.Version {
		return now, live, checkDraft(now)
	}
	v, err := s.rules.RuleVersion(ctx, d.RuleID, d.Version)
	if err != nil {
		return r, nil, err
	}
	return v.Rule, live, checkDraft(v.Rule)
}

// parseDraft reads a rule that may lack its name.
func parseDraft(text json.RawMessage) (rule.Rule, error) {
	fields := map[string]json.RawMessage{}
	if json.Unmarshal(text, &fields) == nil && fields["name"] == nil && fields != nil {
		fields["name"] = json.RawMessage(`"` + draftName + `"`)
		named, err := json.Marshal(fields)
		if err != nil {
			return rule.Rule{}, err
		}
		text = named
	}
	return rule.ParseJSON(text)
}

// liveOf finds the stored rule that a draft would become the next version of.
func (s *Server) liveOf(ctx context.Context, r rule.Rule) (*rule.Rule, error) {
	var ids []string
	if r.ID != "" {
		ids = []string{r.ID}
	}
	found, err := s.rules.RulesBy(ctx, ids, []string{r.Name})
	if err != nil {
		return nil, err
	}
	var live *rule.Rule
	for i := range found {
		if live == nil || found[i].ID == r.ID {
			live = &found[i].Rule
		}
	}
	return live, nil
}

// checkDraft names what would keep a rule from being tried, and leaves out what
// only keeps it from acting.
func checkDraft(r rule.Rule) error {
	err := r.Validate(builtin.Table())
	var invalid *rule.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	var left []rule.Problem
	for _, p := range invalid.Problems {
		if !strings.HasPrefix(p.Pointer, "/actions") {
			left = append(left, p)
		}
	}
	if left == nil {
		return nil
	}
	return &rule.ValidationError{Problems: left}
}

// pasted is a document that somebody gave: an event as it would be stored, or
// what it is, with a note that says why it is no event.
func (s *Server) pasted(given json.RawMessage) (doc bson.Raw, note string, err error) {
	now := s.now()
	docs, err := s.decoder.Decode(event.Input{Body: given, ContentType: echo.MIMEApplicationJSON, MessageID: pastedID, Timestamp: now, Now: now})
	if err == nil {
		return docs[0].Raw, "", nil
	}
	raw, parseErr := event.FromJSON(given)
	if parseErr != nil {
		return nil, "", problem(http.StatusBadRequest, "invalid_json", "an event is a JSON object or the id of a stored event: %s", parseErr)
	}
	return raw, "no valid event, so it would not be stored; matched as it stands: " + err.Error(), nil
}

// pastedID stands for the message id that a pasted event never had.
const pastedID = "pasted"
