package api

import (
	"context"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/action/seal"
	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/pkg/deadletter"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// Wire connects the api: the first admin, the live hub, the HTTP server.
func Wire(ctx context.Context, p *app.Process) error {
	cfg := p.Config.API
	now := func() time.Time { return time.Now().UTC() }
	if err := bootstrap(ctx, p.Store, cfg.BootstrapAdminKey, now(), p.Log); err != nil {
		return err
	}
	if err := seedTemplates(ctx, p.Store, now()); err != nil {
		return err
	}
	decoder, err := event.NewDecoder(event.Options{SchemaDir: p.Config.Ingester.SchemaDir})
	if err != nil {
		return err
	}
	keys, err := seal.New(p.Config.SecretKey, p.Config.SecretKeyOld)
	if err != nil {
		return err
	}
	m := newMetrics(p.Metrics)
	a := newAuth(p.Store, p.Store, cfg, p.Log, now)
	a.sessions = newSessions(p.Store, cfg.SessionLifetime, a.failures, now)
	s := &Server{
		cfg: cfg, log: p.Log, now: now, metrics: m,
		auth: a, sessions: a.sessions,
		events: p.Store, ledger: p.Store, rules: sealedRules{p.Store, keys}, indexes: p.Store, holdings: p.Store, reads: p.Store, silences: p.Store, keys: keys,
		analytics: p.Store, counters: p.Config.Aggregator.CounterRetention,
		templates: p.Store, people: p.Store, users: p.Store, audit: p.Store, again: p.Store, replays: p.Store, targets: p.Store, channels: p.Config.Channels,
		publisher: p.Publisher, topology: p.Topology, decoder: decoder,
		dead: func(queue string) (DeadLetters, error) {
			return deadletter.Open(p.ConsumeConnection, p.Publisher, p.Topology, queue)
		},
		tickets: p.Store,
		health:  app.HealthHandler(p), importing: make(chan struct{}, 1), indexing: make(chan struct{}, 1), exporting: newPlaces(exportsAtOnce, exportsOfKey), testing: make(chan struct{}, backtestsAtOnce), stored: store.Stored{Store: p.Store}, decisions: p.Store,
		analysing: newPlaces(analysesAtOnce, analysesOfKey),
	}
	s.streams = s.newStreams(ctx, p.Store)
	p.Degraded("streams", func() string { return s.streams.health(p.Config.Health.LagBudget) })
	listener, err := p.Listen(ctx, cfg.Addr)
	if err != nil {
		return err
	}
	p.Go("http", func(ctx context.Context) error { return s.run(ctx, listener, p.Config.Shutdown.DrainTimeout) })
	return nil
}
