package ctl

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
)

const (
	reconnectFirst = 200 * time.Millisecond
	reconnectMax   = 10 * time.Second
	// silence is when a stream counts as dead: the API says something every 15 s.
	silence = 50 * time.Second
	// longestLine is above the largest event as JSON.
	longestLine = 8 << 20
)

// tail follows the live stream and resumes where it was after a lost connection.
func (t *tool) tail() *cobra.Command {
	c := &cobra.Command{Use: "tail", Short: "Follow events as they are stored",
		Long: `Follow events as they are stored, until Ctrl-C. A lost connection is taken up again where it was:
nothing is missed or shown twice, and if history is gone, that is said.`,
		Args: exactly(0, "no arguments"),
		Example: `  eactl tail --severity-min 8
  eactl tail --type PAYMENT_FAILED -o json`}
	query := eventFilter(c.Flags())
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		api, err := t.client()
		if err != nil {
			return err
		}
		return t.followAll(cmd.Context(), &stream{t: t, api: api, query: query()})
	}
	return c
}

// followAll reads one connection after the other until ctx ends. The first one
// must succeed: who mistypes an address wants to hear it.
func (t *tool) followAll(ctx context.Context, s *stream) error {
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(reconnectFirst),
		backoff.WithMaxInterval(reconnectMax), backoff.WithMaxElapsedTime(0))
	for {
		s.blocks = 0
		err := s.follow(ctx)
		var refused problem
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // Ctrl-C is how a tail ends
		case errors.As(err, &refused) && !refused.passing(), !s.opened, errors.Is(err, errOutput):
			return err
		case s.blocks > 0:
			wait.Reset()
		}
		if err == nil {
			err = errors.New("the API closed the stream")
		}
		pause := wait.NextBackOff()
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
	api    *client
	query  url.Values
	last   string // the position to resume from
	opened bool   // once
	blocks int    // of this connection that told a position
}

// follow reads one connection's blocks until it ends.
func (s *stream) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	header := http.Header{}
	if s.last != "" {
		header.Set("Last-Event-ID", s.last)
	}
	watchdog := time.AfterFunc(silence, func() { cancel(fmt.Errorf("silent for %s", silence)) })
	defer watchdog.Stop()
	answer, err := s.api.send(ctx, http.MethodGet, "/stream/events", s.query, nil, header)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	s.opened = true
	lines := bufio.NewScanner(awake{answer.Body, watchdog})
	lines.Buffer(nil, longestLine)
	kind, data, id := "", "", ""
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "": // the block's end
			if err := s.block(kind, data); err != nil {
				return err
			}
			if id != "" {
				s.last = id // only now: the event before it was shown
				s.blocks++
			}
			kind, data, id = "", "", ""
		case name == "event":
			kind = value
		case name == "data":
			data = value
		case name == "id":
			id = value
		}
	}
	if err := lines.Err(); err != nil && context.Cause(ctx) != nil {
		return context.Cause(ctx)
	}
	return lines.Err()
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

func (s *stream) block(kind, data string) error {
	t := s.t
	switch kind {
	case "event":
	case "gap":
		fmt.Fprintf(t.errOut, "gap: history was lost; some events were not shown: %s\n", data)
		return nil
	case "slow_consumer":
		fmt.Fprintln(t.errOut, "this side is slower than the events; going on where it was")
		return nil
	case "error":
		return fmt.Errorf("the API ended the stream: %s", data)
	default: // a position, a comment
		return nil
	}
	m, err := decoded(json.RawMessage(data))
	if err != nil {
		return err
	}
	if err := t.print(json.RawMessage(data), func() error { return t.eventLine(m) }); err != nil {
		return fmt.Errorf("%w: %w", errOutput, err)
	}
	return nil
}

// eventLine is an event as a person reads it.
func (t *tool) eventLine(m map[string]any) error {
	payload, err := json.Marshal(m["payload"])
	if err != nil {
		return err
	}
	severity := fmt.Sprintf("%2s", cell(m, "severity"))
	_, err = fmt.Fprintf(t.out, "%-24s %s  %-24s %-20s %s\n", cell(m, "timestamp"), t.paint(severityColour(m), severity), cell(m, "type"), cell(m, "source"), payload)
	return err
}

func severityColour(m map[string]any) text.Color {
	n, _ := m["severity"].(json.Number)
	switch s, _ := n.Int64(); {
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
