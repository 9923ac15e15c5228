package ctl

import (
	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

func (t *tool) events() *cobra.Command {
	return group("events", "Read stored events", listed(t.eventsList()), t.eventsGet())
}

func (t *tool) eventsList() *cobra.Command {
	var e eventFlags
	var r rangeFlags
	c := &cobra.Command{Use: "list", Short: "List stored events, newest first", Args: exactly(0, "no arguments"),
		Example: `  eactl events list --type PAYMENT_FAILED --limit 20
  eactl events list --filter '{"payload.amount":{"$gte":1000}}' -o json`}
	limit := limitFlag(c.Flags())
	e.bind(c.Flags())
	r.bind(c.Flags(), "")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		most, err := limit()
		if err != nil {
			return err
		}
		api, err := t.api()
		if err != nil {
			return err
		}
		return list(t, api.AllEvents(cmd.Context(), client.ListEventsParams{
			Type: e.Type, Source: e.Source, Level: e.Level, SeverityMin: e.SeverityMin, SeverityMax: e.SeverityMax,
			UserID: e.UserID, SessionID: e.SessionID, TraceID: e.TraceID, Filter: e.Filter,
			From: r.from, To: r.to, Limit: pageFor(most),
		}), most, "timestamp", "severity", "type", "source", "event_id")
	}
	return c
}

func (t *tool) eventsGet() *cobra.Command {
	return &cobra.Command{Use: "get EVENT_ID", Short: "Show one stored event", Args: exactly(1, "an event id"),
		Example: `  eactl events get 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968 -o yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(t, cmd, (*client.Client).GetEvent, args[0])
		}}
}
