// Package fleet runs services inside a spec's own process, against the real
// broker and database. Each fleet has a topology prefix and a database of its
// own; a topology that a spec leaves empty is the next one's.
package fleet

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// made counts the fleets of this process, for names.
var made atomic.Int64

// Fleet is one spec's product.
type Fleet struct {
	MongoURI, AMQPURL string // a spec may point these at a faulty proxy before Start
	Prefix, Database  string
	Topology          topology.Table
	Store             *store.Store      // the spec's own client
	Publisher         *broker.Publisher // the spec's own publisher
	Connection        *broker.Connection
	Log               *zap.Logger

	end func(ctx context.Context)
}

// Servers are the addresses of the real servers. Missing ones fail the run:
// a spec that was not run must not look like one that passed.
func Servers() (mongoURI, amqpURL string) {
	mongoURI, amqpURL = os.Getenv("EA_MONGO_URI"), os.Getenv("EA_AMQP_URL")
	if mongoURI == "" || amqpURL == "" {
		ginkgo.Fail("EA_MONGO_URI and EA_AMQP_URL must name servers: run by `make test`, or `scripts/infra up` and `. .run/env` first", 1)
	}
	return mongoURI, amqpURL
}

// New makes an empty fleet on the real servers: topology declared, indexes
// created.
func New(ctx context.Context) *Fleet {
	ginkgo.GinkgoHelper()
	mongoURI, amqpURL := Servers()
	return NewOn(ctx, mongoURI, amqpURL)
}

// NewOn is New on these servers.
func NewOn(ctx context.Context, mongoURI, amqpURL string) *Fleet {
	ginkgo.GinkgoHelper()
	name := fmt.Sprintf("t%d-%d-%d", os.Getpid(), ginkgo.GinkgoParallelProcess(), made.Add(1))
	prefix, used := takePrefix(amqpURL)
	if !used {
		prefix = name + "."
	}
	f := &Fleet{MongoURI: mongoURI, AMQPURL: amqpURL, Prefix: prefix, Database: "ea_" + name,
		Topology: topology.New(prefix), Log: logger()}
	own := *f // a spec may change the addresses

	f.Connection = broker.NewConnection("specs", amqpURL, f.Log.Named("specs"), prometheus.NewRegistry())
	f.Publisher = broker.NewPublisher(f.Connection, broker.PublisherOptions{})
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = f.Connection.Run(run)
	}()
	var err error
	f.Store, err = store.Open(ctx, store.Options{URI: mongoURI, Database: f.Database, AppName: "specs", Log: f.Log})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	var once sync.Once
	f.end = func(ctx context.Context) {
		once.Do(func() {
			own.Connection = f.Connection
			gomega.Expect(own.leave(ctx)).To(gomega.Succeed())
			stop()
			<-ended
			gomega.Expect(f.Store.DropDatabase(ctx)).To(gomega.Succeed())
			gomega.Expect(f.Store.Close(ctx)).To(gomega.Succeed())
		})
	}
	ginkgo.DeferCleanup(func(ctx ginkgo.SpecContext) { f.end(ctx) }, ginkgo.NodeTimeout(time.Minute))
	found, err := f.arrive(ctx)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	if found != "" && used { // something came after the spec before had looked
		ginkgo.AddReportEntry("a topology is not used again", found)
		gomega.Expect(f.Connection.Remove(ctx, f.Topology.Broker())).To(gomega.Succeed())
		f.Prefix, f.Topology = name+".", topology.New(name+".")
		own.Prefix, own.Topology = f.Prefix, f.Topology
		found, err = f.arrive(ctx)
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
	}
	gomega.Expect(found).To(gomega.BeEmpty(), "a new topology is empty")
	gomega.Expect(f.Store.EnsureIndexes(ctx)).To(gomega.Succeed())
	return f
}

