package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/bench/anchors/load"
)

// ingest times the ingester alone on a queue that was filled before.
func (b *bench) ingest(ctx context.Context, product build, n int, f figures) (err error) {
	s, err := b.filledSite(ctx, fmt.Sprintf("ingest-%s%d", product.name, n), product, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.remove(ctx)) }()
	p, err := s.start("ingester")
	if err != nil {
		return err
	}
	if err := b.drain(ctx, f, product.name+ingest, s.table.Work(topology.Ingest).Name, p); err != nil {
		return err
	}
	if _, err := s.done(ctx, store.Published); err != nil {
		return err
	}
	if f[product.name+ingestMemory], err = p.peakMemory(); err != nil {
		return err
	}
	b.say("%singest: %.0f events/s, %.1f µs processor time an event, %.0f MiB",
		product.name, f[product.name+ingest], f[product.name+ingest+usedBy+p.name], f[product.name+ingestMemory])
	return p.terminate()
}

// filledSite is a site whose ingest queue holds the round's events.
func (b *bench) filledSite(ctx context.Context, name string, product build, f figures) (*site, error) {
	s, err := b.newSite(ctx, name, product.bin)
	if err != nil {
		return nil, err
	}
	perSecond, err := s.fill(ctx)
	if f[publish] == 0 { // the first of the round: the bound was measured just before
		f[publish] = perSecond
	}
	if err == nil {
		err = await(ctx, "all events in the queue", 50*time.Millisecond, time.Minute, func() (bool, error) {
			n, err := b.watcher.depth(s.table.Work(topology.Ingest).Name)
			return n == b.events, err
		})
	}
	if err != nil {
		return nil, errors.Join(err, s.remove(ctx))
	}
	return s, nil
}

// done waits until all events are in the ledger and no batch waits for any of
// the stages, and says when that was. It makes sure that what is stored is
// neither more nor less than what was published: a fast wrong result is none.
func (s *site) done(ctx context.Context, stages ...store.Stage) (at time.Time, err error) {
	published, err := bson.Marshal(bson.D{{Key: "type", Value: bson.D{{Key: "$ne", Value: rule.DeliveryType}}}})
	if err != nil {
		return at, err
	}
	err = await(ctx, "all events through", 50*time.Millisecond, longest, func() (bool, error) {
		for _, p := range s.processes {
			if err := p.runs(); err != nil {
				return false, err
			}
		}
		// The database is asked when it has nothing better to do.
		if left, err := s.watcher.depth(s.table.Work(topology.Ingest).Name); err != nil || left > 0 {
			return false, err
		}
		if through, err := s.through(ctx, stages); err != nil || !through {
			return false, err
		}
		at = time.Now()
		stored, err := s.store.CountEvents(ctx, store.EventFilter{Condition: published}, 0)
		if err == nil && stored > int64(s.events) {
			err = fmt.Errorf("%d events are stored, %d were published", stored, s.events)
		}
		return stored == int64(s.events), err
	})
	return at, err
}

// through says whether all events are stored and no batch waits for the stages.
func (s *site) through(ctx context.Context, stages []store.Stage) (bool, error) {
	stored, _, err := s.store.EventCounts(ctx)
	if err != nil || stored < int64(s.events) {
		return false, err
	}
	lags, err := s.store.Lag(ctx, time.Now())
	waits := func(lag store.StageLag) bool { return lag.Batches > 0 && slices.Contains(stages, lag.Stage) }
	return !slices.ContainsFunc(lags, waits), err
}

// five are the product's processes, the ingester last: its start is the start
// of the work.
var five = []string{"api", "aggregator", "action-dispatcher", "rule-worker", "ingester"}

// pipeline times all five processes, until the last batch is matched and
// counted, with rules of which one matches every hundredth event.
func (b *bench) pipeline(ctx context.Context, product build, n int, f figures) (err error) {
	s, err := b.filledSite(ctx, fmt.Sprintf("pipeline-%s%d", product.name, n), product, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.remove(ctx)) }()
	if err := s.saveRules(ctx); err != nil {
		return err
	}
	for _, name := range five {
		p, err := s.start(name)
		if err != nil {
			return err
		}
		if name != "ingester" {
			if err := p.ready(ctx); err != nil {
				return err
			}
		}
	}
	before, err := s.used(s.processes...)
	if err != nil {
		return err
	}
	if err := await(ctx, "start of ingester", time.Millisecond, startTime, func() (bool, error) {
		left, err := b.watcher.depth(s.table.Work(topology.Ingest).Name)
		return left < b.events, err
	}); err != nil {
		return err
	}
	began := time.Now()
	ended, err := s.done(ctx, store.Published, store.Matched, store.Aggregated)
	if err != nil {
		return err
	}
	f[product.name+pipeline] = float64(b.events) / ended.Sub(began).Seconds()
	if err := b.noteUsed(f, product.name+pipeline, before, b.events, s.processes...); err != nil {
		return err
	}
	b.say("%spipeline: %.0f events/s", product.name, f[product.name+pipeline])
	for _, p := range s.processes {
		if f[product.name+pipelineMemory+p.name], err = p.peakMemory(); err != nil {
			return err
		}
	}
	for _, p := range s.processes {
		if err := p.terminate(); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) saveRules(ctx context.Context) error {
	rules, err := load.Rules()
	if err == nil {
		err = s.store.SaveRules(ctx, time.Now().UTC(), "bench", rules, nil)
	}
	return err
}
