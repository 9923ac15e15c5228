package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

// Main is a service's binary: it reads flags, environment and file, runs the
// service until SIGTERM or SIGINT, and returns the exit code. A second signal
// ends it at once.
func Main(name string, wire Wire, commands ...Command) int {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	return Program{
		Name: name, Wire: wire, Commands: commands,
		Args: os.Args[1:], Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals,
	}.Run()
}

// Program is Main with everything that it takes from the operating system.
type Program struct {
	Name     string
	Wire     Wire
	Commands []Command
	Args     []string
	Environ  []string
	Stdout   io.Writer
	Stderr   io.Writer
	Signals  <-chan os.Signal
}

// flags are those that every subcommand has.
type flags struct {
	file, level, admin string
	set                []string
}

// Run returns the exit code.
func (g Program) Run() int {
	var f flags
	root := &cobra.Command{
		Use: g.Name, Short: about[g.Name], Version: telemetry.Version(),
		Example: strings.ReplaceAll(`  NAME                                        # with defaults: MongoDB and RabbitMQ on this machine
  NAME --config /etc/ea.yaml
  EA_MONGO_URI=mongodb://db/ EA_AMQP_URL=amqp://user:secret@mq/ NAME --log-level debug
  NAME --set shutdown.drain_timeout=30s
  NAME config print                           # every setting, its value and where that comes from`, "NAME", g.Name),
		Args: cobra.NoArgs, SilenceErrors: true, SilenceUsage: true,
		RunE: func(*cobra.Command, []string) error { return g.serve(f) },
	}
	root.PersistentFlags().StringVar(&f.file, "config", "", "YAML file with settings (default: EA_CONFIG)")
	root.PersistentFlags().StringArrayVar(&f.set, "set", nil, "set one key, as ingester.batch_events=200; can be repeated")
	root.PersistentFlags().StringVar(&f.level, "log-level", "", "debug, info, warn or error; the same as --set log.level=…")
	root.PersistentFlags().StringVar(&f.admin, "admin-addr", "", "where health paths and metrics are served; the same as --set admin.addr=…")
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetArgs(append([]string{}, g.Args...)) // never nil, which would mean os.Args
	root.SetOut(g.Stdout)
	root.SetErr(g.Stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &ExitError{ExitBadConfig, err} })
	root.AddCommand(g.configCommand(&f))
	for _, c := range g.Commands {
		root.AddCommand(g.subcommand(c, &f))
	}
	return g.code(root.Execute())
}

// about is each binary's line in --help.
var about = map[string]string{
	"ingester":          "Stores events from RabbitMQ in MongoDB and passes them on in batches.",
	"rule-worker":       "Matches stored events against the rules and decides on notifications.",
	"action-dispatcher": "Delivers notifications: webhooks, log lines; retries and dead letters.",
	"aggregator":        "Counts events exactly once and materialises metrics.",
	"api":               "Serves REST, live streams and the dashboard.",
}

// code says an error once and turns it into the exit code.
func (g Program) code(err error) int {
	if err == nil {
		return ExitClean
	}
	var said *saidError
	if !errors.As(err, &said) {
		fmt.Fprintf(g.Stderr, "%s: %v\n", g.Name, err)
	}
	var invalid *config.Invalid
	var exit *ExitError
	switch {
	case errors.As(err, &invalid):
		return ExitBadConfig
	case errors.As(err, &exit):
		return exit.Code
	case strings.HasPrefix(err.Error(), "unknown command"): // cobra has no type for it
		return ExitBadConfig
	default:
		return ExitFailure
	}
}

// saidError is in the log already.
type saidError struct{ error }

func (e *saidError) Unwrap() error { return e.error }

func (g Program) options(f flags) config.Options {
	set := f.set
	if f.level != "" {
		set = append(set, "log.level="+f.level)
	}
	if f.admin != "" {
		set = append(set, "admin.addr="+f.admin)
	}
	return config.Options{Process: g.Name, File: f.file, Environ: g.Environ, Set: set, Check: checkConfig}
}

// sameSignal: what sends a signal to a process group as well as to its leader
// (timeout, make, a terminal) makes one request arrive twice. People are slower.
const sameSignal = 200 * time.Millisecond

// serve runs the service until it is told to stop or fails.
func (g Program) serve(f flags) error {
	options := g.options(f)
	cfg, err := config.Load(options)
	if err != nil {
		return err
	}
	r, err := Start(context.Background(), g.Name, cfg, g.Wire, withOutput(g.Stderr))
	if err != nil {
		return err
	}
	var asked time.Time // when the first signal came
	for {
		select {
		case <-r.Done():
			if err := r.Wait(); err != nil {
				r.process.Log.Error("process failed", zap.Error(err))
				return &saidError{err}
			}
			return nil
		case s := <-g.Signals:
			switch {
			case s == syscall.SIGHUP:
				r.reload(options)
			case !asked.IsZero() && time.Since(asked) < sameSignal:
			case !asked.IsZero():
				return errors.New("second signal: stopped without finishing; unfinished work goes back to its queues")
			default:
				asked = time.Now()
				r.process.Log.Info("signal received", zap.Stringer("signal", s))
				r.end(errStopped)
			}
		}
	}
}

func (g Program) configCommand(f *flags) *cobra.Command {
	parent := &cobra.Command{Use: "config", Short: "Show or check the configuration"}
	parent.AddCommand(
		&cobra.Command{
			Use: "print", Short: "Print every setting, its value and where that comes from; secrets are masked", Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error {
				options := g.options(*f)
				cfg, err := config.Load(options)
				if err != nil {
					return err
				}
				_, err = io.WriteString(g.Stdout, config.Print(cfg, config.Sources(options)))
				return err
			},
		},
		&cobra.Command{
			Use: "check", Short: "Say what is wrong with the configuration; exit 0 when nothing is, else 2", Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error {
				options := g.options(*f)
				if _, err := config.Load(options); err != nil {
					return err
				}
				_, err := fmt.Fprintf(g.Stdout, "configuration is good: %d settings given, the rest are defaults\n", len(config.Sources(options)))
				return err
			},
		})
	return parent
}

func (g Program) subcommand(c Command, f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use: c.Use, Short: c.Short, Long: c.Long, Example: c.Example,
		RunE: func(_ *cobra.Command, args []string) error { return g.runCommand(c, *f, args) },
	}
	if c.Flags != nil {
		c.Flags(cmd.Flags())
	}
	return cmd
}

// runCommand gives a command what it needs and takes it back.
func (g Program) runCommand(c Command, f flags, args []string) error {
	cfg, err := config.Load(g.options(f))
	if err != nil {
		return err
	}
	if f.level == "" && cfg.Log.Level == "info" {
		cfg.Log.Level = "warn" // a command's own output is what its user wants to see
	}
	log, _, err := telemetry.NewLogger(g.Stderr, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return err
	}
	p := &Process{Name: g.Name, Instance: newInstance(), Config: cfg, Log: log, Metrics: telemetry.NewRegistry(), Out: g.Stdout}
	ctx, cancel := g.interrupted()
	defer cancel()
	if p.Store, err = openStore(ctx, p); err != nil {
		return err
	}
	err = c.Run(ctx, p, args)
	closing, stop := context.WithTimeout(context.WithoutCancel(ctx), teardownTimeout)
	defer stop()
	return errors.Join(err, p.Store.Close(closing))
}

// interrupted is a context that ends with the first signal.
func (g Program) interrupted() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for {
			select {
			case s := <-g.Signals:
				if s != syscall.SIGHUP {
					cancel()
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, cancel
}
