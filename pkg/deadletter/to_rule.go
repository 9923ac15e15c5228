package deadletter

import (
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// ErrNotStored: a rule decides stored events, and what ingest refused is none.
var ErrNotStored = errors.New("the dead letters of " + topology.Ingest + " are events that were never stored: replay them to their owner, and every rule sees them")

// ErrNoCanary: that a rule matches one says nothing about the others.
var ErrNoCanary = errors.New("there is no canary for events that are given to a rule: try it with a limit of 1")

// toRule gives the stored events that a dead letter holds to a rule-worker, for one
// rule alone. Given twice, the rule's notifications find themselves.
func (q *Queue) toRule(l *Letter, ruleID, replayID string) (broker.Message, error) {
	worker := q.table.Work(topology.RuleWorkerNormal)
	b := event.Batch{ID: replayID, Rules: []string{ruleID}, StoredAt: l.DeadAt, Events: storedEvents(l.document)}
	if len(b.Events) == 0 {
		return broker.Message{}, fmt.Errorf("dead letter %s holds no stored event", l.ID)
	}
	b.FirstID, _ = b.Events[0].Lookup("_id").ObjectIDOK()
	b.LastID, _ = b.Events[len(b.Events)-1].Lookup("_id").ObjectIDOK()
	m, err := q.table.Stored().Encode(b)
	m.Exchange, m.RoutingKey = worker.RetryExchange, worker.Name
	return m, err
}

// storedEvents are those of a delivery order, or of a batch. What stands for an
// alert or a group has no _id: no rule can decide it.
func storedEvents(doc bson.Raw) []bson.Raw {
	var found []bson.Raw
	take := func(v bson.RawValue) {
		raw, is := v.DocumentOK()
		if _, stored := raw.Lookup("_id").ObjectIDOK(); is && stored {
			found = append(found, raw)
		}
	}
	take(doc.Lookup("event"))
	list, _ := doc.Lookup("events").ArrayOK()
	values, err := list.Values()
	if err != nil {
		return found
	}
	for _, v := range values {
		take(v)
	}
	return found
}
