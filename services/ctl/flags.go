package ctl

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

// eventFlags are those that lists, streams and analyses of events share: which
// events.
type eventFlags struct {
	Type, Source, Level, UserID, SessionID, TraceID, Filter string
	SeverityMin, SeverityMax                                int64
}

func (e *eventFlags) bind(f *pflag.FlagSet) {
	f.StringVar(&e.Type, "type", "", "only events of this `TYPE`")
	f.StringVar(&e.Source, "source", "", "only events from this `SERVICE`")
	f.StringVar(&e.Level, "level", "", "only events of this `LEVEL`: info, warning, error or critical")
	f.Var(severity{&e.SeverityMin}, "severity-min", "only events at least so severe (`1-10`)")
	f.Var(severity{&e.SeverityMax}, "severity-max", "only events at most so severe (`1-10`)")
	f.StringVar(&e.UserID, "user-id", "", "only events of this `USER`")
	f.StringVar(&e.SessionID, "session-id", "", "only events of this `SESSION`")
	f.StringVar(&e.TraceID, "trace-id", "", "only events of this `TRACE`")
	f.StringVar(&e.Filter, "filter", "", "only events that match this `CONDITION`, e.g. '{\"payload.amount\":{\"$gte\":100}}'")
}

// rangeFlags are --from and --to.
type rangeFlags struct{ from, to client.Time }

func (r *rangeFlags) bind(f *pflag.FlagSet, what string) {
	f.Var(instant{&r.from}, "from", what+"not before this `TIME` (RFC 3339)")
	f.Var(instant{&r.to}, "to", what+"before this `TIME` (RFC 3339)")
}

// last puts a length of time in place of --from and --to.
func (r *rangeFlags) last(length time.Duration) error {
	if length < 0 || length > 0 && (!r.from.IsZero() || !r.to.IsZero()) {
		return &usageError{errors.New("--last is a length of time, and goes without --from and --to")}
	}
	if length > 0 {
		r.from = client.At(time.Now().UTC().Add(-length))
	}
	return nil
}

// instant is a flag of a time. Empty, as of a shell variable that is not set, is
// none.
type instant struct{ at *client.Time }

func (m instant) Set(text string) error {
	if text == "" {
		*m.at = client.Time{}
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return errors.New("expected RFC 3339 such as 2026-01-31T12:00:00Z")
	}
	*m.at = client.At(at)
	return nil
}

func (m instant) String() string {
	if m.at == nil || m.at.IsZero() {
		return ""
	}
	return m.at.String()
}

func (instant) Type() string { return "time" }

// severity is a flag of one.
type severity struct{ n *int64 }

func (s severity) Set(text string) error {
	if text == "" {
		*s.n = 0
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 { // the API refuses what is too much, with all else that is wrong
		return errors.New("expected 1 to 10")
	}
	*s.n = n
	return nil
}

func (s severity) String() string {
	if s.n == nil || *s.n == 0 {
		return ""
	}
	return strconv.FormatInt(*s.n, 10)
}

func (severity) Type() string { return "int" }

// limitFlag is how many are wanted; 0 is all.
func limitFlag(f *pflag.FlagSet) (limit func() (int, error)) {
	n := f.Int("limit", 50, "at most so many; 0: all")
	return func() (int, error) {
		if *n < 0 {
			return 0, &usageError{errors.New("--limit is 0 or more")}
		}
		return *n, nil
	}
}

// atLeastOne checks a number that the API takes from 1 on.
func atLeastOne(name string, n int64) error {
	if n < 1 {
		return &usageError{fmt.Errorf("--%s is 1 or more", name)}
	}
	return nil
}
