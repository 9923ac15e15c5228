package process_test

import (
	"context"
	"slices"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

// crew is a fleet with its processes, one rule, and the receiver that the rule
// calls.
type crew struct {
	*fleet.Fleet
	receiver *sink.Running
	faults   sink.Faults // of the receiver
	api      string      // the address of each api that is launched

	mu  sync.Mutex
	all []*running
}

// newCrew has no process yet.
func newCrew(ctx context.Context, f *fleet.Fleet) *crew {
	GinkgoHelper()
	c := &crew{Fleet: f, api: freeAddress()}
	var err error
	c.receiver, err = sink.Start("")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(c.receiver.Close)
	_, err = f.Store.CreateRule(ctx, webhookRule(c.receiver.URL+"/hook"))
	Expect(err).NotTo(HaveOccurred())
	return c
}

// answer has the receiver misbehave from the beginning, and keep its calls.
func (c *crew) answer(faults sink.Faults) {
	c.faults = faults
	c.receiver.SetFaults(faults)
	c.receiver.Keep()
}

// settings make a process one of the fleet, with all that it would wait for
// made short: leases and claims run out within seconds.
func settings(f *fleet.Fleet) []string {
	return []string{
		"EA_MONGO_URI=" + f.MongoURI, "EA_MONGO_DATABASE=" + f.Database, "EA_AMQP_URL=" + f.AMQPURL, "EA_BROKER_PREFIX=" + f.Prefix,
		"EA_DISPATCHER_ALLOW_NETWORKS=127.0.0.0/8", "EA_DISPATCHER_TIMEOUT=1s", "EA_DISPATCHER_CLAIM_FOR=6s", "EA_DISPATCHER_BREAKER_WAIT=100ms",
		"EA_LEASE_BEAT=700ms", "EA_LEASE_TAKEOVER=3s",
		"EA_SWEEP_EVERY=500ms", "EA_SWEEP_STORED_AFTER=1s", "EA_SWEEP_ACTIONS_AFTER=1s",
		"EA_HEALTH_CACHE=0s",
		"EA_API_RATE_LIMIT=10000", "EA_API_RATE_BURST=10000", // live clients come back all the time, by the key of others
	}
}

// launch starts one of the five; env are further settings, which win.
func (c *crew) launch(name string, env ...string) *running {
	GinkgoHelper()
	own := append(settings(c.Fleet), "EA_API_ADDR="+c.api, "EA_API_BOOTSTRAP_ADMIN_KEY="+adminKey)
	r := start(name, append(own, env...))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, r)
	return r
}

// launchOthers starts all of the pipeline's four but one, and waits for them.
func (c *crew) launchOthers(ctx context.Context, but string) {
	GinkgoHelper()
	var others []*running
	for _, name := range names[:4] {
		if name != but {
			others = append(others, c.launch(name))
		}
	}
	for _, r := range others {
		r.waitReady(ctx)
	}
}

// end ends the processes and the fleet.
func (c *crew) end(ctx context.Context) {
	GinkgoHelper()
	c.mu.Lock()
	all := slices.Clone(c.all)
	c.mu.Unlock()
	for _, r := range all {
		<-r.Kill().Exited
	}
	c.receiver.Close()
	c.End(ctx)
}

// launch starts a binary for a fleet without a crew; fault is EA_FAULT, "" for
// none.
func launch(f *fleet.Fleet, name, fault string) *running {
	GinkgoHelper()
	return start(name, append(settings(f), "EA_FAULT="+fault))
}

// begin starts all of the pipeline's four but the victim.
func begin(ctx context.Context, victim string) (*fleet.Fleet, *sink.Running) {
	GinkgoHelper()
	c := newCrew(ctx, fleet.New(ctx))
	c.launchOthers(ctx, victim)
	return c.Fleet, c.receiver
}
