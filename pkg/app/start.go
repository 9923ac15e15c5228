package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// drainGrace is what workers get beyond the drain's own bound, to notice that
// it has passed and hand back what they hold.
const drainGrace = 5 * time.Second

// Option changes how Start sets a process up.
type Option func(*Running)

// WithLogger makes the process log there instead of to standard error.
func WithLogger(log *zap.Logger) Option { return func(r *Running) { r.process.Log = log } }

// withOutput makes the process log to w, at a level that a reload can change.
func withOutput(w io.Writer) Option { return func(r *Running) { r.output = w } }

// Start starts a process and returns as soon as its admin server answers.
// What needs MongoDB and RabbitMQ follows on its own: Booted tells when, and
// /readyz says what is missing until then. ctx bounds the start alone; Stop
// ends the process. Start handles no signals and shares nothing with other
// processes of the same program.
func Start(ctx context.Context, name string, cfg config.Config, wire Wire, options ...Option) (*Running, error) {
	r := &Running{
		process: &Process{Name: name, Instance: newInstance(), Config: cfg, Out: os.Stdout, startedAt: time.Now(), stack: &stack{log: zap.NewNop()}},
		output:  os.Stderr,
		read:    cfg,
		booted:  make(chan struct{}), done: make(chan struct{}),
	}
	r.life, r.end = context.WithCancelCause(context.WithoutCancel(ctx))
	for _, o := range options {
		o(r)
	}
	if err := r.open(ctx); err != nil {
		r.end(err)
		return nil, errors.Join(err, r.process.stack.unwind(context.WithoutCancel(ctx)))
	}
	go r.run(wire)
	return r, nil
}

// Running is a started process.
type Running struct {
	process  *Process
	output   io.Writer
	level    *zap.AtomicLevel
	read     config.Config // as last read, see reload
	admin    *admin
	life     context.Context //nolint:containedctx // the process's own lifetime, not a call's; ends with the cause of the stop
	end      context.CancelCauseFunc
	booted   chan struct{} // closed when the workers run
	done     chan struct{} // closed when everything is torn down
	stopping atomic.Bool
	step     atomic.Value // string: what the start is at, for /readyz
	err      error        // why it ended; valid after done
}

// errStopped is the cause of a stop that was asked for.
var errStopped = errors.New("stopped")

// errUnasked stands for the missing error of a part that just returned.
var errUnasked = errors.New("returned although nobody asked it to stop")

// AdminAddr is where the health paths and metrics are served.
func (r *Running) AdminAddr() string { return r.admin.addr }

// Addr is the public address, "" before Wire has bound it or when the service
// has none.
func (r *Running) Addr() string { return r.process.public.get() }

// Process is what Wire got.
func (r *Running) Process() *Process { return r.process }

// Booted returns nil as soon as Wire has returned and the workers run, or the
// reason why the process ended before.
func (r *Running) Booted(ctx context.Context) error {
	select {
	case <-r.booted:
		return nil
	case <-r.done:
		cause := r.err
		if cause == nil {
			cause = context.Cause(r.life)
		}
		return fmt.Errorf("%s ended before it worked: %w", r.process.Name, cause)
	case <-ctx.Done():
		return fmt.Errorf("%s is not working yet (%s): %w", r.process.Name, r.process.checks.summary(ctx), ctx.Err())
	}
}

// Wait returns when the process has ended: nil after a clean stop, else why.
func (r *Running) Wait() error {
	<-r.done
	return r.err
}

// Done is closed when the process has ended.
func (r *Running) Done() <-chan struct{} { return r.done }

// Stop ends the process in order and returns as Wait does, or at ctx's end
// while the process still drains.
func (r *Running) Stop(ctx context.Context) error {
	r.end(errStopped)
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return fmt.Errorf("%s is still stopping: %w", r.process.Name, ctx.Err())
	}
}

// open sets up everything that needs no other server. Each part registers its
// teardown as soon as it exists, so a failing start rolls back with the stack.
func (r *Running) open(ctx context.Context) error {
	p := r.process
	if p.Log == nil {
		log, level, err := telemetry.NewLogger(r.output, p.Config.Log.Level, p.Config.Log.Format)
		if err != nil {
			return err
		}
		p.Log, r.level = log, &level
	}
	p.Log = p.Log.With(zap.String("service", p.Name), zap.String("instance", p.Instance))
	p.stack.log = p.Log
	p.Metrics = telemetry.NewRegistry()
	p.checks = newChecks(p.Config.Health.Cache)
	p.workers = &workers{fail: func(err error) { r.end(err) }}
	p.checks.add("workers", r.workersRun)

	var err error
	if r.admin, err = bindAdmin(ctx, p.Config.Admin.Addr); err != nil {
		return err
	}
	p.OnStop("admin server", r.admin.stop)

	if p.Store, err = openStore(ctx, p); err != nil {
		return err
	}
	p.OnStop("MongoDB client", p.Store.Close)
	p.checks.add("mongodb", p.Store.Check)
	p.lag = newLag(p.Store)
	p.Metrics.MustRegister(p.lag)

	p.PublishConnection = r.connection("publish")
	p.ConsumeConnection = r.connection("consume")
	p.Publisher = broker.NewPublisher(p.PublishConnection, broker.PublisherOptions{})
	p.checks.add("rabbitmq", p.checkRabbitMQ)
	p.Topology = topology.New(p.Config.Broker.Prefix, p.Config.Dispatcher.QueueNames()...)
	r.admin.serve(p)
	r.connect("publish connection", p.PublishConnection) // it takes longest and needs nobody
	return nil
}

