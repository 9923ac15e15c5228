package ctl

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

func (t *tool) analyticsUsers() *cobra.Command {
	c := &cobra.Command{Use: "users", Short: "The most active users, or what one of them did", Args: exactly(0, "no arguments"),
		Example: `  eactl analytics users --last 1h --limit 10
  eactl analytics users --user-id u-4711 --last 24h`}
	var a analysisFlags
	a.bind(c.Flags())
	limit := c.Flags().Int64("limit", 20, "at most so many users, or sessions of one")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := cmp.Or(a.last(a.length), atLeastOne("limit", *limit)); err != nil {
			return err
		}
		return ask(t, cmd, (*client.Client).GetUserActivity, client.GetUserActivityParams{
			From: a.from, To: a.to, Type: a.Type, Source: a.Source, Level: a.Level, SeverityMin: a.SeverityMin, SeverityMax: a.SeverityMax,
			UserID: a.UserID, SessionID: a.SessionID, TraceID: a.TraceID, Filter: a.Filter, Limit: *limit,
		}, func(answer client.GetUserActivityAnswer) error {
			if one := answer.UserActivity; one != nil {
				return t.showUser(*one)
			}
			return t.showUsers(*answer.ActiveUsers)
		})
	}
	return c
}

func (t *tool) showUsers(a client.ActiveUsers) error {
	if len(a.Items) == 0 {
		return errNothing
	}
	rows := t.rows("user", "events", "errors", "sessions", "first seen", "last seen", "types")
	for _, u := range a.Items {
		rows.AppendRow([]any{u.UserID, u.Count, u.Errors, u.Sessions, minute(u.FirstSeen), minute(u.LastSeen), shorten(strings.Join(u.Types, " "), 60)})
	}
	rows.Render()
	return nil
}

func (t *tool) showUser(a client.UserActivity) error {
	if a.Count == 0 || a.FirstSeen == nil || a.LastSeen == nil {
		return errNothing
	}
	more := ""
	if a.Truncated {
		more = "more than "
	}
	fmt.Fprintf(t.out, "%s: %d events, %d errors, %s%d sessions, from %s to %s\n", printable(a.UserID), a.Count, a.Errors, more, a.SessionsCount, minute(*a.FirstSeen), minute(*a.LastSeen))
	counts := make([]int64, len(a.Timeline))
	for i, window := range a.Timeline {
		counts[i] = window.Count
	}
	fmt.Fprintf(t.out, "%s to %s: %s\n\n", minute(a.From), minute(a.To), t.chart(numbers(counts)))
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
		lasted := time.Duration(s.DurationSeconds * float64(time.Second)).Round(time.Second)
		sessions.AppendRow([]any{s.SessionID, minute(s.StartedAt), lasted, s.Count, s.Errors, shorten(strings.Join(s.Types, " "), 60)})
	}
	sessions.Render()
	return nil
}
