package ctl

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (t *tool) analyticsUsers() *cobra.Command {
	c := &cobra.Command{Use: "users", Short: "The most active users, or what one of them did", Args: exactly(0, "no arguments"),
		Example: `  eactl analytics users --last 1h --limit 10
  eactl analytics users --user-id u-4711 --last 24h`}
	query := rangeFlags(c.Flags())
	limit := c.Flags().Int("limit", 20, "at most so many users, or sessions of one")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		q, err := query()
		if err != nil {
			return err
		}
		q.Set("limit", strconv.Itoa(*limit))
		if q.Get("user_id") != "" {
			return ask(t, cmd, "user-activity", q, t.showUser)
		}
		return ask(t, cmd, "user-activity", q, t.showUsers)
	}
	return c
}

type usersAnswer struct {
	Items []struct {
		UserID   string    `json:"user_id"`
		Count    int64     `json:"count"`
		Errors   int64     `json:"errors"`
		Sessions int64     `json:"sessions"`
		Types    []string  `json:"types"`
		First    time.Time `json:"first_seen"`
		Last     time.Time `json:"last_seen"`
	} `json:"items"`
}

func (t *tool) showUsers(a usersAnswer) error {
	if len(a.Items) == 0 {
		return errNothing
	}
	rows := t.rows("user", "events", "errors", "sessions", "first seen", "last seen", "types")
	for _, u := range a.Items {
		rows.AppendRow([]any{u.UserID, u.Count, u.Errors, u.Sessions, minute(u.First), minute(u.Last), shorten(strings.Join(u.Types, " "), 60)})
	}
	rows.Render()
	return nil
}

type userAnswer struct {
	From      time.Time  `json:"from"`
	To        time.Time  `json:"to"`
	UserID    string     `json:"user_id"`
	Period    string     `json:"period"`
	Count     int64      `json:"count"`
	Errors    int64      `json:"errors"`
	FirstSeen *time.Time `json:"first_seen"`
	LastSeen  *time.Time `json:"last_seen"`
	ByType    []struct {
		Value  string `json:"value"`
		Count  int64  `json:"count"`
		Errors int64  `json:"errors"`
	} `json:"by_type"`
	Timeline []struct {
		Count float64 `json:"count"`
	} `json:"timeline"`
	Sessions []struct {
		ID       string    `json:"session_id"`
		Started  time.Time `json:"started_at"`
		Duration float64   `json:"duration_seconds"`
		Count    int64     `json:"count"`
		Errors   int64     `json:"errors"`
		Types    []string  `json:"types"`
	} `json:"sessions"`
	SessionsN int `json:"sessions_count"`
}

func (t *tool) showUser(a userAnswer) error {
	if a.Count == 0 || a.FirstSeen == nil || a.LastSeen == nil {
		return errNothing
	}
	fmt.Fprintf(t.out, "%s: %d events, %d errors, %d sessions, from %s to %s\n", a.UserID, a.Count, a.Errors, a.SessionsN, minute(*a.FirstSeen), minute(*a.LastSeen))
	values := make([]*float64, len(a.Timeline))
	for i := range a.Timeline {
		values[i] = &a.Timeline[i].Count
	}
	fmt.Fprintf(t.out, "%s to %s: %s\n\n", minute(a.From), minute(a.To), t.chart(values))
	types := t.rows("type", "events", "errors")
	for _, g := range a.ByType {
		types.AppendRow([]any{g.Value, g.Count, g.Errors})
	}
	types.Render()
	if len(a.Sessions) == 0 {
		return nil
	}
	fmt.Fprintln(t.out)
	sessions := t.rows("session", "started", "lasted", "events", "errors", "types")
	for _, s := range a.Sessions {
		lasted := time.Duration(s.Duration * float64(time.Second)).Round(time.Second)
		sessions.AppendRow([]any{s.ID, minute(s.Started), lasted, s.Count, s.Errors, shorten(strings.Join(s.Types, " "), 60)})
	}
	sessions.Render()
	return nil
}
