package store

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
	"go.uber.org/zap"
)

// LeaseTiming says how a lease is kept. TakeOver must be several Beats, since
// a contender takes over after seeing the same beat for that long on its own
// monotonic clock; no clocks are compared between machines.
type LeaseTiming struct {
	Beat     time.Duration
	TakeOver time.Duration
}

// LeaseTimingDefault: an owner that dies is replaced within about 12 s.
var LeaseTimingDefault = LeaseTiming{Beat: 2 * time.Second, TakeOver: 10 * time.Second}

// Lease gives work that needs one owner to one process at a time.
type Lease struct {
	store  *Store
	name   string
	holder string
	timing LeaseTiming
}

// leaseRow is a document of `leases`.
type leaseRow struct {
	Name   string `bson:"_id" json:"name"`
	Holder string `bson:"holder" json:"holder"` // "" when given back
	Term   int64  `bson:"term" json:"term"`
	Beat   int64  `bson:"beat" json:"beat"`
}

// Lease names a lease and its would-be holder (unique to the process).
func (s *Store) Lease(name, holder string, timing LeaseTiming) *Lease {
	return &Lease{store: s, name: name, holder: holder, timing: timing}
}

// Run contends for the lease until ctx ends. While it is held, work runs with
// the lease's term; its context ends when the lease is lost, and also when the
// owner could not beat for so long that a contender may have taken over. A
// paused owner may wake beside its successor: work whose repetition is not
// harmless must name the term in its writes. When work returns, the lease is
// given back and contended for again after a Beat.
func (l *Lease) Run(ctx context.Context, work func(ctx context.Context, term int64) error) error {
	watched := leaseRow{Beat: -1}
	unchangedSince := time.Now()
	ticker := time.NewTicker(l.timing.Beat)
	defer ticker.Stop()
	for {
		row, err := l.read(ctx)
		switch {
		case err != nil: // the database is away: nobody can take over now
			unchangedSince = time.Now()
		case row != watched:
			watched, unchangedSince = row, time.Now()
		}
		free := err == nil && (row.Holder == "" || time.Since(unchangedSince) >= l.timing.TakeOver)
		if free {
			sent := time.Now()
			if term, taken := l.take(ctx, row); taken {
				l.hold(ctx, sent, term, work)
				watched, unchangedSince = leaseRow{Beat: -1}, time.Now()
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// hold runs the work and beats beside it. The lease was taken after that time.
func (l *Lease) hold(ctx context.Context, taken time.Time, term int64, work func(context.Context, int64) error) {
	l.store.log.Info("lease taken", zap.String("lease", l.name), zap.Int64("term", term))
	held, lose := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- work(held, term) }()

	ticker := time.NewTicker(l.timing.Beat)
	defer ticker.Stop()
	// Half of TakeOver leaves the work time to stop before anybody else starts.
	until := taken.Add(l.timing.TakeOver / 2)
	var err error
	for running := true; running; {
		select {
		case err = <-done:
			running = false
		case <-ticker.C:
			sent := time.Now()
			ours, beatErr := l.beat(held, term, until)
			if beatErr == nil && ours {
				until = sent.Add(l.timing.TakeOver / 2) // a contender may have seen it as soon as it was sent
			}
			if (beatErr == nil && !ours) || time.Now().After(until) {
				l.store.log.Warn("lease lost", zap.String("lease", l.name), zap.Int64("term", term))
				lose()
				err = <-done
				running = false
			}
		}
	}
	lose()
	if err != nil && !errors.Is(err, context.Canceled) {
		l.store.log.Error("leased work ended with an error", zap.String("lease", l.name), zap.Error(err))
	}
	giveBack, cancel := context.WithTimeout(context.WithoutCancel(ctx), selectionTimeout)
	defer cancel()
	_, _ = l.store.leases.UpdateOne(giveBack, l.ours(term), bson.D{field("$set", bson.D{field("holder", "")})})
}

func (l *Lease) read(ctx context.Context) (leaseRow, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var row leaseRow
	err := l.store.leases.FindOne(ctx, bson.D{field("_id", l.name)}).Decode(&row)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return leaseRow{Name: l.name}, nil
	}
	return row, err
}

// take wins only if the row is still as it was read.
func (l *Lease) take(ctx context.Context, seen leaseRow) (term int64, taken bool) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	term = seen.Term + 1
	if seen.Term == 0 { // never owned
		_, err := l.store.leases.InsertOne(ctx, leaseRow{Name: l.name, Holder: l.holder, Term: term})
		return term, err == nil
	}
	result, err := l.store.leases.UpdateOne(ctx,
		bson.D{field("_id", l.name), field("holder", seen.Holder), field("term", seen.Term), field("beat", seen.Beat)},
		bson.D{field("$set", bson.D{field("holder", l.holder), field("term", term), field("beat", int64(0))})})
	return term, err == nil && result.ModifiedCount == 1
}

// beat gets time for a slow database: losing every lease just when it has much
// to do would leave undone what lies to be swept. Within TakeOver/2 there are
// two tries, since one may be lost with its connection.
func (l *Lease) beat(ctx context.Context, term int64, until time.Time) (ours bool, err error) {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	ctx, cancelTry := context.WithTimeout(ctx, max(l.timing.Beat, l.timing.TakeOver/4))
	defer cancelTry()
	result, err := l.store.leases.UpdateOne(ctx, l.ours(term), bson.D{field("$inc", bson.D{field("beat", int64(1))})})
	if err != nil {
		return false, err
	}
	return result.MatchedCount == 1, nil
}

func (l *Lease) ours(term int64) bson.D {
	return bson.D{field("_id", l.name), field("holder", l.holder), field("term", term)}
}

// LeaseHolder is who holds a lease now, for status pages.
type LeaseHolder struct {
	Name   string `bson:"_id" json:"name"`
	Holder string `bson:"holder" json:"holder"`
	Term   int64  `bson:"term" json:"term"`
}

// Leases lists all leases by name.
func (s *Store) Leases(ctx context.Context) ([]LeaseHolder, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.leases.Find(ctx, bson.D{}, options.Find().SetSort(keys("_id", 1)))
	var found []LeaseHolder
	if err == nil {
		err = cur.All(ctx, &found)
	}
	return found, classify("list leases", err)
}
