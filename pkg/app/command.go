package app

import (
	"context"

	"github.com/spf13/pflag"
)

// Command is a further subcommand of a service's binary, such as `aggregator
// verify`. It gets the configuration, a logger and the store, and no broker and
// no workers. Its flags must keep the names config, set, log-level and
// admin-addr free.
type Command struct {
	Use     string // "verify", with arguments as cobra shows them
	Short   string
	Long    string
	Example string
	Flags   func(*pflag.FlagSet)
	// Run prints to p.Out. An error is exit code 1, or its own: see ExitError.
	Run func(ctx context.Context, p *Process, args []string) error
}

// The exit codes of every binary.
const (
	ExitClean     = 0
	ExitFailure   = 1
	ExitBadConfig = 2
)

// ExitError is an error with an exit code of its own.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string { return e.Err.Error() }
func (e *ExitError) Unwrap() error { return e.Err }
