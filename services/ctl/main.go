// Package ctl is eactl, the operators' command line.
package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

// The exit codes of eactl.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitNothing = 3 // nothing matched
)

// errNothing: the command worked and found nothing.
var errNothing = errors.New("nothing matched")

// usageError is a mistake in how the command was called.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// Main runs eactl and returns its exit code.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return Run(ctx, args, os.Environ(), os.Stdout, os.Stderr)
}

// Run is Main without the process around it.
func Run(ctx context.Context, args, environ []string, out, errOut io.Writer) int {
	kept := &output{Writer: out}
	t := &tool{environ: environ, out: kept, errOut: errOut}
	root := t.root()
	root.SetArgs(append([]string{}, args...)) // of nil, cobra would take the process's own
	command, err := root.ExecuteContextC(ctx)
	if (err == nil || errors.Is(err, errNothing)) && kept.err != nil {
		err = fmt.Errorf("%w: %w", errOutput, kept.err)
	}
	if err == nil {
		return exitDone
	}
	err = verdict(err)
	fmt.Fprintf(errOut, "eactl: %s\n", err)
	var usage *usageError
	switch {
	case errors.Is(err, errNothing):
		return exitNothing
	case errors.As(err, &usage):
		fmt.Fprintf(errOut, "See `%s --help`.\n", command.CommandPath())
		return exitUsage
	default:
		return exitFailed
	}
}

// output remembers that something could not be written: tables and trees do not
// say so.
type output struct {
	io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// tool is one run of eactl.
type tool struct {
	environ     []string
	out, errOut io.Writer
	output      string   // -o
	leftOut     []string // documents that cannot be read
}

func (t *tool) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "eactl",
		Short: "Operate Events Aggregator",
		Long: `eactl publishes and reads events, keeps rules, and looks after queues and dead letters.

It reads EA_API_URL (default http://127.0.0.1:8080) and EA_API_KEY for the API, and the services' own
settings (EA_AMQP_URL, EA_MONGO_URI, EA_BROKER_PREFIX, …) where it talks to the servers themselves.
Exit codes: 0 done, 1 failed, 2 bad usage, 3 nothing matched.`,
		Example: `  eactl status
  eactl publish '{"type":"PAYMENT_FAILED","source":"shop","severity":8}'
  eactl rules apply -f configs/rules/
  eactl dlq list ingester.events`,
		Version:       telemetry.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSuchCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetOut(t.out)
	root.SetErr(t.errOut)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.PersistentFlags().StringVarP(&t.output, "output", "o", outputTable, "table, json, yaml, or csv of a list")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if !slices.Contains(outputs, t.output) {
			return &usageError{fmt.Errorf("-o %s: expected %s", t.output, strings.Join(outputs, ", "))}
		}
		return t.canPrint(c)
	}
	root.AddCommand(t.publish(), t.simulate(), t.tail(), t.events(), t.analytics(), t.rules(), t.silence(), t.notifications(), t.targets(), t.templates(), t.dlq(), t.replay(), t.topology(), t.users(), t.keys(), t.audit(), t.secrets(), t.status(), t.doctor())
	return root
}

// group is a command that only has subcommands.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	names := make([]string, len(commands))
	for i, c := range commands {
		names[i] = c.Name()
	}
	c := &cobra.Command{Use: use, Short: short, Args: noSuchCommand, RunE: func(c *cobra.Command, _ []string) error {
		return &usageError{fmt.Errorf("%s needs one of %s", c.CommandPath(), strings.Join(names, ", "))}
	}}
	c.AddCommand(commands...)
	return c
}

// noSuchCommand refuses arguments of a command that only has subcommands.
func noSuchCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	c.SuggestionsMinimumDistance = 2
	message := fmt.Sprintf("%s has no command %q", c.CommandPath(), args[0])
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		message += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return &usageError{errors.New(message)}
}

// exactly checks the number of arguments as a usage error.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return &usageError{fmt.Errorf("expected %s, got %d argument(s)", what, len(args))}
		}
		return nil
	}
}
