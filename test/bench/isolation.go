package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/events-aggregator/events-aggregator/test/bench/anchors/load"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

// Names of figures.
const (
	isolation      = "isolation"
	isolationAlone = "isolation.alone"
)

// isolationReceivers take isolationLatency for an answer, so that their rate hangs
// on the calls that a target may have at a time.
const (
	isolationReceivers = 3
	isolationLatency   = 50 // ms
	isolationShare     = 20 // of a measurement's events: what they are owed together
)

// isolation times three receivers alone, and beside an endpoint that never
// answers and is owed as much as each of them.
func (b *bench) isolation(ctx context.Context, product build, n int, f figures) error {
	for _, hanging := range []bool{false, true} {
		name := isolationAlone
		if hanging {
			name = isolation
		}
		rate, err := b.besideHanging(ctx, product, fmt.Sprintf("%s-%s%d", name, product.name, n), hanging)
		if err != nil {
			return err
		}
		f[product.name+name] = rate
	}
	b.say("%sisolation: %.0f deliveries/s, beside an endpoint that hangs %.0f", product.name, f[product.name+isolationAlone], f[product.name+isolation])
	return nil
}

func (b *bench) besideHanging(ctx context.Context, product build, name string, hanging bool) (rate float64, err error) {
	s, err := b.newSite(ctx, name, product.bin)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.remove(ctx)) }()
	var receivers []*sink.Running
	receive := func(faults sink.Faults) error {
		r, err := sink.Start(load.HookSecret)
		if err == nil {
			r.SetFaults(faults)
			receivers = append(receivers, r)
		}
		return err
	}
	defer func() {
		for _, r := range receivers {
			r.Close()
		}
	}()
	for range isolationReceivers {
		if err := receive(sink.Faults{LatencyMS: isolationLatency}); err != nil {
			return 0, err
		}
	}
	if hanging {
		if err := receive(sink.Faults{Hang: true}); err != nil {
			return 0, err
		}
	}
	each := max(300, b.events/isolationShare/isolationReceivers)
	if err := s.oweWebhooks(ctx, each*len(receivers), func(i int) string { return receivers[i%len(receivers)].URL }); err != nil {
		return 0, err
	}
	accepted := func() (n int) {
		for _, r := range receivers[:isolationReceivers] {
			n += r.Stats().Accepted
		}
		return n
	}
	p, err := s.start("action-dispatcher")
	if err != nil {
		return 0, err
	}
	// Between the first tenth and the last, as everywhere: start and end do not count.
	from, to := each*isolationReceivers/10, each*isolationReceivers*9/10
	var began time.Time
	first := 0
	err = await(ctx, "deliveries beside an endpoint that hangs", 5*time.Millisecond, longest, func() (bool, error) {
		n := accepted()
		if first == 0 && n >= from {
			first, began = n, time.Now()
		}
		if n >= to {
			rate = float64(n-first) / time.Since(began).Seconds()
			return true, p.runs()
		}
		return false, p.runs()
	})
	return rate, err
}
