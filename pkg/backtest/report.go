// Package backtest says what a rule would have done with events that are
// stored: which match, which alerts its windows give, what would be left after
// throttles, silences and mute times, and how that differs from another version.
// It decides with what decides live, in event time. The database does the search,
// behind an interface.
package backtest

import (
	"encoding/json"
	"time"
)

// Report is what a back-test found.
type Report struct {
	RuleID  string `json:"rule_id,omitempty"`
	Name    string `json:"name"`
	Version int    `json:"version,omitempty"` // 0: a draft
	Kind    string `json:"window,omitempty"`  // the kind of its window

	From time.Time `json:"from"`
	To   time.Time `json:"to"` // exclusive
	// Until is up to where events were searched: To, unless Cut says why not.
	Until time.Time `json:"searched_until"`
	Cut   string    `json:"cut,omitempty"`

	Matches int64    `json:"matches"` // events that fulfil the condition
	First   *Sample  `json:"first,omitempty"`
	Last    *Sample  `json:"last,omitempty"`
	Unit    string   `json:"unit"` // of Counts: hour or day
	Counts  []Count  `json:"counts"`
	Samples []Sample `json:"samples"` // the newest matches

	Alerts     *Alerts     `json:"alerts,omitempty"` // of a rule with a window
	Actions    Actions     `json:"actions"`
	Difference *Difference `json:"difference,omitempty"`
}

// Sample is an event as a list shows it.
type Sample struct {
	EventID   string    `json:"event_id"`
	Timestamp time.Time `json:"timestamp"`
	Type      string    `json:"type"`
	Source    string    `json:"source"`
	Severity  int64     `json:"severity"`
}

// Count is the matches of an hour or a day.
type Count struct {
	At      time.Time `json:"at"`
	Matches int64     `json:"matches"`
}

// Alerts are those of a rule with a window.
type Alerts struct {
	Total int64   `json:"total"`
	Shown []Alert `json:"shown"` // the first ones
}

// Alert is one of them. Key and slot are its identity.
type Alert struct {
	NotificationID string          `json:"notification_id,omitempty"` // of its first action, if the rule is stored
	Key            json.RawMessage `json:"key,omitempty"`
	Slot           int64           `json:"slot"`
	From           time.Time       `json:"from"`
	To             time.Time       `json:"to"`
	Value          float64         `json:"value"`
	Reference      float64         `json:"reference,omitempty"`
	Text           string          `json:"text"`
	EventID        string          `json:"event_id,omitempty"`
	Held           string          `json:"held,omitempty"` // why it would not have been told
}

// Actions are what would have been done.
type Actions struct {
	// Owed are the matches, or alerts, that call for the rule's actions; Left are
	// those that nothing holds back, or, of a rule with groups, the groups that
	// would have been told; Notifications is what they come to.
	Owed          int64            `json:"owed"`
	Left          int64            `json:"left"`
	Notifications int64            `json:"notifications"`
	Held          map[string]int64 `json:"held,omitempty"` // by reason
	Note          string           `json:"note,omitempty"`
}

// Difference is what one rule matches and another does not.
type Difference struct {
	With     string `json:"with"` // the other: its name
	Version  int    `json:"version"`
	Enabled  bool   `json:"enabled"`
	Both     int64  `json:"both"`
	Only     Side   `json:"only"`      // in the tested rule only
	OnlyLive Side   `json:"only_live"` // in the live version only
	Note     string `json:"note,omitempty"`
}

// Side is what only one of two rules has: events, or alerts if both have windows.
type Side struct {
	Total   int64    `json:"total"`
	Samples []Sample `json:"samples,omitempty"`
	Alerts  []Alert  `json:"alerts,omitempty"`
}

// Progress is how far a back-test is.
type Progress struct {
	Stage   string    `json:"stage"` // count, windows, noise, difference
	Part    float64   `json:"part"`  // of the whole, 0 to 1
	Matches int64     `json:"matches"`
	At      time.Time `json:"at,omitzero"` // up to where the stage has come
}
