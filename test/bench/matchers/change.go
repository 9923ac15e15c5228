package main

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

const (
	changeTurns = 5
	changeTurn  = 300 * time.Millisecond
)

// change is the 99th percentile of one match in quiet times, and while one set
// after the other is built and put in place, as a rule-worker does when rules
// change. Quiet and busy turns alternate, so that both see the same machine.
func (c *contest) change() (quiet, changing float64, err error) {
	var current atomic.Pointer[rule.Set]
	current.Store(c.set)
	turn := func() float64 {
		took := make([]int64, 0, 1<<20)
		for began := time.Now(); time.Since(began) < changeTurn; {
			at := time.Now()
			c.found = current.Load().Match(c.load.Events[len(took)%len(c.load.Events)], c.found[:0])
			took = append(took, time.Since(at).Nanoseconds())
		}
		slices.Sort(took)
		return float64(took[len(took)*99/100])
	}
	var calm, busy []float64
	for range changeTurns {
		calm = append(calm, turn())
		stop, stopped := make(chan struct{}), make(chan error)
		go func() {
			for {
				select {
				case <-stop:
					stopped <- nil
					return
				default:
				}
				set, err := rule.NewSet(c.load.Rules)
				if err != nil {
					<-stop
					stopped <- err
					return
				}
				current.Store(set)
			}
		}()
		busy = append(busy, turn())
		close(stop)
		if err := <-stopped; err != nil {
			return 0, 0, err
		}
	}
	return median(calm), median(busy), nil
}
