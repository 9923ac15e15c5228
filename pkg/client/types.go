// Code generated from services/api/openapi.yaml; DO NOT EDIT.

package client

import (
	"bytes"
	"encoding/json"
	"time"
)

// EventPage is what ListEvents answers.
type EventPage struct {
	Items      []FoundEvent `json:"items"`
	NextCursor string       `json:"next_cursor,omitzero"`
}

// FoundEvent is a stored event; with `fields`, what was asked for of it.
type FoundEvent struct {
	EventID string `json:"event_id"`
	// UPPER_SNAKE, an open set.
	Type     string `json:"type,omitzero"`
	Source   string `json:"source,omitzero"`
	Severity int64  `json:"severity,omitzero"`
	// When it happened.
	Timestamp Time   `json:"timestamp"`
	UserID    string `json:"user_id,omitzero"`
	SessionID string `json:"session_id,omitzero"`
	TraceID   string `json:"trace_id,omitzero"`
	// Whatever the producer says, in its order.
	Payload json.RawMessage `json:"payload,omitzero"`
	// ip_address, user_agent, region, version, location (GeoJSON Point) and more; `ingested_by` and `routing_key` are ours.
	Metadata json.RawMessage `json:"metadata,omitzero"`
	// The rules have decided.
	Processed bool `json:"processed,omitzero"`
	// What text search looks in.
	SearchText string `json:"search_text,omitzero"`
	BatchID    string `json:"batch_id,omitzero"`
	// When it was stored.
	CreatedAt Time `json:"created_at,omitzero"`
	// When it is erased.
	ExpiresAt Time `json:"expires_at,omitzero"`
	// Ids of the rules that matched.
	MatchedRules []string `json:"matched_rules,omitzero"`

	read json.RawMessage
}

// UnmarshalJSON reads what there is.
func (v *FoundEvent) UnmarshalJSON(b []byte) error {
	type plain FoundEvent
	if err := json.Unmarshal(b, (*plain)(v)); err != nil {
		return err
	}
	v.read = bytes.Clone(b)
	return nil
}

// MarshalJSON writes it as it was read, whatever was changed since.
func (v FoundEvent) MarshalJSON() ([]byte, error) {
	if v.read != nil {
		return v.read, nil
	}
	type plain FoundEvent
	return json.Marshal(plain(v))
}

// NewEvent is an event to publish. An optional field that is null counts as absent, an empty id too.
type NewEvent struct {
	// Send your own to be able to send it again; without, you get one.
	EventID  string `json:"event_id,omitzero"`
	Type     string `json:"type"`
	Source   string `json:"source"`
	Severity int64  `json:"severity,omitzero"`
	// At most 10 minutes ahead; now, when it is absent.
	Timestamp Time   `json:"timestamp,omitzero"`
	UserID    string `json:"user_id,omitzero"`
	SessionID string `json:"session_id,omitzero"`
	TraceID   string `json:"trace_id,omitzero"`
	// Keys do not begin with $; 32 levels, 256 KiB of the whole event at most.
	Payload  json.RawMessage `json:"payload,omitzero"`
	Metadata json.RawMessage `json:"metadata,omitzero"`
}

// PostedEvents is what PostEvents answers.
type PostedEvents struct {
	Accepted []PostedEventsAccepted `json:"accepted"`
	Rejected []PostedEventsRejected `json:"rejected"`
}

// PostedEventsAccepted is what stands in PostedEvents.Accepted.
type PostedEventsAccepted struct {
	// Of the event in the body, from 0.
	Index   int64  `json:"index"`
	EventID string `json:"event_id"`
}

// PostedEventsRejected is what stands in PostedEvents.Rejected.
type PostedEventsRejected struct {
	Index  int64  `json:"index"`
	Errors []Flaw `json:"errors"`
}

// Flaw: One mistake, or one thing that a rule's author should know.
type Flaw struct {
	// Of the body, of an import.
	Line int64 `json:"line,omitzero"`
	// The rule's name, of an import.
	Rule string `json:"rule,omitzero"`
	// Where, as a JSON pointer into the body.
	Pointer string `json:"pointer,omitzero"`
	// Which parameter, of the query.
	Parameter string `json:"parameter,omitzero"`
	Message   string `json:"message"`
}

// SearchPage is what SearchEvents answers.
type SearchPage struct {
	// How it was found. One of text_index, term_match.
	Mode       string           `json:"mode"`
	Items      []SearchPageItem `json:"items"`
	NextCursor string           `json:"next_cursor,omitzero"`
}

// SearchPageItem is what stands in SearchPage.Items.
type SearchPageItem struct {
	Event Event `json:"event"`
	// The higher the better it fits.
	Score float64 `json:"score"`
	// Up to 10 texts of the event that have the words.
	Highlights []SearchPageItemHighlight `json:"highlights"`
}

// Event is a stored event.
type Event struct {
	EventID string `json:"event_id"`
	// UPPER_SNAKE, an open set.
	Type     string `json:"type"`
	Source   string `json:"source"`
	Severity int64  `json:"severity"`
	// When it happened.
	Timestamp Time   `json:"timestamp"`
	UserID    string `json:"user_id,omitzero"`
	SessionID string `json:"session_id,omitzero"`
	TraceID   string `json:"trace_id,omitzero"`
	// Whatever the producer says, in its order.
	Payload json.RawMessage `json:"payload"`
	// ip_address, user_agent, region, version, location (GeoJSON Point) and more; `ingested_by` and `routing_key` are ours.
	Metadata json.RawMessage `json:"metadata"`
	// The rules have decided.
	Processed bool `json:"processed"`
	// What text search looks in.
	SearchText string `json:"search_text"`
	BatchID    string `json:"batch_id"`
	// When it was stored.
	CreatedAt Time `json:"created_at"`
	// When it is erased.
	ExpiresAt Time `json:"expires_at"`
	// Ids of the rules that matched.
	MatchedRules []string `json:"matched_rules,omitzero"`
}

// SearchPageItemHighlight is what stands in SearchPageItem.Highlights.
type SearchPageItemHighlight struct {
	Path string `json:"path"`
	// The text; of a long one, the part that has the first word.
	Text string `json:"text"`
	// Where the words are in `text`.
	Marks []SearchPageItemHighlightMark `json:"marks"`
}

// SearchPageItemHighlightMark is what stands in SearchPageItemHighlight.Marks.
type SearchPageItemHighlightMark struct {
	// In characters, from 0.
	Start int64 `json:"start"`
	// Exclusive.
	End int64 `json:"end"`
}

// NotificationStatus is what .
type NotificationStatus string

// What NotificationStatus may be.
const (
	NotificationStatusPending    NotificationStatus = "pending"
	NotificationStatusDelivered  NotificationStatus = "delivered"
	NotificationStatusDead       NotificationStatus = "dead"
	NotificationStatusSuppressed NotificationStatus = "suppressed"
)

// CreateTicketAnswer is what CreateTicket answers.
type CreateTicketAnswer struct {
	// Once.
	Ticket    string `json:"ticket"`
	ExpiresAt Time   `json:"expires_at"`
}

// RulePage is what ListRules answers.
type RulePage struct {
	Items      []Rule `json:"items"`
	NextCursor string `json:"next_cursor,omitzero"`
}

// Rule is a rule, as it is stored.
type Rule struct {
	RuleID            string    `json:"rule_id"`
	Name              string    `json:"name"`
	Description       string    `json:"description,omitzero"`
	Conditions        Condition `json:"conditions"`
	Actions           []Action  `json:"actions"`
	Priority          int64     `json:"priority"`
	Enabled           bool      `json:"enabled"`
	Mode              RuleMode  `json:"mode"`
	Window            *Window   `json:"window,omitzero"`
	Throttle          *Throttle `json:"throttle,omitzero"`
	Group             *Group    `json:"group,omitzero"`
	Mute              []Mute    `json:"mute,omitzero"`
	MaxMatchesPerHour *int64    `json:"max_matches_per_hour,omitzero"`
	// 1 is the first.
	Version   int64 `json:"version"`
	CreatedAt Time  `json:"created_at"`
	// When this version was saved.
	UpdatedAt Time `json:"updated_at"`
	// Who saved this version.
	CreatedBy string `json:"created_by,omitzero"`
	// What its author should know.
	Warnings []Flaw `json:"warnings,omitzero"`
}

// Condition is a MongoDB query document, as JSON or extended JSON.
type Condition = json.RawMessage

// Action: One action of a rule; secrets in its configuration show as `********`.
type Action struct {
	// One of `GET /api/v1/action-types`.
	Type   string          `json:"type"`
	Config json.RawMessage `json:"config"`
}

// RuleMode: A shadow rule decides and records, and does nothing.
type RuleMode string

// What RuleMode may be.
const (
	RuleModeLive   RuleMode = "live"
	RuleModeShadow RuleMode = "shadow"
)

