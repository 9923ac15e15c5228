package ctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
	"golang.org/x/time/rate"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
)

// selection is which dead letters of a queue are meant.
type selection struct {
	reason, class, id, contains string
	limit                       int
}

func (s *selection) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.reason, "reason", "", "only this reason (permanent, exhausted, expired, delivery-limit)")
	f.StringVar(&s.class, "class", "", "only this error class")
	f.StringVar(&s.id, "id", "", "only this dead letter")
	f.StringVar(&s.contains, "error", "", "only errors that contain this text")
	f.IntVar(&s.limit, "limit", 0, "at most so many; 0: all")
}

func (s *selection) meant(d *broker.DeadLetter) bool {
	return (s.reason == "" || d.Reason == s.reason) && (s.class == "" || d.ErrorClass == s.class) &&
		(s.id == "" || d.ID == s.id) && strings.Contains(d.Error, s.contains)
}

// each hands the meant dead letters to f, in their order. f says whether the
// dead letter is done with; all others stay where they are. The broker alone is
// needed, so it works with MongoDB away.
func (s *selection) each(ctx context.Context, conn *broker.Connection, q broker.WorkQueue, f func(*broker.DeadLetter) (done bool, err error)) (err error) {
	r := broker.NewReader(conn, q)
	defer func() { err = errors.Join(err, r.Release(context.WithoutCancel(ctx))) }()
	for n := 0; s.limit == 0 || n < s.limit; {
		d, more, err := r.Next(ctx)
		if err != nil {
			return err
		}
		if !more {
			if n == 0 {
				return errNothing
			}
			return nil
		}
		if !s.meant(d) {
			continue
		}
		n++
		done, err := f(d)
		if err != nil {
			return err
		}
		if done {
			if err := r.Ack(d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tool) dlq() *cobra.Command {
	return group("dlq", "Look after dead letters", t.dlqList(), t.dlqShow(), t.dlqReplay(), t.dlqPurge())
}

// onQueue is a dlq subcommand for one work queue.
func (t *tool) onQueue(use, short, example string, run func(ctx context.Context, conn *broker.Connection, q broker.WorkQueue) error) *cobra.Command {
	return &cobra.Command{Use: use + " QUEUE", Short: short, Example: example, Args: exactly(1, "a work queue such as ingester.events"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.withBroker(cmd.Context(), func(c config.Config, conn *broker.Connection) error {
				q := topologyOf(c).Work(args[0])
				if q.Name == "" {
					var names []string
					for _, w := range topologyOf(c).Queues() {
						names = append(names, w.Name)
					}
					return &usageError{fmt.Errorf("no work queue %s; there are %s", args[0], strings.Join(names, ", "))}
				}
				return run(cmd.Context(), conn, q)
			})
		}}
}

func (t *tool) dlqList() *cobra.Command {
	var s selection
	c := t.onQueue("list", "List a queue's dead letters, oldest first", "  eactl dlq list ingester.events --reason permanent", func(ctx context.Context, conn *broker.Connection, q broker.WorkQueue) error {
		w := t.rows("dead_id", "dead at", "reason", "class", "attempts", "error")
		err := s.each(ctx, conn, q, func(d *broker.DeadLetter) (bool, error) {
			if t.output == "json" {
				return false, t.printLine(deadLine(d))
			}
			text := d.Error
			if len(text) > 60 {
				text = strings.ToValidUTF8(text[:60], "") + "…"
			}
			w.AppendRow([]any{d.ID, d.DeadAt.Format(time.RFC3339), d.Reason, d.ErrorClass, d.Attempts, text})
			return false, nil
		})
		if err == nil && t.output == "table" {
			w.Render()
		}
		return err
	})
	s.flags(c)
	return c
}

func deadLine(d *broker.DeadLetter) map[string]any {
	return map[string]any{"dead_id": d.ID, "queue": d.Queue, "reason": d.Reason, "error_class": d.ErrorClass, "error": d.Error,
		"attempts": d.Attempts, "dead_at": d.DeadAt, "exchange": d.Exchange, "routing_key": d.RoutingKey, "message_id": d.MessageID, "by_broker": d.ByBroker}
}

func (t *tool) dlqShow() *cobra.Command {
	var s selection
	c := t.onQueue("show", "Show one dead letter with its body", "  eactl dlq show ingester.events --id 0c1f…", func(ctx context.Context, conn *broker.Connection, q broker.WorkQueue) error {
		if s.id == "" {
			return &usageError{errors.New("--id is missing; `eactl dlq list` shows ids")}
		}
		s.limit = 1
		return s.each(ctx, conn, q, func(d *broker.DeadLetter) (bool, error) {
			line := deadLine(d)
			line["headers"], line["content_type"], line["body"] = d.Headers, d.ContentType, strings.ToValidUTF8(string(d.Body), "\uFFFD")
			return false, t.printJSON(line)
		})
	})
	s.flags(c)
	return c
}

// dlqReplay gives dead letters back to their owner: published with a confirm
// first, then taken out. Interrupted between the two, a message is in both
// places and its second replay is recognised as a duplicate by its owner;
// interrupted anywhere else, running it again finishes the job.
func (t *tool) dlqReplay() *cobra.Command {
	var s selection
	var dry bool
	var perSecond float64
	c := t.onQueue("replay", "Give dead letters back to the queue that they came from",
		"  eactl dlq replay webhooks.default --class timeout --rate 50 --limit 1000\n  eactl dlq replay ingester.events --dry-run",
		func(ctx context.Context, conn *broker.Connection, q broker.WorkQueue) error {
			waiting, _, err := conn.Depth(ctx, q.Dead())
			if err != nil {
				return err
			}
			if s.limit == 0 || s.limit > waiting {
				s.limit = waiting // what fails again during the replay is not replayed twice
			}
			if s.limit == 0 {
				return errNothing
			}
			publisher := broker.NewPublisher(conn, broker.PublisherOptions{})
			pace := rate.NewLimiter(rate.Inf, 1)
			if perSecond > 0 {
				pace = rate.NewLimiter(rate.Limit(perSecond), 1)
			}
			bar := t.progress(s.limit)
			n := 0
			err = s.each(ctx, conn, q, func(d *broker.DeadLetter) (bool, error) {
				if dry {
					n++
					return false, t.printLine(deadLine(d))
				}
				if err := pace.Wait(ctx); err != nil {
					return false, err
				}
				if err := publisher.Publish(ctx, d.Replay(q)); err != nil {
					return false, err
				}
				n++
				bar.one(d)
				return true, nil
			})
			bar.end()
			verb := "replayed"
			if dry {
				verb = "would be replayed"
			}
			fmt.Fprintf(t.errOut, "%d %s\n", n, verb)
			return err
		})
	s.flags(c)
	c.Flags().BoolVar(&dry, "dry-run", false, "only say what would be replayed")
	c.Flags().Float64Var(&perSecond, "rate", 0, "at most so many a second; 0: as fast as it goes")
	return c
}

func (t *tool) dlqPurge() *cobra.Command {
	var s selection
	var yes bool
	c := t.onQueue("purge", "Throw dead letters away for good", "  eactl dlq purge ingester.events --class invalid_json --yes", func(ctx context.Context, conn *broker.Connection, q broker.WorkQueue) error {
		if !yes {
			return &usageError{errors.New("purging cannot be undone; add --yes")}
		}
		n := 0
		err := s.each(ctx, conn, q, func(*broker.DeadLetter) (bool, error) { n++; return true, nil })
		fmt.Fprintf(t.errOut, "%d purged\n", n)
		return err
	})
	s.flags(c)
	c.Flags().BoolVar(&yes, "yes", false, "really")
	return c
}

// progress is a bar on a terminal, and a JSON line per dead letter elsewhere.
type progress struct {
	t    *tool
	bars *mpb.Progress
	bar  *mpb.Bar
}

func (t *tool) progress(total int) *progress {
	p := &progress{t: t}
	if f, ok := t.errOut.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bars = mpb.New(mpb.WithOutput(f))
		p.bar = p.bars.AddBar(int64(total), mpb.PrependDecorators(decor.Name("replay "), decor.CountersNoUnit("%d / %d")),
			mpb.AppendDecorators(decor.AverageSpeed(0, "%.0f/s "), decor.AverageETA(decor.ET_STYLE_GO)))
	}
	return p
}

func (p *progress) one(d *broker.DeadLetter) {
	if p.bar != nil {
		p.bar.Increment()
		return
	}
	_ = p.t.printLine(map[string]string{"replayed": d.ID})
}

func (p *progress) end() {
	if p.bar != nil {
		p.bar.Abort(false)
		p.bars.Wait()
	}
}
