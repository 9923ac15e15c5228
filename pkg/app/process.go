package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// Wire connects a service's parts with what the process provides and registers
// its workers. It runs once, when MongoDB and RabbitMQ were reached, indexes
// ensured and the topology declared; workers start after it has returned. An
// error stops the process.
type Wire func(ctx context.Context, p *Process) error

// Process is what a service gets: connections that replace themselves, and the
// places to register workers, checks and teardowns.
type Process struct {
	Name     string // "ingester"
	Instance string // host-pid-random, unique among all processes
	Config   config.Config
	Log      *zap.Logger
	Metrics  *prometheus.Registry
	Store    *store.Store
	Topology topology.Table

	Publisher         *broker.Publisher
	PublishConnection *broker.Connection
	ConsumeConnection *broker.Connection

	// Out is where a Command prints.
	Out io.Writer

	workers *workers
	stack   *stack
	checks  *checks
	lag     *lag
	public  listening

	degraded sync.Map // part → func() string

	consuming atomic.Bool // the consume connection was started

	startedAt time.Time
}

// Go registers a worker. It runs until its context is cancelled at the stop;
// one that returns or panics before that stops the process with exit 1.
func (p *Process) Go(name string, run func(ctx context.Context) error) {
	p.workers.add(name, run)
}

// Consume registers a worker that takes messages of a work queue (name without
// prefix) through loop; not consuming makes the process unready.
func (p *Process) Consume(queue string, prefetch int, loop broker.Loop) {
	name := "consume " + queue
	c := broker.NewConsumer(p.ConsumeConnection, p.Publisher, p.Topology.Work(queue), broker.ConsumerOptions{
		Prefetch:     prefetch,
		DrainTimeout: p.Config.Shutdown.DrainTimeout,
		Log:          p.Log,
		Registerer:   p.Metrics,
	})
	p.Ready(name, c.Check)
	p.Go(name, func(ctx context.Context) error { return c.Run(ctx, loop) })
}

// Ready registers a check for /readyz and /health; it must be quick and gets a
// bounded context.
func (p *Process) Ready(name string, check func(ctx context.Context) error) {
	p.checks.add(name, check)
}

// Degraded registers a part for /health that may work less well than it should
// and leaves the process ready; why is empty while all is well.
func (p *Process) Degraded(part string, why func() string) {
	p.degraded.Store(part, why)
}

// OnStop registers a teardown. Teardowns run last in, first out, after all
// workers have returned, each with bounded time.
func (p *Process) OnStop(name string, teardown func(ctx context.Context) error) {
	p.stack.push(name, teardown)
}

// Lease registers a worker for work that one process does at a time. While the
// lease is held run runs with its term; its context ends when the lease is
// lost or the process stops. run that returns gets the lease again later.
func (p *Process) Lease(name string, run func(ctx context.Context, term int64) error) {
	lease := p.Store.Lease(name, p.Instance, store.LeaseTiming{Beat: p.Config.Lease.Beat, TakeOver: p.Config.Lease.Takeover})
	p.Go("lease "+name, func(ctx context.Context) error { return lease.Run(ctx, run) })
}

// Listen binds the process's public address; Running.Addr tells it. The
// listener is closed by the teardown, if its server has not done so.
func (p *Process) Listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("public address: %w", err)
	}
	p.public.set(l.Addr().String())
	p.OnStop("public listener", func(context.Context) error {
		_ = l.Close() // closed twice after a regular stop, which is fine
		return nil
	})
	return l, nil
}

// checkRabbitMQ asks the publish connection first: until that one works the
// other does not try. Nor does it while MongoDB is waited for, and RabbitMQ is
// not to blame for that.
func (p *Process) checkRabbitMQ(ctx context.Context) error {
	if err := p.PublishConnection.Check(ctx); err != nil || !p.consuming.Load() {
		return err
	}
	return p.ConsumeConnection.Check(ctx)
}

// listening is an address that becomes known.
type listening struct {
	mu   sync.Mutex
	addr string
}

func (l *listening) set(addr string) { l.mu.Lock(); l.addr = addr; l.mu.Unlock() }

func (l *listening) get() string { l.mu.Lock(); defer l.mu.Unlock(); return l.addr }

// newInstance makes a name that no other process has, also after a restart with
// the same pid in a container of the same name.
func newInstance() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "unknown"
	}
	var random [3]byte
	_, _ = rand.Read(random[:]) // never fails
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), hex.EncodeToString(random[:]))
}