// Window: Look at more than one event. In event time, over the stored events; the names are ElastAlert 2's.
//
// | kind | fires when, among the condition's events of one key |
// |---|---|
// | `frequency` | at least `num_events` within `timeframe` |
// | `spike` | this window's count is `spike_height` times the one before |
// | `flatline` | fewer than `threshold` in `timeframe`, of a key seen before |
// | `new_term` | a value of `field` that was not seen in `terms_window` |
// | `cardinality` | more than `max` or fewer than `min` distinct values of `field` |
// | `percentage` | the share of `match` is outside `min` to `max` |
// | `change` | `field` differs from the last event of the key |
type Window struct {
	// One of frequency, spike, flatline, new_term, cardinality, percentage, change.
	Kind        string   `json:"kind"`
	GroupBy     Paths    `json:"group_by,omitzero"`
	Timeframe   Span     `json:"timeframe,omitzero"`
	Settle      Span     `json:"settle,omitzero"`
	NumEvents   *int64   `json:"num_events,omitzero"`
	SpikeHeight *float64 `json:"spike_height,omitzero"`
	// One of up, down, both.
	SpikeType      string    `json:"spike_type,omitzero"`
	ThresholdRef   *int64    `json:"threshold_ref,omitzero"`
	ThresholdCur   *int64    `json:"threshold_cur,omitzero"`
	Threshold      *int64    `json:"threshold,omitzero"`
	ForgetKeys     bool      `json:"forget_keys,omitzero"`
	Field          string    `json:"field,omitzero"`
	TermsWindow    Span      `json:"terms_window,omitzero"`
	IgnoreNull     bool      `json:"ignore_null,omitzero"`
	Min            *float64  `json:"min,omitzero"`
	Max            *float64  `json:"max,omitzero"`
	MinDenominator *int64    `json:"min_denominator,omitzero"`
	Match          Condition `json:"match,omitzero"`
}

// Paths: Paths of fields, such as `user_id` or `payload.shop`; one alone may be a text.
type Paths = Strings

// Span is a length of time: 30s, 5m, 2h, 7d, 1h30m.
type Span = string

// Throttle: One notification of a key passes, others are held back for a while.
type Throttle struct {
	Per Paths `json:"per,omitzero"`
	For Span  `json:"for,omitzero"`
	Max Span  `json:"max,omitzero"`
}

// Group: Many matches, one notification; the words mean what they mean in Alertmanager.
type Group struct {
	By       Paths `json:"by,omitzero"`
	Wait     Span  `json:"wait,omitzero"`
	Interval Span  `json:"interval,omitzero"`
	Repeat   Span  `json:"repeat,omitzero"`
	Identity Paths `json:"identity,omitzero"`
}

// Mute is a weekly time in which notifications are held back.
type Mute struct {
	// monday … sunday; none is every day.
	Days Strings `json:"days,omitzero"`
	From string  `json:"from,omitzero"`
	// Exclusive; earlier than `from` is on the next day.
	To       string `json:"to,omitzero"`
	TimeZone string `json:"time_zone,omitzero"`
}

// NewRule is a rule, as it is saved. What else an answer holds may be sent back with it and is ignored.
type NewRule struct {
	// Your own id; a new one when it is absent or empty. The name of another path under /rules/ is refused.
	RuleID string `json:"rule_id,omitzero"`
	// Unique.
	Name        string      `json:"name"`
	Description string      `json:"description,omitzero"`
	Conditions  Condition   `json:"conditions"`
	Actions     []NewAction `json:"actions,omitzero"`
	// 1 is first.
	Priority int64     `json:"priority,omitzero"`
	Enabled  *bool     `json:"enabled,omitzero"`
	Mode     RuleMode  `json:"mode,omitzero"`
	Window   *Window   `json:"window,omitzero"`
	Throttle *Throttle `json:"throttle,omitzero"`
	Group    *Group    `json:"group,omitzero"`
	Mute     []Mute    `json:"mute,omitzero"`
	// Beyond, the rule pauses until the hour is over; 0 is no bound.
	MaxMatchesPerHour *int64 `json:"max_matches_per_hour,omitzero"`
	// Ignored.
	Version *int64 `json:"version,omitzero"`
	// Ignored.
	CreatedAt Time `json:"created_at,omitzero"`
	// Ignored.
	UpdatedAt Time `json:"updated_at,omitzero"`
	// Ignored.
	CreatedBy string `json:"created_by,omitzero"`
	// Ignored.
	Warnings []Flaw `json:"warnings,omitzero"`
}

// NewAction is what to do about a match. `********` for a secret keeps the stored one.
type NewAction struct {
	Type   string          `json:"type"`
	Config json.RawMessage `json:"config,omitzero"`
}

// ImportedRules is what ImportRules answers.
type ImportedRules struct {
	Created   int64  `json:"created"`
	Changed   int64  `json:"changed"`
	Unchanged int64  `json:"unchanged"`
	Warnings  []Flaw `json:"warnings,omitzero"`
}

// RulesStatus is what GetRulesStatus answers.
type RulesStatus struct {
	// Rises with every change of a rule.
	Stamp int64 `json:"stamp"`
	// Enabled ones.
	Rules int64 `json:"rules"`
	// At least one worker speaks, and each that does holds them all.
	Current bool                `json:"current"`
	Workers []RulesStatusWorker `json:"workers"`
}

// RulesStatusWorker is what stands in RulesStatus.Workers.
type RulesStatusWorker struct {
	Worker string `json:"worker"`
	Host   string `json:"host"`
	Stamp  int64  `json:"stamp"`
	Rules  int64  `json:"rules"`
	// Of the versions that it holds.
	Digest string `json:"digest"`
	// Enabled rules that it cannot match with.
	Broken []RulesStatusWorkerBroken `json:"broken"`
	// Rules that it matches with, and what it cannot do for them.
	Warned   []RulesStatusWorkerWarned `json:"warned,omitzero"`
	LoadedAt Time                      `json:"loaded_at"`
	BeatAt   Time                      `json:"beat_at"`
	// One of current, behind, other, silent.
	State string `json:"state"`
	// Of the rule that was asked about.
	Version int64 `json:"version,omitzero"`
	// Why it holds none.
	Why string `json:"why,omitzero"`
}

// RulesStatusWorkerBroken is what stands in RulesStatusWorker.Broken.
type RulesStatusWorkerBroken struct {
	RuleID string `json:"rule_id"`
	Name   string `json:"name"`
	Error  string `json:"error"`
}

// RulesStatusWorkerWarned is what stands in RulesStatusWorker.Warned.
type RulesStatusWorkerWarned struct {
	RuleID  string `json:"rule_id"`
	Name    string `json:"name"`
	Version int64  `json:"version"`
	Warning string `json:"warning"`
}

// RuleMatches is what GetRuleMatches answers.
type RuleMatches struct {
	From Time `json:"from"`
	To   Time `json:"to"`
	// How long each number of a sparkline is.
	SlotSeconds float64           `json:"slot_seconds"`
	Items       []RuleMatchesItem `json:"items"`
}

// RuleMatchesItem is what stands in RuleMatches.Items.
type RuleMatchesItem struct {
	RuleID    string  `json:"rule_id"`
	Matches   int64   `json:"matches"`
	Sparkline []int64 `json:"sparkline"`
}

// RuleTest is what TestRule is asked with.
type RuleTest struct {
	// A stored rule.
	RuleID string `json:"rule_id,omitzero"`
	// One of its versions.
	Version *int64 `json:"version,omitzero"`
	// A rule that is not saved.
	Rule       json.RawMessage   `json:"rule,omitzero"`
	Conditions Condition         `json:"conditions,omitzero"`
	Events     []json.RawMessage `json:"events"`
}

// RuleTested is what TestRule answers.
type RuleTested struct {
	Items      []RuleTestedItem `json:"items"`
	NextCursor string           `json:"next_cursor,omitzero"`
	Warnings   []Flaw           `json:"warnings,omitzero"`
}

// RuleTestedItem is what stands in RuleTested.Items.
type RuleTestedItem struct {
	Index   int64  `json:"index"`
	EventID string `json:"event_id,omitzero"`
	Matched bool   `json:"matched"`
	// Why, in one line.
	Text string `json:"text"`
	// The document is no valid event.
	Note        string      `json:"note,omitzero"`
	Explanation Explanation `json:"explanation"`
}

// Explanation: One clause of a condition; a whole condition is the $and of its clauses.
type Explanation struct {
	Path     string `json:"path,omitzero"`
	Operator string `json:"operator"`
	// The operand.
	Expected json.RawMessage `json:"expected,omitzero"`
	// What the path leads to; a path that leads nowhere has one value of type "missing".
	Actual []ExplanationActual `json:"actual,omitzero"`
	// Values that are left out.
	More    *int64        `json:"more,omitzero"`
	Matched bool          `json:"matched"`
	Text    string        `json:"text"`
	Clauses []Explanation `json:"clauses,omitzero"`
}

// ExplanationActual is what stands in Explanation.Actual.
type ExplanationActual struct {
	At string `json:"at"`
	// MongoDB's name of the type.
	Type string `json:"type"`
	// Absent when it is missing or too long.
	Value json.RawMessage `json:"value,omitzero"`
	// It alone decides the clause.
	Decides bool `json:"decides,omitzero"`
}

