package rule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// ruleJSON is the API's shape of a rule.
type ruleJSON struct {
	ID          string          `json:"rule_id"`
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Conditions  json.RawMessage `json:"conditions"`
	Actions     []actionJSON    `json:"actions"`
	Priority    int             `json:"priority"`
	Enabled     bool            `json:"enabled"`
	Mode        Mode            `json:"mode"`

	Window            *windowJSON `json:"window,omitempty"`
	Throttle          *Throttle   `json:"throttle,omitempty"`
	Group             *Group      `json:"group,omitempty"`
	Mute              []Mute      `json:"mute,omitempty"`
	MaxMatchesPerHour int         `json:"max_matches_per_hour,omitempty"`

	Version   int        `json:"version"`
	CreatedAt *time.Time `json:"created_at,omitempty"`
	UpdatedAt *time.Time `json:"updated_at,omitempty"`
	CreatedBy string     `json:"created_by,omitempty"`
}

type windowJSON struct {
	*window.Spec

	Match json.RawMessage `json:"match,omitempty"`
}

type actionJSON struct {
	Type   string          `json:"type"`
	Config json.RawMessage `json:"config"`
}

// JSON renders the rule in the API's shape: rule_id, times in RFC 3339,
// conditions and configurations in relaxed extended JSON. ParseJSON reads it.
// It shows secrets; what leaves the process is r.Masked(types).JSON().
func (r Rule) JSON() ([]byte, error) {
	conditions, err := extJSON(r.Conditions)
	if err != nil {
		return nil, fmt.Errorf("render rule %s: conditions: %w", r.ID, err)
	}
	out := ruleJSON{
		ID: r.ID, Name: r.Name, Description: r.Description, Conditions: conditions,
		Actions: make([]actionJSON, 0, len(r.Actions)), Priority: r.Priority, Enabled: r.Enabled, Mode: r.Mode,
		Throttle: r.Throttle, Group: r.Group, Mute: r.Mute, MaxMatchesPerHour: r.MaxMatchesPerHour,
		Version: r.Version, CreatedAt: some(r.CreatedAt), UpdatedAt: some(r.UpdatedAt), CreatedBy: r.CreatedBy,
	}
	if r.Window != nil {
		out.Window = &windowJSON{Spec: r.Window}
		if r.Window.Match != nil {
			if out.Window.Match, err = extJSON(r.Window.Match); err != nil {
				return nil, fmt.Errorf("render rule %s: window: match: %w", r.ID, err)
			}
		}
	}
	for i, a := range r.Actions {
		config, err := extJSON(a.Config)
		if err != nil {
			return nil, fmt.Errorf("render rule %s: action %d: %w", r.ID, i, err)
		}
		out.Actions = append(out.Actions, actionJSON{Type: a.Type, Config: config})
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return nil, fmt.Errorf("render rule %s: %w", r.ID, err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// extJSON renders relaxed extended JSON, or canonical where that would not be
// read back as the same: a small number that is a long.
func extJSON(raw bson.Raw) (json.RawMessage, error) {
	if len(raw) == 0 {
		return json.RawMessage("{}"), nil
	}
	relaxed, err := bson.MarshalExtJSON(raw, false, false)
	if err != nil {
		return nil, err
	}
	if again, err := ParseCondition(relaxed); err == nil && bytes.Equal(again, raw) {
		return relaxed, nil
	}
	return bson.MarshalExtJSON(raw, true, false)
}

func some(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Masked is a copy whose action configurations show no secret.
func (r Rule) Masked(types Validator) Rule {
	r.Actions = slices.Clone(r.Actions)
	for i := range r.Actions {
		a := &r.Actions[i]
		if t, ok := types.Lookup(a.Type); ok {
			a.Config = t.Mask(a.Config)
		} else { // nobody knows which of it is secret
			a.Config = emptyDocument()
		}
	}
	return r
}

// Restored is a copy whose action configurations have the stored rule's secrets
// where they still carry the mask. They come from a stored action of the same
// type, the one at the same place first; the type says which may take them.
func (r Rule) Restored(stored Rule, types Validator) Rule {
	r.Actions = slices.Clone(r.Actions)
	for i := range r.Actions {
		a := &r.Actions[i]
		t, ok := types.Lookup(a.Type)
		if !ok {
			continue
		}
		if i < len(stored.Actions) && stored.Actions[i].Type == a.Type {
			a.Config = t.Restore(a.Config, stored.Actions[i].Config)
		}
		for _, old := range stored.Actions {
			if old.Type == a.Type {
				a.Config = t.Restore(a.Config, old.Config)
			}
		}
	}
	return r
}

// SameAs says whether both rules ask for the same: all that a user writes,
// without id, version, times and author.
func (r Rule) SameAs(other Rule) bool {
	a, errA := bson.Marshal(r.content())
	b, errB := bson.Marshal(other.content())
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

func (r Rule) content() Rule {
	r.ID, r.Version, r.CreatedAt, r.UpdatedAt, r.CreatedBy = "", 0, time.Time{}, time.Time{}, ""
	if len(r.Actions) == 0 {
		r.Actions = nil // none, whether said or not
	}
	return r
}
