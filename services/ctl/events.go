package ctl

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// eventFilter binds the flags that lists and streams share; query has those
// that were given.
func eventFilter(f *pflag.FlagSet) (query func() url.Values) {
	names := []string{"type", "source", "level", "severity-min", "severity-max", "user-id", "session-id", "trace-id", "filter"}
	for _, name := range names {
		f.String(name, "", "only events with this "+strings.ReplaceAll(name, "-", " "))
	}
	f.Lookup("filter").Usage = `only events that match this condition, e.g. '{"payload.amount":{"$gte":100}}'`
	return func() url.Values {
		q := url.Values{}
		for _, name := range names {
			if v := f.Lookup(name).Value.String(); v != "" {
				q.Set(strings.ReplaceAll(name, "-", "_"), v)
			}
		}
		return q
	}
}

func (t *tool) events() *cobra.Command {
	limit, from, to := 0, "", ""
	listing := &cobra.Command{Use: "list", Short: "List stored events, newest first", Args: exactly(0, "no arguments"),
		Example: `  eactl events list --type PAYMENT_FAILED --limit 20
  eactl events list --filter '{"payload.amount":{"$gte":1000}}' -o json`}
	query := eventFilter(listing.Flags())
	listing.Flags().IntVar(&limit, "limit", 50, "at most so many; 0: all")
	listing.Flags().StringVar(&from, "from", "", "RFC 3339, inclusive")
	listing.Flags().StringVar(&to, "to", "", "RFC 3339, exclusive")
	listing.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := t.client()
		if err != nil {
			return err
		}
		q := query()
		for name, v := range map[string]string{"from": from, "to": to} {
			if v != "" {
				q.Set(name, v)
			}
		}
		w := t.rows("time", "level", "type", "source", "event_id")
		err = c.all(cmd.Context(), "/events", q, limit, func(item json.RawMessage) error {
			if t.output == "json" {
				_, err := fmt.Fprintf(t.out, "%s\n", item)
				return err
			}
			var m map[string]any
			if err := json.Unmarshal(item, &m); err != nil {
				return err
			}
			w.AppendRow([]any{text(m, "timestamp"), text(m, "severity"), text(m, "type"), text(m, "source"), text(m, "event_id")})
			return nil
		})
		if err == nil && t.output == "table" {
			w.Render()
		}
		return err
	}
	get := &cobra.Command{Use: "get EVENT_ID", Short: "Show one stored event", Args: exactly(1, "an event id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			var e json.RawMessage
			if err := c.do(cmd.Context(), http.MethodGet, "/events/"+url.PathEscape(args[0]), nil, nil, &e); err != nil {
				return err
			}
			return t.printJSON(e)
		}}
	return group("events", "Read stored events", listing, get)
}

// tail follows the live stream and resumes where it was after a lost connection.
func (t *tool) tail() *cobra.Command {
	c := &cobra.Command{Use: "tail", Short: "Follow events as they are stored", Args: exactly(0, "no arguments"),
		Example: `  eactl tail --severity-min 8
  eactl tail --type PAYMENT_FAILED -o json`}
	query := eventFilter(c.Flags())
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		api, err := t.client()
		if err != nil {
			return err
		}
		ctx, last := cmd.Context(), ""
		for ctx.Err() == nil {
			err := t.follow(ctx, api, query(), &last)
			var refused problem
			if errors.As(err, &refused) {
				return err
			}
			if ctx.Err() == nil {
				fmt.Fprintln(t.errOut, "connection lost, trying again")
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
		}
		return nil
	}
	return c
}

// follow reads one connection's blocks until it ends.
func (t *tool) follow(ctx context.Context, api *client, query url.Values, last *string) error {
	header := http.Header{}
	if *last != "" {
		header.Set("Last-Event-ID", *last)
	}
	answer, err := api.send(ctx, http.MethodGet, "/stream/events", query, nil, header)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 4<<20)
	kind, data, id := "", "", ""
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			kind = value
		case "data":
			data = value
		case "id":
			id = value
		case "": // the block's end, or a comment
			if err := t.block(kind, data); err != nil {
				return err
			}
			if id != "" {
				*last = id // only now: the event before it was shown
			}
			kind, data, id = "", "", ""
		}
	}
	return lines.Err()
}

func (t *tool) block(kind, data string) error {
	switch {
	case kind == "gap":
		fmt.Fprintf(t.errOut, "gap: history was lost; some events were not shown: %s\n", data)
		return nil
	case kind != "event":
		return nil
	case t.output == "json":
		_, err := fmt.Fprintln(t.out, data)
		return err
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(data), &m); err != nil {
		return err
	}
	payload, err := json.Marshal(m["payload"])
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, "%-24s %2s  %-24s %-20s %s\n", text(m, "timestamp"), text(m, "severity"), text(m, "type"), text(m, "source"), payload)
	return err
}