// BacktestRequest is what BacktestRule is asked with.
type BacktestRequest struct {
	// A stored rule.
	RuleID string `json:"rule_id,omitzero"`
	// One of its versions.
	Version *int64 `json:"version,omitzero"`
	// A rule that is not saved.
	Rule       json.RawMessage `json:"rule,omitzero"`
	Conditions Condition       `json:"conditions,omitzero"`
	From       Time            `json:"from,omitzero"`
	// Exclusive; now when it is absent.
	To              Time `json:"to,omitzero"`
	CompareWithLive bool `json:"compare_with_live,omitzero"`
}

// BacktestReport is what BacktestRule answers.
type BacktestReport struct {
	RuleID string `json:"rule_id,omitzero"`
	Name   string `json:"name"`
	// Absent of a draft.
	Version int64 `json:"version,omitzero"`
	// The kind of its window.
	Window        string `json:"window,omitzero"`
	From          Time   `json:"from"`
	To            Time   `json:"to"`
	SearchedUntil Time   `json:"searched_until"`
	// Why not all was searched.
	Cut     string       `json:"cut,omitzero"`
	Matches int64        `json:"matches"`
	First   *EventSample `json:"first,omitzero"`
	Last    *EventSample `json:"last,omitzero"`
	// One of hour, day.
	Unit       string                    `json:"unit"`
	Counts     []BacktestReportCount     `json:"counts"`
	Samples    []EventSample             `json:"samples"`
	Alerts     *BacktestReportAlerts     `json:"alerts,omitzero"`
	Actions    BacktestReportActions     `json:"actions"`
	Difference *BacktestReportDifference `json:"difference,omitzero"`
}

// EventSample is what stands in BacktestReport.First.
type EventSample struct {
	EventID   string `json:"event_id"`
	Timestamp Time   `json:"timestamp"`
	Type      string `json:"type"`
	Source    string `json:"source"`
	Severity  int64  `json:"severity"`
}

// BacktestReportCount is what stands in BacktestReport.Counts.
type BacktestReportCount struct {
	At      Time  `json:"at"`
	Matches int64 `json:"matches"`
}

// BacktestReportAlerts is what stands in BacktestReport.Alerts.
type BacktestReportAlerts struct {
	Total int64           `json:"total"`
	Shown []BacktestAlert `json:"shown"`
}

// BacktestAlert is what stands in BacktestReportAlerts.Shown.
type BacktestAlert struct {
	NotificationID string          `json:"notification_id,omitzero"`
	Key            json.RawMessage `json:"key,omitzero"`
	Slot           int64           `json:"slot"`
	From           Time            `json:"from"`
	To             Time            `json:"to"`
	Value          float64         `json:"value"`
	Reference      *float64        `json:"reference,omitzero"`
	Text           string          `json:"text"`
	EventID        string          `json:"event_id,omitzero"`
	Held           string          `json:"held,omitzero"`
}

// BacktestReportActions is what stands in BacktestReport.Actions.
type BacktestReportActions struct {
	// Matches or alerts that call for the actions.
	Owed int64 `json:"owed"`
	// Those that nothing holds back.
	Left          int64 `json:"left"`
	Notifications int64 `json:"notifications"`
	// By reason.
	Held map[string]int64 `json:"held,omitzero"`
	Note string           `json:"note,omitzero"`
}

// BacktestReportDifference is what stands in BacktestReport.Difference.
type BacktestReportDifference struct {
	With     string       `json:"with"`
	Version  int64        `json:"version"`
	Enabled  bool         `json:"enabled"`
	Both     int64        `json:"both"`
	Only     BacktestSide `json:"only"`
	OnlyLive BacktestSide `json:"only_live"`
	Note     string       `json:"note,omitzero"`
}

// BacktestSide is what stands in BacktestReportDifference.Only.
type BacktestSide struct {
	Total   int64           `json:"total"`
	Samples []EventSample   `json:"samples,omitzero"`
	Alerts  []BacktestAlert `json:"alerts,omitzero"`
}

// RulePatch is the fields to change; null removes one.
type RulePatch struct {
	Name              Change[string]      `json:"name,omitzero"`
	Description       Change[string]      `json:"description,omitzero"`
	Conditions        Change[Condition]   `json:"conditions,omitzero"`
	Actions           Change[[]NewAction] `json:"actions,omitzero"`
	Priority          Change[int64]       `json:"priority,omitzero"`
	Enabled           Change[bool]        `json:"enabled,omitzero"`
	Mode              Change[RuleMode]    `json:"mode,omitzero"`
	Window            Change[Window]      `json:"window,omitzero"`
	Throttle          Change[Throttle]    `json:"throttle,omitzero"`
	Group             Change[Group]       `json:"group,omitzero"`
	Mute              Change[[]Mute]      `json:"mute,omitzero"`
	MaxMatchesPerHour Change[int64]       `json:"max_matches_per_hour,omitzero"`
}

// RuleVersionPage is what ListRuleVersions answers.
type RuleVersionPage struct {
	Items      []RuleVersion `json:"items"`
	NextCursor string        `json:"next_cursor,omitzero"`
}

// RuleVersion is a rule as it was, and what its version was made by.
type RuleVersion struct {
	RuleID            string    `json:"rule_id"`
	Name              string    `json:"name"`
	Description       string    `json:"description,omitzero"`
	Conditions        Condition `json:"conditions"`
	Actions           []Action  `json:"actions"`
	Priority          int64     `json:"priority"`
	Enabled           bool      `json:"enabled"`
	Mode              RuleMode  `json:"mode"`
	Window            *Window   `json:"window,omitzero"`
	Throttle          *Throttle `json:"throttle,omitzero"`
	Group             *Group    `json:"group,omitzero"`
	Mute              []Mute    `json:"mute,omitzero"`
	MaxMatchesPerHour *int64    `json:"max_matches_per_hour,omitzero"`
	// 1 is the first.
	Version   int64 `json:"version"`
	CreatedAt Time  `json:"created_at"`
	// When this version was saved.
	UpdatedAt Time `json:"updated_at"`
	// Who saved this version.
	CreatedBy string `json:"created_by,omitzero"`
	// What its author should know.
	Warnings []Flaw `json:"warnings,omitzero"`
	// The version that ended it.
	Deleted bool `json:"deleted,omitzero"`
	// The version whose content it has.
	RolledBackTo int64 `json:"rolled_back_to,omitzero"`
}

// RuleDiff is what DiffRule answers.
type RuleDiff struct {
	RuleID  string           `json:"rule_id"`
	From    VersionNote      `json:"from"`
	To      VersionNote      `json:"to"`
	Changes []RuleDiffChange `json:"changes"`
}

// VersionNote is what stands in RuleDiff.From.
type VersionNote struct {
	Version      int64  `json:"version"`
	At           Time   `json:"at"`
	By           string `json:"by,omitzero"`
	Deleted      bool   `json:"deleted,omitzero"`
	RolledBackTo int64  `json:"rolled_back_to,omitzero"`
}

// RuleDiffChange is what stands in RuleDiff.Changes.
type RuleDiffChange struct {
	// A JSON pointer into the rule.
	Path string `json:"path"`
	// Absent where nothing stood.
	Old json.RawMessage `json:"old,omitzero"`
	// Absent where nothing stands.
	New json.RawMessage `json:"new,omitzero"`
	// A secret changed; it is not shown.
	Secret bool `json:"secret,omitzero"`
}

// RollBackRuleBody is what RollBackRule is asked with.
type RollBackRuleBody struct {
	Version int64 `json:"version"`
}

// Explained is what ExplainRule answers.
type Explained struct {
	// The answer in one line.
	Text string `json:"text"`
	// One of not_fired, not_decided, waits, held, fired_without_action, pending, delivered, dead, would_fire, would_not_fire.
	Outcome string `json:"outcome"`
	// What an event goes through, up to the step that decided.
	Steps        []ExplainedStep `json:"steps"`
	Condition    Explanation     `json:"condition"`
	ConditionNow *Explanation    `json:"condition_now,omitzero"`
	RuleID       string          `json:"rule_id,omitzero"`
	RuleName     string          `json:"rule_name"`
	EventID      string          `json:"event_id"`
	// Absent of a draft.
	JudgedVersion  int64 `json:"judged_version,omitzero"`
	CurrentVersion int64 `json:"current_version,omitzero"`
	// The judged version is known to have been in force.
	Exact         bool           `json:"exact"`
	DecidedAt     Time           `json:"decided_at,omitzero"`
	Notifications []Notification `json:"notifications"`
}

// ExplainedStep is what stands in Explained.Steps.
type ExplainedStep struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Text string `json:"text"`
}

