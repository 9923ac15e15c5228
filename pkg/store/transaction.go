package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/x/mongo/driver/topology"
	"go.uber.org/zap"
)

const (
	transientTransaction = "TransientTransactionError"
	unknownCommit        = "UnknownTransactionCommitResult"

	// conflictPatience is how long a transaction is tried again. A process that
	// was killed inside a transaction keeps its documents locked until the
	// server ends it (60 s by default), so giving up earlier would turn another
	// process's death into our error.
	conflictPatience = 90 * time.Second
	// conflictNotice is how long it is tried again before the log says so, and
	// again after each further such time.
	conflictNotice = 5 * time.Second
	// commitPatience bounds the repeats of a commit whose result is unknown;
	// afterwards the caller starts again, and the marker of its work says
	// whether the commit took place.
	commitPatience = 15 * time.Second
)

// transaction runs fn in one majority transaction. Write conflicts and other
// transient errors start it again, with a back-off; a server that cannot be
// reached does not: that is an outage, and the caller, who knows whether its
// process stops, holds its work until it is over. fn must be repeatable and
// must insert the marker of its work first, because after an unknown commit
// result the whole is run again and the marker's duplicate key is then the
// answer. Errors that are not transient abort and are returned as they are.
func (s *Store) transaction(ctx context.Context, fn func(mongo.SessionContext) error) error {
	return s.transactionWithin(ctx, operationTimeout, fn)
}

// transactionWithin is transaction with another bound of one attempt.
func (s *Store) transactionWithin(ctx context.Context, limit time.Duration, fn func(mongo.SessionContext) error) error {
	session, err := s.cutOff.take(s.client)
	if err != nil {
		return &outage{err}
	}
	defer func() { s.cutOff.give(ctx, session, err) }()

	wait := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(5*time.Millisecond),
		backoff.WithMaxInterval(time.Second),
		backoff.WithMaxElapsedTime(conflictPatience))
	err = backoff.RetryNotify(func() error {
		err := s.attempt(ctx, limit, session, fn)
		if err == nil || isTransient(err) && !isAway(err) {
			return err
		}
		return backoff.Permanent(err)
	}, backoff.WithContext(wait, ctx), s.patience())
	return err
}

// patience tells the log of a transaction that goes on being started again.
func (s *Store) patience() backoff.Notify {
	began := time.Now()
	told := began
	return func(err error, _ time.Duration) {
		if time.Since(told) < s.notice {
			return
		}
		told = time.Now()
		s.log.Warn("a transaction is in conflict with another one, or ended by the server, and is tried again",
			zap.Duration("for", time.Since(began)), zap.Duration("until", conflictPatience), zap.Error(err))
	}
}

// cutOff keeps the sessions whose transaction was under way when the server
// went out of reach. The server goes on holding the transaction's locks for up
// to a minute, unless it hears of a newer transaction of the same session: so
// the next transactions use these sessions first.
type cutOff struct {
	mu       sync.Mutex
	sessions []mongo.Session
}

func (c *cutOff) take(client *mongo.Client) (mongo.Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last := len(c.sessions) - 1; last >= 0 {
		session := c.sessions[last]
		c.sessions = c.sessions[:last]
		return session, nil
	}
	return client.StartSession()
}

func (c *cutOff) give(ctx context.Context, session mongo.Session, err error) {
	if err == nil || !isAway(err) {
		session.EndSession(ctx)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions = append(c.sessions, session)
}

// attempt is one run of fn with its commit or abort.
func (s *Store) attempt(ctx context.Context, limit time.Duration, session mongo.Session, fn func(mongo.SessionContext) error) error {
	bound, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return mongo.WithSession(bound, session, func(sc mongo.SessionContext) error {
		if err := session.StartTransaction(); err != nil {
			return err
		}
		if err := fn(sc); err != nil {
			// The abort gets its own time, so that a cancelled caller does not
			// leave its documents locked until the server's limit.
			abort, stop := context.WithTimeout(context.WithoutCancel(ctx), selectionTimeout)
			defer stop()
			_ = session.AbortTransaction(abort)
			return err
		}
		return commit(sc, session)
	})
}

func commit(sc mongo.SessionContext, session mongo.Session) error {
	wait := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(10*time.Millisecond),
		backoff.WithMaxInterval(time.Second),
		backoff.WithMaxElapsedTime(commitPatience))
	return backoff.Retry(func() error {
		err := session.CommitTransaction(sc)
		if err == nil || hasLabel(err, unknownCommit) {
			return err
		}
		return backoff.Permanent(err)
	}, backoff.WithContext(wait, sc))
}

// isAway: no server answered.
func isAway(err error) bool {
	return mongo.IsNetworkError(err) || errors.As(err, new(topology.ServerSelectionError))
}

func isTransient(err error) bool { return hasLabel(err, transientTransaction) }

func hasLabel(err error, label string) bool {
	var labelled interface{ HasErrorLabel(string) bool }
	return errors.As(err, &labelled) && labelled.HasErrorLabel(label)
}
