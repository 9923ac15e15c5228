package ctl

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// simulation is what to publish, and the counts of what was confirmed.
type simulation struct {
	rate            float64
	duration        time.Duration
	bad, duplicates float64
	idsFile         string

	valid, again, refused int
	unknown               int // neither confirmed nor refused
	ids                   *bufio.Writer
	confirmed             func(n int) // for the progress bar
}

// simulate publishes realistic traffic and says exactly what it published, so
// that the product's ledger can be held against it.
func (t *tool) simulate() *cobra.Command {
	s := simulation{confirmed: func(int) {}}
	c := &cobra.Command{
		Use:   "simulate",
		Short: "Publish realistic traffic, with a share of bad and duplicate messages",
		Long: `Publish realistic traffic: logins, orders, payments, errors, of all severities. A share of the messages
can break a rule of the format, or repeat an earlier event_id. At the end, or at Ctrl-C, it says what
was published and confirmed: valid events must be stored, bad ones must be dead letters.`,
		Example: `  eactl simulate --rate 50 --duration 30s --bad 0.02 --duplicates 0.02
  eactl simulate --rate 500 --duration 1m --ids ids.txt -o json`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.rate <= 0 || s.duration <= 0 || s.bad < 0 || s.duplicates < 0 || s.bad+s.duplicates >= 1 {
				return &usageError{errors.New("--rate and --duration are above 0, --bad and --duplicates are shares that add up to less than 1")}
			}
			if s.idsFile != "" {
				f, err := os.Create(s.idsFile)
				if err != nil {
					return &usageError{err}
				}
				defer func() { _ = f.Close() }()
				s.ids = bufio.NewWriter(f)
			}
			err := t.withBroker(cmd.Context(), func(c config.Config, conn *broker.Connection) error {
				defer s.bar(t)()
				return s.run(cmd.Context(), topologyOf(c).Exchange(topology.ExchangeEvents), broker.NewPublisher(conn, broker.PublisherOptions{}))
			})
			if s.ids != nil {
				err = errors.Join(err, s.ids.Flush())
			}
			return errors.Join(err, s.report(t))
		},
	}
	f := c.Flags()
	f.Float64Var(&s.rate, "rate", 50, "messages per second")
	f.DurationVar(&s.duration, "duration", 10*time.Second, "how long, such as 30s or 5m")
	f.Float64Var(&s.bad, "bad", 0, "share of messages that break a rule, 0 to 1")
	f.Float64Var(&s.duplicates, "duplicates", 0, "share of messages that repeat an event_id, 0 to 1")
	f.StringVar(&s.idsFile, "ids", "", "`FILE` for the event_ids that must be stored, one a line")
	return c
}

// bar shows the progress where somebody looks; the returned function ends it.
func (s *simulation) bar(t *tool) (end func()) {
	if !isTerminal(t.errOut) {
		return func() {}
	}
	bars := mpb.New(mpb.WithOutput(t.errOut))
	bar := bars.AddBar(int64(s.duration.Seconds()*s.rate), mpb.PrependDecorators(decor.Name("publish "), decor.CountersNoUnit("%d / %d")),
		mpb.AppendDecorators(decor.AverageSpeed(0, "%.0f/s "), decor.AverageETA(decor.ET_STYLE_GO)))
	s.confirmed = func(n int) { bar.IncrBy(n) }
	return func() {
		bar.Abort(false)
		bars.Wait()
	}
}

// simulationReport is the last line, and the whole of -o json.
type simulationReport struct {
	Published  int    `json:"published"` // confirmed: valid + duplicates + bad
	Valid      int    `json:"valid"`
	Duplicates int    `json:"duplicates"`
	Bad        int    `json:"bad"`
	Unknown    int    `json:"unknown,omitempty"` // sent and not confirmed
	IDsFile    string `json:"ids_file,omitempty"`
}

func (s *simulation) report(t *tool) error {
	r := simulationReport{Published: s.valid + s.again + s.refused, Valid: s.valid, Duplicates: s.again, Bad: s.refused, Unknown: s.unknown, IDsFile: s.idsFile}
	return t.print(r, func() error {
		_, err := fmt.Fprintf(t.out, "published %d: %d valid, %d duplicates, %d bad\n", r.Published, r.Valid, r.Duplicates, r.Bad)
		return err
	})
}

// sent is one message with what it counts as once it is confirmed.
type sent struct {
	message broker.Message
	id      string // of a valid event
	count   *int
}

const (
	// tick is how often a group of messages is published together.
	tick = 20 * time.Millisecond
	// finishFor is how long the last group may take after Ctrl-C or the end.
	finishFor = 30 * time.Second
)

// run publishes at the rate until the time is over or ctx ends. What was begun
// is finished and counted in either case.
func (s *simulation) run(ctx context.Context, exchange string, p *broker.Publisher) error {
	running, end := context.WithTimeout(ctx, s.duration)
	defer end()
	finish, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	defer context.AfterFunc(running, func() {
		time.AfterFunc(finishFor, func() { cut(fmt.Errorf("the broker did not confirm within %s", finishFor)) })
	})()
	started := time.Now()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var known []json.RawMessage // stored or about to be, for duplicates
	for n := 0; ; {
		elapsed := min(time.Since(started), s.duration)
		var group []sent
		for ; float64(n) < elapsed.Seconds()*s.rate; n++ {
			m, err := s.next(&known)
			if err != nil {
				return err
			}
			m.message.Exchange = exchange
			group = append(group, m)
		}
		if err := s.publish(finish, p, group); err != nil {
			return err
		}
		if elapsed >= s.duration {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (s *simulation) publish(ctx context.Context, p *broker.Publisher, group []sent) error {
	if len(group) == 0 {
		return nil
	}
	messages := make([]broker.Message, len(group))
	for i, g := range group {
		messages[i] = g.message
	}
	if err := p.Publish(ctx, messages...); err != nil {
		s.unknown += len(group)
		return fmt.Errorf("%w\n%d messages were sent and not confirmed; each may have been taken or not", err, len(group))
	}
	for _, g := range group {
		*g.count++
		if g.id != "" && s.ids != nil {
			if _, err := fmt.Fprintln(s.ids, g.id); err != nil {
				return err
			}
		}
	}
	s.confirmed(len(group))
	return nil
}