// Notification: One action owed for one match.
type Notification struct {
	NotificationID string             `json:"notification_id"`
	EventID        string             `json:"event_id"`
	RuleID         string             `json:"rule_id"`
	RuleVersion    int64              `json:"rule_version"`
	RuleName       string             `json:"rule_name"`
	Queue          string             `json:"queue"`
	Status         NotificationStatus `json:"status"`
	// Why it is suppressed or dead.
	Reason string `json:"reason,omitzero"`
	// What holds it back.
	Held *NotificationHeld `json:"held,omitzero"`
	// Matches that the throttle held since it let one through before.
	HeldBack      *int64                `json:"held_back,omitzero"`
	Attempts      []NotificationAttempt `json:"attempts"`
	AttemptCount  int64                 `json:"attempt_count"`
	NextAttemptAt Time                  `json:"next_attempt_at,omitzero"`
	// What a window rule found.
	Alert *NotificationAlert `json:"alert,omitzero"`
	// What it stands for when its rule groups matches.
	Group *NotificationGroup `json:"group,omitzero"`
	// Attempts before somebody had it tried again.
	Base   *int64              `json:"base,omitzero"`
	Forced *NotificationForced `json:"forced,omitzero"`
	// Somebody tried the action; no match owes it.
	Trial bool `json:"trial,omitzero"`
	// The replay that made it.
	ReplayID  string `json:"replay_id,omitzero"`
	CreatedAt Time   `json:"created_at"`
	UpdatedAt Time   `json:"updated_at"`
	ExpiresAt Time   `json:"expires_at"`
	Action    Action `json:"action"`
}

// NotificationHeld is what holds it back.
type NotificationHeld struct {
	ID    string `json:"id,omitzero"`
	Until Time   `json:"until,omitzero"`
}

// NotificationAttempt is what stands in Notification.Attempts.
type NotificationAttempt struct {
	// 1 is the first.
	Number     int64 `json:"number"`
	At         Time  `json:"at"`
	DurationMs int64 `json:"duration_ms"`
	// One of ok, retry, permanent.
	Outcome         string `json:"outcome"`
	StatusCode      *int64 `json:"status_code,omitzero"`
	ErrorClass      string `json:"error_class,omitzero"`
	Error           string `json:"error,omitzero"`
	ResponseExcerpt string `json:"response_excerpt,omitzero"`
	// What the receiver asked for.
	RetryAfterMs *int64 `json:"retry_after_ms,omitzero"`
	Forced       string `json:"forced,omitzero"`
	// Who got it.
	Receipts []string `json:"receipts,omitzero"`
	Worker   string   `json:"worker,omitzero"`
}

// NotificationAlert is what a window rule found.
type NotificationAlert struct {
	Kind      string          `json:"kind"`
	Slot      int64           `json:"slot"`
	From      Time            `json:"from"`
	To        Time            `json:"to"`
	Value     float64         `json:"value"`
	Reference *float64        `json:"reference,omitzero"`
	Text      string          `json:"text"`
	Key       json.RawMessage `json:"key,omitzero"`
}

// NotificationGroup is what it stands for when its rule groups matches.
type NotificationGroup struct {
	ID       string          `json:"id"`
	Sequence int64           `json:"sequence"`
	Matches  int64           `json:"matches"`
	Samples  []string        `json:"samples"`
	FirstAt  Time            `json:"first_at"`
	LastAt   Time            `json:"last_at"`
	Key      json.RawMessage `json:"key"`
}

// NotificationForced is what stands in Notification.Forced.
type NotificationForced struct {
	Nonce string `json:"nonce"`
	At    Time   `json:"at"`
	By    string `json:"by"`
	Done  bool   `json:"done"`
}

// DraftExplanation is what ExplainDraft is asked with.
type DraftExplanation struct {
	// The event_id of a stored event.
	Event string `json:"event"`
	// A rule that is not saved.
	Rule       json.RawMessage `json:"rule,omitzero"`
	Conditions Condition       `json:"conditions,omitzero"`
}

// ActionTypes is what ListActionTypes answers.
type ActionTypes struct {
	Items             []ActionTypesItem             `json:"items"`
	Queues            []string                      `json:"queues"`
	TemplateFunctions []ActionTypesTemplateFunction `json:"template_functions"`
}

// ActionTypesItem is what stands in ActionTypes.Items.
type ActionTypesItem struct {
	Type string `json:"type"`
	Doc  string `json:"doc"`
	// JSON Schema (2020-12) of its config.
	Schema json.RawMessage `json:"schema"`
}

// ActionTypesTemplateFunction is what stands in ActionTypes.TemplateFunctions.
type ActionTypesTemplateFunction struct {
	Name string `json:"name"`
	Doc  string `json:"doc"`
}

// ListChannelsAnswer is what ListChannels answers.
type ListChannelsAnswer struct {
	Items []Channel `json:"items"`
}

// Channel is what stands in ListChannelsAnswer.Items.
type Channel struct {
	Name string `json:"name"`
	// The scheme of its URL.
	Kind    string `json:"kind"`
	Default bool   `json:"default"`
}

// Trace is what TraceEvent answers.
type Trace struct {
	Event Event `json:"event"`
	// The batch that it was stored in. A stage is null until it is done.
	Batch *TraceBatch `json:"batch,omitzero"`
	// Those that matched.
	Rules    []TraceRule `json:"rules"`
	CausedBy *Event      `json:"caused_by,omitzero"`
	// What actions about it made, such as delivery outcomes.
	Caused []FoundEvent `json:"caused"`
	// Others of its `trace_id`.
	SameTrace []FoundEvent `json:"same_trace"`
	// Lists that have more.
	LeftOut []string `json:"left_out,omitzero"`
}

// TraceBatch is the batch that it was stored in. A stage is null until it is done.
type TraceBatch struct {
	BatchID  string `json:"batch_id"`
	Ingester string `json:"ingester"`
	// Events of the batch.
	Count              int64 `json:"count"`
	MaxSeverity        int64 `json:"max_severity"`
	FirstEventAt       Time  `json:"first_event_at"`
	StoredAt           Time  `json:"stored_at"`
	PublishedAt        *Time `json:"published_at"`
	MatchedAt          *Time `json:"matched_at"`
	ActionsPublishedAt *Time `json:"actions_published_at"`
	AggregatedAt       *Time `json:"aggregated_at"`
	// When the rules' decision about it was committed.
	DecidedAt Time `json:"decided_at,omitzero"`
}

// TraceRule is what stands in Trace.Rules.
type TraceRule struct {
	RuleID string `json:"rule_id"`
	// Absent when the rule is gone, and owed nothing.
	RuleName string `json:"rule_name,omitzero"`
	// The one that owes the notifications.
	RuleVersion *int64 `json:"rule_version,omitzero"`
	// The oldest first.
	Notifications []Notification `json:"notifications"`
}

// NotificationPage is what ListNotifications answers.
type NotificationPage struct {
	Items      []Notification `json:"items"`
	NextCursor string         `json:"next_cursor,omitzero"`
}

// NotificationsRetry is what RetryNotifications is asked with.
type NotificationsRetry struct {
	// One of dead, suppressed.
	Status string `json:"status"`
	Reason string `json:"reason,omitzero"`
	Rule   string `json:"rule,omitzero"`
	From   Time   `json:"from,omitzero"`
	To     Time   `json:"to,omitzero"`
	Limit  int64  `json:"limit,omitzero"`
	DryRun bool   `json:"dry_run,omitzero"`
}

// RetryNotificationsAnswer is what RetryNotifications answers.
type RetryNotificationsAnswer struct {
	Matched int64 `json:"matched"`
	Retried int64 `json:"retried"`
	DryRun  bool  `json:"dry_run"`
	// Nothing more fits.
	Complete bool `json:"complete"`
}

// TemplatePage is what ListTemplates answers.
type TemplatePage struct {
	Items      []Template `json:"items"`
	NextCursor string     `json:"next_cursor,omitzero"`
}

// Template is what GetTemplate answers.
type Template struct {
	Name        string `json:"name"`
	Description string `json:"description,omitzero"`
	Subject     string `json:"subject"`
	Text        string `json:"text"`
	HTML        string `json:"html,omitzero"`
	Version     int64  `json:"version"`
	CreatedAt   Time   `json:"created_at"`
	UpdatedAt   Time   `json:"updated_at"`
	UpdatedBy   string `json:"updated_by,omitzero"`
}

// NewTemplate is what PutTemplate is asked with.
type NewTemplate struct {
	// As in the path, if at all.
	Name        string `json:"name,omitzero"`
	Description string `json:"description,omitzero"`
	// A Go template; one line.
	Subject string `json:"subject"`
	// A Go template.
	Text string `json:"text"`
	// A Go template of HTML; what an event brings is escaped.
	HTML string `json:"html,omitzero"`
	// Ignored.
	Version *int64 `json:"version,omitzero"`
	// Ignored.
	CreatedAt Time `json:"created_at,omitzero"`
	// Ignored.
	UpdatedAt Time `json:"updated_at,omitzero"`
	// Ignored.
	UpdatedBy string `json:"updated_by,omitzero"`
}

// PreviewTemplateAnswer is what PreviewTemplate answers.
type PreviewTemplateAnswer struct {
	Subject string `json:"subject"`
	Text    string `json:"text"`
	// Empty when the template has none.
	HTML string `json:"html"`
}

// SilenceState is what .
type SilenceState string

// What SilenceState may be.
const (
	SilenceStatePending SilenceState = "pending"
	SilenceStateActive  SilenceState = "active"
	SilenceStateExpired SilenceState = "expired"
)

// SilencePage is what ListSilences answers.
type SilencePage struct {
	Items      []Silence `json:"items"`
	NextCursor string    `json:"next_cursor,omitzero"`
}

