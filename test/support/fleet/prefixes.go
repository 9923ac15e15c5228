package fleet

import (
	"context"
	"sync"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// prefixes are those of topologies that ended as they began, for the next spec
// of this process. RabbitMQ needs most of a second of a processor to make the
// queues of one and to delete them, a tenth of that to look at them.
var prefixes struct {
	mu   sync.Mutex
	free map[string][]string // by the broker's address
}

func takePrefix(amqpURL string) (prefix string, found bool) {
	prefixes.mu.Lock()
	defer prefixes.mu.Unlock()
	free := prefixes.free[amqpURL]
	if len(free) == 0 {
		return "", false
	}
	prefixes.free[amqpURL] = free[:len(free)-1]
	return free[len(free)-1], true
}

func givePrefix(amqpURL, prefix string) {
	prefixes.mu.Lock()
	defer prefixes.mu.Unlock()
	if prefixes.free == nil {
		prefixes.free = map[string][]string{}
	}
	prefixes.free[amqpURL] = append(prefixes.free[amqpURL], prefix)
}

// leave removes what the spec left in the topology, and keeps the rest for the
// next; all of it goes after a spec that failed, or when somebody still consumes.
func (f *Fleet) leave(ctx context.Context) error {
	all := f.Topology.Broker()
	if ginkgo.CurrentSpecReport().Failed() {
		return f.Connection.Remove(ctx, all)
	}
	var left broker.Topology
	for _, q := range all.Queues {
		messages, consumers, err := f.Connection.Depth(ctx, q.Name)
		if err != nil || consumers > 0 {
			return f.Connection.Remove(ctx, all)
		}
		if messages > 0 {
			left.Queues = append(left.Queues, q)
		}
	}
	if err := f.Connection.Remove(ctx, left); err != nil {
		return err
	}
	givePrefix(f.AMQPURL, f.Prefix)
	return nil
}

// arrive declares the topology, and says whether nothing is in it.
func (f *Fleet) arrive(ctx context.Context) (empty bool, err error) {
	if err := f.Connection.Declare(ctx, f.Topology.Broker()); err != nil {
		return false, err
	}
	for _, q := range f.Topology.Broker().Queues {
		messages, consumers, err := f.Connection.Depth(ctx, q.Name)
		if err != nil || messages > 0 || consumers > 0 {
			return false, err
		}
	}
	return true, nil
}

var _ = ginkgo.ReportAfterSuite("topologies that no spec needs any more", func(ctx ginkgo.SpecContext, _ ginkgo.Report) {
	prefixes.mu.Lock()
	defer prefixes.mu.Unlock()
	for amqpURL, free := range prefixes.free {
		c := broker.NewConnection("specs", amqpURL, zap.NewNop(), prometheus.NewRegistry())
		run, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = c.Run(run)
		}()
		for _, prefix := range free {
			if err := c.Remove(ctx, topology.New(prefix).Broker()); err != nil {
				ginkgo.GinkgoWriter.Println("not removed: " + prefix + ": " + err.Error())
			}
		}
		stop()
		<-ended
	}
	prefixes.free = nil
}, ginkgo.NodeTimeout(time.Minute))
