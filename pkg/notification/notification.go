// Package notification is one action owed for one match: its document, its
// identity and the message that carries it to the dispatcher.
package notification

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/bson"
)

// Status is where a notification stands.
type Status string

// Pending is the only status that can change by itself; a delivered
// notification never leaves delivered.
const (
	Pending    Status = "pending"
	Delivered  Status = "delivered"
	Dead       Status = "dead"
	Suppressed Status = "suppressed"
)

// Why a notification is suppressed, in the order in which a match is asked: the
// first reason is the one that is recorded.
const (
	Shadow    = "shadow"    // the rule decides and does nothing
	Silenced  = "silenced"  // a silence matches the event
	Muted     = "muted"     // the rule's weekly time
	Paused    = "paused"    // the rule had its matches of this hour
	Throttled = "throttled" // another notification of the key was let through
	Grouped   = "grouped"   // the group's notification stands for it
	Disabled  = "disabled"  // the rule was disabled or deleted before its group was told
)

// Why a notification is suppressed after it was decided.
const (
	TargetDisabled = "target_disabled" // its endpoint was disabled
	Cancelled      = "cancelled"       // somebody cancelled it
)

// Held says more about what holds a suppressed notification back.
type Held struct {
	ID    string     `bson:"id,omitempty" json:"id,omitempty"` // of the silence, throttle or group
	Until *time.Time `bson:"until,omitempty" json:"until,omitempty"`
}

// Action is the snapshot of a rule's action at the moment of the match.
type Action struct {
	Type   string   `bson:"type" json:"type"`
	Config bson.Raw `bson:"config,omitempty" json:"-"`
}

// Outcome of one attempt.
type Outcome string

// What an attempt came to: OK delivers; Retry is tried again while the
// schedule lasts; Permanent is dead at once.
const (
	OutcomeOK        Outcome = "ok"
	OutcomeRetry     Outcome = "retry"
	OutcomePermanent Outcome = "permanent"
)

// Attempt is one call of the outside world.
type Attempt struct {
	Number          int       `bson:"number" json:"number"` // 1 is the first
	At              time.Time `bson:"at" json:"at"`
	DurationMS      int64     `bson:"duration_ms" json:"duration_ms"`
	Outcome         Outcome   `bson:"outcome" json:"outcome"`
	StatusCode      int       `bson:"status_code,omitempty" json:"status_code,omitempty"`
	ErrorClass      string    `bson:"error_class,omitempty" json:"error_class,omitempty"`
	Error           string    `bson:"error,omitempty" json:"error,omitempty"`
	ResponseExcerpt string    `bson:"response_excerpt,omitempty" json:"response_excerpt,omitempty"`
	RetryAfterMS    int64     `bson:"retry_after_ms,omitempty" json:"retry_after_ms,omitempty"` // what the receiver asked for
	Forced          string    `bson:"forced,omitempty" json:"forced,omitempty"`                 // the nonce, of a forced one
	Receipts        []string  `bson:"receipts,omitempty" json:"receipts,omitempty"`             // who got it, of an action with several receivers
	Worker          string    `bson:"worker,omitempty" json:"worker,omitempty"`
}

// Notification is a document of the collection `notifications`, the outbox.
type Notification struct {
	ID          string `bson:"_id" json:"notification_id"`
	EventID     string `bson:"event_id" json:"event_id"`
	RuleID      string `bson:"rule_id" json:"rule_id"`
	RuleVersion int    `bson:"rule_version" json:"rule_version"`
	RuleName    string `bson:"rule_name" json:"rule_name"`
	Action      Action `bson:"action" json:"action"`
	Queue       string `bson:"queue" json:"queue"`
	Status      Status `bson:"status" json:"status"`
	Reason      string `bson:"reason,omitempty" json:"reason,omitempty"`
	Held        *Held  `bson:"held,omitempty" json:"held,omitempty"`
	// HeldBack is how many matches the throttle held since it let one through
	// before this one.
	HeldBack      int        `bson:"held_back,omitempty" json:"held_back,omitempty"`
	Attempts      []Attempt  `bson:"attempts" json:"attempts"`
	AttemptCount  int        `bson:"attempt_count" json:"attempt_count"`
	NextAttemptAt *time.Time `bson:"next_attempt_at,omitempty" json:"next_attempt_at,omitempty"`
	Claim         *Claim     `bson:"claim,omitempty" json:"-"`
	Alert         *Alert     `bson:"alert,omitempty" json:"alert,omitempty"`
	Group         *Group     `bson:"group,omitempty" json:"group,omitempty"`
	// Base is how many attempts there were when somebody had it tried again: the
	// schedule begins anew with the one after.
	Base int `bson:"base,omitempty" json:"base,omitempty"`
	// ReopenedBy is the replay of its dead letter that made it pending again, so
	// that one replay does it once.
	ReopenedBy string `bson:"reopened_by,omitempty" json:"-"`
	// Forced is one more attempt that somebody asked for, whatever the status.
	Forced *Forced `bson:"forced,omitempty" json:"forced,omitempty"`
	// Trial: somebody wanted to see what the action does; no match owes it.
	Trial bool `bson:"trial,omitempty" json:"trial,omitempty"`
	// ReplayID is the replay that made it.
	ReplayID string `bson:"replay_id,omitempty" json:"replay_id,omitempty"`
	// Unpublished is set while the first message of a notification that belongs
	// to no batch (a timer or a replay decided it) is not confirmed, or that of
	// one more attempt.
	Unpublished bool `bson:"unpublished,omitempty" json:"-"`
	// Orders is how often somebody asked for one more message. Who has published
	// one marks that one: a later one may still be unpublished.
	Orders    int       `bson:"orders,omitempty" json:"-"`
	CreatedAt time.Time `bson:"created_at" json:"created_at"`
	UpdatedAt time.Time `bson:"updated_at" json:"updated_at"`
	ExpiresAt time.Time `bson:"expires_at" json:"expires_at"`
}

