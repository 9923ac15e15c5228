package ctl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/client"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/deadletter"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

func (t *tool) dlq() *cobra.Command {
	return group("dlq", "Look after dead letters; it needs RabbitMQ alone",
		listed(t.dlqList()), t.dlqShow(), listed(t.dlqGroups()), t.dlqReplay(), t.dlqPurge(), t.dlqExport(), t.dlqImport())
}

// withDead runs f with the dead letters of the queue that is named, or of all
// when none is.
func (t *tool) withDead(ctx context.Context, names []string, f func(ctx context.Context, queues []*deadletter.Queue) error) error {
	return t.withBroker(ctx, func(c config.Config, conn *broker.Connection) error {
		table := topologyOf(c)
		if len(names) == 0 {
			names = deadletter.Queues(table)
		}
		publisher := broker.NewPublisher(conn, broker.PublisherOptions{})
		var queues []*deadletter.Queue
		for _, name := range names {
			q, err := deadletter.Open(conn, publisher, table, name)
			if err != nil {
				return &usageError{err}
			}
			queues = append(queues, q)
		}
		return f(ctx, queues)
	})
}

func atMostOneQueue(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return &usageError{fmt.Errorf("expected one work queue, or none for all, got %d arguments", len(args))}
	}
	return nil
}

// errEnough ends an enumeration at its limit.
var errEnough = errors.New("enough")

// look is how a queue's dead letters are gone through: Each or Survey.
type look func(q *deadletter.Queue, ctx context.Context, f deadletter.Filter, do func(*deadletter.Letter) error) error

// each hands up to s.limit dead letters to do, of one queue after the other.
func (s *selection) each(ctx context.Context, queues []*deadletter.Queue, do func(*deadletter.Letter) error) error {
	return s.through(ctx, queues, (*deadletter.Queue).Each, do)
}

