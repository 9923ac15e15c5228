package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// Dispatcher is the section of the action-dispatcher.
type Dispatcher struct {
	Queues            map[string]Queue // the four standard ones, and any that are added
	TargetConcurrency int
	TargetRate        int // calls a second, 0: no limit
	BreakerWait       time.Duration
	Timeout           time.Duration
	Schedule          []time.Duration            // before attempts 2, 3, …
	Schedules         map[string][]time.Duration // by queue
	ClaimFor          time.Duration
	AllowNetworks     []netip.Prefix
	ResponseExcerpt   int // bytes
}

// Queue is one dispatch queue.
type Queue struct {
	Concurrency int
}

var (
	queueShape = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*$`)
	// ownQueues belong to other processes, or are made for each work queue.
	ownQueues = regexp.MustCompile(`^(ingester|rule-worker|aggregator|ea|events)\.|\.dead$|\.retry\.|^amq\.`)
)

func (d *Dispatcher) keys(r *registry) {
	r.queues("queues", &d.Queues, map[string]Queue{
		"notifications.critical": {Concurrency: 16},
		"notifications.default":  {Concurrency: 16},
		"webhooks.critical":      {Concurrency: 32},
		"webhooks.default":       {Concurrency: 32},
	}, 1, 1000, "Deliveries under way at the same time, by queue. Names that are added become queues of their own that rules can use; the four standard ones stay.",
		"queue names such as mail or webhooks.slow (lower case, not those of other processes)",
		func(name string) bool {
			return len(name) <= 100 && queueShape.MatchString(name) && !ownQueues.MatchString(name)
		})
	r.integer("target_concurrency", &d.TargetConcurrency, 8, 1, 1000,
		"Most calls of one target (URL host) at the same time, by all dispatchers together, so that one that hangs leaves room for the others.")
	r.integer("target_rate", &d.TargetRate, 0, 0, 1_000_000, "Most calls of one target a second, by all dispatchers together; 0: no limit.")
	r.duration("breaker_wait", &d.BreakerWait, 30*time.Second, 100*time.Millisecond, time.Hour,
		"How long a target that fails (70 % of 10 or more calls in 5 minutes) is left alone before one call probes it; longer each time in a row, up to 20 times as long.")
	r.duration("timeout", &d.Timeout, 10*time.Second, 100*time.Millisecond, 5*time.Minute, "Longest time that one call may take; an action can ask for less.")
	r.durationList("schedule", &d.Schedule,
		[]time.Duration{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 6 * time.Hour},
		time.Second, 24*time.Hour, "Waits before the second and further attempts; each must be a declared retry tier.")
	r.schedules("schedules", &d.Schedules, "Waits of single queues, which go before the schedule; an action's own go before both.",
		"queue names, each with waits such as 1s+10s+10m", time.Second, 24*time.Hour)
	r.duration("claim_for", &d.ClaimFor, time.Minute, time.Second, time.Hour,
		"How long a redelivered notification belongs to the dispatcher that is calling; longer than dispatcher.timeout.")
	r.networks("allow_networks", &d.AllowNetworks,
		"Networks that outgoing calls may reach although they are loopback, private or link-local, as 10.1.0.0/16.")
	r.bytes("response_excerpt", &d.ResponseExcerpt, 1<<10, 0, 64<<10, "How much of an answer's body is recorded with the attempt.")
}

func (d *Dispatcher) check(report func(key, message string)) {
	for _, name := range sortedKeys(d.Schedules) {
		if _, there := d.Queues[name]; !there {
			report("dispatcher.schedules", fmt.Sprintf("%s is not in dispatcher.queues; there are %s", name, strings.Join(d.QueueNames(), ", ")))
		}
	}
	if d.ClaimFor < d.Timeout+5*time.Second {
		report("dispatcher.claim_for", fmt.Sprintf("%s does not cover dispatcher.timeout (%s) and 5s for recording, so two dispatchers could call at once", d.ClaimFor, d.Timeout))
	}
}

// QueueNames lists the dispatch queues, sorted.
func (d Dispatcher) QueueNames() []string { return sortedKeys(d.Queues) }
