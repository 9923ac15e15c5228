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
	ctx, cancel := s.bounded(c)
	defer cancel()
	if !one {
		found, err := s.analytics.ActiveUsers(ctx, q.filter, limit)
		if err != nil {
			return err
		}
		for i := range found {
			slices.Sort(found[i].Types)
		}
		return c.JSON(http.StatusOK, usersAnswer{From: q.From, To: q.To, Items: append([]store.ActiveUser{}, found...)})
	}
	found, err := s.analytics.UserEvents(ctx, q.filter, period.Length)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, activityOf(q, period, found, limit))
}

// activityOf adds up what a user did.
func activityOf(q question, period metric.Period, found []store.UserEvents, limit int) userAnswer {
	a := userAnswer{From: q.From, To: q.To, UserID: q.filter.UserID, Period: period.Name,
		ByType: []typeCount{}, Timeline: []slotCount{}, Sessions: []userSession{}}
	for _, start := range period.Windows(q.Range) {
		a.Timeline = append(a.Timeline, slotCount{Timestamp: start})
	}
	types, sessions := map[string]*typeCount{}, map[string]*userSession{}
	for _, e := range found {
		first, last := e.First.UTC(), e.Last.UTC()
		a.Count += e.Count
		a.Errors += e.Errors
		if a.FirstSeen == nil || first.Before(*a.FirstSeen) {
			a.FirstSeen = &first
		}
		if a.LastSeen == nil || last.After(*a.LastSeen) {
			a.LastSeen = &last
		}
		slot := &a.Timeline[e.Slot]
		slot.Count += e.Count
		slot.Errors += e.Errors
		t := types[e.Type]
		if t == nil {
			t = &typeCount{Value: e.Type}
			types[e.Type] = t
		}
		t.Count += e.Count
		t.Errors += e.Errors
		if e.Session != "" {
			addSession(sessions, e)
		}
	}
	for _, t := range types {
		a.ByType = append(a.ByType, *t)
	}
	slices.SortFunc(a.ByType, func(x, y typeCount) int { return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Value, y.Value)) })
	for _, u := range sessions {
		slices.Sort(u.Types)
		u.Duration = u.Ended.Sub(u.Started).Seconds()
		a.Sessions = append(a.Sessions, *u)
	}
	slices.SortFunc(a.Sessions, func(x, y userSession) int { return cmp.Or(y.Started.Compare(x.Started), cmp.Compare(x.ID, y.ID)) })
	a.SessionsN = len(a.Sessions)
	a.Sessions = a.Sessions[:min(len(a.Sessions), limit)]
	return a
}

func addSession(sessions map[string]*userSession, e store.UserEvents) {
	u := sessions[e.Session]
	if u == nil {
		u = &userSession{ID: e.Session, Started: e.First.UTC(), Ended: e.Last.UTC()}
		sessions[e.Session] = u
	}
	if e.First.Before(u.Started) {
		u.Started = e.First.UTC()
	}
	if e.Last.After(u.Ended) {
		u.Ended = e.Last.UTC()
	}
	u.Count += e.Count
	u.Errors += e.Errors
	if !slices.Contains(u.Types, e.Type) {
		u.Types = append(u.Types, e.Type)
	}
}
