package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// Queue is the dead letters of one work queue. Who reads it has the messages
// that it has read for itself until it is done; another reader sees the rest.
type Queue struct {
	Name string // the owner, without prefix

	conn      *broker.Connection
	publisher *broker.Publisher
	table     topology.Table
	owner     broker.WorkQueue
}

// UnknownQueueError is a name that no work queue has.
type UnknownQueueError struct {
	Name  string
	Known []string
}

func (e *UnknownQueueError) Error() string {
	return fmt.Sprintf("no work queue is called %q; there are %s", e.Name, strings.Join(e.Known, ", "))
}

// Open describes the dead letters of a work queue (name without prefix);
// nothing is read yet. The error is an *UnknownQueueError. Replay and Purge
// publish through publisher, which may be nil for others.
func Open(conn *broker.Connection, publisher *broker.Publisher, table topology.Table, name string) (*Queue, error) {
	owner := table.Work(name)
	if owner.Name == "" {
		return nil, &UnknownQueueError{Name: name, Known: Queues(table)}
	}
	return &Queue{Name: name, conn: conn, publisher: publisher, table: table, owner: owner}, nil
}

// Queues are the names of all work queues, without prefix.
func Queues(table topology.Table) []string {
	var names []string
	for _, w := range table.Queues() {
		names = append(names, w.Name)
	}
	return names
}

// Depth is how many dead letters lie there and are in nobody's hands.
func (q *Queue) Depth(ctx context.Context) (int, error) {
	n, _, err := q.conn.Depth(ctx, q.owner.Dead())
	return n, err
}

// Each hands the dead letters that f selects to do, in their order, and leaves
// them in the queue. What dies meanwhile is left out. When do ends it early the
// broker puts what was read behind what was not.
func (q *Queue) Each(ctx context.Context, f Filter, do func(*Letter) error) (err error) {
	s, err := q.scan(ctx, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.release(ctx)) }()
	for {
		l, more, err := s.next(ctx)
		if err != nil || !more {
			return err
		}
		if err := do(l); err != nil {
			return err
		}
	}
}

// Survey is Each for who goes through all and asks for neither body nor headers:
// the letters have what Bare tells, and what f asks about.
func (q *Queue) Survey(ctx context.Context, f Filter, do func(*Letter) error) (err error) {
	s, err := q.scan(ctx, f)
	if err != nil {
		return err
	}
	s.bare = !f.readsBody()
	defer func() { err = errors.Join(err, s.release(ctx)) }()
	var failed error
	err = s.reader.Walk(ctx, func(d *broker.DeadLetter) bool {
		l, more := s.read(d)
		if l != nil {
			failed = do(l)
		}
		return more && failed == nil
	})
	return errors.Join(err, failed)
}

const (
	// holdAtMost is well under the 30 minutes after which the broker takes back
	// what was read and not acked, and with it the reader's channel.
	holdAtMost = 10 * time.Minute
	// releaseTimeout bounds giving back what was only looked at.
	releaseTimeout = 30 * time.Second
)

// scan goes once through a queue.
type scan struct {
	q      *Queue
	f      Filter
	reader *broker.Reader
	begun  time.Time
	opened time.Time // of reader
	left   int       // so many were in the queue at the begin
	bare   bool      // bodies and headers are not looked at
	causes causes
}

func (q *Queue) scan(ctx context.Context, f Filter) (*scan, error) {
	depth, err := q.Depth(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &scan{q: q, f: f, reader: broker.NewReader(q.conn, q.owner), begun: now, opened: now, left: depth}, nil
}

// next is the next dead letter that is meant; false at the end.
func (s *scan) next(ctx context.Context) (*Letter, bool, error) {
	for {
		d, ok, err := s.reader.Next(ctx)
		if err != nil || !ok {
			return nil, false, err
		}
		if l, more := s.read(d); l != nil || !more {
			return l, more, nil
		}
	}
}

// read is a dead letter if it is meant, else nil; false at the end. The end is
// where what has died since the begin lies: a replayed message that fails again
// must not be met again. The broker's count may be a moment old, so behind it the
// time of death decides.
func (s *scan) read(d *broker.DeadLetter) (l *Letter, more bool) {
	l = bare(d, s.q.table.Prefix(), time.Now(), &s.causes)
	if s.left--; s.left < 0 && !l.DeadAt.Before(s.begun) {
		return nil, false
	}
	if !s.bare {
		l.readRest()
	}
	if !s.f.Match(l) {
		return nil, true
	}
	return l, true
}

// renew gives back what was read, if it has been held for long, and begins at
// the front again; what was acked is no longer there. Only where nothing that
// was read is still needed.
func (s *scan) renew(ctx context.Context) error {
	if time.Since(s.opened) < holdAtMost {
		return nil
	}
	if err := s.release(ctx); err != nil {
		return err
	}
	s.reader, s.opened, s.left = broker.NewReader(s.q.conn, s.q.owner), time.Now(), 0
	return nil
}

// release puts what was not acked back in its place, also when ctx has ended.
func (s *scan) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	return s.reader.Release(ctx)
}