// Silence is what CreateSilence answers.
type Silence struct {
	SilenceID string       `json:"silence_id"`
	State     SilenceState `json:"state"`
	Condition Condition    `json:"condition"`
	Rules     []string     `json:"rules,omitzero"`
	From      Time         `json:"from"`
	Until     Time         `json:"until"`
	Author    string       `json:"author"`
	Comment   string       `json:"comment"`
	CreatedAt Time         `json:"created_at"`
	// When somebody ended it.
	ExpiredAt Time `json:"expired_at,omitzero"`
	// Notifications that it held back (10,000 at most).
	Held *int64 `json:"held,omitzero"`
}

// NewSilence: Until when: either `until` or `for`, at most a year.
type NewSilence struct {
	Condition Condition `json:"condition"`
	// Ids; none: all rules.
	Rules []string `json:"rules,omitzero"`
	// Now when it is absent.
	From  Time `json:"from,omitzero"`
	Until Time `json:"until,omitzero"`
	For   Span `json:"for,omitzero"`
	// Why, for those who ask why they heard nothing.
	Comment string `json:"comment"`
}

// SilencePreview is what CreateSilence answers.
type SilencePreview struct {
	Silence Silence `json:"silence"`
	From    Time    `json:"from"`
	Until   Time    `json:"until"`
	// That the condition matches.
	Events int64 `json:"events"`
	// Of them by one of its rules.
	Matched int64 `json:"matched"`
	// There are more; counting stopped.
	AtLeast bool `json:"at_least,omitzero"`
}

// CreateSilenceAnswer is what CreateSilence answers.
type CreateSilenceAnswer struct {
	SilencePreview *SilencePreview
	Silence        *Silence
}

// UnmarshalJSON reads the one that it is.
func (a *CreateSilenceAnswer) UnmarshalJSON(b []byte) error {
	return choose(b, choice{&a.SilencePreview, []string{"silence", "from", "until", "events", "matched"}}, choice{&a.Silence, []string{"silence_id", "state", "condition", "from", "until", "author", "comment", "created_at"}})
}

// MarshalJSON writes the one that there is.
func (a CreateSilenceAnswer) MarshalJSON() ([]byte, error) {
	if a.SilencePreview != nil {
		return json.Marshal(a.SilencePreview)
	}
	if a.Silence != nil {
		return json.Marshal(a.Silence)
	}
	return []byte("null"), nil
}

// TargetState is what .
type TargetState string

// What TargetState may be.
const (
	TargetStateOpen     TargetState = "open"
	TargetStateHalfOpen TargetState = "half_open"
	TargetStateClosed   TargetState = "closed"
	TargetStateDisabled TargetState = "disabled"
)

// TargetPage is what ListTargets answers.
type TargetPage struct {
	Items      []Target `json:"items"`
	NextCursor string   `json:"next_cursor,omitzero"`
}

// Target is what GetTarget answers.
type Target struct {
	TargetID string `json:"target_id"`
	// The host or channel.
	Target string      `json:"target"`
	State  TargetState `json:"state"`
	Reason string      `json:"reason,omitzero"`
	Since  Time        `json:"since"`
	// When one call probes it.
	RetryAt Time `json:"retry_at,omitzero"`
	// How often in a row without a success between.
	Opened    int64  `json:"opened"`
	By        string `json:"by,omitzero"`
	UpdatedAt Time   `json:"updated_at"`
}

// DisableTargetBody is what DisableTarget is asked with.
type DisableTargetBody struct {
	// For those who ask later.
	Reason string `json:"reason,omitzero"`
}

// ReplayState is what .
type ReplayState string

// What ReplayState may be.
const (
	ReplayStateWaiting   ReplayState = "waiting"
	ReplayStateRunning   ReplayState = "running"
	ReplayStatePaused    ReplayState = "paused"
	ReplayStateDone      ReplayState = "done"
	ReplayStateCancelled ReplayState = "cancelled"
	ReplayStateFailed    ReplayState = "failed"
)

// ReplayPage is what ListReplays answers.
type ReplayPage struct {
	Items      []Replay `json:"items"`
	NextCursor string   `json:"next_cursor,omitzero"`
}

// Replay is what CreateReplay answers.
type Replay struct {
	ReplayID  string      `json:"replay_id"`
	State     ReplayState `json:"state"`
	Condition Condition   `json:"condition"`
	From      Time        `json:"from"`
	To        Time        `json:"to"`
	// Empty: all.
	Rules         []string `json:"rules"`
	DryRun        bool     `json:"dry_run"`
	Rate          float64  `json:"rate"`
	SkipDelivered bool     `json:"skip_delivered"`
	// The enabled rules that it does not ask although all were asked for: they have windows.
	LeftOut   ReplayLeftOut `json:"left_out"`
	CreatedAt Time          `json:"created_at"`
	CreatedBy string        `json:"created_by"`
	StartedAt Time          `json:"started_at,omitzero"`
	EndedAt   Time          `json:"ended_at,omitzero"`
	UpdatedAt Time          `json:"updated_at"`
	// The process that works on it.
	Owner string `json:"owner,omitzero"`
	// Of the time range.
	Part float64 `json:"part"`
	// Timestamps up to it.
	DoneUntil Time           `json:"done_until"`
	Progress  ReplayProgress `json:"progress"`
	// Why it failed.
	Error string `json:"error,omitzero"`
}

// ReplayLeftOut is the enabled rules that it does not ask although all were asked for: they have windows.
type ReplayLeftOut struct {
	Count int64 `json:"count"`
	// The first 100.
	Rules []ReplayLeftOutRule `json:"rules"`
}

// ReplayLeftOutRule is what stands in ReplayLeftOut.Rules.
type ReplayLeftOutRule struct {
	RuleID string `json:"rule_id"`
	Name   string `json:"name"`
}

// ReplayProgress is what stands in Replay.Progress.
type ReplayProgress struct {
	// That were looked at.
	Events int64 `json:"events"`
	// Of an event by a rule.
	Matches int64 `json:"matches"`
	// New notifications.
	Made int64 `json:"made"`
	// Were dead, and begin anew.
	Retried int64 `json:"retried"`
	// Were delivered, and are called once more.
	Repeated int64 `json:"repeated"`
	// Held back, now or when they were decided.
	Held int64 `json:"held"`
	// Left alone: were delivered before.
	Delivered int64 `json:"delivered"`
	// Left alone: somebody is at it.
	UnderWay int64 `json:"under_way"`
	// Those that matched (500 at most).
	Rules []ReplayProgressRule `json:"rules"`
}

// ReplayProgressRule is what stands in ReplayProgress.Rules.
type ReplayProgressRule struct {
	RuleID  string `json:"rule_id"`
	Name    string `json:"name"`
	Matches int64  `json:"matches"`
	// New notifications.
	Made int64 `json:"made"`
	// Were dead, and begin anew.
	Retried int64 `json:"retried"`
	// Were delivered, and are called once more.
	Repeated int64 `json:"repeated"`
	// Held back, now or when they were decided.
	Held int64 `json:"held"`
	// Left alone: were delivered before.
	Delivered int64 `json:"delivered"`
	// Left alone: somebody is at it.
	UnderWay int64 `json:"under_way"`
	// The first events that matched.
	Samples []string `json:"samples"`
}

// NewReplay is what CreateReplay is asked with.
type NewReplay struct {
	Condition Condition `json:"condition,omitzero"`
	// Of the events' timestamps.
	From Time `json:"from"`
	// Exclusive, not in the future, at most 400 days after from; now when it is not given.
	To Time `json:"to,omitzero"`
	// The ids of those that decide; none: all that are enabled and have no window.
	Rules []string `json:"rules,omitzero"`
	// Only say how many events and notifications it would be, for each rule, before throttles and groups.
	DryRun bool `json:"dry_run,omitzero"`
	// Notifications a second; 0 is as fast as it goes.
	Rate          float64 `json:"rate,omitzero"`
	SkipDelivered *bool   `json:"skip_delivered,omitzero"`
}

// DeadLetterPage is what ListDeadLetters answers.
type DeadLetterPage struct {
	Items      []DeadLetter `json:"items"`
	NextCursor string       `json:"next_cursor,omitzero"`
}

// DeadLetter is what stands in DeadLetterPage.Items.
type DeadLetter struct {
	DeadID     string `json:"dead_id"`
	Queue      string `json:"queue"`
	Reason     string `json:"reason"`
	ErrorClass string `json:"error_class"`
	Error      string `json:"error"`
	// The id of error class and fingerprint.
	Cause string `json:"cause"`
	// The error text without what differs from message to message.
	Fingerprint    string   `json:"fingerprint"`
	EventID        string   `json:"event_id,omitzero"`
	EventTypes     []string `json:"event_types,omitzero"`
	NotificationID string   `json:"notification_id,omitzero"`
	RuleID         string   `json:"rule_id,omitzero"`
	Target         string   `json:"target,omitzero"`
	// Where it was published.
	Exchange      string `json:"exchange"`
	RoutingKey    string `json:"routing_key"`
	MessageID     string `json:"message_id,omitzero"`
	ContentType   string `json:"content_type,omitzero"`
	FirstFailedAt Time   `json:"first_failed_at,omitzero"`
	DeadAt        Time   `json:"dead_at"`
	Attempts      int64  `json:"attempts"`
	// RabbitMQ itself dead-lettered it.
	ByBroker   bool            `json:"by_broker"`
	Headers    json.RawMessage `json:"headers,omitzero"`
	BodySize   int64           `json:"body_size"`
	ReplayedAt Time            `json:"replayed_at,omitzero"`
	ReplayID   string          `json:"replay_id,omitzero"`
	PurgedAt   Time            `json:"purged_at,omitzero"`
}

