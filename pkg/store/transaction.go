package store

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.mongodb.org/mongo-driver/mongo"
)

const (
	transientTransaction = "TransientTransactionError"
	unknownCommit        = "UnknownTransactionCommitResult"

	// conflictPatience is how long a transaction is tried again. A process that
	// was killed inside a transaction keeps its documents locked until the
	// server ends it (60 s by default), so giving up earlier would turn another
	// process's death into our error.
	conflictPatience = 90 * time.Second
	// commitPatience bounds the repeats of a commit whose result is unknown;
	// afterwards the caller starts again, and the marker of its work says
	// whether the commit took place.
	commitPatience = 15 * time.Second
)

// transaction runs fn in one majority transaction. Write conflicts and other
// transient errors start it again, with a back-off. fn must be repeatable and
// must insert the marker of its work first, because after an unknown commit
// result the whole is run again and the marker's duplicate key is then the
// answer. Errors that are not transient abort and are returned as they are.
func (s *Store) transaction(ctx context.Context, fn func(mongo.SessionContext) error) error {
	session, err := s.client.StartSession()
	if err != nil {
		return &outage{err}
	}
	defer session.EndSession(ctx)

	wait := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(5*time.Millisecond),
		backoff.WithMaxInterval(time.Second),
		backoff.WithMaxElapsedTime(conflictPatience))
	return backoff.Retry(func() error {
		err := s.attempt(ctx, session, fn)
		if err == nil || isTransient(err) {
			return err
		}
		return backoff.Permanent(err)
	}, backoff.WithContext(wait, ctx))
}

// attempt is one run of fn with its commit or abort.
func (s *Store) attempt(ctx context.Context, session mongo.Session, fn func(mongo.SessionContext) error) error {
	bound, cancel := bounded(ctx)
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

func isTransient(err error) bool { return hasLabel(err, transientTransaction) }

func hasLabel(err error, label string) bool {
	var labelled interface{ HasErrorLabel(string) bool }
	return errors.As(err, &labelled) && labelled.HasErrorLabel(label)
}
