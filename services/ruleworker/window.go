package ruleworker

import (
	"context"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// WindowStore is what rules with windows need of the database. Its errors are
// outages, or say that the database refuses something.
type WindowStore interface {
	// RuleEvents are the stored events that a rule's windows count.
	RuleEvents(r *rule.Rule) window.Source
	EventsByID(ctx context.Context, ids []primitive.ObjectID) (map[primitive.ObjectID]bson.Raw, error)
	ExistingNotifications(ctx context.Context, ids []string) (map[string]bool, error)
	// AddDues makes slots due that are not, or that somebody is deciding already.
	AddDues(ctx context.Context, dues []window.Due) error
	// FollowDues makes slots due that are not.
	FollowDues(ctx context.Context, dues []window.Due) error
	// ClaimDues takes slots whose time has come; those of settled parts that were
	// due by a time of their own; those of some rules are left alone.
	ClaimDues(ctx context.Context, now, settled time.Time, limit int, without ...string) (token primitive.ObjectID, dues []window.Due, err error)
	DropDues(ctx context.Context, token primitive.ObjectID, dues []window.Due) error
	PostponeDues(ctx context.Context, token primitive.ObjectID, dues []window.Due, until time.Time, why string) error
	// SleepDues is PostponeDues of what nobody tried to decide.
	SleepDues(ctx context.Context, token primitive.ObjectID, dues []window.Due, until time.Time, why string) error
	// DecideDues commits what due slots owe and takes them away, but for those
	// that have changed.
	DecideDues(ctx context.Context, at time.Time, token primitive.ObjectID, dues []window.Due, owed []decision.Owed) (committed []decision.Owed, err error)
	// OweDue commits a part of what a slot owes; the slot stays claimed.
	OweDue(ctx context.Context, at time.Time, token primitive.ObjectID, due window.Due, owed []decision.Owed) (committed []decision.Owed, err error)
	// Announce makes an event about a rule owed, if it is not.
	Announce(ctx context.Context, a decision.Announcement) error
	// HandOverDues takes slots of versions of a rule before one from whoever is
	// deciding them, by id after an id, and lists those that nobody has decided.
	HandOverDues(ctx context.Context, ruleID string, version int, after string, limit int) (dues []window.Due, last string, err error)
	// RuleVersion is a rule as it was, and what became of it.
	RuleVersion(ctx context.Context, id string, version int) (rule.Rule, RuleFate, error)
}

// RuleFate is what became of a version of a rule.
type RuleFate int8

// A version that is RuleGone has no successor with a window.
const (
	RuleCurrent RuleFate = iota
	RuleReplaced
	RuleDisabled // the rule is there, and may be enabled again
	RuleGone
)

// windows evaluates the rules that look at more than one event.
type windows struct {
	store     WindowStore
	log       *zap.Logger
	metrics   *metrics
	retention time.Duration // of notifications
	patience  patience
	seedLimit int // events that are read for what came before a rule

	mu   sync.Mutex
	of   *rule.Set // that byID was made of
	byID map[string]*windowRule

	known    known
	terms    window.Terms
	slow     slowRules
	warnings warnings
}

func newWindows(store WindowStore, retention time.Duration, log *zap.Logger, m *metrics) *windows {
	return &windows{store: store, retention: retention, patience: patienceDefault, seedLimit: window.MaxObservations, log: log, metrics: m}
}

// windowRule is a rule with its parts.
type windowRule struct {
	rule   *rule.Rule
	parts  []window.Part
	source window.Source
	fate   RuleFate
}

func (w *windows) compile(r *rule.Rule) *windowRule {
	return &windowRule{rule: r, parts: r.Window.Parts(), source: w.store.RuleEvents(r)}
}

// in are the set's rules with windows, by id.
func (w *windows) in(set *rule.Set) map[string]*windowRule {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == set {
		return w.byID
	}
	before := w.byID
	w.of, w.byID = set, map[string]*windowRule{}
	for _, c := range set.Windows() {
		if old := before[c.Rule.ID]; old != nil && old.rule.Version == c.Rule.Version {
			w.byID[c.Rule.ID] = old
			continue
		}
		w.byID[c.Rule.ID] = w.compile(&c.Rule)
	}
	return w.byID
}

// touched are the events of some batches that fulfil the conditions of rules
// with windows.
type touched struct{ rules map[string]*touchedRule }

type touchedRule struct {
	rule   *rule.Rule
	events []touchedEvent
}

type touchedEvent struct {
	at, stored time.Time
	key        string
	raw        bson.Raw
}

func (t *touched) add(r *rule.Rule, raw bson.Raw) {
	if t.rules == nil {
		t.rules = map[string]*touchedRule{}
	}
	of := t.rules[r.ID]
	if of == nil {
		of = &touchedRule{rule: r}
		t.rules[r.ID] = of
	}
	at, _ := raw.Lookup("timestamp").TimeOK()
	stored, _ := raw.Lookup("created_at").TimeOK()
	of.events = append(of.events, touchedEvent{at: at, stored: stored, key: rule.WindowKey(raw, r.Window.GroupBy), raw: raw})
}

// events are all, by _id.
func (t *touched) events() map[primitive.ObjectID]bson.Raw {
	byID := map[primitive.ObjectID]bson.Raw{}
	for _, r := range t.rules {
		for _, e := range r.events {
			if id, ok := e.raw.Lookup("_id").ObjectIDOK(); ok {
				byID[id] = e.raw
			}
		}
	}
	return byID
}
