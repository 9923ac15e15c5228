package ruleworker

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/pkg/decision"
)

// WireImpatient is Wire with no time for window rules while batches wait.
func WireImpatient(ctx context.Context, p *app.Process) error {
	impatient := patienceDefault
	impatient.ask = time.Nanosecond
	return wire(ctx, p, impatient)
}

// EventOfGroup is the event that a group's notification carries when its samples
// were read while it was listed.
func EventOfGroup(listed, g decision.Group, events map[string]bson.Raw) bson.Raw {
	w := &Worker{Holder: newHolder(NewSilences(nil, zap.NewNop(), time.Now), zap.NewNop())}
	t := teller{w: w, now: time.Now(), listed: map[string]decision.Group{listed.ID: listed}, events: events}
	event, _ := t.event(g, g.Told())
	return event
}
