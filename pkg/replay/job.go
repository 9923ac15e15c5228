// Package replay is the deciding of stored events once more: which events, by
// which rules, how far it has come, and what the events of a page come to. It
// does no I/O.
package replay

import (
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// State is where a replay stands.
type State string

// A replay that waits is taken when those before it are over. What is done or
// cancelled is over for good; what failed can be resumed from where it was.
const (
	Waiting   State = "waiting"
	Running   State = "running"
	Paused    State = "paused"
	Done      State = "done"
	Cancelled State = "cancelled"
	Failed    State = "failed"
)

// States are all of them.
var States = []State{Waiting, Running, Paused, Done, Cancelled, Failed}

// Over says that nobody works on the replay any more.
func (s State) Over() bool { return s == Done || s == Cancelled || s == Failed }

// Job is a document of the collection `replays`. Its position and its figures are
// saved in the transaction of the work that they stand for.
type Job struct {
	ID        string    `bson:"_id"`
	State     State     `bson:"state"`
	Condition bson.Raw  `bson:"condition"` // which events, as a rule's
	From      time.Time `bson:"from"`      // of their timestamps
	To        time.Time `bson:"to"`        // exclusive
	Rules     []string  `bson:"rules,omitempty"`
	DryRun    bool      `bson:"dry_run"`
	Rate      float64   `bson:"rate"` // notifications a second, 0: as fast as it goes
	// SkipDelivered leaves alone what was delivered. Without it, what was is called
	// once more, under its own id.
	SkipDelivered bool `bson:"skip_delivered"`
	// LeftOut are the enabled rules that it does not ask, though all were asked for:
	// they have windows.
	LeftOut LeftOut `bson:"left_out"`

	CreatedAt time.Time  `bson:"created_at"`
	CreatedBy string     `bson:"created_by"`
	StartedAt *time.Time `bson:"started_at,omitempty"`
	EndedAt   *time.Time `bson:"ended_at,omitempty"`
	UpdatedAt time.Time  `bson:"updated_at"`
	ExpiresAt *time.Time `bson:"expires_at,omitempty"` // from the end

	// Term is that of the lease of who works on it, and Step counts the saved
	// pages: a write that names others is by somebody whose turn is over.
	Term     int64    `bson:"term"`
	Owner    string   `bson:"owner,omitempty"`
	Step     int64    `bson:"step"`
	Position Position `bson:"position"`
	Progress Progress `bson:"progress"`
	Error    string   `bson:"error,omitempty"`
}

// LeftOut is how many rules are left out, and which, the first ones.
type LeftOut struct {
	Count int         `bson:"count" json:"count"`
	Rules []NamedRule `bson:"rules" json:"rules"`
}

// NamedRule is a rule for a reader.
type NamedRule struct {
	RuleID string `bson:"_id" json:"rule_id"`
	Name   string `bson:"name" json:"name"`
}

// leftOutShown keeps the document small.
const leftOutShown = 100

// Windowed notes the enabled rules with windows that a replay by all rules leaves
// out.
func (j *Job) Windowed(rules []NamedRule) {
	j.LeftOut = LeftOut{Count: len(rules), Rules: slices.Clone(rules[:min(len(rules), leftOutShown)])}
}

// Position is up to where events are done, in the order of (timestamp, _id).
type Position struct {
	Timestamp time.Time          `bson:"timestamp"`
	ID        primitive.ObjectID `bson:"id"`
}

// Retention is how long a replay is kept after its end.
const Retention = 90 * 24 * time.Hour

// Begin is a job that waits for its turn.
func (j Job) Begin(id, by string, now time.Time) Job {
	j.ID, j.CreatedBy, j.CreatedAt, j.UpdatedAt = id, by, now, now
	j.State, j.Position = Waiting, Position{Timestamp: j.From}
	j.Progress.Rules = []RuleProgress{}
	return j
}

// Asks says whether a rule is one of those that decide.
func (j Job) Asks(ruleID string) bool { return len(j.Rules) == 0 || slices.Contains(j.Rules, ruleID) }

// Part is how much of the time range is done, 0 to 1.
func (j Job) Part() float64 {
	if j.State == Done {
		return 1
	}
	whole := j.To.Sub(j.From)
	if whole <= 0 {
		return 0
	}
	return min(1, max(0, float64(j.Position.Timestamp.Sub(j.From))/float64(whole)))
}

// Counts say what became of what rules owe for events, an action each.
type Counts struct {
	Made      int64 `bson:"made" json:"made"`           // new notifications
	Retried   int64 `bson:"retried" json:"retried"`     // were dead, and begin anew
	Repeated  int64 `bson:"repeated" json:"repeated"`   // were delivered, and are called once more
	Held      int64 `bson:"held" json:"held"`           // held back, now or when they were decided
	Delivered int64 `bson:"delivered" json:"delivered"` // left alone: were delivered before
	UnderWay  int64 `bson:"under_way" json:"under_way"` // left alone: somebody is at it
}

func (c Counts) plus(d Counts) Counts {
	return Counts{Made: c.Made + d.Made, Retried: c.Retried + d.Retried, Repeated: c.Repeated + d.Repeated,
		Held: c.Held + d.Held, Delivered: c.Delivered + d.Delivered, UnderWay: c.UnderWay + d.UnderWay}
}

// Sent is how many calls it leads to.
func (c Counts) Sent() int64 { return c.Made + c.Retried + c.Repeated }

// Progress is what a replay came to so far; of a dry run, what it would.
type Progress struct {
	Events  int64 `bson:"events" json:"events"`   // that were looked at
	Matches int64 `bson:"matches" json:"matches"` // of an event by a rule
	Counts  `bson:",inline"`

	Rules []RuleProgress `bson:"rules" json:"rules"` // that matched, the first ones
}

// RuleProgress is the part of one rule.
type RuleProgress struct {
	RuleID  string `bson:"rule_id" json:"rule_id"`
	Name    string `bson:"name" json:"name"`
	Matches int64  `bson:"matches" json:"matches"`
	Counts  `bson:",inline"`
	Samples []string `bson:"samples" json:"samples"` // ids of the first events that matched
}

const (
	// rulesShown and samplesShown keep the document small: it is written with every
	// page.
	rulesShown   = 500
	samplesShown = 5
)

// plus adds the figures of another page. p is left as it is.
func (p Progress) plus(q Progress) Progress {
	sum := Progress{Events: p.Events + q.Events, Matches: p.Matches + q.Matches, Counts: p.Counts.plus(q.Counts), Rules: slices.Clone(p.Rules)}
	for _, r := range q.Rules {
		at := slices.IndexFunc(sum.Rules, func(have RuleProgress) bool { return have.RuleID == r.RuleID })
		switch {
		case at >= 0:
			have := &sum.Rules[at]
			have.Name, have.Matches, have.Counts = r.Name, have.Matches+r.Matches, have.plus(r.Counts)
			have.Samples = firstOf(have.Samples, r.Samples)
		case len(sum.Rules) < rulesShown:
			r.Samples = firstOf(nil, r.Samples)
			sum.Rules = append(sum.Rules, r)
		}
	}
	return sum
}

func firstOf(have, more []string) []string {
	all := slices.Concat(have, more)
	return all[:min(len(all), samplesShown)]
}

// After is the job when one page more is saved, up to a position; last says that
// nothing is left.
func (j Job) After(page Progress, to Position, last bool, now time.Time) Job {
	j.Step, j.Position, j.Progress, j.UpdatedAt = j.Step+1, to, j.Progress.plus(page), now
	if last {
		j = j.Ended(Done, now)
	}
	return j
}

// Ended is the job when it is over.
func (j Job) Ended(state State, now time.Time) Job {
	expires := now.Add(Retention)
	j.State, j.EndedAt, j.UpdatedAt, j.ExpiresAt = state, &now, now, &expires
	return j
}
