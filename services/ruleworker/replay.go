package ruleworker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/replay"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// Replays is where stored events that are to be decided once more are listed, and
// what is decided about them is committed.
type Replays interface {
	// TakeReplay gives the holder of a term the replay that is to go on.
	TakeReplay(ctx context.Context, term int64, owner string, now time.Time) (j replay.Job, found bool, err error)
	// ReplayEvents hands the next events before a time to f. An error with a method
	// TooSlow that says true asks for a shorter time.
	ReplayEvents(ctx context.Context, j replay.Job, before time.Time, limit int, f func(bson.Raw) bool) error
	// StepReplay saves a page. lost says that the replay is not this owner's to go
	// on with: then nothing is written.
	StepReplay(ctx context.Context, j replay.Job, p replay.Page, now time.Time) (next replay.Job, work replay.Work, lost bool, err error)
	FailReplay(ctx context.Context, j replay.Job, why string, now time.Time) error
}

const (
	// replayPage is how many events are decided together, and replayOwed how many
	// notifications, before the next event: a transaction stays short. replayBytes
	// bounds what is held of them.
	replayPage  = 200
	replayOwed  = 1000
	replayBytes = 8 << 20
	// replaySlice is the time that is searched at first. It grows while there is
	// little in it, shrinks to one of a few pages, and by more when a search takes
	// too long.
	replaySlice  = time.Minute
	replaySlicer = 8
	replayPages  = 3
	// replayTries is how often a page is tried that something other than an outage
	// keeps from being saved.
	replayTries = 5
)