// DeadLetterGroups is what GroupDeadLetters answers.
type DeadLetterGroups struct {
	Causes     int64                  `json:"causes"`
	Messages   int64                  `json:"messages"`
	Since      Time                   `json:"since,omitzero"`
	Items      []DeadLetterGroupsItem `json:"items"`
	NextCursor string                 `json:"next_cursor,omitzero"`
}

// DeadLetterGroupsItem is what stands in DeadLetterGroups.Items.
type DeadLetterGroupsItem struct {
	Queue       string `json:"queue"`
	Reason      string `json:"reason"`
	Cause       string `json:"cause"`
	ErrorClass  string `json:"error_class"`
	Fingerprint string `json:"fingerprint"`
	Messages    int64  `json:"messages"`
	Since       Time   `json:"since"`
	Last        Time   `json:"last"`
	// The newest one's dead_id.
	Example string `json:"example"`
	// And its whole error.
	Error string `json:"error"`
}

// DeadLetterReplay is what ReplayDeadLetters is asked with.
type DeadLetterReplay struct {
	// A work queue; a replay is of one.
	Queue  string                  `json:"queue"`
	Filter *DeadLetterReplayFilter `json:"filter,omitzero"`
	Limit  int64                   `json:"limit,omitzero"`
	// A second; 0 is as fast as it goes.
	Rate   float64 `json:"rate,omitzero"`
	DryRun bool    `json:"dry_run,omitzero"`
	// One first, and the others only if it succeeds.
	Canary bool `json:"canary,omitzero"`
	// The id of an enabled rule without a window: the stored events in the dead letters are given to it alone, instead of giving them back. Not with `canary`, and not of `ingester.events`, whose events were never stored.
	ToRule string `json:"to_rule,omitzero"`
}

// DeadLetterReplayFilter is what stands in DeadLetterReplay.Filter.
type DeadLetterReplayFilter struct {
	DeadID     string `json:"dead_id,omitzero"`
	Reason     string `json:"reason,omitzero"`
	ErrorClass string `json:"error_class,omitzero"`
	Cause      string `json:"cause,omitzero"`
	Rule       string `json:"rule,omitzero"`
	Target     string `json:"target,omitzero"`
	EventType  string `json:"event_type,omitzero"`
	// A part of the error text.
	Error     string    `json:"error,omitzero"`
	From      Time      `json:"from,omitzero"`
	To        Time      `json:"to,omitzero"`
	Condition Condition `json:"condition,omitzero"`
}

// DeadLetterReplayed is what ReplayDeadLetters answers.
type DeadLetterReplayed struct {
	// Stands in the records of what was replayed.
	ReplayID string `json:"replay_id,omitzero"`
	Queue    string `json:"queue"`
	DryRun   bool   `json:"dry_run"`
	Matched  int64  `json:"matched"`
	Replayed int64  `json:"replayed"`
	Failed   int64  `json:"failed"`
	Complete bool   `json:"complete"`
	Detail   string `json:"detail,omitzero"`
	// The first 100 that were met.
	DeadIDs  []string                    `json:"dead_ids"`
	Failures []DeadLetterReplayedFailure `json:"failures"`
}

// DeadLetterReplayedFailure is what stands in DeadLetterReplayed.Failures.
type DeadLetterReplayedFailure struct {
	DeadID string `json:"dead_id"`
	Error  string `json:"error"`
}

// ShownDeadLetter is what GetDeadLetter answers.
type ShownDeadLetter struct {
	DeadID     string `json:"dead_id"`
	Queue      string `json:"queue"`
	Reason     string `json:"reason"`
	ErrorClass string `json:"error_class"`
	Error      string `json:"error"`
	// The id of error class and fingerprint.
	Cause string `json:"cause"`
	// The error text without what differs from message to message.
	Fingerprint    string   `json:"fingerprint"`
	EventID        string   `json:"event_id,omitzero"`
	EventTypes     []string `json:"event_types,omitzero"`
	NotificationID string   `json:"notification_id,omitzero"`
	RuleID         string   `json:"rule_id,omitzero"`
	Target         string   `json:"target,omitzero"`
	// Where it was published.
	Exchange      string `json:"exchange"`
	RoutingKey    string `json:"routing_key"`
	MessageID     string `json:"message_id,omitzero"`
	ContentType   string `json:"content_type,omitzero"`
	FirstFailedAt Time   `json:"first_failed_at,omitzero"`
	DeadAt        Time   `json:"dead_at"`
	Attempts      int64  `json:"attempts"`
	// RabbitMQ itself dead-lettered it.
	ByBroker   bool            `json:"by_broker"`
	Headers    json.RawMessage `json:"headers,omitzero"`
	BodySize   int64           `json:"body_size"`
	ReplayedAt Time            `json:"replayed_at,omitzero"`
	ReplayID   string          `json:"replay_id,omitzero"`
	PurgedAt   Time            `json:"purged_at,omitzero"`
	// The body: a JSON value where it is one, else a text.
	Body json.RawMessage `json:"body,omitzero"`
	// A body that is neither.
	BodyBase64 string `json:"body_base64,omitzero"`
	// It is the beginning alone.
	BodyCut bool `json:"body_cut,omitzero"`
}

// Summary is what GetSummary answers.
type Summary struct {
	From            Time           `json:"from"`
	To              Time           `json:"to"`
	Count           int64          `json:"count"`
	Errors          int64          `json:"errors"`
	ErrorRate       float64        `json:"error_rate"`
	AverageSeverity float64        `json:"average_severity"`
	EventsPerMinute float64        `json:"events_per_minute"`
	Levels          Levels         `json:"levels"`
	ResponseTime    *ResponseTimes `json:"response_time,omitzero"`
	AnsweredFrom    AnsweredFrom   `json:"answered_from"`
	ByType          []Share        `json:"by_type"`
	BySource        []Share        `json:"by_source"`
	ByRegion        []Share        `json:"by_region"`
	Previous        *Figures       `json:"previous,omitzero"`
	// Against the range before.
	Change *SummaryChange `json:"change,omitzero"`
}

// Levels: Events by level.
type Levels struct {
	Info     int64 `json:"info"`
	Warning  int64 `json:"warning"`
	Error    int64 `json:"error"`
	Critical int64 `json:"critical"`
}

