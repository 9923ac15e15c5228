package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// Options of Replay and Purge; zero values do not restrict.
type Options struct {
	Limit  int
	Rate   float64 // dead letters a second
	DryRun bool    // only say what would be done
	// Edit changes the body of what is replayed; nil does not. Only producers'
	// messages can be edited, see ErrNotEditable.
	Edit Edit
	// ToRule is the id of a rule that the stored events in the dead letters are given
	// to, instead of giving them back to their owner; see ErrNotStored.
	ToRule string
	// Canary is how long the first one of a replay may take to succeed before the
	// others follow; 0: they follow at once.
	Canary time.Duration

	receipt string // where the canary's ack is heard

	// Done hears of each dead letter, in their order, when it is done with: err
	// is why it stays where it was.
	Done func(l *Letter, err error)
}

// Result is what Replay or Purge came to, also when it was interrupted.
type Result struct {
	ID       string `json:"replay_id,omitempty"` // stands in the records
	Matched  int    `json:"matched"`             // that were met
	Done     int    `json:"done"`                // replayed or purged; in a dry run 0
	Failed   int    `json:"failed"`              // that stay because they cannot be published
	Complete bool   `json:"complete"`            // the whole queue was looked through
}

// ErrCopies: what the recorder could not handle are copies; the dead letters
// themselves lie with their owners.
var ErrCopies = errors.New("the dead letters of " + topology.DeadLetters + " are copies that could not be recorded: replay them from their owner's queue, purge them here")

// Replay gives dead letters back to their owner, and to nobody else, as first
// attempts: published with a confirm, then taken out of the queue. Interrupted
// between the two a message lies in both places; its owner recognises the
// second one as a repeat. Interrupted anywhere, running it again finishes the
// job. Limit counts those that were met, with those that failed.
//
// With Canary one goes first; when it has not succeeded the error is a
// *CanaryError.
func (q *Queue) Replay(ctx context.Context, f Filter, o Options) (Result, error) {
	if q.Name == topology.DeadLetters {
		return Result{}, ErrCopies
	}
	if o.Edit != nil && q.Name != topology.Ingest {
		return Result{}, ErrNotEditable
	}
	if o.ToRule != "" {
		switch {
		case q.Name == topology.Ingest:
			return Result{}, ErrNotStored
		case o.Canary > 0:
			return Result{}, ErrNoCanary
		}
	}
	if o.Canary > 0 && !o.DryRun {
		return q.afterCanary(ctx, f, o)
	}
	id := uuid.NewString()
	r, err := q.take(ctx, f, o, func(l *Letter) ([]broker.Message, error) {
		now := millis(time.Now())
		end := l.Record
		end.ReplayedAt, end.ReplayID = &now, id
		if o.ToRule != "" {
			m, err := q.toRule(l, o.ToRule, id)
			return []broker.Message{m, q.end(end)}, err
		}
		m := l.message.Replay(q.owner)
		if o.receipt != "" {
			m.AskReceipt(o.receipt)
		}
		if o.Edit != nil {
			var err error
			if m.Body, err = o.Edit(l.ID, m.Body); err != nil {
				return nil, err
			}
		}
		return []broker.Message{m, q.end(end)}, nil
	})
	r.ID = id
	return r, err
}

// Purge throws dead letters away.
func (q *Queue) Purge(ctx context.Context, f Filter, o Options) (Result, error) {
	return q.take(ctx, f, o, func(l *Letter) ([]broker.Message, error) {
		if q.Name == topology.DeadLetters {
			return nil, nil // copies have no records
		}
		now := millis(time.Now())
		end := l.Record
		end.PurgedAt = &now
		return []broker.Message{q.end(end)}, nil
	})
}

const (
	// maxChunk: so many are published together and then acked, which is ten times
	// as fast as one by one; so many are repeats after a death at the wrong moment.
	maxChunk      = 50
	maxChunkBytes = 4 << 20
	// paceStep is the time that one chunk stands for when there is a rate.
	paceStep = 50 * time.Millisecond
)

// take publishes what messages says for each dead letter that f selects, and
// then takes it out.
func (q *Queue) take(ctx context.Context, f Filter, o Options, messages func(*Letter) ([]broker.Message, error)) (r Result, err error) {
	s, err := q.scan(ctx, f)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.release(ctx)) }()
	size, pace := maxChunk, rate.NewLimiter(rate.Inf, maxChunk)
	if o.Rate > 0 {
		size = max(1, min(maxChunk, int(o.Rate*paceStep.Seconds())))
		pace = rate.NewLimiter(rate.Limit(o.Rate), size)
	}
	for o.Limit == 0 || r.Matched < o.Limit {
		if o.Limit > 0 {
			size = min(size, o.Limit-r.Matched)
		}
		chunk, more, err := s.chunk(ctx, size)
		if err != nil {
			return r, err
		}
		if len(chunk) > 0 {
			if err := pace.WaitN(ctx, len(chunk)); err != nil {
				return r, fmt.Errorf("interrupted: %w", err)
			}
			r.Matched += len(chunk)
			if err := s.settle(ctx, chunk, &o, messages, &r); err != nil {
				return r, err
			}
		}
		if !more {
			r.Complete = true
			break
		}
		if err := s.renew(ctx); err != nil {
			return r, err
		}
	}
	return r, nil
}

// chunk is up to n dead letters; more is false when the queue is at its end.
func (s *scan) chunk(ctx context.Context, n int) (chunk []*Letter, more bool, err error) {
	for bytes := 0; len(chunk) < n && bytes < maxChunkBytes; {
		l, ok, err := s.next(ctx)
		if err != nil || !ok {
			return chunk, false, err
		}
		chunk, bytes = append(chunk, l), bytes+l.BodySize
	}
	return chunk, true, nil
}

// settle publishes for a chunk and acks it. When the broker refuses one of its
// messages the others go one by one, and that one stays.
func (s *scan) settle(ctx context.Context, chunk []*Letter, o *Options, messages func(*Letter) ([]broker.Message, error), r *Result) error {
	done := func(l *Letter, err error) {
		if o.Done != nil {
			o.Done(l, err)
		}
	}
	if o.DryRun {
		for _, l := range chunk {
			done(l, nil)
		}
		return nil
	}
	var all []broker.Message
	var good []*Letter
	for _, l := range chunk {
		of, err := messages(l)
		if err != nil { // it cannot be edited as it was asked for
			r.Failed++
			done(l, err)
			continue
		}
		all, good = append(all, of...), append(good, l)
	}
	if chunk = good; len(chunk) == 0 {
		return nil
	}
	err := s.q.publisher.Publish(ctx, all...)
	var refused *broker.RefusedError
	switch {
	case errors.As(err, &refused) && len(chunk) > 1:
		for i := range chunk {
			if err := s.settle(ctx, chunk[i:i+1], o, messages, r); err != nil {
				return err
			}
		}
		return nil
	case errors.As(err, &refused):
		r.Failed++
		done(chunk[0], err)
		return nil
	case err != nil:
		return err
	}
	fault.At(fault.DeadLetterPublished)
	for _, l := range chunk {
		if err := s.reader.Ack(l.message); err != nil {
			return err
		}
		r.Done++
		done(l, nil)
	}
	return nil
}
