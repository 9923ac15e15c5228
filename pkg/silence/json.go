package silence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
)

// silenceJSON is the API's shape of a silence.
type silenceJSON struct {
	ID        string          `json:"silence_id"`
	State     State           `json:"state"`
	Condition json.RawMessage `json:"condition"`
	Rules     []string        `json:"rules,omitempty"`
	From      time.Time       `json:"from"`
	Until     time.Time       `json:"until"`
	Author    string          `json:"author"`
	Comment   string          `json:"comment"`
	CreatedAt time.Time       `json:"created_at"`
	ExpiredAt *time.Time      `json:"expired_at,omitempty"`
	Held      *int64          `json:"held,omitempty"`
}

// JSON renders the silence in the API's shape, with its state now; held is how
// many notifications it held back, if that was asked.
func (s Silence) JSON(now time.Time, held *int64) (json.RawMessage, error) {
	condition, err := bson.MarshalExtJSON(s.Condition, false, false)
	if err != nil {
		return nil, fmt.Errorf("render silence %s: %w", s.ID, err)
	}
	return json.Marshal(silenceJSON{
		ID: s.ID, State: s.State(now), Condition: condition, Rules: s.Rules, From: s.From.UTC(), Until: s.Until.UTC(),
		Author: s.Author, Comment: s.Comment, CreatedAt: s.CreatedAt.UTC(), ExpiredAt: s.ExpiredAt, Held: held,
	})
}

// wanted is what a user may write.
type wanted struct {
	Condition json.RawMessage `json:"condition"`
	Rules     []string        `json:"rules"`
	From      *time.Time      `json:"from"`
	Until     *time.Time      `json:"until"`
	For       string          `json:"for"`
	Comment   string          `json:"comment"`
}

// ParseJSON reads a new silence: condition, rules, from (default now), until or
// for, comment. The error is an *Invalid that names the mistakes of its form;
// what the values mean is checked by Validate.
func ParseJSON(body []byte, now time.Time) (Silence, error) {
	var w wanted
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&w); err != nil {
		return Silence{}, formError(err)
	}
	if decoder.More() {
		return Silence{}, formError(errors.New("there is more than one value"))
	}
	e := &Invalid{}
	refuse := func(pointer, message string) {
		e.Problems = append(e.Problems, rule.Problem{Pointer: pointer, Message: message})
	}
	s := Silence{Rules: w.Rules, From: now, Comment: w.Comment, CreatedAt: now}
	if w.From != nil {
		s.From = w.From.UTC().Truncate(time.Millisecond)
	}
	switch length, err := interval.Parse(w.For); {
	case (w.Until == nil) == (w.For == ""):
		refuse("/until", "give either until, a time, or for, a length such as 2h")
	case w.Until != nil:
		s.Until = w.Until.UTC().Truncate(time.Millisecond)
	case err != nil:
		refuse("/for", err.Error())
	default:
		s.Until = s.From.Add(length.Std())
	}
	s.ExpiresAt = s.Until.Add(Retention)
	if len(w.Condition) == 0 {
		refuse("/condition", "is missing; {} is every event")
	} else {
		var err error
		s.Condition, err = rule.ParseCondition(w.Condition)
		var refused *rule.CompileError
		if errors.As(err, &refused) {
			for _, c := range refused.All() {
				refuse("/condition"+c.Path, c.Reason)
			}
		}
	}
	if len(e.Problems) > 0 {
		return s, e
	}
	return s, nil
}

// formError says where JSON is not what a silence looks like.
func formError(err error) error {
	p := rule.Problem{Message: "expected a JSON object: " + err.Error()}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		p = rule.Problem{Pointer: "/" + strings.ReplaceAll(wrong.Field, ".", "/"), Message: "must be a " + wrong.Type.String() + ", not a " + wrong.Value}
	} else if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		p = rule.Problem{Pointer: "/" + strings.Trim(name, `"`), Message: "there is no such field; known are condition, rules, from, until, for, comment"}
	}
	return &Invalid{Problems: []rule.Problem{p}}
}
