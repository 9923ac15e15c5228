package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"
)

// declareAttempts bounds how often an answer of the broker that is neither a
// difference nor an outage is tried again: many processes that declare quorum
// queues at once can meet an internal error or a leader that is not elected yet.
const declareAttempts = 10

// Declare makes the broker as t says. It waits for a session as long as ctx
// lasts; doing it again, or in many processes at once, changes nothing. What
// exists with other properties is left as it is and named in a
// *DifferenceError, after everything else was declared.
func (c *Connection) Declare(ctx context.Context, t Topology) error {
	c.mu.Lock()
	c.declared = &t
	c.mu.Unlock()
	return c.onSession(ctx, "declare topology", func(d *declarer) error { return d.declare(t) })
}

// redeclare makes what a broker lost (or somebody deleted) again, as far as it
// was declared on one of the connections before.
func redeclare(ctx context.Context, connections ...*Connection) {
	for _, c := range connections {
		c.mu.Lock()
		t := c.declared
		c.mu.Unlock()
		if t == nil || !c.redeclaring.TryLock() {
			continue
		}
		c.log.Warn("part of the topology is missing and is declared again")
		if err := c.Declare(ctx, *t); err != nil && ctx.Err() == nil {
			c.log.Error("topology cannot be declared again", zap.Error(err))
		}
		c.redeclaring.Unlock()
		return
	}
}

// Remove deletes everything that t names, with all messages. It is for tests
// and for tearing an installation down.
func (c *Connection) Remove(ctx context.Context, t Topology) error {
	return c.onSession(ctx, "remove topology", func(d *declarer) error {
		for _, q := range t.Queues {
			if err := d.do(func(ch *amqp.Channel) error { _, err := ch.QueueDelete(q.Name, false, false, false); return err }); err != nil {
				return fmt.Errorf("queue %s: %w", q.Name, err)
			}
		}
		for _, e := range t.Exchanges {
			if err := d.do(func(ch *amqp.Channel) error { return ch.ExchangeDelete(e.Name, false, false) }); err != nil {
				return fmt.Errorf("exchange %s: %w", e.Name, err)
			}
		}
		return nil
	})
}

// Check compares a broker with t over a connection of its own and changes
// nothing. Existing queues and exchanges are compared with all their arguments.
// Bindings are not: AMQP has no way to ask for them, and Declare makes those
// that are missing.
func Check(ctx context.Context, url string, t Topology) ([]Difference, error) {
	var nonce [6]byte
	_, _ = rand.Read(nonce[:])
	s, err := openSession(ctx, url, "topology-check", headerPrefix+fmt.Sprintf("unreadable-%x", nonce))
	if err != nil {
		return nil, &outageError{op: "check topology", cause: err}
	}
	defer s.close()
	var found []Difference
	err = await(ctx, func() error {
		d := &declarer{s: s}
		defer d.close()
		var err error
		found, err = d.compare(t)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("check topology: %w", err)
	}
	return found, nil
}

// Probe opens a session and closes it. It says at once what is wrong, where a
// Connection would go on trying.
func Probe(ctx context.Context, url string) error {
	s, err := openSession(ctx, url, "probe", headerPrefix+"unreadable-probe")
	if err != nil {
		return &outageError{op: "reach RabbitMQ", cause: err}
	}
	s.close()
	return nil
}

// onSession runs fn on the current session, on the next one when that is lost,
// and again when the broker answers with an error that may pass.
func (c *Connection) onSession(ctx context.Context, op string, fn func(*declarer) error) error {
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(holdFirst), backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	for attempt := 1; ; {
		s, err := c.session(ctx)
		if err != nil {
			return err
		}
		err = await(ctx, func() error {
			d := &declarer{s: s}
			defer d.close()
			return fn(d)
		})
		var different *DifferenceError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &different):
			return err
		case ctx.Err() != nil:
			return &outageError{op: op, cause: err, ended: context.Cause(ctx)}
		case s.ended():
			// the next session
		default:
			e, ok := serverError(err)
			if attempt++; attempt > declareAttempts || ok && e.Code == amqp.AccessRefused {
				return fmt.Errorf("%s: %w", op, plain(err))
			}
			c.log.Warn("the broker refused an operation, it is tried again", zap.String("operation", op), zap.Error(err))
		}
		pause(ctx, wait.NextBackOff())
	}
}

