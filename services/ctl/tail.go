package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

const (
	reconnectFirst = 200 * time.Millisecond
	reconnectMax   = 10 * time.Second
	// retryMost bounds what an API may ask for before the next connection.
	retryMost = time.Minute
	// criticalSeverity is where the critical feed begins.
	criticalSeverity = 8
	// silence is when a stream counts as dead: the API says something every 15 s.
	silence = 50 * time.Second
)

// tail follows the live stream and resumes where it was after a lost connection.
func (t *tool) tail() *cobra.Command {
	c := &cobra.Command{Use: "tail", Short: "Follow events as they are stored",
		Long: `Follow events as they are stored, until Ctrl-C. A lost connection is taken up again where it was:
nothing is missed or shown twice, and if history is gone, that is said.`,
		Args: exactly(0, "no arguments"),
		Example: `  eactl tail --critical
  eactl tail --type PAYMENT_FAILED -o json`}
	var e eventFlags
	e.bind(c.Flags())
	critical := c.Flags().Bool("critical", false, "only what somebody must look at: severity 8 and more")
	c.MarkFlagsMutuallyExclusive("critical", "severity-min")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if *critical {
			e.SeverityMin = criticalSeverity
		}
		api, err := t.api()
		if err != nil {
			return err
		}
		return t.followAll(cmd.Context(), &stream{t: t, api: api, wanted: client.StreamEventsParams{
			Type: e.Type, Source: e.Source, Level: e.Level, SeverityMin: e.SeverityMin, SeverityMax: e.SeverityMax,
			UserID: e.UserID, SessionID: e.SessionID, TraceID: e.TraceID, Filter: e.Filter,
		}})
	}
	return c
}

// followAll reads one connection after the other until ctx ends. The first one
// must succeed: who mistypes an address wants to hear it.
func (t *tool) followAll(ctx context.Context, s *stream) error {
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(reconnectFirst),
		backoff.WithMaxInterval(reconnectMax), backoff.WithMaxElapsedTime(0))
	for {
		s.frames = 0
		err := s.follow(ctx)
		var refused *client.Problem
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // Ctrl-C is how a tail ends
		case errors.As(err, &refused) && !refused.Passing(), s.opened.IsZero(), errors.Is(err, errOutput):
			return err
		case s.frames > 0:
			wait.Reset()
		}
		if err == nil {
			err = errors.New("the API closed the stream")
		}
		pause := wait.NextBackOff()
		if refused != nil { // the API knows better, within a bound
			pause = max(pause, min(refused.RetryAfter, retryMost))
		}
		fmt.Fprintf(t.errOut, "connection lost (%s), trying again in %s\n", firstLine(err), pause.Round(10*time.Millisecond))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// errOutput: nobody reads any more what is printed.
var errOutput = errors.New("the output is closed")

// stream is where a live stream is.
type stream struct {
	t      *tool
	api    *client.Client
	wanted client.StreamEventsParams // with the position to resume from
	opened time.Time                 // the first connection
	frames int                       // of this connection that told a position
}

// follow reads one connection's frames until it ends.
func (s *stream) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(silence, func() { cancel(fmt.Errorf("silent for %s", silence)) })
	defer watchdog.Stop()
	answer, err := s.api.StreamEvents(ctx, s.wanted)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	lost := !s.opened.IsZero() && s.wanted.LastEventID == "" // a connection ended before it told a position
	if s.opened.IsZero() {
		s.opened = time.Now()
	}
	for frame, err := range client.Frames(awake{answer.Body, watchdog}) {
		if err != nil && context.Cause(ctx) != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			err = s.frame(frame)
		}
		if err != nil {
			return err
		}
		if lost && frame.ID != "" {
			fmt.Fprintf(s.t.errOut, "gap: no connection since %s told where it is; events that were stored since then may not be shown\n", s.opened.UTC().Format(time.RFC3339))
			lost = false
		}
		if frame.ID != "" {
			s.wanted.LastEventID = frame.ID // only now: the event before it was shown
			s.frames++
		}
	}
	return nil
}

// awake puts the watchdog off with everything that arrives.
type awake struct {
	io.Reader
	watchdog *time.Timer
}

func (a awake) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	a.watchdog.Reset(silence)
	return n, err
}

func (s *stream) frame(f client.Frame) error {
	t := s.t
	switch f.Event {
	case "event":
	case "gap":
		fmt.Fprintf(t.errOut, "gap: history was lost; some events were not shown: %s\n", printable(f.Data))
		return nil
	case "waiting":
		fmt.Fprintln(t.errOut, "others catch up first; going on where it was as soon as it is this one's turn")
		return nil
	case "slow_consumer":
		fmt.Fprintln(t.errOut, "this side is slower than the events; going on where it was")
		return nil
	default: // a position, a comment
		return nil
	}
	var e client.Event
	if err := json.Unmarshal([]byte(f.Data), &e); err != nil {
		return fmt.Errorf("the API's event: %w", err)
	}
	if err := t.print(json.RawMessage(f.Data), func() error { return t.eventLine(e) }); err != nil {
		return fmt.Errorf("%w: %w", errOutput, err)
	}
	return nil
}

// eventLine is an event as a person reads it.
func (t *tool) eventLine(e client.Event) error {
	_, err := fmt.Fprintf(t.out, "%-24s %s  %-24s %-20s %s\n", e.Timestamp, t.paint(severityColour(e.Severity), fmt.Sprintf("%2d", e.Severity)), printable(e.Type), printable(e.Source), printable(string(e.Payload)))
	return err
}

func severityColour(s int64) text.Color {
	switch {
	case s >= 9:
		return text.FgHiRed
	case s >= 7:
		return text.FgRed
	case s >= 4:
		return text.FgYellow
	default:
		return text.FgGreen
	}
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
