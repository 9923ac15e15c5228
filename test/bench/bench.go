package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/test/bench/anchors/load"
)

// bench is one run.
type bench struct {
	settings
	out     io.Writer
	load    *load.Load
	watcher *watcher
	runs    uint32   // numbers given to nextRun
	more    []string // environment of the bounds' programs
}

func newBench(ctx context.Context, s settings, out io.Writer) (*bench, error) {
	b := &bench{settings: s, out: out}
	if !s.needsServers() {
		return b, nil
	}
	var err error
	if b.load, err = load.New(); err != nil {
		return nil, err
	}
	b.watcher, err = newWatcher(s.amqpURL)
	return b, err
}

func (b *bench) close() {
	if b.watcher != nil {
		_ = b.watcher.connection.Close()
	}
}

// nextRun makes the ids of the next events different from all before.
func (b *bench) nextRun() uint32 {
	b.runs++
	return b.runs
}

// figures of one round, by name.
type figures map[string]float64

// Names of figures. Those of the product are preceded by the build's name.
const (
	boundPublish   = "publish.bound"
	boundConsume   = "C"
	boundInsert    = "W"
	boundProcessed = "U"
	boundCounters  = "T"

	publish        = "publish"
	ingest         = "ingest"
	ingestMemory   = "ingest.memory"
	pipeline       = "pipeline"
	pipelineMemory = "pipeline.memory." // and a process's name

	// usedBy and a process's name, behind any of the above: µs an event.
	usedBy = ".used."
)

// The servers', the bounds' and the webhooks' receiver's names as users of
// processor time.
const (
	rabbitmq = "rabbitmq"
	mongodb  = "mongodb"
	anchors  = "anchors"
	received = "receiver"
)

// build is one set of the product's binaries.
type build struct{ name, bin string }

// builds are measured in turns, so that none is always the first.
func (b *bench) builds(round int) []build {
	all := []build{{"", b.bin}}
	if b.base != "" {
		all = append(all, build{"base.", b.base})
		if round%2 == 1 {
			all[0], all[1] = all[1], all[0]
		}
	}
	return all
}

// round measures everything once.
func (b *bench) round(ctx context.Context, n int) (figures, error) {
	f := figures{}
	var steps []func() error
	if b.wants("ingest") || b.wants("pipeline") { // windows have a steady load, and no bound
		steps = append(steps,
			func() error { return b.brokerBounds(ctx, f) },
			func() error { return b.databaseBounds(ctx, n, f) })
	}
	for _, product := range b.builds(n) {
		if b.wants("ingest") {
			steps = append(steps, func() error { return b.ingest(ctx, product, n, f) })
		}
	}
	for _, product := range b.builds(n) {
		if b.wants("pipeline") {
			steps = append(steps, func() error { return b.pipeline(ctx, product, n, f) })
		}
	}
	for _, product := range b.builds(n) {
		if b.wants("windows") {
			steps = append(steps, func() error { return b.windows(ctx, product, n, f) })
		}
	}
	if b.wants("timers") {
		steps = append(steps, func() error { return b.alertsBound(ctx, n, f) })
	}
	for _, product := range b.builds(n) {
		if b.wants("timers") {
			steps = append(steps, func() error { return b.timers(ctx, product, n, f) })
		}
	}
	if b.wants("webhooks") {
		steps = append(steps, func() error { return b.attemptsBound(ctx, n, f) })
	}
	for _, product := range b.builds(n) {
		if b.wants("webhooks") {
			steps = append(steps, func() error { return b.webhooks(ctx, product, n, f) })
		}
	}
	for _, product := range b.builds(n) {
		if b.wants("isolation") {
			steps = append(steps, func() error { return b.isolation(ctx, product, n, f) })
		}
		// Promises, not speed: once is enough.
		if b.wants("dispatchers") && n == 0 {
			steps = append(steps, func() error { return b.dispatchers(ctx, product, f) })
		}
		if b.wants("letters") && n == 0 {
			steps = append(steps, func() error { return b.deadLetters(ctx, product, f) })
		}
		if b.wants("api") && n == 0 {
			steps = append(steps, func() error { return b.api(ctx, product, f) })
		}
		if b.wants("dashboard") && n == 0 {
			steps = append(steps, func() error { return b.dashboard(ctx, product, f) })
		}
	}
	if b.wants(live) {
		steps = append(steps, func() error { return b.livesBounds(ctx, f) })
	}
	for _, product := range b.builds(n) {
		if b.wants(live) {
			steps = append(steps, func() error { return b.lives(ctx, product, n, f) })
		}
		if b.wants(live) && n == 0 {
			steps = append(steps, func() error { return b.liveResume(ctx, product, f) })
		}
	}
	if b.wants("rules") {
		steps = append(steps, func() error { return b.rules(ctx, f) })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// say is a line of progress.
func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.out, "  "+format+"\n", args...) }