// Replay decides stored events once more, one replay after the other. It is run
// by one process at a time, under a lease whose term fences what it writes: one
// that was paused and wakes beside its successor writes nothing more.
func (w *Worker) Replay(ctx context.Context, term int64, every time.Duration) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	failures := 0
	for {
		j, found, err := w.Replays.TakeReplay(ctx, term, w.Instance, w.now())
		if found {
			err = w.replay(ctx, j, &failures)
		}
		if err != nil && ctx.Err() == nil {
			w.Log.Warn("replay interrupted, it goes on from where it is", zap.String("replay_id", j.ID), zap.Error(err))
		}
		if found && err == nil { // done, or stopped by somebody: perhaps another waits
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// now is the time as the database keeps it.
func (w *Worker) now() time.Time { return w.Now().Truncate(time.Millisecond) }

// replay goes on with a replay until it is over, or not ours any more. An error is
// an outage, or a page that could not be saved and is tried again.
func (w *Worker) replay(ctx context.Context, j replay.Job, failures *int) error {
	w.Log.Info("replay goes on", zap.String("replay_id", j.ID), zap.Time("from", j.Position.Timestamp), zap.Int64("events", j.Progress.Events))
	r := &replayer{w: w, slice: replaySlice, longest: replay.Longest, size: replayPage}
	if j.Rate > 0 { // a few events at a time keep the rate even
		r.size = max(1, min(replayPage, int(j.Rate*replayPace.Seconds())))
	}
	for ctx.Err() == nil {
		next, lost, err := r.step(ctx, j)
		switch {
		case lost:
			w.Log.Info("replay left to others", zap.String("replay_id", j.ID), zap.Int64("step", j.Step))
			return nil
		case err != nil && (isOutage(err) || ctx.Err() != nil):
			return err
		case err != nil:
			var cannot *cannotDecide
			if *failures++; *failures < replayTries && !errors.As(err, &cannot) {
				return err
			}
			*failures = 0
			w.Log.Error("replay given up", zap.String("replay_id", j.ID), zap.Error(err))
			return w.Replays.FailReplay(ctx, j, err.Error(), w.now())
		}
		*failures = 0
		if j = next; j.State != replay.Running {
			w.Log.Info("replay done", zap.String("replay_id", j.ID), zap.Bool("dry_run", j.DryRun), zap.Int64("events", j.Progress.Events),
				zap.Int64("matches", j.Progress.Matches), zap.Int64("made", j.Progress.Made), zap.Int64("retried", j.Progress.Retried), zap.Int64("repeated", j.Progress.Repeated))
			return nil
		}
	}
	return ctx.Err()
}

// replayer is one owner's work on one replay.
type replayer struct {
	w       *Worker
	slice   time.Duration // that is searched at once
	longest time.Duration // that a slice may be
	size    int
	free    time.Time // when the rate allows the next notifications
}

// replayPace is the time that one page stands for when there is a rate.
const replayPace = 250 * time.Millisecond

// step decides the next page, saves it, and publishes what it owes.
func (r *replayer) step(ctx context.Context, j replay.Job) (next replay.Job, lost bool, err error) {
	if err := r.paced(ctx); err != nil {
		return j, false, err
	}
	// A rule may be newer than this worker knows: without a look its events would
	// be left out.
	if err := r.w.Rules.Load(ctx); err != nil {
		return j, false, err
	}
	// Going on without one of the chosen would leave out what it owes.
	if err := canDecide(r.w.Rules.Current(), j.Rules); err != nil {
		return j, false, err
	}
	p, err := r.page(ctx, j)
	if err != nil {
		return j, false, err
	}
	next, work, lost, err := r.w.Replays.StepReplay(ctx, j, p, r.w.now())
	if lost || err != nil {
		return j, lost, err
	}
	if j.Rate > 0 {
		r.free = time.Now().Add(time.Duration(float64(work.Page.Sent()) / j.Rate * float64(time.Second)))
	}
	if j.DryRun {
		return next, false, nil
	}
	fault.At(fault.RuleWorkerReplayed)
	r.w.Metrics.replayed(p.Events, work)
	messages, err := work.Messages()
	if err != nil {
		return next, false, err
	}
	failed, _, err := r.w.publishEach(ctx, messages)
	if err != nil {
		return next, false, err // the page is saved, and a sweep publishes what it owes
	}
	fault.At(fault.RuleWorkerReplayPublished)
	var told []notification.Notification
	for _, m := range messages {
		if !failed[m.Notification.ID] {
			told = append(told, m.Notification)
		}
	}
	return next, false, r.w.Outbox.MarkPublished(ctx, told...)
}

// paced waits until the rate allows more.
func (r *replayer) paced(ctx context.Context) error {
	wait := time.Until(r.free)
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// page reads the next events and matches them. Times without any need not be
// saved, up to a moment.
func (r *replayer) page(ctx context.Context, j replay.Job) (replay.Page, error) {
	for began := time.Now(); ; {
		before := j.Position.Timestamp.Add(r.slice)
		if before.After(j.To) {
			before = j.To
		}
		started := time.Now()
		p, whole, err := r.read(ctx, j, before)
		var slow interface{ TooSlow() bool }
		tooSlow := errors.As(err, &slow) && slow.TooSlow() && ctx.Err() == nil
		switch {
		case tooSlow && r.slice > time.Second:
			r.longest = r.slice / 2
			r.slice /= replaySlicer
			continue
		case tooSlow:
			return p, fmt.Errorf("a condition on type, source or another indexed field finds events faster: %w", err)
		case err != nil:
			return p, err
		}
		r.fit(p.To.Timestamp.Sub(j.Position.Timestamp), whole, time.Since(started))
		if whole { // the slice holds no more
			p.To, p.Last = replay.Position{Timestamp: before}, !before.Before(j.To)
		}
		if p.Events > 0 || p.Last || time.Since(began) > time.Second {
			return p, nil
		}
		j.Position = p.To
	}
}

// fit makes the next slice one of a few pages: some servers read and sort all of
// a slice for each of its pages.
func (r *replayer) fit(spanned time.Duration, whole bool, took time.Duration) {
	switch {
	case !whole:
		r.slice = min(r.slice, max(time.Millisecond, replayPages*spanned))
	case took < time.Second:
		r.slice = min(2*r.slice, r.longest)
	}
}

// read matches the next events before a time; whole says that these are all.
func (r *replayer) read(ctx context.Context, j replay.Job, before time.Time) (p replay.Page, whole bool, err error) {
	set, now := r.w.Rules.Current(), r.w.now()
	var matched []*rule.Compiled
	owed, bytes, full := 0, 0, false
	err = r.w.Replays.ReplayEvents(ctx, j, before, r.size, func(doc bson.Raw) bool {
		raw := slices.Clone(doc)
		p.To.Timestamp, _ = raw.Lookup("timestamp").TimeOK()
		p.To.ID, _ = raw.Lookup("_id").ObjectIDOK()
		p.Events++
		bytes += len(raw)
		// What exceeds its budget is not held against a rule here: the event was
		// counted when it came.
		matched = set.Match(raw, matched[:0])
		for _, m := range matched {
			// Alerts of windows are found in the events whenever one of them comes.
			if m.Rule.Window != nil || !j.Asks(m.Rule.ID) {
				continue
			}
			owes := owe(&m.Rule, raw, notification.Notification{
				EventID: eventID(raw), RuleID: m.Rule.ID, RuleVersion: m.Rule.Version, RuleName: m.Rule.Name,
			}, r.w.Retention, now)
			owed += len(owes)
			p.Matches = append(p.Matches, replay.Match{Event: raw, Owed: owes})
		}
		full = int(p.Events) == r.size || owed >= replayOwed || bytes >= replayBytes
		return !full
	})
	r.hold(p.Matches)
	return p, !full, err
}

// hold asks silences and mute times, as for every match.
func (r *replayer) hold(matches []replay.Match) {
	for _, m := range matches {
		r.w.Holder.hold(m.Owed)
	}
}