func (s *selection) through(ctx context.Context, queues []*deadletter.Queue, look look, do func(*deadletter.Letter) error) error {
	f, err := s.filter(time.Now())
	if err != nil {
		return err
	}
	n := 0
	for _, q := range queues {
		err := look(q, ctx, f, func(l *deadletter.Letter) error {
			if n++; s.limit > 0 && n > s.limit {
				return errEnough
			}
			return do(l)
		})
		if errors.Is(err, errEnough) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	if n == 0 {
		return errNothing
	}
	return nil
}

func (t *tool) dlqList() *cobra.Command {
	var s selection
	c := &cobra.Command{
		Use: "list [QUEUE]", Short: "List dead letters", Args: atMostOneQueue,
		Example: `  eactl dlq list ingester.events --reason permanent
  eactl dlq list --since 1h --filter '{"event.severity":{"$gte":8}}' -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.withDead(cmd.Context(), args, func(ctx context.Context, queues []*deadletter.Queue) error {
				rows := t.deadRows()
				defer rows.end()
				return s.each(ctx, queues, rows.add)
			})
		},
	}
	s.flags(c.Flags())
	return c
}

func (t *tool) dlqShow() *cobra.Command {
	var s selection
	c := &cobra.Command{
		Use: "show [QUEUE] --id DEAD_ID", Short: "Show one dead letter with its body", Args: atMostOneQueue,
		Example: `  eactl dlq show ingester.events --id 0c1f…`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.what.ID == "" {
				return &usageError{errors.New("--id is missing; `eactl dlq list` shows ids")}
			}
			s.limit = 1
			return t.withDead(cmd.Context(), args, func(ctx context.Context, queues []*deadletter.Queue) error {
				return s.each(ctx, queues, func(l *deadletter.Letter) error {
					shown := deadletter.Show(l.Full())
					return t.print(shown, func() error { return t.printJSON(shown) })
				})
			})
		},
	}
	c.Flags().StringVar(&s.what.ID, "id", "", "the dead letter's id")
	return c
}

func (t *tool) dlqGroups() *cobra.Command {
	var s selection
	var recorded bool
	c := &cobra.Command{
		Use: "groups [QUEUE]", Short: "Group dead letters by cause, the largest group first", Args: atMostOneQueue,
		Long: `Groups what waits in the queues by cause, the largest group first. It reads the queues themselves
and gives back what it has read, so it needs RabbitMQ alone, and says what lies there and nothing else;
who reads the same queue meanwhile sees less of it. With --recorded it asks the API for what was recorded
of them. That needs no RabbitMQ, is a moment behind, lacks what died while nothing was recorded or longer
ago than the records are kept, and still has what somebody purged by another way than this one: where
RabbitMQ answers, it says when the records are not as many as what lies in the queues.`,
		Example: `  eactl dlq groups
  eactl dlq groups webhooks.default --since 24h -o json
  eactl dlq groups --recorded`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if recorded {
				return t.recordedGroups(cmd.Context(), args, &s)
			}
			return t.withDead(cmd.Context(), args, func(ctx context.Context, queues []*deadletter.Queue) error {
				var g deadletter.Groups
				if err := s.through(ctx, queues, (*deadletter.Queue).Survey, func(l *deadletter.Letter) error { g.Add(l); return nil }); err != nil {
					return err
				}
				return t.printGroups(g.Sorted(), time.Now())
			})
		},
	}
	s.flags(c.Flags())
	c.Flags().BoolVar(&recorded, "recorded", false, "ask the API for what was recorded of them, instead of reading the queues")
	return c
}

// recordedGroups prints the groups that the API makes of the records.
func (t *tool) recordedGroups(ctx context.Context, queues []string, s *selection) error {
	f, err := s.filter(time.Now())
	if err != nil {
		return err
	}
	if s.what.ID != "" || s.what.Error != "" || s.condition != "" || s.limit > 0 {
		return &usageError{errors.New("--id, --error, --filter and --limit are about the messages themselves: leave --recorded out")}
	}
	api, err := t.api()
	if err != nil {
		return err
	}
	p := client.GroupDeadLettersParams{Reason: f.Reason, ErrorClass: f.Class, Cause: f.Cause, Rule: f.Rule, Target: f.Target, EventType: f.Type,
		From: client.At(f.Since), To: client.At(f.Until), Limit: recordedMost}
	if len(queues) > 0 {
		p.Queue = queues[0]
	}
	answer, err := api.GroupDeadLetters(ctx, p)
	if err != nil {
		return err
	}
	if !f.Restricts() {
		t.compareRecorded(ctx, queues, int(answer.Messages))
	}
	if len(answer.Items) == 0 {
		return errNothing
	}
	groups := make([]deadletter.Group, 0, len(answer.Items))
	for _, g := range answer.Items {
		groups = append(groups, deadletter.Group{Queue: g.Queue, Reason: g.Reason, Cause: g.Cause, ErrorClass: g.ErrorClass, Fingerprint: g.Fingerprint,
			Messages: int(g.Messages), Since: g.Since.Time, Last: g.Last.Time, Example: g.Example, Error: g.Error})
	}
	return t.printGroups(groups, time.Now())
}

const (
	// recordedMost is the API's largest page of groups.
	recordedMost = 500
	// compareTimeout bounds what is only a hint.
	compareTimeout = 2 * time.Second
)

// compareRecorded says when there are more or fewer records than dead letters in
// the queues. RabbitMQ need not be there.
func (t *tool) compareRecorded(ctx context.Context, names []string, recorded int) {
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	lying := 0
	err := t.withDead(ctx, names, func(ctx context.Context, queues []*deadletter.Queue) error {
		for _, q := range queues {
			if q.Name == topology.DeadLetters { // copies that could not be recorded
				continue
			}
			n, err := q.Depth(ctx)
			if err != nil {
				return err
			}
			lying += n
		}
		return nil
	})
	if err == nil && lying != recorded {
		t.warn([]client.Flaw{{Message: fmt.Sprintf("recorded: %s; in the queues: %s, which it groups without --recorded", thousands(recorded), thousands(lying))}})
	}
}

func (t *tool) dlqReplay() *cobra.Command {
	var s selection
	var o deadletter.Options
	var canary bool
	var set []string
	var canaryWait time.Duration
	var toRule string
	c := &cobra.Command{
		Use: "replay QUEUE", Short: "Give dead letters back to the queue that they came from, and to no other",
		Long: `Gives dead letters back to the queue that they came from, as first attempts: each is published
with a confirm and then taken out. Interrupted anywhere nothing is lost, and running it again
finishes the job; what was given back twice is recognised as a repeat by its owner. What fails
again meanwhile is not replayed again. A delivery order goes through its retry schedule from the
beginning, as after eactl notifications retry.

With --canary one goes first, and the others only when it has succeeded: its notification is
delivered, or, of a queue whose messages are no notifications, its owner has acked it. One that
dies again, waits in a retry tier, or is not done within --canary-wait has not.

With --to-rule the stored events in the dead letters are given to that rule alone, which makes
what it owes for them; the dead letters are done with. It asks the API for the rule.`,
		Args: exactly(1, "a work queue such as webhooks.default"),
		Example: `  eactl dlq replay webhooks.default --class timeout --rate 50 --limit 1000
  eactl dlq replay webhooks.default --cause 3f1c0a9be2d4 --canary
  eactl dlq replay ingester.events --filter '{"type":"PAYMENT_FAILED"}' --dry-run
  eactl dlq replay ingester.events --error /severity --set severity=5 --canary
  eactl dlq replay webhooks.default --target gone.example.com --to-rule "large failed payments"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if canary {
				o.Canary = canaryWait
			}
			var err error
			if o.Edit, err = edits(set); err != nil {
				return err
			}
			if toRule != "" {
				api, err := t.api()
				if err != nil {
					return err
				}
				if o.ToRule, err = deciding(cmd.Context(), api, toRule); err != nil {
					return err
				}
			}
			return t.take(cmd, args, &s, o, "replay", "replayed", func(ctx context.Context, q *deadletter.Queue, f deadletter.Filter, o deadletter.Options) (deadletter.Result, error) {
				r, err := q.Replay(ctx, f, o)
				if errors.Is(err, deadletter.ErrCopies) || errors.Is(err, deadletter.ErrNotEditable) || errors.Is(err, deadletter.ErrNotStored) || errors.Is(err, deadletter.ErrNoCanary) {
					err = &usageError{err}
				}
				return r, err
			})
		},
	}
	s.flags(c.Flags())
	c.Flags().BoolVar(&o.DryRun, "dry-run", false, "only list what would be replayed")
	c.Flags().Float64Var(&o.Rate, "rate", 0, "at most so many a second; 0: as fast as it goes")
	c.Flags().StringVar(&toRule, "to-rule", "", "the id or name of a `RULE` that their stored events are given to, instead of their owner")
	c.Flags().BoolVar(&canary, "canary", false, "one first, and the others only if it succeeds")
	c.Flags().StringArrayVar(&set, "set", nil, "mend each on its way, as payload.amount=7 or source=shop; of ingester.events")
	c.Flags().DurationVar(&canaryWait, "canary-wait", time.Minute, "how long the canary may take to succeed")
	return c
}