// Receipts are all receivers that got it so far.
func (n Notification) Receipts() []string {
	var all []string
	for _, a := range n.Attempts {
		all = append(all, a.Receipts...)
	}
	return all
}

// FirstFailedAt is when the first attempt was made that failed, zero when none
// did. What was lost or replayed since does not change it.
func (n Notification) FirstFailedAt() time.Time {
	for _, a := range n.Attempts {
		if a.Outcome != OutcomeOK {
			return a.At
		}
	}
	return time.Time{}
}

// Summary says in one line what the notification is about.
func (n Notification) Summary() string {
	switch {
	case n.Group != nil:
		return fmt.Sprintf("rule %s matched %d times, last event %s", n.RuleName, n.Group.Matches, n.EventID)
	case n.Alert != nil:
		return "rule " + n.RuleName + ": " + n.Alert.Text
	default:
		return "rule " + n.RuleName + " matched event " + n.EventID
	}
}

// Suppress holds the notification back, unless something did before.
func (n *Notification) Suppress(reason string, by Held) {
	if n.Status != Pending {
		return
	}
	n.Status, n.Reason, n.Unpublished = Suppressed, reason, false
	if by != (Held{}) {
		n.Held = &by
	}
}

// Again is the notification when somebody has it tried again: pending, with a
// schedule that begins anew, and unpublished until its message is confirmed. It
// stands for a forced attempt that is not made yet: that one, made between, would
// take the number that this one's message asks for.
func (n Notification) Again(now time.Time) Notification {
	if n.Forced != nil && !n.Forced.Done {
		n.Forced = nil
	}
	n.Status, n.Reason, n.Held, n.NextAttemptAt, n.Claim = Pending, "", nil, nil, nil
	n.Base, n.Unpublished, n.Orders, n.UpdatedAt = n.AttemptCount, true, n.Orders+1, now
	return n
}

// Claim holds a notification for one dispatcher for a bounded time while its
// message was redelivered or published again.
type Claim struct {
	Token string    `bson:"token"`
	Until time.Time `bson:"until"`
}

// Forced is one attempt beyond what is owed. Its nonce tells it from others, so
// that one request is one call, and the next request another.
type Forced struct {
	Nonce string    `bson:"nonce" json:"nonce"`
	At    time.Time `bson:"at" json:"at"`
	By    string    `bson:"by" json:"by"`
	Done  bool      `bson:"done" json:"done"`
}

// ID is the notification's identity: the same match finds its own row again.
func ID(eventID, ruleID string, ruleVersion, actionIndex int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d\x00%d", eventID, ruleID, ruleVersion, actionIndex))
	return "ntf_" + hex.EncodeToString(sum[:16])
}

// AlertID is the identity of a window rule's alert: whoever finds it again, in
// whichever window of the slot, finds the same row.
func AlertID(ruleID string, ruleVersion, actionIndex int, key bson.Raw, slot int64) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%d\x00%d\x00%d\x00", ruleID, ruleVersion, actionIndex, slot)
	h.Write(key)
	return "ntf_" + hex.EncodeToString(h.Sum(nil)[:16])
}

// outcomeNamespace makes outcome events' ids distinct from all other UUIDv5s.
var outcomeNamespace = uuid.MustParse("5f0e3b2a-0b5f-5c39-9a0e-6f5f5a3c9d11")

// OutcomeEventID is the event_id of the NOTIFICATION_DELIVERY event about a
// terminal status, so that publishing it again is a duplicate.
func OutcomeEventID(notificationID string, s Status, attempt int) string {
	return uuid.NewSHA1(outcomeNamespace, fmt.Appendf(nil, "%s\x00%s\x00%d", notificationID, s, attempt)).String()
}

// Message is one delivery order in ea.actions and in the retry tiers. It
// carries all that a call needs, so a first delivery reads nothing.
type Message struct {
	Notification Notification `bson:"notification"` // without attempts
	Event        bson.Raw     `bson:"event"`        // the stored document
	Attempt      int          `bson:"attempt"`      // the attempt that this message asks for, 1 is the first
	Republished  bool         `bson:"republished,omitempty"`
	// Receipts are the receivers that got it by earlier attempts.
	Receipts []string `bson:"receipts,omitempty"`
	// Force is the nonce of a forced attempt, see Forced.
	Force string `bson:"force,omitempty"`
	// Dashboard is the dashboard's address, as the process knows it that carries
	// the message out; "" when nobody told it. It does not travel.
	Dashboard string `bson:"-"`
}

// Link is the dashboard's page of the notification, "" without a dashboard.
func (m Message) Link() string { return m.page("notifications", m.Notification.ID) }

// RuleLink is the dashboard's page of the rule, "" without a dashboard.
func (m Message) RuleLink() string { return m.page("rules", m.Notification.RuleID) }

func (m Message) page(view, id string) string {
	if m.Dashboard == "" {
		return ""
	}
	return m.Dashboard + "/#/" + view + "/" + url.PathEscape(id)
}
