package fleet

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// prefixes are those of topologies that ended as they began, for the next spec
// of this process, where EA_KEEP_TOPOLOGIES says so (scripts/test): on the broker of
// all, since others may be gone by then. RabbitMQ needs most of a second of a processor to make the
// queues of one and to delete them, a tenth of that to look at them.
var prefixes struct {
	mu   sync.Mutex
	free []string
}

func shared(amqpURL string) bool {
	return os.Getenv("EA_KEEP_TOPOLOGIES") != "" && amqpURL == os.Getenv("EA_AMQP_URL")
}

func takePrefix(amqpURL string) (prefix string, found bool) {
	prefixes.mu.Lock()
	defer prefixes.mu.Unlock()
	last := len(prefixes.free) - 1
	if last < 0 || !shared(amqpURL) {
		return "", false
	}
	prefix, prefixes.free = prefixes.free[last], prefixes.free[:last]
	return prefix, true
}

func givePrefix(prefix string) {
	prefixes.mu.Lock()
	defer prefixes.mu.Unlock()
	prefixes.free = append(prefixes.free, prefix)
}

// leave removes what the spec left in the topology, and keeps the rest for the
// next; all of it goes after a spec that failed, or when somebody still consumes.
func (f *Fleet) leave(ctx context.Context) error {
	all := f.Topology.Broker()
	if !shared(f.AMQPURL) || ginkgo.CurrentSpecReport().Failed() {
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
	givePrefix(f.Prefix)
	return nil
}

// arrive declares the topology, and says what is in it, "" for nothing.
func (f *Fleet) arrive(ctx context.Context) (found string, err error) {
	if err := f.Connection.Declare(ctx, f.Topology.Broker()); err != nil {
		return "", err
	}
	for _, q := range f.Topology.Broker().Queues {
		messages, consumers, err := f.Connection.Depth(ctx, q.Name)
		if err != nil {
			return "", err
		}
		if messages > 0 || consumers > 0 {
			return fmt.Sprintf("%d messages and %d consumers in %s", messages, consumers, q.Name), nil
		}
	}
	return "", nil
}

var _ = ginkgo.ReportAfterSuite("topologies that no spec needs any more", func(spec ginkgo.SpecContext, _ ginkgo.Report) {
	prefixes.mu.Lock()
	defer prefixes.mu.Unlock()
	if len(prefixes.free) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(spec, 20*time.Second)
	defer cancel()
	c := broker.NewConnection("specs", os.Getenv("EA_AMQP_URL"), zap.NewNop(), prometheus.NewRegistry())
	run, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Run(run)
	}()
	for _, prefix := range prefixes.free {
		if err := c.Remove(ctx, topology.New(prefix).Broker()); err != nil {
			ginkgo.GinkgoWriter.Println("not removed: " + prefix + ": " + err.Error())
		}
	}
	stop()
	<-ended
	prefixes.free = nil
}, ginkgo.NodeTimeout(time.Minute))