func (t *tool) dlqPurge() *cobra.Command {
	var s selection
	var o deadletter.Options
	var yes bool
	c := &cobra.Command{
		Use: "purge QUEUE", Short: "Throw dead letters away for good", Args: exactly(1, "a work queue such as ingester.events"),
		Example: `  eactl dlq purge ingester.events --class invalid_json
  eactl dlq purge ingester.events --until 720h --yes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.take(cmd, args, &s, o, "purge", "purged", func(ctx context.Context, q *deadletter.Queue, f deadletter.Filter, o deadletter.Options) (r deadletter.Result, err error) {
				if !yes && !o.DryRun {
					if err := t.confirm(ctx, cmd.InOrStdin(), q, f, o); err != nil {
						return r, err
					}
				}
				return q.Purge(ctx, f, o)
			})
		},
	}
	s.flags(c.Flags())
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&o.DryRun, "dry-run", false, "only list what would be purged")
	return c
}

// act is Replay or Purge.
type act func(ctx context.Context, q *deadletter.Queue, f deadletter.Filter, o deadletter.Options) (deadletter.Result, error)

// take runs a command that takes dead letters out of one queue, and shows how
// it goes on.
func (t *tool) take(cmd *cobra.Command, args []string, s *selection, o deadletter.Options, verb, done string, do act) error {
	f, err := s.filter(time.Now())
	if err == nil && o.Rate < 0 {
		err = &usageError{errors.New("--rate is negative")}
	}
	if err != nil {
		return err
	}
	o.Limit = s.limit
	return t.withDead(cmd.Context(), args, func(ctx context.Context, queues []*deadletter.Queue) error {
		q := queues[0]
		view := t.takeView(verb, done, o.DryRun, func() int { return s.expected(ctx, q) })
		o.Done = view.one
		r, err := do(ctx, q, f, o)
		err = errors.Join(err, view.end(err == nil))
		switch {
		case err != nil && r.Matched == 0:
			return err
		case r.Matched == 0:
			return errNothing
		case o.DryRun:
			fmt.Fprintf(t.errOut, "%d would be %s\n", r.Matched, done)
			return err
		}
		fmt.Fprintf(t.errOut, "%d %s\n", r.Done, done)
		if err != nil {
			return fmt.Errorf("%w; nothing is lost, run it again to finish", err)
		}
		if r.Failed > 0 {
			return fmt.Errorf("%d cannot be %s as they are and stay where they were", r.Failed, done)
		}
		return nil
	})
}

// confirm asks a person, who must be there, before what cannot be undone.
func (t *tool) confirm(ctx context.Context, in io.Reader, q *deadletter.Queue, f deadletter.Filter, o deadletter.Options) error {
	if file, ok := in.(*os.File); !ok || !isTerminal(file) {
		return &usageError{errors.New("purging cannot be undone, and there is nobody to ask: add --yes")}
	}
	r, err := q.Purge(ctx, f, deadletter.Options{DryRun: true, Limit: o.Limit})
	if err != nil {
		return err
	}
	if r.Matched == 0 {
		return errNothing
	}
	fmt.Fprintf(t.errOut, "Throw away %s dead letters of %s for good? [y/N] ", thousands(r.Matched), q.Name)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was purged")
	}
	return nil
}
