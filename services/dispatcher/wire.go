package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action/seal"
	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/letter"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

// Wire makes the process an action-dispatcher: a consumer for each action queue.
func Wire(ctx context.Context, p *app.Process) error {
	return wire(ctx, p, func(t Targets) Targets { return t })
}

func wire(_ context.Context, p *app.Process, between func(Targets) Targets) error {
	cfg := p.Config.Dispatcher
	secrets, err := seal.New(p.Config.SecretKey, p.Config.SecretKeyOld)
	if err != nil {
		return err
	}
	channels, err := newChannels(p.Config.Channels, p.Log)
	if err != nil {
		return err
	}
	read := &reading{store: p.Store}
	d := New(Options{
		Instance: p.Instance, Dashboard: p.Config.API.PublicURL, TargetConcurrency: cfg.TargetConcurrency, TargetRate: cfg.TargetRate, BreakerWait: cfg.BreakerWait, Timeout: cfg.Timeout, ClaimFor: cfg.ClaimFor,
		Schedule: cfg.Schedule, QueueSchedules: cfg.Schedules, AllowNetworks: cfg.AllowNetworks, ResponseExcerpt: cfg.ResponseExcerpt, Secrets: secrets,
		Messages: broker.NewPublisher(p.PublishConnection, broker.PublisherOptions{}),
		Channels: channels, DefaultChannel: p.Config.Channels.DefaultName(), Letters: read, People: read,
	}, ledger{p.Store}, between(targets{p.Store}), p.Publisher, p.Topology, p.Metrics, p.Log)
	p.OnStop("outgoing connections", d.Close)
	queues := p.Topology.DispatchQueues()
	p.Go("breakers", d.breakers.Watch)
	p.Lease("delivery-sweep", func(ctx context.Context, _ int64) error {
		return d.Sweep(ctx, p.Store, p.Config.Sweep.Every, Ages{p.Config.Sweep.AttemptsAfter, p.Config.Sweep.FirstAttemptsAfter}, func(ctx context.Context, queue string) (int, error) {
			ready, _, err := p.ConsumeConnection.Depth(ctx, p.Topology.Work(queue).Name)
			return ready, err
		})
	})
	p.Go("fellows", func(ctx context.Context) error {
		return d.WatchFellows(ctx, func(ctx context.Context, queue string) (int, error) {
			_, consumers, err := p.ConsumeConnection.Depth(ctx, p.Topology.Work(queue).Name)
			return consumers, err
		}, queues)
	})
	for _, queue := range queues {
		p.Consume(queue, PrefetchDefault, d.Loop(queue, cfg.Queues[queue].Concurrency))
	}
	return nil
}

// ledger is the store as the dispatcher needs it.
type ledger struct{ store *store.Store }

func (l ledger) Claim(ctx context.Context, c Claim) (Claimed, error) {
	n, granted, err := l.store.Claim(ctx, store.Claim(c))
	if errors.Is(err, store.ErrNotFound) {
		return Claimed{}, nil
	}
	return Claimed{Granted: granted, Found: err == nil, Current: n}, err
}

func (l ledger) Reopen(ctx context.Context, id, replay string, now time.Time) (notification.Notification, bool, error) {
	n, err := l.store.Reopen(ctx, id, replay, now)
	if errors.Is(err, store.ErrNotFound) {
		return n, false, nil
	}
	return n, err == nil, err
}

func (l ledger) Release(ctx context.Context, id, token string) error {
	return l.store.ReleaseClaim(ctx, id, token)
}

func (l ledger) ClaimForced(ctx context.Context, id, nonce, token string, now, until time.Time) (Claimed, error) {
	n, granted, err := l.store.ClaimForced(ctx, id, nonce, token, now, until)
	if errors.Is(err, store.ErrNotFound) {
		return Claimed{}, nil
	}
	return Claimed{Granted: granted, Found: err == nil, Current: n}, err
}

func (l ledger) RecordForced(ctx context.Context, id, nonce string, a notification.Attempt, now time.Time) (bool, error) {
	return l.store.RecordForced(ctx, id, nonce, a, now)
}

func (l ledger) RecordAttempts(ctx context.Context, now time.Time, records []Record) ([]Recorded, error) {
	given := make([]store.AttemptRecord, len(records))
	for i, r := range records {
		given[i] = store.AttemptRecord(r)
	}
	answers, err := l.store.RecordAttempts(ctx, now, given)
	if err != nil {
		return nil, err
	}
	recorded := make([]Recorded, len(answers))
	for i, a := range answers {
		recorded[i] = Recorded(a)
	}
	return recorded, nil
}

func (l ledger) Config(ctx context.Context, id string) (bson.Raw, error) {
	n, err := l.store.Notification(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return n.Action.Config, err
}

// reading is the store as SEND_NOTIFICATION needs it: what was read is kept for
// a few seconds.
type reading struct {
	store   *store.Store
	letters cached[*letter.Compiled]
	people  cached[[]user.User]
}

func (r *reading) Letter(ctx context.Context, name string) (*letter.Compiled, error) {
	return r.letters.get(name, func() (*letter.Compiled, error) {
		t, err := r.store.Template(ctx, name)
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		compiled, problems := t.Compile()
		return compiled, problemsError(problems)
	})
}

func (r *reading) People(ctx context.Context, ids []string, roles []user.Role) ([]user.User, error) {
	return r.people.get(fmt.Sprintf("%q %q", ids, roles), func() ([]user.User, error) { return r.store.People(ctx, ids, roles) })
}

// targets is the store as the breakers need it.
type targets struct{ store *store.Store }

func (t targets) Held(ctx context.Context) ([]HeldTarget, error) {
	found, err := t.store.HeldTargets(ctx)
	held := make([]HeldTarget, len(found))
	for i, f := range found {
		held[i] = heldOf(f)
	}
	return held, err
}

func (t targets) Open(ctx context.Context, target, reason, by string, now time.Time, wait func(opened int) time.Duration) (HeldTarget, error) {
	opened, err := t.store.OpenTarget(ctx, target, reason, by, now, func(n int) time.Time { return now.Add(wait(n)) })
	return heldOf(opened), err
}

func (t targets) Probe(ctx context.Context, target, by string, now, until time.Time) (bool, error) {
	return t.store.ProbeTarget(ctx, target, by, now, until)
}

func (t targets) Close(ctx context.Context, target, by string, now time.Time) (bool, error) {
	return t.store.CloseTarget(ctx, target, by, now)
}

func (t targets) Disable(ctx context.Context, endpoint, target, reason, by string, now time.Time) error {
	return t.store.DisableTarget(ctx, endpoint, target, reason, by, now, nil)
}

func heldOf(t store.Target) HeldTarget {
	h := HeldTarget{ID: t.ID, Disabled: t.State == store.TargetDisabled, Reason: t.Reason}
	if t.RetryAt != nil {
		h.RetryAt = *t.RetryAt
	}
	return h
}
