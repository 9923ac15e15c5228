package api

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

const (
	usersDefault = 20
	usersMost    = 500
)

// userBounds bound the memory of one user's answer: sessions and types that are told
// apart, and the types that a session names.
type userBounds struct{ sessions, types, ofSession int }

var activityKept = userBounds{sessions: 10_000, types: 1000, ofSession: 100}

// userSession is one session of a user: its events in the range.
type userSession struct {
	ID       string    `json:"session_id"`
	Started  time.Time `json:"started_at"`
	Ended    time.Time `json:"ended_at"`
	Duration float64   `json:"duration_seconds"`
	Count    int64     `json:"count"`
	Errors   int64     `json:"errors"`
	Types    []string  `json:"types"`
}

// slotCount is one window of a user's timeline.
type slotCount struct {
	Timestamp time.Time `json:"timestamp"`
	Count     int64     `json:"count"`
	Errors    int64     `json:"errors"`
}

type typeCount struct {
	Value  string `json:"value"`
	Count  int64  `json:"count"`
	Errors int64  `json:"errors"`
}

type userAnswer struct {
	From      time.Time     `json:"from"`
	To        time.Time     `json:"to"`
	UserID    string        `json:"user_id"`
	Period    string        `json:"period"`
	Count     int64         `json:"count"`
	Errors    int64         `json:"errors"`
	FirstSeen *time.Time    `json:"first_seen"`
	LastSeen  *time.Time    `json:"last_seen"`
	ByType    []typeCount   `json:"by_type"`
	Timeline  []slotCount   `json:"timeline"`
	Sessions  []userSession `json:"sessions"` // the latest first, at most limit
	SessionsN int           `json:"sessions_count"`
	Truncated bool          `json:"truncated,omitempty"` // there are more sessions than are told apart
}

type usersAnswer struct {
	From  time.Time          `json:"from"`
	To    time.Time          `json:"to"`
	Items []store.ActiveUser `json:"items"`
}

// userActivity: GET /analytics/user-activity, with user_id what one user did
// (timeline, types, sessions), without the users with the most events.
func (s *Server) userActivity(c echo.Context) error {
	p := read(c, append([]string{"period", "limit"}, without(analyticsParameters, "region")...)...)
	q := s.question(p)
	limit := p.integer("limit", usersDefault, usersMost)
	one := q.filter.UserID != ""
	period := metric.Period{}
	if one {
		period = p.period(q.Range, pointsWanted)
	} else if p.values.Has("period") {
		p.flaw("period", "the timeline of one user; name one by user_id")
	}
	q.Range = s.within(p, q.Range, period, true)
	if one && p.err() == nil { // an unknown period has no windows
		if n := period.Count(q.Range); n > pointsMost {
			p.flaw("period", "%d windows of %s, at most %d; choose a longer period or a shorter range", n, period.Name, pointsMost)
		}
	}
	if err := p.err(); err != nil {
		return err
	}
	q.filter.From, q.filter.To = q.From, q.To
	ctx, done, err := s.analysis(c, true)
	if err != nil {
		return err
	}
	defer done()
	if !one {
		found, err := s.analytics.ActiveUsers(ctx, q.filter, limit)
		if err != nil {
			return err
		}
		for i := range found {
			slices.Sort(found[i].Types)
		}
		done()
		return c.JSON(http.StatusOK, usersAnswer{From: q.From, To: q.To, Items: append([]store.ActiveUser{}, found...)})
	}
	tally := newActivityTally(q, period, activityKept)
	if err := s.analytics.UserEvents(ctx, q.filter, period.Length, tally.add); err != nil {
		return err
	}
	answer := tally.answer(limit)
	done()
	return c.JSON(http.StatusOK, answer)
}

// activityTally adds up what a user did.
type activityTally struct {
	userAnswer

	most     userBounds
	types    map[string]*typeCount
	sessions map[string]*userSession
}

func newActivityTally(q question, period metric.Period, most userBounds) *activityTally {
	t := &activityTally{most: most, types: map[string]*typeCount{}, sessions: map[string]*userSession{}, userAnswer: userAnswer{
		From: q.From, To: q.To, UserID: q.filter.UserID, Period: period.Name, ByType: []typeCount{}, Timeline: []slotCount{}, Sessions: []userSession{}}}
	for _, start := range period.Windows(q.Range) {
		t.Timeline = append(t.Timeline, slotCount{Timestamp: start})
	}
	return t
}

// add adds what a slot has; the latest slots come first, so the sessions that are told
// apart are those with the latest events.
func (t *activityTally) add(e store.UserEvents) {
	first, last := e.First.UTC(), e.Last.UTC()
	t.Count += e.Count
	t.Errors += e.Errors
	if t.FirstSeen == nil || first.Before(*t.FirstSeen) {
		t.FirstSeen = &first
	}
	if t.LastSeen == nil || last.After(*t.LastSeen) {
		t.LastSeen = &last
	}
	slot := &t.Timeline[e.Slot]
	slot.Count += e.Count
	slot.Errors += e.Errors
	of := t.typeOf(e.Type)
	of.Count += e.Count
	of.Errors += e.Errors
	if e.Session != "" {
		e.Type = of.Value // one text for all sessions
		t.addSession(e)
	}
}

func (t *activityTally) typeOf(name string) *typeCount {
	of := t.types[name]
	if of == nil && len(t.types) >= t.most.types {
		name = metric.Other
		of = t.types[name]
	}
	if of == nil {
		of = &typeCount{Value: name}
		t.types[name] = of
	}
	return of
}

func (t *activityTally) addSession(e store.UserEvents) {
	u := t.sessions[e.Session]
	if u == nil {
		if len(t.sessions) == t.most.sessions {
			t.Truncated = true
			return
		}
		u = &userSession{ID: e.Session, Started: e.First.UTC(), Ended: e.Last.UTC()}
		t.sessions[e.Session] = u
	}
	if e.First.Before(u.Started) {
		u.Started = e.First.UTC()
	}
	if e.Last.After(u.Ended) {
		u.Ended = e.Last.UTC()
	}
	u.Count += e.Count
	u.Errors += e.Errors
	if len(u.Types) < t.most.ofSession && !slices.Contains(u.Types, e.Type) {
		u.Types = append(u.Types, e.Type)
	}
}

// answer is what was added up, with the latest sessions.
func (t *activityTally) answer(limit int) userAnswer {
	a := t.userAnswer
	for _, of := range t.types {
		a.ByType = append(a.ByType, *of)
	}
	slices.SortFunc(a.ByType, func(x, y typeCount) int { return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Value, y.Value)) })
	for _, u := range t.sessions {
		slices.Sort(u.Types)
		u.Duration = u.Ended.Sub(u.Started).Seconds()
		a.Sessions = append(a.Sessions, *u)
	}
	slices.SortFunc(a.Sessions, func(x, y userSession) int { return cmp.Or(y.Started.Compare(x.Started), cmp.Compare(x.ID, y.ID)) })
	a.SessionsN = len(a.Sessions)
	a.Sessions = a.Sessions[:min(len(a.Sessions), limit)]
	return a
}
