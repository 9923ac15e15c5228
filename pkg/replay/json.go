package replay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// Bounds of a replay. Each is far beyond what somebody means who knows what they
// ask for.
const (
	Longest  = 400 * 24 * time.Hour // of the time range
	maxRules = 100
	maxRate  = 100_000
)

// Invalid names everything that is wrong with a new replay.
type Invalid struct{ Problems []rule.Problem }

func (e *Invalid) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Pointer + ": " + p.Message
	}
	return strings.Join(lines, "; ")
}

// Refuse notes a mistake.
func (e *Invalid) Refuse(pointer, format string, args ...any) {
	e.Problems = append(e.Problems, rule.Problem{Pointer: pointer, Message: fmt.Sprintf(format, args...)})
}

// wanted is what a user may write.
type wanted struct {
	Condition     json.RawMessage `json:"condition"`
	From          *time.Time      `json:"from"`
	To            *time.Time      `json:"to"`
	Rules         []string        `json:"rules"`
	DryRun        bool            `json:"dry_run"`
	Rate          float64         `json:"rate"`
	SkipDelivered *bool           `json:"skip_delivered"`
}

// ParseJSON reads a new replay: condition (default every event), from, to (default
// now), rules (ids; default all that are enabled and have no window), dry_run, rate,
// skip_delivered (default true). The error is an *Invalid that names every mistake
// but those about rules, which are for who knows them.
func ParseJSON(body []byte, now time.Time) (Job, error) {
	e := &Invalid{}
	w := wanted{Condition: json.RawMessage("{}")}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&w)
	if err == nil && decoder.More() {
		err = errors.New("something follows the object")
	}
	if err != nil {
		e.form(err)
		return Job{}, e
	}
	now = now.UTC().Truncate(time.Millisecond)
	j := Job{To: now, Rules: w.Rules, DryRun: w.DryRun, Rate: w.Rate, SkipDelivered: w.SkipDelivered == nil || *w.SkipDelivered}
	if j.Condition, err = rule.ParseCondition(w.Condition); err == nil {
		_, err = rule.Compile(j.Condition)
	}
	e.condition(err)
	e.times(&j, w, now)
	if j.Rate < 0 || j.Rate > maxRate {
		e.Refuse("/rate", "%g, expected notifications a second up to %d; 0 is as fast as it goes", j.Rate, maxRate)
	}
	if len(j.Rules) > maxRules {
		e.Refuse("/rules", "%d, at most %d; without any all enabled rules are asked", len(j.Rules), maxRules)
	}
	if len(e.Problems) > 0 {
		return j, e
	}
	return j, nil
}

func (e *Invalid) condition(err error) {
	var refused *rule.CompileError
	switch {
	case err == nil:
	case errors.As(err, &refused):
		for _, c := range refused.All() {
			e.Refuse("/condition"+c.Path, "%s", c.Reason)
		}
	default:
		e.Refuse("/condition", "%s", err)
	}
}

func (e *Invalid) times(j *Job, w wanted, now time.Time) {
	if w.To != nil {
		j.To = w.To.UTC().Truncate(time.Millisecond)
	}
	if w.From == nil {
		e.Refuse("/from", "is missing: the time of the first events")
		return
	}
	j.From = w.From.UTC().Truncate(time.Millisecond)
	switch {
	case !j.From.Before(j.To):
		e.Refuse("/from", "%s is not before to (%s)", j.From.Format(time.RFC3339), j.To.Format(time.RFC3339))
	case j.To.Sub(j.From) > Longest:
		e.Refuse("/from", "the range is longer than %d days", Longest/(24*time.Hour))
	case j.To.After(now):
		e.Refuse("/to", "%s is not over yet: events that come until then are decided as they come", j.To.Format(time.RFC3339))
	}
}

// form says where JSON is not what a replay looks like.
func (e *Invalid) form(err error) {
	var wrong *json.UnmarshalTypeError
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		e.Refuse("/"+strings.Trim(name, `"`), "there is no such field; known are condition, from, to, rules, dry_run, rate, skip_delivered")
	} else if errors.As(err, &wrong) && wrong.Field != "" {
		e.Refuse("/"+strings.ReplaceAll(wrong.Field, ".", "/"), "must be a %s, not a %s", wrong.Type, wrong.Value)
	} else {
		e.Refuse("", "expected a JSON object: %s", err)
	}
}

// jobJSON is the API's shape of a replay.
type jobJSON struct {
	ID            string          `json:"replay_id"`
	State         State           `json:"state"`
	Condition     json.RawMessage `json:"condition"`
	From          time.Time       `json:"from"`
	To            time.Time       `json:"to"`
	Rules         []string        `json:"rules"` // empty: all
	DryRun        bool            `json:"dry_run"`
	Rate          float64         `json:"rate"`
	SkipDelivered bool            `json:"skip_delivered"`
	LeftOut       LeftOut         `json:"left_out"` // of all rules
	CreatedAt     time.Time       `json:"created_at"`
	CreatedBy     string          `json:"created_by"`
	StartedAt     *time.Time      `json:"started_at,omitempty"`
	EndedAt       *time.Time      `json:"ended_at,omitempty"`
	UpdatedAt     time.Time       `json:"updated_at"`
	Owner         string          `json:"owner,omitempty"`
	Part          float64         `json:"part"`       // of the time range, 0 to 1
	DoneUntil     time.Time       `json:"done_until"` // timestamps up to it
	Progress      Progress        `json:"progress"`
	Error         string          `json:"error,omitempty"`
}

// JSON renders the replay in the API's shape.
func (j Job) JSON() (json.RawMessage, error) {
	condition, err := bson.MarshalExtJSON(j.Condition, false, false)
	if err != nil {
		return nil, fmt.Errorf("render replay %s: %w", j.ID, err)
	}
	shown := jobJSON{
		ID: j.ID, State: j.State, Condition: condition, From: j.From.UTC(), To: j.To.UTC(), Rules: j.Rules, DryRun: j.DryRun, Rate: j.Rate,
		SkipDelivered: j.SkipDelivered, LeftOut: j.LeftOut, CreatedAt: j.CreatedAt.UTC(), CreatedBy: j.CreatedBy, StartedAt: j.StartedAt, EndedAt: j.EndedAt,
		UpdatedAt: j.UpdatedAt.UTC(), Owner: j.Owner, Part: j.Part(), DoneUntil: j.Position.Timestamp.UTC(), Progress: j.Progress, Error: j.Error,
	}
	if shown.Rules == nil {
		shown.Rules = []string{}
	}
	if shown.LeftOut.Rules == nil {
		shown.LeftOut.Rules = []NamedRule{}
	}
	if shown.Progress.Rules == nil {
		shown.Progress.Rules = []RuleProgress{}
	}
	return json.Marshal(shown)
}