// ResponseTimes: In milliseconds; absent when no event names one.
type ResponseTimes struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	Min   float64 `json:"min"`
	Max   float64 `json:"max"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
}

// AnsweredFrom: Metrics hold what is counted, which is seconds behind at most; events are asked when a filter is beyond metrics.
type AnsweredFrom string

// What AnsweredFrom may be.
const (
	AnsweredFromMetrics AnsweredFrom = "metrics"
	AnsweredFromEvents  AnsweredFrom = "events"
)

// Share is what stands in Summary.ByType.
type Share struct {
	Value           string  `json:"value"`
	Count           int64   `json:"count"`
	Errors          int64   `json:"errors"`
	ErrorRate       float64 `json:"error_rate"`
	AverageSeverity float64 `json:"average_severity"`
	// In the range before.
	PreviousCount *int64 `json:"previous_count,omitzero"`
}

// Figures is what stands in Summary.Previous.
type Figures struct {
	From            Time           `json:"from"`
	To              Time           `json:"to"`
	Count           int64          `json:"count"`
	Errors          int64          `json:"errors"`
	ErrorRate       float64        `json:"error_rate"`
	AverageSeverity float64        `json:"average_severity"`
	EventsPerMinute float64        `json:"events_per_minute"`
	Levels          Levels         `json:"levels"`
	ResponseTime    *ResponseTimes `json:"response_time,omitzero"`
}

// SummaryChange: Against the range before.
type SummaryChange struct {
	// Relative: 0.25 is a quarter more; null when there was none.
	Count *float64 `json:"count"`
	// The difference.
	ErrorRate float64 `json:"error_rate"`
}

// Trends is what GetTrends answers.
type Trends struct {
	From         Time         `json:"from"`
	To           Time         `json:"to"`
	Period       string       `json:"period"`
	MetricType   string       `json:"metric_type"`
	By           string       `json:"by,omitzero"`
	AnsweredFrom AnsweredFrom `json:"answered_from"`
	Total        Line         `json:"total"`
	// The largest first.
	Series []Line `json:"series"`
	Others *Line  `json:"others,omitzero"`
}

// Line is what stands in Trends.Total.
type Line struct {
	// The value; empty of all events and of others.
	Name string `json:"name"`
	// Of its points together.
	Count  int64   `json:"count"`
	Points []Point `json:"points"`
}

// Point is what stands in Line.Points.
type Point struct {
	// When the window begins.
	Timestamp Time     `json:"timestamp"`
	Value     *float64 `json:"value"`
	// Events; of RESPONSE_TIME those that name one.
	Count  int64    `json:"count"`
	Errors int64    `json:"errors"`
	P50    *float64 `json:"p50,omitzero"`
	P95    *float64 `json:"p95,omitzero"`
	P99    *float64 `json:"p99,omitzero"`
	// The window has not ended.
	Open bool `json:"open,omitzero"`
}

// TopErrors is what GetTopErrors answers.
type TopErrors struct {
	From Time `json:"from"`
	To   Time `json:"to"`
	// How long each number of a sparkline is.
	SlotSeconds float64 `json:"slot_seconds"`
	Errors      int64   `json:"errors"`
	Causes      int64   `json:"causes"`
	// There are more causes than are kept apart: 20,000, with 32 MiB of texts; the rest is in errors alone.
	Truncated bool       `json:"truncated,omitzero"`
	Items     []TopError `json:"items"`
}

// TopError is what stands in TopErrors.Items.
type TopError struct {
	Type string `json:"type"`
	// Without what differs from event to event; empty when they say nothing.
	Error string `json:"error"`
	// As one of the latest says it.
	Example       string `json:"example"`
	Count         int64  `json:"count"`
	FirstSeen     Time   `json:"first_seen"`
	LastSeen      Time   `json:"last_seen"`
	AffectedUsers int64  `json:"affected_users"`
	// There are more users than were counted: 10,000 of a cause, 200,000 of all.
	MoreUsers     bool    `json:"more_users,omitzero"`
	SampleEventID string  `json:"sample_event_id"`
	Sparkline     []int64 `json:"sparkline"`
}

// GetUserActivityAnswer is what GetUserActivity answers.
type GetUserActivityAnswer struct {
	ActiveUsers  *ActiveUsers
	UserActivity *UserActivity
}

// UnmarshalJSON reads the one that it is.
func (a *GetUserActivityAnswer) UnmarshalJSON(b []byte) error {
	return choose(b, choice{&a.ActiveUsers, []string{"from", "to", "items"}}, choice{&a.UserActivity, []string{"from", "to", "user_id", "period", "count", "errors", "first_seen", "last_seen", "by_type", "timeline", "sessions", "sessions_count"}})
}

// MarshalJSON writes the one that there is.
func (a GetUserActivityAnswer) MarshalJSON() ([]byte, error) {
	if a.ActiveUsers != nil {
		return json.Marshal(a.ActiveUsers)
	}
	if a.UserActivity != nil {
		return json.Marshal(a.UserActivity)
	}
	return []byte("null"), nil
}

// ActiveUsers is what GetUserActivity answers.
type ActiveUsers struct {
	From  Time              `json:"from"`
	To    Time              `json:"to"`
	Items []ActiveUsersItem `json:"items"`
}

// ActiveUsersItem is what stands in ActiveUsers.Items.
type ActiveUsersItem struct {
	UserID   string `json:"user_id"`
	Count    int64  `json:"count"`
	Errors   int64  `json:"errors"`
	Sessions int64  `json:"sessions"`
	// Those of most of the events, 100 at most.
	Types     []string `json:"types"`
	FirstSeen Time     `json:"first_seen"`
	LastSeen  Time     `json:"last_seen"`
}

// UserActivity is what GetUserActivity answers.
type UserActivity struct {
	From      Time                   `json:"from"`
	To        Time                   `json:"to"`
	UserID    string                 `json:"user_id"`
	Period    string                 `json:"period"`
	Count     int64                  `json:"count"`
	Errors    int64                  `json:"errors"`
	FirstSeen *Time                  `json:"first_seen"`
	LastSeen  *Time                  `json:"last_seen"`
	ByType    []UserActivityByType   `json:"by_type"`
	Timeline  []UserActivityTimeline `json:"timeline"`
	Sessions  []UserActivitySession  `json:"sessions"`
	// All of the range, also beyond the limit; 10,000 at most.
	SessionsCount int64 `json:"sessions_count"`
	// There are more sessions than are told apart, which are those with the latest events; the rest is in the other counts alone.
	Truncated bool `json:"truncated,omitzero"`
}

// UserActivityByType is what stands in UserActivity.ByType.
type UserActivityByType struct {
	Value  string `json:"value"`
	Count  int64  `json:"count"`
	Errors int64  `json:"errors"`
}

// UserActivityTimeline is what stands in UserActivity.Timeline.
type UserActivityTimeline struct {
	Timestamp Time  `json:"timestamp"`
	Count     int64 `json:"count"`
	Errors    int64 `json:"errors"`
}

// UserActivitySession is what stands in UserActivity.Sessions.
type UserActivitySession struct {
	SessionID       string   `json:"session_id"`
	StartedAt       Time     `json:"started_at"`
	EndedAt         Time     `json:"ended_at"`
	DurationSeconds float64  `json:"duration_seconds"`
	Count           int64    `json:"count"`
	Errors          int64    `json:"errors"`
	Types           []string `json:"types"`
}

// MetricPage is what ListMetrics answers.
type MetricPage struct {
	Items      []Metric `json:"items"`
	NextCursor string   `json:"next_cursor,omitzero"`
}

// Metric is what stands in MetricPage.Items.
type Metric struct {
	MetricType string           `json:"metric_type"`
	Dimensions MetricDimensions `json:"dimensions"`
	Value      float64          `json:"value"`
	// Events; of RESPONSE_TIME those that name one.
	Count int64 `json:"count"`
	// Of ERROR_RATE.
	Errors *int64  `json:"errors,omitzero"`
	Levels *Levels `json:"levels,omitzero"`
	// Of EVENTS_COUNT.
	SeveritySum *int64 `json:"severity_sum,omitzero"`
	// Of RESPONSE_TIME, in milliseconds, as the percentiles.
	Min *float64 `json:"min,omitzero"`
	Max *float64 `json:"max,omitzero"`
	P50 *float64 `json:"p50,omitzero"`
	P95 *float64 `json:"p95,omitzero"`
	P99 *float64 `json:"p99,omitzero"`
	// Rises with each change; late events correct their windows.
	Revision int64 `json:"revision"`
	// When the window begins.
	Timestamp Time   `json:"timestamp"`
	Period    string `json:"period"`
	CreatedAt Time   `json:"created_at"`
	UpdatedAt Time   `json:"updated_at"`
}

// MetricDimensions is what stands in Metric.Dimensions.
type MetricDimensions struct {
	EventType string `json:"event_type"`
	Source    string `json:"source"`
	Region    string `json:"region"`
}

// GetLagAnswer is what GetLag answers.
type GetLagAnswer struct {
	Items []StageLag `json:"items"`
}

// StageLag is what stands in GetLagAnswer.Items.
type StageLag struct {
	Stage string `json:"stage"`
	// Counted up to 100,000.
	Batches int64 `json:"batches"`
	// That the oldest has waited.
	Seconds float64 `json:"seconds"`
}

// Status is what GetStatus answers.
type Status struct {
	Events StatusEvents `json:"events"`
	// By status: exact up to 100,000; if one has more, it is the rest of what the database says that there are.
	Notifications map[string]int64 `json:"notifications"`
	// The statuses of which there are more than `notifications` says: several have 100,000 or more.
	NotificationsAtLeast []string `json:"notifications_at_least,omitzero"`
	// Of all queues, as they were recorded: neither replayed nor purged. Counted up to 1,000.
	DeadLettersWaiting int64 `json:"dead_letters_waiting"`
	// There may be more than `dead_letters_waiting` says.
	DeadLettersAtLeast bool                `json:"dead_letters_at_least,omitzero"`
	Lag                map[string]StageLag `json:"lag"`
	Leases             []StatusLease       `json:"leases"`
	StreamClients      int64               `json:"stream_clients"`
}

// StatusEvents is what stands in Status.Events.
type StatusEvents struct {
	Stored      int64 `json:"stored"`
	Unprocessed int64 `json:"unprocessed"`
}

// StatusLease is what stands in Status.Leases.
type StatusLease struct {
	Name   string `json:"name"`
	Holder string `json:"holder"`
	Term   int64  `json:"term"`
}

// User is what GetMe answers.
type User struct {
	UserID      string      `json:"user_id"`
	Email       string      `json:"email"`
	Name        string      `json:"name"`
	Role        Role        `json:"role"`
	Preferences Preferences `json:"preferences"`
	APIKeys     []Key       `json:"api_keys"`
	// Rises with every change, but for those of keys.
	Version int64 `json:"version"`
	// The address of whoever made it.
	CreatedBy string `json:"created_by,omitzero"`
	CreatedAt Time   `json:"created_at"`
	UpdatedAt Time   `json:"updated_at"`
}

// Role: A user reads, tries and previews; an admin changes.
type Role string

// What Role may be.
const (
	RoleAdmin Role = "admin"
	RoleUser  Role = "user"
)

// Preferences is what stands in User.Preferences.
type Preferences struct {
	// None is the default channel.
	NotificationChannels []string `json:"notification_channels"`
	// None is all.
	EventTypes []string `json:"event_types"`
}

// Key is what stands in User.APIKeys.
type Key struct {
	ID string `json:"id"`
	// The key's first characters.
	Prefix string `json:"prefix"`
	// What it is for.
	Name      string `json:"name,omitzero"`
	CreatedAt Time   `json:"created_at"`
	// Noted once a minute at most; none was never used.
	LastUsedAt Time `json:"last_used_at,omitzero"`
	// None is never.
	ExpiresAt Time `json:"expires_at,omitzero"`
}

// OwnChange is what PatchMe is asked with.
type OwnChange struct {
	Name        Change[string]         `json:"name,omitzero"`
	Preferences Change[NewPreferences] `json:"preferences,omitzero"`
}

// NewPreferences is what stands in OwnChange.Preferences.
type NewPreferences struct {
	// Names of `GET /api/v1/channels`; none is the default channel.
	NotificationChannels []string `json:"notification_channels,omitzero"`
	// None is all.
	EventTypes []string `json:"event_types,omitzero"`
}

// UserPage is what ListUsers answers.
type UserPage struct {
	Items      []User `json:"items"`
	NextCursor string `json:"next_cursor,omitzero"`
}

// NewUser is what CreateUser is asked with.
type NewUser struct {
	// Known by it in lower case, and to nobody else.
	Email       string          `json:"email"`
	Name        string          `json:"name,omitzero"`
	Role        Role            `json:"role,omitzero"`
	Preferences *NewPreferences `json:"preferences,omitzero"`
	Key         *KeyWish        `json:"key,omitzero"`
}

// KeyWish is what stands in NewUser.Key.
type KeyWish struct {
	// What it is for.
	Name string `json:"name,omitzero"`
	// When it ends, in ten years at most; never if you leave it out.
	ExpiresAt Time `json:"expires_at,omitzero"`
}

// CreatedUser is what CreateUser answers.
type CreatedUser struct {
	UserID      string      `json:"user_id"`
	Email       string      `json:"email"`
	Name        string      `json:"name"`
	Role        Role        `json:"role"`
	Preferences Preferences `json:"preferences"`
	APIKeys     []Key       `json:"api_keys"`
	// Rises with every change, but for those of keys.
	Version int64 `json:"version"`
	// The address of whoever made it.
	CreatedBy string `json:"created_by,omitzero"`
	CreatedAt Time   `json:"created_at"`
	UpdatedAt Time   `json:"updated_at"`
	// The key, when one was asked for; never shown again.
	APIKey string `json:"api_key,omitzero"`
}

// UserChange is what PatchUser is asked with.
type UserChange struct {
	Email       Change[string]         `json:"email,omitzero"`
	Name        Change[string]         `json:"name,omitzero"`
	Role        Change[Role]           `json:"role,omitzero"`
	Preferences Change[NewPreferences] `json:"preferences,omitzero"`
}

// KeyPage is what ListKeys answers.
type KeyPage struct {
	Items []OwnedKey `json:"items"`
}

// OwnedKey is what stands in KeyPage.Items.
type OwnedKey struct {
	ID string `json:"id"`
	// The key's first characters.
	Prefix string `json:"prefix"`
	// What it is for.
	Name      string `json:"name,omitzero"`
	CreatedAt Time   `json:"created_at"`
	// Noted once a minute at most; none was never used.
	LastUsedAt Time `json:"last_used_at,omitzero"`
	// None is never.
	ExpiresAt Time `json:"expires_at,omitzero"`
	// Whose it is.
	UserID string `json:"user_id"`
}

// NewKey is what CreateKey is asked with.
type NewKey struct {
	// What it is for.
	Name string `json:"name,omitzero"`
	// When it ends, in ten years at most; never if you leave it out.
	ExpiresAt Time `json:"expires_at,omitzero"`
	// Whose it is to be; other than your own, for admins alone.
	UserID string `json:"user_id,omitzero"`
}

// MadeKey is what CreateKey answers.
type MadeKey struct {
	ID string `json:"id"`
	// The key's first characters.
	Prefix string `json:"prefix"`
	// What it is for.
	Name      string `json:"name,omitzero"`
	CreatedAt Time   `json:"created_at"`
	// Noted once a minute at most; none was never used.
	LastUsedAt Time `json:"last_used_at,omitzero"`
	// None is never.
	ExpiresAt Time `json:"expires_at,omitzero"`
	// Whose it is.
	UserID string `json:"user_id"`
	// The key, which is never shown again.
	APIKey string `json:"api_key"`
}

// RotateKeyBody is what RotateKey is asked with.
type RotateKeyBody struct {
	// How long the old key still works: 0s to 30d.
	Overlap string `json:"overlap,omitzero"`
}

// AuditPage is what ListAudit answers.
type AuditPage struct {
	Items      []AuditEntry `json:"items"`
	NextCursor string       `json:"next_cursor,omitzero"`
}

// AuditEntry is what stands in AuditPage.Items.
type AuditEntry struct {
	AuditID string `json:"audit_id"`
	At      Time   `json:"at"`
	// The address of a user, or the process that did it by itself.
	By     string `json:"by"`
	Kind   string `json:"kind"`
	Action string `json:"action"`
	// The id of what was changed.
	Subject string `json:"subject,omitzero"`
	// The log has the request under it.
	RequestID string `json:"request_id,omitzero"`
	// What else there is to say.
	Detail json.RawMessage `json:"detail,omitzero"`
	// None of what is new.
	Before json.RawMessage `json:"before,omitzero"`
	// None of what was deleted.
	After json.RawMessage `json:"after,omitzero"`
}

// BeginSessionBody is what BeginSession is asked with.
type BeginSessionBody struct {
	Key string `json:"key"`
}

// Session is what BeginSession answers.
type Session struct {
	User User `json:"user"`
	// The key that it stands for, and ends with.
	KeyID string `json:"key_id"`
	// What X-CSRF-Token must be, in every change by the cookie.
	CsrfToken string `json:"csrf_token"`
	// When it ends, if its key does not before.
	ExpiresAt Time `json:"expires_at"`
}

// GetLivezAnswer is what GetLivez answers.
type GetLivezAnswer struct {
	Status string `json:"status"`
}

// GetReadyzAnswer is what GetReadyz answers.
type GetReadyzAnswer struct {
	Ready   bool              `json:"ready"`
	Reasons map[string]string `json:"reasons,omitzero"`
}

// Health is what GetHealth answers.
type Health struct {
	// One of ok, degraded, down.
	Status           string                     `json:"status"`
	Service          string                     `json:"service"`
	Instance         string                     `json:"instance"`
	Version          string                     `json:"version"`
	UptimeSeconds    int64                      `json:"uptime_seconds"`
	Components       map[string]HealthComponent `json:"components"`
	Workers          []string                   `json:"workers"`
	LagBudgetSeconds float64                    `json:"lag_budget_seconds"`
	Lag              []StageLag                 `json:"lag,omitzero"`
	// Why it is not known.
	LagUnknown string `json:"lag_unknown,omitzero"`
}

// HealthComponent is what GetHealthMongoDB answers.
type HealthComponent struct {
	// One of ok, down.
	Status string `json:"status"`
	Reason string `json:"reason,omitzero"`
}

// GetHealthRedisAnswer is what GetHealthRedis answers.
type GetHealthRedisAnswer struct {
	Error string `json:"error"`
	See   string `json:"see"`
}

// Problem: Every error, as RFC 9457 has it.
type Problem struct {
	Type string `json:"type"`
	// What the status means.
	Title  string `json:"title"`
	Status int64  `json:"status"`
	// For programs; it does not change.
	Code string `json:"code"`
	// For people: what is wrong with this request.
	Detail string `json:"detail,omitzero"`
	// The log has the error under it.
	RequestID string `json:"request_id,omitzero"`
	// Every mistake of the request.
	Errors []Flaw `json:"errors,omitzero"`

	// How long to wait before the same request, 0 when nothing was said.
	RetryAfter time.Duration `json:"-"`
}

// CloudEvent is a CloudEvent 1.0 in JSON. Its `type` becomes the event's in UPPER_SNAKE (`com.example.payment.failed` is `COM_EXAMPLE_PAYMENT_FAILED`),
// `time` the timestamp, `data` the payload; the extensions `severity`, `userid`, `sessionid`, `traceid` and `region` have their places in
// the event, others are found in its metadata.
type CloudEvent struct {
	Specversion string `json:"specversion"`
	// With `source`, what makes it unique: a repeat is stored once.
	ID              string `json:"id"`
	Source          string `json:"source"`
	Type            string `json:"type"`
	Time            Time   `json:"time,omitzero"`
	Datacontenttype string `json:"datacontenttype,omitzero"`
	// Any JSON; what is no object is found as `payload.data`.
	Data       json.RawMessage `json:"data,omitzero"`
	DataBase64 string          `json:"data_base64,omitzero"`
}

// ReplayFigures is what .
type ReplayFigures struct {
	// New notifications.
	Made int64 `json:"made"`
	// Were dead, and begin anew.
	Retried int64 `json:"retried"`
	// Were delivered, and are called once more.
	Repeated int64 `json:"repeated"`
	// Held back, now or when they were decided.
	Held int64 `json:"held"`
	// Left alone: were delivered before.
	Delivered int64 `json:"delivered"`
	// Left alone: somebody is at it.
	UnderWay int64 `json:"under_way"`
}
