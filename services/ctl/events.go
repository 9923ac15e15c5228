package ctl

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// eventFilters are the flags that lists and streams of events share: each is
// the API's parameter of that name.
var eventFilters = []struct{ name, usage string }{
	{"type", "only events of this `TYPE`"},
	{"source", "only events from this `SERVICE`"},
	{"level", "only events of this `LEVEL`: info, warning, error or critical"},
	{"severity-min", "only events at least so severe (`1-10`)"},
	{"severity-max", "only events at most so severe (`1-10`)"},
	{"user-id", "only events of this `USER`"},
	{"session-id", "only events of this `SESSION`"},
	{"trace-id", "only events of this `TRACE`"},
	{"filter", "only events that match this `CONDITION`, e.g. '{\"payload.amount\":{\"$gte\":100}}'"},
}

// eventFilter binds the shared flags; query has those that were given.
func eventFilter(f *pflag.FlagSet) (query func() url.Values) {
	for _, e := range eventFilters {
		f.String(e.name, "", e.usage)
	}
	return func() url.Values {
		q := url.Values{}
		for _, e := range eventFilters {
			if v := f.Lookup(e.name).Value.String(); v != "" {
				q.Set(strings.ReplaceAll(e.name, "-", "_"), v)
			}
		}
		return q
	}
}

func (t *tool) events() *cobra.Command {
	return group("events", "Read stored events", t.eventsList(), t.eventsGet())
}

func (t *tool) eventsList() *cobra.Command {
	limit, from, to := 0, "", ""
	c := &cobra.Command{Use: "list", Short: "List stored events, newest first", Args: exactly(0, "no arguments"),
		Example: `  eactl events list --type PAYMENT_FAILED --limit 20
  eactl events list --filter '{"payload.amount":{"$gte":1000}}' -o json`}
	query := eventFilter(c.Flags())
	c.Flags().IntVar(&limit, "limit", 50, "at most so many; 0: all")
	c.Flags().StringVar(&from, "from", "", "not before this `TIME` (RFC 3339)")
	c.Flags().StringVar(&to, "to", "", "before this `TIME` (RFC 3339)")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if limit < 0 {
			return &usageError{errors.New("--limit is 0 or more")}
		}
		api, err := t.client()
		if err != nil {
			return err
		}
		q := query()
		for name, v := range map[string]string{"from": from, "to": to} {
			if v != "" {
				q.Set(name, v)
			}
		}
		l := t.list("timestamp", "severity", "type", "source", "event_id")
		defer l.end() // also what came before a failure
		return api.all(cmd.Context(), "/events", q, limit, l.add)
	}
	return c
}

func (t *tool) eventsGet() *cobra.Command {
	return &cobra.Command{Use: "get EVENT_ID", Short: "Show one stored event", Args: exactly(1, "an event id"),
		Example: `  eactl events get 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968 -o yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.showOne(cmd, "/events/"+url.PathEscape(args[0]))
		}}
}

// showOne shows one thing of the API.
func (t *tool) showOne(cmd *cobra.Command, path string) error {
	api, err := t.client()
	if err != nil {
		return err
	}
	var one json.RawMessage
	if err := api.do(cmd.Context(), http.MethodGet, path, nil, nil, &one); err != nil {
		return err
	}
	return t.print(one, func() error { return t.printJSON(one) })
}
