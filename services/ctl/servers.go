package ctl

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// connectTimeout bounds the wait for a server: a person sits before it.
const connectTimeout = 10 * time.Second

// config is what the services read, too. A mistake in it is bad usage.
func (t *tool) config() (config.Config, error) {
	c, err := config.Load(config.Options{Process: "eactl", Environ: t.environ})
	if err != nil {
		return c, &usageError{err}
	}
	return c, nil
}

func topologyOf(c config.Config) topology.Table {
	names := make([]string, 0, len(c.Dispatcher.Queues))
	for name := range c.Dispatcher.Queues {
		names = append(names, name)
	}
	return topology.New(c.Broker.Prefix, names...)
}

// brokerFailed and storeFailed say which server at which address it is, why,
// and what to do.
func brokerFailed(c config.Config, err error) error {
	return fmt.Errorf("RabbitMQ at %s: %s\nSet EA_AMQP_URL to where it is, or start one: `scripts/infra up`", config.MaskURI(c.AMQP.URL), telemetry.Reason(err))
}

func storeFailed(c config.Config, err error) error {
	return fmt.Errorf("MongoDB at %s: %s\nSet EA_MONGO_URI to where it is, or start one: `scripts/infra up`", config.MaskURI(c.Mongo.URI), telemetry.Reason(err))
}

// withBroker runs f with a connection to the broker.
func (t *tool) withBroker(ctx context.Context, f func(config.Config, *broker.Connection) error) error {
	c, err := t.config()
	if err != nil {
		return err
	}
	if err := probeBroker(ctx, c); err != nil { // at once, where the connection would go on trying
		return err
	}
	conn := broker.NewConnection("eactl", c.AMQP.URL, zap.NewNop(), prometheus.NewRegistry())
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() { defer close(ended); _ = conn.Run(run) }()
	defer func() { stop(); <-ended }()
	if err := waitFor(ctx, conn.Check); err != nil {
		return brokerFailed(c, err)
	}
	return f(c, conn)
}

func probeBroker(ctx context.Context, c config.Config) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := broker.Probe(ctx, c.AMQP.URL); err != nil {
		return brokerFailed(c, err)
	}
	return nil
}

// withStore runs f with the database.
func (t *tool) withStore(ctx context.Context, f func(*store.Store) error) error {
	c, err := t.config()
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, store.Options{URI: c.Mongo.URI, Database: c.Mongo.Database, AppName: "eactl", Spoilt: t.leaveOut})
	if err != nil {
		return &usageError{err}
	}
	defer func() { _ = s.Close(context.WithoutCancel(ctx)) }()
	if err := s.Check(ctx); err != nil {
		return storeFailed(c, err)
	}
	return f(s)
}

// waitFor asks until the server is there, at most connectTimeout.
func waitFor(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}

// leaveOut hears of documents that cannot be read, of each perhaps more than once.
func (t *tool) leaveOut(collection, id string) {
	if document := collection + " " + id; !slices.Contains(t.leftOut, document) {
		t.leftOut = append(t.leftOut, document)
	}
}
