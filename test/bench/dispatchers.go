package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"syscall"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/test/bench/anchors/load"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

// A minute of deliveries by two dispatchers that are killed in turn, and paused
// for longer than their claims.
const (
	dispatchersRate  = 200
	dispatchersFor   = time.Minute
	dispatchersTick  = 250 * time.Millisecond
	dispatchersClaim = "8s"
	dispatchersPause = 10 * time.Second
	// dispatchersRun leaves a process alone between two deaths, this long at least
	// and at most.
	dispatchersLeast, dispatchersMost = time.Second, 4 * time.Second
	// dispatchersTogether is how many calls one makes at a time: what one that dies
	// leaves unrecorded.
	dispatchersTogether = 32
)

// Names of figures.
const (
	dispatchers        = "dispatchers"
	dispatchersDeaths  = "dispatchers.deaths"
	dispatchersLost    = "dispatchers.lost"
	dispatchersUndone  = "dispatchers.undone"
	dispatchersBeyond  = "dispatchers.beyond"
	dispatchersRepeats = "dispatchers.repeats"
	// dispatchersAmiss are calls in no record that are more than deaths and pauses
	// explain.
	dispatchersAmiss = "dispatchers.amiss"
)

// dispatchers owes webhooks all the time, and compares in the end what the
// receivers saw with the records.
func (b *bench) dispatchers(ctx context.Context, product build, f figures) (err error) {
	s, err := b.newSite(ctx, "dispatchers-"+product.name, product.bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.remove(ctx)) }()
	var receivers []*sink.Running
	for _, faults := range []sink.Faults{
		{LatencyMS: 5},
		{Status: 503, First: 1, Share: 0.3, LatencyMS: 20},
		{Mix: append(make([]sink.Faults, 12), sink.Faults{Reset: true}, sink.Faults{CutOff: true}, sink.Faults{Hang: true})},
	} {
		r, err := sink.Start(load.HookSecret)
		if err != nil {
			return err
		}
		r.SetFaults(faults)
		receivers = append(receivers, r)
	}
	defer func() {
		for _, r := range receivers {
			r.Close()
		}
	}()
	during, end := context.WithTimeout(ctx, dispatchersFor)
	defer end()
	owed := make(chan error, 1)
	total := 0
	go func() { owed <- s.oweSteadily(ctx, during, receivers, &total) }()
	deaths, err := s.strikeDispatchers(ctx, during)
	if err = errors.Join(err, <-owed); err != nil {
		return err
	}
	f[product.name+dispatchersDeaths] = float64(deaths)
	f[product.name+dispatchers] = float64(total) / dispatchersFor.Seconds()
	return s.compareDeliveries(ctx, f, product.name, receivers, total)
}

func (s *site) oweSteadily(ctx, during context.Context, receivers []*sink.Running, total *int) error {
	ticker := time.NewTicker(dispatchersTick)
	defer ticker.Stop()
	for {
		select {
		case <-during.Done():
			return nil
		case <-ticker.C:
		}
		n := int(dispatchersRate * dispatchersTick / time.Second)
		if err := s.oweWebhooks(ctx, n, func(i int) string { return receivers[i%len(receivers)].URL }); err != nil {
			return err
		}
		*total += n
	}
}

// strikeDispatchers keeps two running, kills one after the other, and lets each
// fourth stand still instead. Two run when it returns.
func (s *site) strikeDispatchers(ctx, during context.Context) (struck int, err error) {
	dispatch := func() (*process, error) {
		// A receiver with room for more calls is not taken for one that is too slow,
		// whose messages wait for a minute.
		p, err := s.start("action-dispatcher", "EA_DISPATCHER_QUEUES=webhooks.default="+strconv.Itoa(dispatchersTogether), "EA_DISPATCHER_TARGET_CONCURRENCY=24", "EA_DISPATCHER_TIMEOUT=1s", "EA_DISPATCHER_CLAIM_FOR="+dispatchersClaim, "EA_DISPATCHER_BREAKER_WAIT=500ms",
			"EA_DISPATCHER_SCHEDULE=1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s")
		if err == nil {
			err = p.ready(ctx)
		}
		return p, err
	}
	var pair [2]*process
	for i := range pair {
		if pair[i], err = dispatch(); err != nil {
			return 0, err
		}
	}
	wait := func(d time.Duration) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	for i := 0; during.Err() == nil; i = 1 - i {
		wait(dispatchersLeast + rand.N(dispatchersMost-dispatchersLeast))
		if struck++; struck%4 != 0 {
			pair[i].kill()
			if pair[i], err = dispatch(); err != nil {
				return struck, err
			}
			continue
		}
		if err := pair[i].cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			return struck, err
		}
		wait(dispatchersPause)
		if err := pair[i].cmd.Process.Signal(syscall.SIGCONT); err != nil {
			return struck, err
		}
	}
	return struck, ctx.Err()
}

// compareDeliveries waits until nothing is pending. Lost is what did not arrive
// or has no successful attempt, undone what was tried after one, beyond an effect
// that neither a receiver's fault nor a death explains.
func (s *site) compareDeliveries(ctx context.Context, f figures, name string, receivers []*sink.Running, total int) error {
	err := await(ctx, "all deliveries", 200*time.Millisecond, 5*time.Minute, func() (bool, error) {
		counts, err := s.store.CountNotifications(ctx, store.NotificationFilter{})
		return counts[notification.Pending] == 0, err
	})
	if err != nil {
		return err
	}
	count := func(figure string, n int) { f[name+figure] += float64(n) }
	for _, figure := range []string{dispatchersLost, dispatchersUndone, dispatchersBeyond, dispatchersRepeats, dispatchersAmiss} {
		count(figure, 0)
	}
	seen, missing := 0, 0
	var after *store.NotificationPosition
	for {
		page, err := s.store.FindNotifications(ctx, store.NotificationFilter{}, after, 500)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		last := page[len(page)-1]
		after = &store.NotificationPosition{CreatedAt: last.CreatedAt, ID: last.ID}
		for _, n := range page {
			seen++
			calls, effects := 0, 0
			for _, r := range receivers {
				c, e := r.Of(n.ID)
				calls, effects = calls+c, effects+e
			}
			delivered, doubtful := 0, 0
			for i, a := range n.Attempts {
				switch {
				case a.Outcome == notification.OutcomeOK && i == len(n.Attempts)-1:
					delivered++
				case a.Outcome == notification.OutcomeOK:
					count(dispatchersUndone, 1)
				case a.StatusCode == 0:
					doubtful++
				}
			}
			if n.Status != notification.Delivered || delivered != 1 || effects == 0 {
				count(dispatchersLost, 1)
			}
			unrecorded := calls - len(n.Attempts)
			missing += max(0, unrecorded)
			count(dispatchersRepeats, max(0, effects-1))
			count(dispatchersBeyond, max(0, effects-delivered-doubtful-unrecorded))
		}
	}
	count(dispatchersLost, total-seen)
	value := func(figure string) float64 { return f[name+figure] }
	count(dispatchersAmiss, max(0, missing-int(value(dispatchersDeaths))*dispatchersTogether))
	s.say("%sdispatchers: %.0f notifications/s, %.0f deaths and pauses, %.0f lost, %.0f undone, %.0f effects repeated, %.0f of them without a reason, %d calls in no record", name,
		value(dispatchers), value(dispatchersDeaths), value(dispatchersLost), value(dispatchersUndone), value(dispatchersRepeats), value(dispatchersBeyond), missing)
	return nil
}
