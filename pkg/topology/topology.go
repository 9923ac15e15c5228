// Package topology is the ONE table of exchanges, queues, bindings, routes,
// retry tiers and dead-letter queues. Every process declares all of it at
// start; eactl prints, checks and exports it.
package topology

import (
	"slices"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
)

// The exchanges, without prefix. All are topic exchanges and durable.
const (
	ExchangeEvents  = "events" // public: producers publish here
	ExchangeStored  = "ea.stored"
	ExchangeActions = "ea.actions"
	ExchangeControl = "ea.control"
	ExchangeRetry   = "ea.retry"
	ExchangeDead    = "ea.dead"
)

// innerExchanges are those that carry the pipeline's own messages.
var innerExchanges = []string{ExchangeStored, ExchangeActions, ExchangeControl, ExchangeRetry, ExchangeDead}

// The work queues, without prefix.
const (
	Ingest                = "ingester.events"
	RuleWorkerCritical    = "rule-worker.critical"
	RuleWorkerNormal      = "rule-worker.normal"
	Aggregate             = "aggregator.stored"
	DeadLetters           = "aggregator.dead-letters" // a copy of every dead letter, to be recorded
	NotificationsCritical = "notifications.critical"
	NotificationsDefault  = "notifications.default"
	WebhooksCritical      = "webhooks.critical"
	WebhooksDefault       = "webhooks.default"
)

// Keys of the pipeline's own messages.
const (
	KeyStoredCritical = "stored.critical"
	KeyStoredNormal   = "stored.normal"
	KeyDelivery       = "events.notification.delivery" // outcome events, in ExchangeEvents
	KeyRulesChanged   = "rules.changed"                // in ExchangeControl
	KeySilences       = "silences.changed"             // in ExchangeControl
)

// Work is one row: a work queue and what leads messages to it.
type Work struct {
	Name     string // without prefix
	Exchange string
	Key      string // "" in ExchangeDead: the dead letters of every other queue
	Tiers    []time.Duration
	Dispatch bool // a queue of the action-dispatcher
}

// Table is the topology under one prefix.
type Table struct {
	prefix string
	work   []Work
}

// pipelineTiers bound how late a batch can be after a failure of its own.
var pipelineTiers = []time.Duration{time.Second, 10 * time.Second, time.Minute}

// dispatchTiers are what a delivery's retry schedule is made of.
var dispatchTiers = action.Tiers()

// New is the table under prefix, with the dispatcher's queues that the
// configuration names besides the four standard ones.
func New(prefix string, dispatchQueues ...string) Table {
	t := Table{prefix: prefix, work: []Work{
		{Name: Ingest, Exchange: ExchangeEvents, Key: "#", Tiers: pipelineTiers},
		{Name: RuleWorkerCritical, Exchange: ExchangeStored, Key: KeyStoredCritical, Tiers: pipelineTiers},
		{Name: RuleWorkerNormal, Exchange: ExchangeStored, Key: KeyStoredNormal, Tiers: pipelineTiers},
		{Name: Aggregate, Exchange: ExchangeStored, Key: "stored.#", Tiers: pipelineTiers},
		// No tiers: a copy must keep the headers of its dead letter, and what
		// cannot be recorded at once waits in the queue itself.
		{Name: DeadLetters, Exchange: ExchangeDead},
	}}
	standard := []string{NotificationsCritical, NotificationsDefault, WebhooksCritical, WebhooksDefault}
	for _, name := range append(standard, dispatchQueues...) {
		if !slices.ContainsFunc(t.work, func(w Work) bool { return w.Name == name }) {
			t.work = append(t.work, Work{Name: name, Exchange: ExchangeActions, Key: name, Tiers: dispatchTiers, Dispatch: true})
		}
	}
	return t
}

// Prefix goes before every exchange and queue name.
func (t Table) Prefix() string { return t.prefix }

// Exchange is an exchange's name on the broker.
func (t Table) Exchange(name string) string { return t.prefix + name }

// InnerExchanges are the names on the broker of those that carry the pipeline's
// own messages: what anybody else publishes there is a forgery.
func (t Table) InnerExchanges() []string {
	names := make([]string, len(innerExchanges))
	for i, name := range innerExchanges {
		names[i] = t.prefix + name
	}
	return names
}

// Queues lists the work queues.
func (t Table) Queues() []Work { return slices.Clone(t.work) }

// DispatchQueues lists the names (without prefix) that a rule's action may use.
func (t Table) DispatchQueues() []string {
	var names []string
	for _, w := range t.work {
		if w.Dispatch {
			names = append(names, w.Name)
		}
	}
	return names
}

// keys are the routing keys that lead to a work queue. The copies of dead
// letters are bound for each owner and not by "#": what the recorder itself
// cannot handle lies in its own dead-letter queue and must not come back to it.
func (t Table) keys(w Work) []string {
	if w.Exchange != ExchangeDead {
		return []string{w.Key}
	}
	var owners []string
	for _, other := range t.work {
		if other.Name != w.Name {
			owners = append(owners, t.prefix+other.Name)
		}
	}
	return owners
}

// Work is what a consumer or reader of the queue must know; name is without
// prefix. An unknown name gives the zero WorkQueue, which no Consumer accepts.
func (t Table) Work(name string) broker.WorkQueue {
	for _, w := range t.work {
		if w.Name == name {
			return broker.WorkQueue{
				Name:          t.prefix + w.Name,
				RetryExchange: t.prefix + ExchangeRetry,
				DeadExchange:  t.prefix + ExchangeDead,
				Tiers:         w.Tiers,
				Schedule:      w.Tiers,
			}
		}
	}
	return broker.WorkQueue{}
}