// declarer declares on a channel that is replaced when an answer closed it.
type declarer struct {
	s  *session
	ch *amqp.Channel
}

func (d *declarer) do(fn func(*amqp.Channel) error) error {
	if d.ch == nil || d.ch.IsClosed() {
		ch, err := d.s.conn.Channel()
		if err != nil {
			return fmt.Errorf("open channel: %w", err)
		}
		d.ch = ch
	}
	return fn(d.ch)
}

func (d *declarer) close() {
	if d.ch != nil {
		_ = d.ch.Close()
	}
}

func (d *declarer) declare(t Topology) error {
	var differences []Difference
	for _, e := range t.Exchanges {
		found, err := d.exchange(e)
		if err != nil {
			return err
		}
		differences = append(differences, found...)
	}
	for _, q := range t.Queues {
		found, err := d.queue(q)
		if err != nil {
			return err
		}
		differences = append(differences, found...)
	}
	for _, b := range t.Bindings {
		err := d.do(func(ch *amqp.Channel) error { return ch.QueueBind(b.Queue, b.Key, b.Exchange, false, nil) })
		if err != nil {
			return fmt.Errorf("bind queue %s to %s with key %q: %w", b.Queue, b.Exchange, b.Key, plain(err))
		}
	}
	if len(differences) > 0 {
		return &DifferenceError{Differences: differences}
	}
	return nil
}

// compare looks for each object and, when it is there, declares it once more:
// that changes nothing, and the broker says what differs.
func (d *declarer) compare(t Topology) ([]Difference, error) {
	var differences []Difference
	for _, e := range t.Exchanges {
		missing, err := d.missing(func(ch *amqp.Channel) error {
			return ch.ExchangeDeclarePassive(e.Name, e.Kind, true, false, false, false, nil)
		})
		if err != nil {
			return nil, fmt.Errorf("exchange %s: %w", e.Name, err)
		}
		found := []Difference{{Object: "exchange " + e.Name, Detail: "is missing", Advice: adviceMissing}}
		if !missing {
			if found, err = d.exchange(e); err != nil {
				return nil, err
			}
		}
		differences = append(differences, found...)
	}
	for _, q := range t.Queues {
		missing, err := d.missing(func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclarePassive(q.Name, true, false, false, false, nil)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("queue %s: %w", q.Name, err)
		}
		found := []Difference{{Object: "queue " + q.Name, Detail: "is missing", Advice: adviceMissing}}
		if !missing {
			if found, err = d.queue(q); err != nil {
				return nil, err
			}
		}
		differences = append(differences, found...)
	}
	return differences, nil
}

func (d *declarer) missing(look func(*amqp.Channel) error) (bool, error) {
	err := d.do(look)
	if e, ok := serverError(err); ok && e.Code == amqp.NotFound {
		return true, nil
	}
	return false, err
}

func (d *declarer) exchange(e Exchange) ([]Difference, error) {
	err := d.do(func(ch *amqp.Channel) error {
		return ch.ExchangeDeclare(e.Name, e.Kind, true, false, false, false, nil)
	})
	return difference("exchange "+e.Name, adviceExchange, err)
}

func (d *declarer) queue(q Queue) ([]Difference, error) {
	args, err := toTable(q.Args)
	if err != nil {
		return nil, fmt.Errorf("queue %s: %w", q.Name, err)
	}
	err = d.do(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(q.Name, true, false, false, false, args)
		return err
	})
	return difference("queue "+q.Name, adviceQueue, err)
}

// difference reads the broker's 406.
func difference(object, advice string, err error) ([]Difference, error) {
	if err == nil {
		return nil, nil
	}
	if e, ok := serverError(err); ok && e.Code == amqp.PreconditionFailed {
		return []Difference{{Object: object, Detail: strings.TrimPrefix(e.Reason, "PRECONDITION_FAILED - "), Advice: advice}}, nil
	}
	return nil, fmt.Errorf("declare %s: %w", object, plain(err))
}