func (r *Running) connection(name string) *broker.Connection {
	p := r.process
	return broker.NewConnection(p.Name+" "+name, p.Config.AMQP.URL, p.Log, p.Metrics)
}

// connect keeps a connection up until its teardown.
func (r *Running) connect(name string, c *broker.Connection) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.life))
	ended := make(chan error, 1)
	go func() {
		err := guarded(ctx, c.Run)
		if ctx.Err() == nil {
			r.end(fmt.Errorf("%s: %w", name, cmp.Or(err, errUnasked)))
		}
		ended <- err
	}()
	r.process.OnStop(name, func(ctx context.Context) error {
		cancel()
		select {
		case err := <-ended:
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// run is the rest of the process's life.
func (r *Running) run(wire Wire) {
	defer close(r.done)
	p := r.process
	if err := r.boot(wire); err != nil {
		r.end(err)
	} else {
		close(r.booted)
		where := []zap.Field{zap.String("version", telemetry.Version()), zap.String("admin", r.AdminAddr())}
		if addr := r.Addr(); addr != "" {
			where = append(where, zap.String("addr", addr))
		}
		p.Log.Info("working", where...)
	}
	<-r.life.Done()
	r.stopping.Store(true) // /readyz says 503 before anything stops
	p.checks.forget()

	cause := context.Cause(r.life)
	if errors.Is(cause, errStopped) {
		p.Log.Info("stopping")
		cause = nil
	}
	drained := p.workers.wait(p.Config.Shutdown.DrainTimeout + drainGrace)
	r.err = errors.Join(cause, drained, p.stack.unwind(context.WithoutCancel(r.life)))
	if r.err == nil {
		p.Log.Info("stopped")
	}
}

// boot waits for the servers, prepares them, and starts the service.
func (r *Running) boot(wire Wire) error {
	p, ctx := r.process, r.life
	if err := prepare(ctx, p.Log, "MongoDB", config.MaskURI(p.Config.Mongo.URI), func(ctx context.Context) error {
		r.step.Store("waiting for MongoDB")
		if err := p.Store.Check(ctx); err != nil {
			return err
		}
		r.step.Store("making MongoDB's indexes")
		return p.Store.EnsureIndexes(ctx)
	}); err != nil {
		return err
	}
	// The second connection waits for the first, so that a broker that is away
	// or a wrong password is said once: by the connection itself.
	r.step.Store("waiting for RabbitMQ")
	quiet := zap.NewNop()
	if err := prepare(ctx, quiet, "RabbitMQ", config.MaskURI(p.Config.AMQP.URL), p.PublishConnection.Check); err != nil {
		return err
	}
	r.connect("consume connection", p.ConsumeConnection)
	p.consuming.Store(true)
	if err := prepare(ctx, quiet, "RabbitMQ", config.MaskURI(p.Config.AMQP.URL), func(ctx context.Context) error {
		if err := p.ConsumeConnection.Check(ctx); err != nil {
			return err
		}
		r.step.Store("declaring RabbitMQ's topology")
		return p.PublishConnection.Declare(ctx, p.Topology.Broker())
	}); err != nil {
		return err
	}
	r.step.Store("beginning to work")
	if err := wire(ctx, p); err != nil {
		return fmt.Errorf("wire %s: %w", p.Name, err)
	}
	p.workers.start(ctx)
	return nil
}

// workersRun is the check that tells starting and stopping from working.
func (r *Running) workersRun(context.Context) error {
	if r.stopping.Load() || r.life.Err() != nil {
		return errors.New("stopping")
	}
	select {
	case <-r.booted:
		return nil
	default:
		step, _ := r.step.Load().(string)
		return errors.New(strings.TrimSuffix("starting: "+step, ": "))
	}
}

func openStore(ctx context.Context, p *Process) (*store.Store, error) {
	return store.Open(ctx, store.Options{
		URI: p.Config.Mongo.URI, Database: p.Config.Mongo.Database,
		AppName: p.Name, MaxPool: uint64(p.Config.Mongo.MaxPool),
		Log: p.Log, Observe: telemetry.MongoOperations(p.Metrics), Spoilt: telemetry.MongoUnreadable(p.Metrics),
	})
}
