// Command anchors is what the product is measured against: the plainest Go
// programs that do one part of its work on the same broker and database. A
// chain of parts that share a machine cannot be faster than
// 1/(1/C + 1/W + …), since the costs of one event add up.
//
//	anchors publish QUEUE      fill a new quorum queue by two connections with windows of confirms
//	anchors consume QUEUE      C: consume, decode the JSON, check it, stamp it, ack by 500; until SIGTERM
//	anchors insert DATABASE    W: decode to BSON and insert, 500 at a time, two writers, the stored shape and indexes
//	anchors processed DATABASE U: mark what insert left as processed, one update for each 500
//	anchors counters DATABASE  T: a transaction for each 500 events: a mark and 200 counters
//	anchors hooks URL          H: signed webhooks, from EA_WORKERS workers
//	anchors attempts DATABASE  A: an attempt recorded in each notification, 200 updates a bulk
//	anchors alerts DATABASE    N: 500 notifications in a transaction, and an update when they are published
//	anchors fan ADDRESS        every event to EVENTS clients of server-sent events, a write and a flush for each
//	anchors listen URL         EVENTS such clients, which say how many events they got for each line of their input
//
// Servers are EA_AMQP_URL and EA_MONGO_URI. All but consume and listen print one line of
// JSON: {"per_second": …, "cpu_us": …}, processor time of this process an event.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/events-aggregator/events-aggregator/test/bench/anchors/listen"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "anchors:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: anchors [-n EVENTS] [-run NUMBER] publish QUEUE | consume QUEUE | insert DATABASE | processed DATABASE | counters DATABASE | hooks URL | attempts DATABASE | alerts DATABASE | fan ADDRESS | listen URL")

// job is what is to be done.
type job struct {
	n   int    // events
	run uint32 // a part of the events' ids
}

func run() error {
	n := flag.Int("n", 100_000, "events")
	number := flag.Uint("run", 1, "makes the events' ids this run's own")
	flag.Parse()
	if flag.NArg() != 2 || *n < 1 {
		return errUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	j := job{n: *n, run: uint32(*number)}
	switch target := flag.Arg(1); flag.Arg(0) {
	case "publish":
		return j.publish(ctx, target)
	case "consume":
		return consume(ctx, target)
	case "insert":
		return j.onDatabase(ctx, target, database.insert)
	case "processed":
		return j.onDatabase(ctx, target, database.processed)
	case "counters":
		return j.onDatabase(ctx, target, database.counters)
	case "hooks":
		return j.hooks(ctx, target)
	case "attempts":
		return j.onDatabase(ctx, target, database.attempts)
	case "alerts":
		return j.onDatabase(ctx, target, database.alerts)
	case "fan":
		return j.fan(ctx, target)
	case listen.Mode:
		return listen.Count(ctx, j.n, target, os.Stdin, os.Stdout)
	}
	return errUsage
}

// result is what a bound's program prints.
type result struct {
	PerSecond float64 `json:"per_second"`
	CPUMicros float64 `json:"cpu_us"`
}

// timed does n events' work and prints how fast.
func timed(n int, work func() error) error {
	cpu, began := processorTime(), time.Now()
	if err := work(); err != nil {
		return err
	}
	took, used := time.Since(began), processorTime()-cpu
	return say(result{PerSecond: float64(n) / took.Seconds(), CPUMicros: float64(used.Microseconds()) / float64(n)})
}

func say(r result) error { return json.NewEncoder(os.Stdout).Encode(r) }

// processorTime is this process's own.
func processorTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // cannot fail for oneself
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

const (
	batchSize = 500
	writers   = 2
)

// batches hands out 0…n in batches to the writers, and ends with the first
// error.
func batches(n int, f func(writer, from, count int) error) error {
	var next atomic.Int64
	errs := make(chan error, writers)
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for {
				from := int(next.Add(batchSize)) - batchSize
				if from >= n {
					return
				}
				if err := f(w, from, min(batchSize, n-from)); err != nil {
					next.Store(int64(n))
					errs <- err
					return
				}
			}
		})
	}
	running.Wait()
	close(errs)
	return <-errs
}