// End removes the fleet's database, and what is in its topology. It happens at the end of the
// spec by itself; one that makes several fleets ends each when it is done.
func (f *Fleet) End(ctx context.Context) {
	ginkgo.GinkgoHelper()
	f.end(ctx)
}

// logger writes where Ginkgo shows it for failed specs only; EA_TEST_LOG=debug
// shows more.
func logger() *zap.Logger {
	level := zapcore.InfoLevel
	if os.Getenv("EA_TEST_LOG") == "debug" {
		level = zapcore.DebugLevel
	}
	encoder := zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig())
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(ginkgo.GinkgoWriter)), level))
}

// Config is the configuration of one process of this fleet: free ports, quick
// leases and sweeps, loopback allowed as a webhook's target.
func (f *Fleet) Config(process string) config.Config {
	c := config.Defaults(process)
	c.Mongo.URI, c.Mongo.Database = f.MongoURI, f.Database
	c.AMQP.URL, c.Broker.Prefix = f.AMQPURL, f.Prefix
	c.Admin.Addr, c.API.Addr = "127.0.0.1:0", "127.0.0.1:0"
	c.Sweep.Every, c.Sweep.StoredAfter, c.Sweep.ActionsAfter = 200*time.Millisecond, time.Second, time.Second
	c.Lease.Beat, c.Lease.Takeover = 200*time.Millisecond, 2*time.Second
	c.RuleWorker.Poll, c.RuleWorker.WindowsEvery = time.Second, 100*time.Millisecond
	c.Shutdown.DrainTimeout = 5 * time.Second
	c.Dispatcher.AllowNetworks, c.Dispatcher.BreakerWait = loopback, 200*time.Millisecond
	return c
}

// Start runs one process and waits until it works; it is stopped when the spec
// ends, if it was not before.
func (f *Fleet) Start(ctx context.Context, name string, wire app.Wire, change ...func(*config.Config)) *app.Running {
	ginkgo.GinkgoHelper()
	r := f.Launch(ctx, name, wire, change...)
	gomega.Expect(r.Booted(ctx)).To(gomega.Succeed())
	return r
}

// Launch is Start without waiting.
func (f *Fleet) Launch(ctx context.Context, name string, wire app.Wire, change ...func(*config.Config)) *app.Running {
	ginkgo.GinkgoHelper()
	c := f.Config(name)
	for _, set := range change {
		set(&c)
	}
	r, err := app.Start(ctx, name, c, wire, app.WithLogger(f.Log.Named(name)))
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	ginkgo.DeferCleanup(func(ctx ginkgo.SpecContext) { _ = r.Stop(ctx) }, ginkgo.NodeTimeout(30*time.Second))
	return r
}

// Depth is the number of messages that wait in a queue (name without prefix).
func (f *Fleet) Depth(ctx context.Context, queue string) int {
	ginkgo.GinkgoHelper()
	n, _, err := f.Connection.Depth(ctx, f.Prefix+queue)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	return n
}

// Publish sends messages to the fleet's public exchange, confirmed. The
// exchange is filled in.
func (f *Fleet) Publish(ctx context.Context, msgs ...broker.Message) {
	ginkgo.GinkgoHelper()
	for i := range msgs {
		msgs[i].Exchange = f.Topology.Exchange(topology.ExchangeEvents)
	}
	gomega.Expect(f.Publisher.Publish(ctx, msgs...)).To(gomega.Succeed())
}

// DeadLetters empties the dead-letter queue of a work queue and returns what
// lay there.
func (f *Fleet) DeadLetters(ctx context.Context, queue string) []*broker.DeadLetter {
	ginkgo.GinkgoHelper()
	r := broker.NewReader(f.Connection, f.Topology.Work(queue))
	var found []*broker.DeadLetter
	for {
		d, more, err := r.Next(ctx)
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
		if !more {
			break
		}
		gomega.Expect(r.Ack(d)).To(gomega.Succeed())
		found = append(found, d)
	}
	gomega.Expect(r.Release(ctx)).To(gomega.Succeed())
	return found
}
