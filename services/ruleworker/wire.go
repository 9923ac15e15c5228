package ruleworker

import (
	"context"
	"errors"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/replay"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// messageBytes bounds the bodies, which are compressed to less than a third, of
// the batches that are decided together: at least one, and few when each is
// full, so that a transaction stays short.
const messageBytes = 512 << 10

// Wire connects the rule-worker: rules first, then a consumer on each of its
// two queues, so that critical batches never wait behind normal ones.
func Wire(ctx context.Context, p *app.Process) error { return wire(ctx, p, func(*Worker) {}) }

func wire(ctx context.Context, p *app.Process, change func(*Worker)) error {
	cfg := p.Config.RuleWorker
	m := newMetrics(p.Metrics)
	rules := NewRules(p.Store, p.Log, m)
	rules.report = newReporter(p.Store, p.Instance, p.Log)
	if err := rules.LoadFirst(ctx); err != nil {
		return err
	}
	now := func() time.Time { return time.Now().UTC() }
	silences := NewSilences(p.Store, p.Log, now)
	if err := silences.LoadFirst(ctx); err != nil {
		return err
	}
	ledger := ledger{p.Store}
	w := &Worker{Rules: rules, Ledger: ledger, Publisher: p.Publisher, Topology: p.Topology,
		Windows: newWindows(ledger, cfg.NotificationRetention, p.Log, m), Outbox: ledger, Groups: ledger, Queues: p.ConsumeConnection, Storing: ledger, Holder: newHolder(silences, p.Log), Disabler: ledger,
		Replays: ledger, Retention: cfg.NotificationRetention, Log: p.Log, Metrics: m, Now: now, Instance: p.Instance}

	rules.report.warned = w.Windows.warned
	change(w)

	control := p.Topology.Control()
	p.Go("rule broadcasts", broker.Broadcasts(p.ConsumeConnection, control.Exchange, topology.KeyRulesChanged,
		func(broker.Message) { rules.Changed() }))
	p.Go("silence broadcasts", broker.Broadcasts(p.ConsumeConnection, control.Exchange, topology.KeySilences,
		func(broker.Message) { silences.Changed() }))
	p.Go("silences", func(ctx context.Context) error { return silences.Follow(ctx, cfg.Poll) })
	p.Go("rules", func(ctx context.Context) error { return rules.Follow(ctx, cfg.Poll) })
	for _, queue := range []string{topology.RuleWorkerCritical, topology.RuleWorkerNormal} {
		p.Consume(queue, cfg.Prefetch, broker.Batches(broker.BatchOptions{
			MaxCount: cfg.BatchCount, MaxBytes: messageBytes, Concurrency: cfg.Concurrency,
		}, w.Handle))
	}
	sweep := p.Config.Sweep
	p.Lease("rule-worker-sweep", func(ctx context.Context, _ int64) error {
		return w.Sweep(ctx, ledger, sweep.Every, sweep.ActionsAfter, sweep.Limit)
	})
	p.Lease("rule-worker-windows", func(ctx context.Context, _ int64) error {
		return w.DecideWindows(ctx, cfg.WindowsEvery)
	})
	p.Lease("rule-worker-outbox", func(ctx context.Context, _ int64) error {
		return w.SweepOutbox(ctx, sweep.Every, sweep.ActionsAfter, sweep.Limit)
	})
	p.Lease("rule-worker-groups", func(ctx context.Context, _ int64) error {
		return w.FlushGroups(ctx, cfg.GroupsEvery)
	})
	p.Lease("rule-worker-replays", func(ctx context.Context, term int64) error {
		return w.Replay(ctx, term, cfg.ReplaysEvery)
	})
	p.Lease("rule-worker-announcements", func(ctx context.Context, _ int64) error {
		return w.Announce(ctx, p.Store, sweep.Every, sweep.Limit)
	})
	return nil
}

// ledger is the store as the worker sees it.
type ledger struct{ *store.Store }

// MarkMatched sets both of the rule-worker's stages in one update.
func (l ledger) MarkMatched(ctx context.Context, at time.Time, batchIDs ...string) error {
	return l.MarkStages(ctx, at, []store.Stage{store.Matched, store.ActionsPublished}, batchIDs...)
}

// IngestReports are the last ones of all ingesters.
func (l ledger) IngestReports(ctx context.Context) ([]IngestReport, error) {
	found, err := l.Store.IngestReports(ctx)
	said := make([]IngestReport, len(found))
	for i, r := range found {
		said[i] = IngestReport(r)
	}
	return said, err
}

// DecidedUnpublished pages through the rows whose actions are not published
// and hands over those that are decided; the others are still in their queue.
func (l ledger) DecidedUnpublished(ctx context.Context, before time.Time, limit int, skip func(batchID string) bool, f func(event.Batch) (published bool, err error)) error {
	after := store.LedgerRow{}
	for published := 0; published < limit; {
		rows, err := l.OpenBatches(ctx, store.ActionsPublished, before, after, limit)
		if err != nil || len(rows) == 0 {
			return err
		}
		ids := make([]string, len(rows))
		for i, r := range rows {
			ids[i] = r.ID
		}
		decided, err := l.Decided(ctx, ids)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if !decided[row.ID] || skip(row.ID) {
				continue
			}
			batch, err := l.LoadBatch(ctx, row)
			if err != nil {
				return err
			}
			done, err := f(batch)
			if err != nil {
				return err
			}
			if done { // others take no place from those behind them
				published++
			}
		}
		after = rows[len(rows)-1]
	}
	return nil
}

// RuleEvents are the events that a rule's windows count.
func (l ledger) RuleEvents(r *rule.Rule) window.Source { return l.Store.RuleEvents(r) }

// RuleVersion reads a version of a rule that is still there.
func (l ledger) RuleVersion(ctx context.Context, id string, version int) (rule.Rule, RuleFate, error) {
	now, err := l.Rule(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return now, RuleGone, nil
	case err != nil:
		return now, RuleGone, err
	case now.Version == version && now.Enabled:
		return now, RuleCurrent, nil
	case now.Version < version || now.Window == nil:
		return now, RuleGone, nil
	}
	v, err := l.Store.RuleVersion(ctx, id, version)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return now, RuleGone, nil
	case !now.Enabled:
		return v.Rule, RuleDisabled, err
	}
	return v.Rule, RuleReplaced, err
}

// RuleThen reads a version of a rule as it was, whatever became of it.
func (l ledger) RuleThen(ctx context.Context, id string, version int) (r rule.Rule, live, known bool, err error) {
	v, err := l.Store.RuleVersion(ctx, id, version)
	if errors.Is(err, store.ErrNotFound) {
		return r, false, false, nil
	}
	if err != nil {
		return r, false, false, err
	}
	now, err := l.Rule(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return v.Rule, false, true, nil
	}
	return v.Rule, now.Enabled, true, err
}

// StepReplay says whether the replay is somebody else's by now.
func (l ledger) StepReplay(ctx context.Context, j replay.Job, p replay.Page, now time.Time) (next replay.Job, work replay.Work, lost bool, err error) {
	next, work, err = l.Store.StepReplay(ctx, j, p, now)
	if errors.Is(err, store.ErrReplayLost) {
		return j, work, true, nil
	}
	return next, work, false, err
}