// anchor runs a bound's program until it ends, and notes its events a second.
func (b *bench) anchor(ctx context.Context, f figures, bound string, run uint32, mode, target string) error {
	before, err := b.used()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(b.bin, anchors), "-n", strconv.Itoa(b.events), "-run", strconv.FormatUint(uint64(run), 10), mode, target)
	cmd.Env = append(b.anchorEnviron(), b.more...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("anchors %s: %w: %s", mode, err, exit.Stderr)
	}
	var result struct {
		PerSecond float64 `json:"per_second"`
		CPUMicros float64 `json:"cpu_us"`
	}
	if err == nil {
		err = json.Unmarshal(out, &result)
	}
	if err != nil {
		return err
	}
	f[bound], f[bound+usedBy+anchors] = result.PerSecond, result.CPUMicros
	return b.noteUsed(f, bound, before, b.events)
}

func (b *bench) anchorEnviron() []string {
	return append(cleanEnviron(), "EA_MONGO_URI="+b.mongoURI, "EA_AMQP_URL="+b.amqpURL)
}

// brokerBounds fills a queue and drains it.
func (b *bench) brokerBounds(ctx context.Context, f figures) (err error) {
	queue := "bench-anchors"
	_ = b.watcher.remove(queue) // left by a run that was killed
	if err := b.anchor(ctx, f, boundPublish, b.nextRun(), "publish", queue); err != nil {
		return err
	}
	defer func() {
		<-time.After(brokerRest)
		err = errors.Join(err, b.watcher.remove(queue))
	}()
	p, err := launch(exec.Command(filepath.Join(b.bin, anchors), "consume", queue), b.anchorEnviron())
	if err != nil {
		return err
	}
	defer p.kill()
	if err := b.drain(ctx, f, boundConsume, queue, p); err != nil {
		return err
	}
	b.say("bounds: publish %.0f, C %.0f events/s", f[boundPublish], f[boundConsume])
	return nil
}

// databaseBounds does the writes of the three stages, on a database of their own.
func (b *bench) databaseBounds(ctx context.Context, n int, f figures) error {
	return b.onOwnDatabase(ctx, fmt.Sprintf("bench-anchors-%d", n), func(name string) error {
		run := b.nextRun()
		if err := b.anchor(ctx, f, boundInsert, run, "insert", name); err != nil {
			return err
		}
		if !b.wants("pipeline") {
			b.say("bounds: W %.0f events/s", f[boundInsert])
			return nil
		}
		if err := b.anchor(ctx, f, boundProcessed, run, "processed", name); err != nil {
			return err
		}
		if err := b.anchor(ctx, f, boundCounters, run, "counters", name); err != nil {
			return err
		}
		b.say("bounds: W %.0f, U %.0f, T %.0f events/s", f[boundInsert], f[boundProcessed], f[boundCounters])
		return nil
	})
}

// attemptsBound records attempts, on a database of its own.
func (b *bench) attemptsBound(ctx context.Context, n int, f figures) error {
	own := *b
	own.events = max(1000, b.events/webhookShare)
	return b.onOwnDatabase(ctx, fmt.Sprintf("bench-attempts-%d", n), func(name string) error {
		return own.anchor(ctx, f, boundAttempts, b.nextRun(), "attempts", name)
	})
}

// onOwnDatabase does something with a database that is empty before and gone
// after.
func (b *bench) onOwnDatabase(ctx context.Context, name string, do func(name string) error) (err error) {
	db, err := store.Open(ctx, store.Options{URI: b.mongoURI, Database: name, AppName: "bench"})
	if err != nil {
		return err
	}
	drop := func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
		defer cancel()
		return db.DropDatabase(ctx)
	}
	if err := drop(); err != nil { // left by a run that was killed
		return err
	}
	defer func() { err = errors.Join(err, drop(), db.Close(context.WithoutCancel(ctx))) }()
	return do(name)
}
