// Package dispatcher carries out what rules owe: it takes delivery orders from
// the action queues, makes each call, records the attempt, and only then lets
// the message go: delivered, to a retry tier, or to the dead letters.
//
// The order is what keeps the promise that nothing is lost and nothing done
// twice without saying so: call → record → consequence (confirmed) → ack. A
// process that dies between two of these steps leaves a message that comes
// again; it then reads the record and repeats the consequence that stands there
// instead of calling.
package dispatcher

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/action/seal"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// Ledger keeps the notifications' records. Its errors that are outages
// (broker.IsOutage) say nothing about the notification.
type Ledger interface {
	// Claim takes a notification that is still at the attempt before the given
	// one, for the holder of the token until then, unless another's claim is in
	// force. Found false: there is no such notification.
	Claim(ctx context.Context, c Claim) (Claimed, error)
	// Reopen makes a dead one pending, with a schedule that begins anew, once for
	// each replay of its dead letter, unless somebody calls for it at the moment.
	Reopen(ctx context.Context, id, replay string, now time.Time) (n notification.Notification, found bool, err error)
	// Release ends the token's claim, if it is in force.
	Release(ctx context.Context, id, token string) error
	// ClaimForced takes a forced attempt; not granted, it was made, or is being
	// made, or another request has replaced it.
	ClaimForced(ctx context.Context, id, nonce, token string, now, until time.Time) (Claimed, error)
	// RecordForced records it; false when the number is taken.
	RecordForced(ctx context.Context, id, nonce string, a notification.Attempt, now time.Time) (bool, error)
	// RecordAttempts records in bulk; answers are in the records' order.
	RecordAttempts(ctx context.Context, now time.Time, records []Record) ([]Recorded, error)
	// Config is the action's configuration as it is recorded, nil when there is no
	// such notification.
	Config(ctx context.Context, id string) (bson.Raw, error)
}

// Publisher publishes with confirms.
type Publisher interface {
	Publish(ctx context.Context, msgs ...broker.Message) error
}

// Options of a Dispatcher.
type Options struct {
	Instance          string        // the worker's name in attempts, unique among processes
	Dashboard         string        // its address, for links; "": not known
	TargetConcurrency int           // calls of one target at a time, by all dispatchers
	TargetRate        int           // calls of one target a second, by all dispatchers; 0: no limit
	BreakerWait       time.Duration // before a failing target is probed
	Timeout           time.Duration // of a call; an action can ask for less
	ClaimFor          time.Duration
	Schedule          []time.Duration // before attempts 2, 3, …
	QueueSchedules    map[string][]time.Duration
	AllowNetworks     []netip.Prefix // that calls may reach although they are not public
	ResponseExcerpt   int            // bytes of an answer that are recorded
	Resolver          *net.Resolver  // nil: the system's
	Secrets           *seal.Keys     // open the secrets of actions; nil: none is encrypted
	// Messages publishes what PUBLISH actions send. Its own channel: the broker
	// closes one on which somebody publishes to an exchange that does not exist.
	// nil: the dispatcher's publisher.
	Messages Publisher
	// What SEND_NOTIFICATION needs.
	Channels       map[string]channel
	DefaultChannel string
	Letters        Letters
	People         People
}

// Dispatcher carries out notifications; Loop makes it work on a queue.
type Dispatcher struct {
	o         Options
	ledger    Ledger
	publisher Publisher
	topology  topology.Table
	executors map[string]executor
	recorder  *recorder
	breakers  *breakers
	fellows   fellows
	rates     rates
	metrics   *metrics
	log       *zap.Logger
	auditLog  *zap.Logger // where each attempt has its line

	missingSaid atomic.Int64 // when a missing key was last complained of
}

// New makes a dispatcher.
func New(o Options, ledger Ledger, targets Targets, publisher Publisher, t topology.Table, reg prometheus.Registerer, log *zap.Logger) *Dispatcher {
	m := newMetrics(reg)
	if o.Messages == nil {
		o.Messages = publisher
	}
	return &Dispatcher{
		o: o, ledger: ledger, publisher: publisher, topology: t,
		executors: executors(o, o.Messages, t, log),
		breakers:  newBreakers(targets, o, m, log),
		recorder:  &recorder{ledger: ledger, metrics: m, log: log},
		metrics:   m, log: log, auditLog: log.Named("audit"),
	}
}

// Close ends the connections that are kept for further calls.
func (d *Dispatcher) Close(context.Context) error {
	for _, e := range d.executors {
		if c, ok := e.(interface{ closeIdle() }); ok {
			c.closeIdle()
		}
	}
	return nil
}

// order is one message on its way through the dispatcher.
type order struct {
	delivery *broker.Delivery
	queue    string // without prefix
	msg      notification.Message
	call     call
	missing  *seal.MissingKeyError // the key of the message's secrets; call is not known then
	failed   time.Time             // when the first attempt that failed was made, by the record

	// The lane's, while it has the order.
	line                 *line
	waitingIn            *line // nil once it is called
	arrivedAt, startedAt time.Time
}

// open reads a delivery. Its errors are verdicts: permanent, since the bytes do
// not change.
func (d *Dispatcher) open(queue string, delivery *broker.Delivery) (*order, error) {
	var msg notification.Message
	var err error
	if failed := guarded(func() { msg, err = d.topology.Actions().Decode(delivery.Message) }); failed != nil {
		return nil, broker.Permanent(failed)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case msg.Notification.ID == "":
		return nil, broker.Permanent(&topology.Malformed{Err: errors.New("the message names no notification")})
	case msg.Attempt < 1:
		return nil, broker.Permanent(&topology.Malformed{Err: errors.New("the message asks for no attempt")})
	case msg.Event.Validate() != nil:
		return nil, broker.Permanent(&topology.Malformed{Err: errors.New("the message carries no readable event")})
	case msg.Notification.Action.Config != nil && msg.Notification.Action.Config.Validate() != nil:
		return nil, broker.Permanent(&topology.Malformed{Err: errors.New("the message carries no readable action")})
	}
	msg.Dashboard = d.o.Dashboard
	o := &order{delivery: delivery, queue: queue, msg: msg}
	config, err := d.o.Secrets.Open(msg.Notification.Action.Config)
	if errors.As(err, &o.missing) {
		return o, nil // its record is asked when it is its turn
	}
	// Only what calls sees the secrets: the order's message may be published again.
	msg.Notification.Action.Config = config
	o.call = d.prepare(msg, err)
	return o, nil
}

// handledBefore says that this very message may have got as far as a record: it
// was given out before, also when it was held back in a tier since.
func (o *order) handledBefore() bool { return o.delivery.Redelivered || o.delivery.DeliveryCount > 0 }

// mustClaim says that somebody else may be calling for this notification, or
// has, or has cancelled it: then the record is asked before the endpoint. A first
// delivery is called without reading anything; one that waited in a tier is none,
// since it may have waited for somebody's claim, or whoever put it there died
// before the ack and left two of it.
func (o *order) mustClaim() bool {
	return o.handledBefore() || o.msg.Republished || o.delivery.Replayed || o.msg.Attempt > 1 || !o.delivery.FirstFailedAt.IsZero()
}

// panicked says that handling an order failed for a mistake in the program.
func (d *Dispatcher) panicked(o *order, failed *panicked) {
	d.log.Error("handling a notification panicked", zap.String(telemetry.FieldNotification, o.msg.Notification.ID),
		zap.Error(failed), zap.ByteString("stack", failed.stack))
}
