package aggregator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// messageBytes bounds the bodies of the batches that are counted together;
// prefetch is what bounds memory.
const messageBytes = 64 << 20

const (
	// recordTogether and recordBytes bound the dead letters that are recorded
	// together; what the consumer holds is bounded by the broker package.
	recordTogether = 50
	recordBytes    = 8 << 20
	recordWait     = 50 * time.Millisecond
)

// Wire connects the aggregator: one loop that counts, one transaction at a
// time, since several would only wait for each other's counters; the
// materialiser, which one process at a time runs; and the recorder of dead
// letters.
func Wire(_ context.Context, p *app.Process) error {
	cfg := p.Config.Aggregator
	m := newMetrics(p.Metrics)
	now := func() time.Time { return time.Now().UTC() }
	c := &Counter{Ledger: ledger{p.Store}, Dimensions: NewDimensions(p.Store, cfg.DimensionValues, p.Log, m),
		Topology: p.Topology, Retention: cfg.CounterRetention, Log: p.Log, Metrics: m, Now: now}
	p.Consume(topology.Aggregate, cfg.Prefetch, broker.Batches(broker.BatchOptions{
		MaxCount: cfg.BatchCount, MaxBytes: messageBytes, MaxWait: max(cfg.BatchWait, time.Nanosecond), Concurrency: 1,
	}, c.Handle))
	recorder := &Recorder{Saver: p.Store, Prefix: p.Topology.Prefix(), Retention: cfg.DeadLetterRetention, Log: p.Log, Metrics: m, Now: now}
	p.Consume(topology.DeadLetters, recordTogether, broker.Batches(broker.BatchOptions{
		MaxCount: recordTogether, MaxBytes: recordBytes, MaxWait: recordWait, Concurrency: 1,
	}, recorder.Handle))
	p.Lease("materialiser", func(ctx context.Context, _ int64) error {
		return (&Materialiser{Windows: p.Store, Every: cfg.MaterialiseEvery, Log: p.Log, Metrics: m, Now: time.Now}).Run(ctx)
	})
	return nil
}

// ledger is the store as the aggregator sees it.
type ledger struct{ *store.Store }

// MarkCounted sets the aggregator's stage.
func (l ledger) MarkCounted(ctx context.Context, at time.Time, batchIDs ...string) error {
	return l.MarkStage(ctx, store.Aggregated, at, batchIDs...)
}

// Commands are the further subcommands of the aggregator's binary.
func Commands() []app.Command {
	f := &verifyFlags{}
	return []app.Command{{
		Use: "verify", Short: "Recount stored events and report every difference to counters and metrics",
		Long: verifyLong, Example: verifyExample, Flags: f.add,
		Run: func(ctx context.Context, p *app.Process, args []string) error { return verify(ctx, p, f, args) },
	}}
}

// pendingPoll is how often --wait looks whether everything is counted.
const pendingPoll = 500 * time.Millisecond

func verify(ctx context.Context, p *app.Process, f *verifyFlags, args []string) error {
	if len(args) > 0 {
		return &app.ExitError{Code: app.ExitBadConfig, Err: fmt.Errorf("verify takes no argument, got %q", args[0])}
	}
	from, to, err := f.parse(time.Now())
	if err != nil {
		return &app.ExitError{Code: app.ExitBadConfig, Err: err}
	}
	if err := p.Store.Check(ctx); err != nil { // a driver's text is long, and not its user's business
		return fmt.Errorf("MongoDB at %s: %s", config.MaskURI(p.Config.Mongo.URI), telemetry.Reason(err))
	}
	if f.wait > 0 {
		if err := waitUntilCounted(ctx, p.Store, from, to, f.wait); err != nil {
			return err
		}
	}
	report, err := p.Store.Verify(ctx, store.VerifyOptions{
		From: from, To: to, Retention: p.Config.Aggregator.CounterRetention, Repair: f.repair,
	})
	if err != nil {
		return err
	}
	if err := printReport(p.Out, report, f.output); err != nil {
		return err
	}
	if n := report.Unrepaired(); n > 0 {
		return fmt.Errorf("drift: %d of the stored counts are not what the events say", n)
	}
	return nil
}

// waitUntilCounted waits until nothing in the range is open, at most for d;
// what is still open then is left out and said.
func waitUntilCounted(ctx context.Context, s *store.Store, from, to time.Time, d time.Duration) error {
	bound, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	ticker := time.NewTicker(pendingPoll)
	defer ticker.Stop()
	for {
		pending, err := s.Pending(bound, from, to)
		switch {
		case err == nil && !pending:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case bound.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, context.DeadlineExceeded):
			return err
		}
		select {
		case <-ticker.C:
		case <-bound.Done():
		}
	}
}
