package ruleworker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/silence"
)

// SilenceSource is where silences are kept.
type SilenceSource interface {
	// SilencesStamp rises with every change of any silence.
	SilencesStamp(ctx context.Context) (int64, error)
	// SilencesAfter lists those that end after the given time.
	SilencesAfter(ctx context.Context, at time.Time) ([]silence.Silence, error)
}

// Silences holds the silences that are in force or will be. It is swapped whole,
// as the rules are.
type Silences struct {
	follower

	source  SilenceSource
	now     func() time.Time
	current atomic.Pointer[silence.Set]
	reload  sync.Mutex // one reload at a time
	stamp   int64
}

// NewSilences is an empty set; Load fills it.
func NewSilences(source SilenceSource, log *zap.Logger, now func() time.Time) *Silences {
	s := &Silences{source: source, now: now, stamp: -1}
	s.follower = newFollower("silences", log, s.Load)
	empty, _ := silence.NewSet(nil)
	s.current.Store(empty)
	return s
}

// Current is the set to ask.
func (s *Silences) Current() *silence.Set { return s.current.Load() }

// Follow keeps the silences current until ctx ends.
func (s *Silences) Follow(ctx context.Context, poll time.Duration) error {
	return s.follow(ctx, poll, nil)
}

// Load reads the silences if they changed since the last Load. One that does not
// compile (saved by a newer version) is named and holds nothing back.
func (s *Silences) Load(ctx context.Context) error {
	s.reload.Lock()
	defer s.reload.Unlock()
	// The stamp is read first: a change between the two reads is then seen again
	// by the next Load, never missed.
	stamp, err := s.source.SilencesStamp(ctx)
	if err != nil || stamp == s.stamp {
		return err
	}
	all, err := s.source.SilencesAfter(ctx, s.now())
	if err != nil {
		return err
	}
	set, broken := silence.NewSet(all)
	for _, b := range broken {
		s.log.Error("silence left out: it does not compile", zap.Error(b))
	}
	s.current.Store(set)
	s.stamp = stamp
	s.log.Info("silences loaded", zap.Int("silences", set.Len()), zap.Int64("stamp", stamp))
	return nil
}
