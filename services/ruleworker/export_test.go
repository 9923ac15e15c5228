package ruleworker

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/silence"
)

// WireImpatient is Wire with no time for window rules while batches wait.
func WireImpatient(ctx context.Context, p *app.Process) error {
	return wire(ctx, p, func(w *Worker) { w.Windows.patience.ask = time.Nanosecond })
}

// WireOn is Wire with something between window rules and the database.
func WireOn(between func(WindowStore) WindowStore) app.Wire {
	return func(ctx context.Context, p *app.Process) error {
		return wire(ctx, p, func(w *Worker) { w.Windows.store = between(w.Windows.store) })
	}
}

// WireSeeding is Wire that reads so many events at most of what came before a rule.
func WireSeeding(limit int) app.Wire {
	return func(ctx context.Context, p *app.Process) error {
		return wire(ctx, p, func(w *Worker) { w.Windows.seedLimit = limit })
	}
}

// WireGroupsOn is Wire with something between groups and the database.
func WireGroupsOn(between func(GroupStore) GroupStore) app.Wire {
	return func(ctx context.Context, p *app.Process) error {
		return wire(ctx, p, func(w *Worker) { w.Groups = between(w.Groups) })
	}
}

// Portions are what slots owe as transactions commit it: in each the slots, how
// many notifications, and whether the slot stays due.
func Portions(dues []window.Due, owed []decision.Owed) (slots [][]window.Due, owe [][]decision.Owed, part []bool) {
	for _, p := range portions(dues, owed) {
		slots, owe, part = append(slots, p.dues), append(owe, p.owed), append(part, p.part)
	}
	return slots, owe, part
}

// GroupsOf are the keys of one rule's due slots as evaluations decide them.
func GroupsOf(ctx context.Context, r rule.Rule, dues []window.Due) (keys [][]string, err error) {
	one := &windowRule{rule: &r, parts: r.Window.Parts()}
	groups, err := (&windows{}).groupDues(ctx, map[string]*windowRule{r.ID: one}, dues, &duesOutcome{}, time.Now())
	for _, g := range groups {
		keys = append(keys, g.keys())
	}
	return keys, err
}

// Ingest is what the timer knows about ingest.
type Ingest struct{ ingest }

// NewIngest knows nothing yet.
func NewIngest() *Ingest {
	return &Ingest{ingest{log: zap.NewNop(), metrics: newMetrics(prometheus.NewRegistry())}}
}

// Answer is what the broker says at a time; until is until when what happened is
// stored.
func (i *Ingest) Answer(at time.Time, ready, consumers int, err error, newest ...time.Time) (until time.Time) {
	i.answered(at, ready, consumers, 0, newest, err)
	return i.until
}

// Reported is what the broker says when ingesters have reported; nothing is ready.
func (i *Ingest) Reported(at time.Time, said []IngestReport, newest ...time.Time) (until time.Time) {
	i.answered(at, 0, 1, i.heldBy(said, at), newest, nil)
	return i.until
}

// DatabaseAway says that the database was away.
func (i *Ingest) DatabaseAway() { i.databaseAway() }

// EventOfGroup is the event that a group's notification carries when its samples
// were read while it was listed, and its alert; silenced by which silence.
func EventOfGroup(listed, g decision.Group, events map[string]bson.Raw, silences ...silence.Silence) (event bson.Raw, alert *notification.Alert, silenced string) {
	w := &Worker{Holder: newHolder(NewSilences(nil, zap.NewNop(), time.Now), zap.NewNop())}
	set, _ := silence.NewSet(silences)
	w.Holder.silences.current.Store(set)
	t := teller{w: w, now: time.Now(), listed: map[string]decision.Group{listed.ID: listed}, events: events}
	event, alert, by := t.event(g, "rule", g.Told())
	if by != nil {
		silenced = by.ID
	}
	return event, alert, silenced
}

// WireReplaysOn is Wire with something between replays and the database.
func WireReplaysOn(between func(Replays) Replays) app.Wire {
	return func(ctx context.Context, p *app.Process) error {
		return wire(ctx, p, func(w *Worker) { w.Replays = between(w.Replays) })
	}
}
