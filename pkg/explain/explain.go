// Package explain says why a rule did, or did not do, something about an event:
// from the condition's clauses through what holds back to each attempt of
// delivery. Its first line is for somebody who was woken by it. It is pure; who
// asks brings the facts.
package explain

import (
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// Facts are what is known about a rule and an event.
type Facts struct {
	// Rule is the version that is judged: the one that was in force when the event
	// was decided, else the current one, or a draft.
	Rule  rule.Rule
	Draft bool
	// Current is the rule as it is now; nil when it is deleted, or a draft of none.
	Current *rule.Rule
	Event   bson.Raw
	Now     time.Time

	// DecidedAt is when the event was decided, zero when it was not, or that is not
	// known any more. InForce says what was in force then.
	DecidedAt time.Time
	InForce   InForce
	Waiting   string // how far the rule-workers are behind, while the event waits

	Tellings      []window.Telling
	Notifications []notification.Notification // of this rule because of this event
	Silences      map[string]string           // comments of the silences that held back, by id
}

// InForce is how a rule stood when an event was decided.
type InForce struct {
	Known   bool // false: nothing below says anything
	Version int  // 0: the rule did not exist
	Deleted bool
	Exact   bool // found by the rules' stamp; otherwise by time, which may be seconds off
	Since   time.Time
	By      string
}

// Outcome is what became of a rule and an event, for programs.
type Outcome string

// The outcomes.
const (
	NotFired   Outcome = "not_fired"
	NotDecided Outcome = "not_decided"
	Waits      Outcome = "waits" // for its window to settle
	Held       Outcome = "held"
	Nothing    Outcome = "fired_without_action"
	Pending    Outcome = "pending"
	Delivered  Outcome = "delivered"
	Dead       Outcome = "dead"
	WouldFire  Outcome = "would_fire"
	WouldNot   Outcome = "would_not_fire"
)

// Answer is the explanation.
type Answer struct {
	Text    string  `json:"text"`
	Outcome Outcome `json:"outcome"`
	// Steps are what an event goes through, in order, up to the one that decided.
	Steps []Step `json:"steps"`
	// Condition is that of the version that was judged.
	Condition rule.Explanation `json:"condition"`
	// ConditionNow is that of the current version, when it is another one.
	ConditionNow *rule.Explanation `json:"condition_now,omitempty"`
}

// Step is one station of an event.
type Step struct {
	Name string `json:"name"` // decided, rule, guard, condition, window, noise, delivery, now
	OK   bool   `json:"ok"`   // the event went on from here
	Text string `json:"text"`
}

// Explain tells the story of a rule and an event. The error is a condition that
// does not compile here: it was saved by another version of the product.
func Explain(f Facts) (Answer, error) {
	compiled, err := rule.Compile(f.Rule.Conditions)
	if err != nil {
		return Answer{}, fmt.Errorf("rule %q (version %d): %w", f.Rule.Name, f.Rule.Version, err)
	}
	s := &story{Facts: f, compiled: compiled}
	s.answer.Condition = compiled.Explain(f.Event)
	s.tell()
	s.sayNow()
	return s.answer, nil
}

type story struct {
	Facts

	compiled *rule.Condition
	answer   Answer
	saidNow  bool // the first line speaks of the current version already
}

func (s *story) step(name string, ok bool, format string, args ...any) {
	s.answer.Steps = append(s.answer.Steps, Step{name, ok, fmt.Sprintf(format, args...)})
}

// end is the outcome with its sentence.
func (s *story) end(o Outcome, format string, args ...any) {
	s.answer.Outcome, s.answer.Text = o, fmt.Sprintf(format, args...)
}

// tell goes from station to station until one decides.
func (s *story) tell() {
	stops := []func() bool{s.decided, s.rule, s.guard, s.condition, s.window, s.delivery}
	if s.Draft {
		stops = []func() bool{s.guard, s.condition, s.window, s.wouldAct}
	}
	for _, stop := range stops {
		if stop() {
			return
		}
	}
}

// fails is how a sentence about what did not happen begins.
func (s *story) fails() (Outcome, string) {
	if s.Draft {
		return WouldNot, "would not fire: "
	}
	return NotFired, "did not fire: "
}

func (s *story) decided() bool {
	processed, _ := s.Event.Lookup("processed").BooleanOK()
	if !processed {
		s.step("decided", false, "the event is stored, and no rule-worker has decided it yet%s", s.Waiting)
		s.end(NotDecided, "not decided yet: the event waits for a rule-worker%s", s.Waiting)
		return true
	}
	switch {
	case s.DecidedAt.IsZero():
		s.step("decided", true, "decided, longer ago than it is kept by which versions; the current one is judged")
	case !s.InForce.Known:
		s.step("decided", true, "decided at %s", clock(s.DecidedAt))
	default:
		s.step("decided", true, "decided at %s%s", clock(s.DecidedAt), s.version())
	}
	return false
}

// version is what was in force, as the end of a sentence.
func (s *story) version() string {
	if s.InForce.Version == 0 {
		return ""
	}
	about := ""
	if !s.InForce.Exact {
		about = " about"
	}
	return fmt.Sprintf(", by%s version %d of the rule", about, s.InForce.Version)
}

func (s *story) rule() bool {
	in := s.InForce
	var why string
	switch {
	case in.Known && in.Version == 0:
		why = fmt.Sprintf("the rule did not exist yet when the event was decided at %s", clock(s.DecidedAt))
	case in.Known && in.Deleted:
		why = fmt.Sprintf("the rule was deleted at %s by %s, before the event was decided", clock(in.Since), in.By)
	case in.Known && !s.Rule.Enabled:
		why = fmt.Sprintf("the rule was disabled when the event was decided (version %d, of %s by %s)", in.Version, clock(in.Since), in.By)
	case !in.Known && !s.Rule.Enabled:
		why = fmt.Sprintf("the rule is disabled (version %d)", s.Rule.Version)
	default:
		s.step("rule", true, "the rule was enabled")
		return false
	}
	if in.Known && s.Current != nil && s.Current.Enabled && s.Current.Version > in.Version {
		s.saidNow = true
		why += fmt.Sprintf("; version %d, of %s, is enabled", s.Current.Version, clock(s.Current.UpdatedAt))
	}
	s.step("rule", false, "%s", why)
	s.end(NotFired, "did not fire: %s", why)
	return true
}

func (s *story) guard() bool {
	why := s.compiled.Guarded(s.Event)
	if why == "" {
		return false
	}
	s.step("guard", false, "%s", why)
	o, begin := s.fails()
	s.end(o, "%s%s", begin, why)
	return true
}

func (s *story) condition() bool {
	e := s.answer.Condition
	s.step("condition", e.Matched, "%s", e.Text)
	if e.Matched {
		return false
	}
	o, begin := s.fails()
	s.end(o, "%s%s", begin, e.Text)
	return true
}

func (s *story) window() bool {
	if s.Rule.Window == nil || len(s.Notifications) > 0 {
		return false
	}
	var waits, lacks *window.Telling
	for i := range s.Tellings {
		t := &s.Tellings[i]
		s.step("window", t.Fired, "%s: %s", s.Rule.Window.Kind, t.Text)
		switch {
		case t.Fired:
			return false
		case t.Waits != nil && waits == nil:
			waits = t
		case lacks == nil:
			lacks = t
		}
	}
	o, begin := s.fails()
	switch {
	case waits != nil:
		s.end(Waits, "not decided yet: the condition matches, and %s", waits.Text)
	case lacks != nil:
		s.end(o, "%sthe condition matches, but its %s window did not: %s", begin, s.Rule.Window.Kind, lacks.Text)
	default:
		s.end(o, "%sthe condition matches, and nothing is known of its %s window", begin, s.Rule.Window.Kind)
	}
	return true
}

func (s *story) wouldAct() bool {
	text := s.answer.Condition.Text
	if s.Rule.Window != nil {
		text += "; " + s.answer.Steps[len(s.answer.Steps)-1].Text
	}
	s.end(WouldFire, "would fire: %s%s", text, s.shadowed())
	return true
}

func (s *story) shadowed() string {
	if s.Rule.Mode == rule.Shadow {
		return "; its mode is shadow, so it would decide and do nothing"
	}
	return ""
}

// sayNow adds what the current version would say, when it is another one.
func (s *story) sayNow() {
	if s.Draft || s.Current == nil || !s.InForce.Known || s.Current.Version == s.Rule.Version {
		return
	}
	compiled, err := rule.Compile(s.Current.Conditions)
	if err != nil {
		s.step("now", false, "the current version %d does not compile here: %s", s.Current.Version, err)
		return
	}
	now := compiled.Explain(s.Event)
	s.answer.ConditionNow = &now
	matches := now.Matched && s.Current.Enabled
	verdict := "would match"
	switch {
	case !s.Current.Enabled:
		verdict = "is disabled"
	case !now.Matched:
		verdict = "would not match: " + now.Text
	}
	s.step("now", matches, "the current version %d %s", s.Current.Version, verdict)
	if s.saidNow {
		return
	}
	if fired := s.answer.Condition.Matched && s.answer.Outcome != NotFired; fired != matches && s.answer.Outcome != NotDecided {
		s.answer.Text += fmt.Sprintf(" (version %d; the current version %d %s)", s.Rule.Version, s.Current.Version, verdict)
	}
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }
