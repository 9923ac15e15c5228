package api

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// Row is one row of the route table.
type Row struct {
	Method, Path string
	Admin        bool
}

// Routes is the route table.
func Routes() []Row {
	var rows []Row
	for _, r := range (&Server{}).routes() {
		rows = append(rows, Row{r.method, "/api/v1" + r.path, r.admin})
	}
	return rows
}

// Recent is get of a recent.
func Recent(fresh time.Duration, read func() ([]byte, error)) func(context.Context) ([]byte, error) {
	return (&recent{fresh: fresh, read: read}).get
}

// Failures is failures for specs.
type Failures struct{ *failures }

// NewFailures is newFailures.
func NewFailures(perMinute int) Failures { return Failures{newFailures(perMinute)} }

// Wait is wait.
func (f Failures) Wait(address string, now time.Time) time.Duration { return f.wait(address, now) }

// Note is note.
func (f Failures) Note(address string, now time.Time) { f.note(address, now) }

// Len is how many addresses are counted.
func (f Failures) Len() int { return len(f.by) }

// TopError, UserAnswer and Session are parts of analyses.
type (
	TopError   = topError
	UserAnswer = userAnswer
	Session    = userSession
)

// TopErrors adds errors up, with so many causes, bytes of their texts, users of one and users of all.
func TopErrors(causes, text, usersOfOne, users int, all ...store.ErrorEvent) (items []*TopError, truncated bool) {
	t := newErrorTally(all[0].At, time.Hour, 1, errorBounds{causes, text, usersOfOne, users})
	for _, e := range all {
		t.add(e)
	}
	return t.top(len(all)), t.truncated
}

// Activity adds up what a user did in hours, with so many sessions, types, and types of each session.
func Activity(sessions, types, ofSession int, from, to time.Time, all ...store.UserEvents) UserAnswer {
	hour, _ := metric.PeriodNamed("1h")
	t := newActivityTally(question{Range: metric.Range{From: from, To: to}}, hour, userBounds{sessions, types, ofSession})
	for _, e := range all {
		t.add(e)
	}
	return t.answer(len(all))
}

// Places is places for specs.
type Places struct{ *places }

// NewPlaces is newPlaces.
func NewPlaces(most, keyMost int) Places { return Places{newPlaces(most, keyMost)} }

// Wait is wait.
func (p Places) Wait(ctx context.Context, key string) (func(), error) { return p.wait(ctx, key) }

// Taken is taken.
func (p Places) Taken() int { return p.taken() }

// Auth is auth for specs.
type Auth struct{ *auth }

// NewAuth is newAuth, at a time that stands still.
func NewAuth(users KeyUsers, now time.Time) Auth {
	return Auth{newAuth(users, nil, config.API{RateLimit: 100, RateBurst: 100, WrongKeysPerMinute: 10}, zap.NewNop(), func() time.Time { return now })}
}

// Known says whether a key is in force.
func (a Auth) Known(ctx context.Context, hash string) (bool, error) {
	key, err := a.lookUp(ctx, hash)
	return key != nil, err
}

// Forget is forget.
func (a Auth) Forget() { a.forget() }
