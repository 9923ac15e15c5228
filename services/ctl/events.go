package ctl

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

func (t *tool) events() *cobra.Command {
	return group("events", "Read stored events", listed(t.eventsList()), listed(t.eventsSearch()), t.eventsGet(), t.eventsTrace(), listed(t.eventsExport()))
}

// storedFlags are those of everything that reads stored events.
type storedFlags struct {
	eventFlags
	rangeFlags

	back                time.Duration
	decided, rule, near string
	processed           *bool
	fields              string
	oldestFirst         bool
}

// bind binds the filters. Without --from and --last, last is how far back it goes;
// 0 is to the first event.
func (s *storedFlags) bind(f *pflag.FlagSet, last time.Duration) {
	s.eventFlags.bind(f)
	s.rangeFlags.bind(f, "")
	f.DurationVar(&s.back, "last", last, "of the last `TIME`, such as 24h, instead of --from")
	f.StringVar(&s.decided, "processed", "", "only events that the rules have decided (`true`), or not yet (false)")
	f.StringVar(&s.rule, "rule", "", "only events that the rule of this `ID` matched")
	f.StringVar(&s.near, "near", "", "only events within so many metres of a place (`LON,LAT,METRES`)")
}

// bindOrder binds what lists and exports have beside the filters.
func (s *storedFlags) bindOrder(f *pflag.FlagSet) {
	f.BoolVar(&s.oldestFirst, "oldest-first", false, "the oldest first, not the newest")
	f.StringVar(&s.fields, "fields", "", "only these `PATHS`, with commas between them, such as type,payload.amount")
}

// paths are those of --fields.
func paths(fields string) (all []string) {
	for path := range strings.SplitSeq(fields, ",") {
		all = append(all, strings.TrimSpace(path))
	}
	return all
}

func (s *storedFlags) sort() string {
	if s.oldestFirst {
		return "timestamp"
	}
	return ""
}

// apiFor is the API, once the flags were found to make sense.
func (t *tool) apiFor(cmd *cobra.Command, s *storedFlags) (*client.Client, error) {
	switch {
	case s.back < 0, cmd.Flags().Changed("last") && !s.from.IsZero():
		return nil, &usageError{errors.New("--last is a length of time, and goes without --from")}
	case s.back > 0 && s.from.IsZero():
		s.from = client.At(time.Now().UTC().Add(-s.back))
	}
	if s.decided != "" {
		decided, err := strconv.ParseBool(s.decided)
		if err != nil {
			return nil, &usageError{errors.New("--processed is true or false")}
		}
		s.processed = &decided
	}
	return t.api()
}

func (t *tool) eventsList() *cobra.Command {
	var f storedFlags
	c := &cobra.Command{Use: "list", Short: "List stored events, newest first", Args: exactly(0, "no arguments"),
		Example: `  eactl events list --type PAYMENT_FAILED --limit 20
  eactl events list --filter '{"payload.amount":{"$gte":1000}}' --last 24h -o json
  eactl events list --last 1h --fields type,user_id,payload.amount -o csv`}
	limit := limitFlag(c.Flags())
	f.bind(c.Flags(), 0)
	f.bindOrder(c.Flags())
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		most, err := limit()
		if err != nil {
			return err
		}
		api, err := t.apiFor(cmd, &f)
		if err != nil {
			return err
		}
		columns := []string{"timestamp", "severity", "type", "source", "event_id"}
		if f.fields != "" {
			columns = append([]string{"timestamp", "event_id"}, paths(f.fields)...)
		}
		return list(t, api.AllEvents(cmd.Context(), client.ListEventsParams{
			Type: f.Type, Source: f.Source, Level: f.Level, SeverityMin: f.SeverityMin, SeverityMax: f.SeverityMax,
			UserID: f.UserID, SessionID: f.SessionID, TraceID: f.TraceID, Filter: f.Filter,
			From: f.from, To: f.to, Processed: f.processed, Rule: f.rule, Near: f.near, Sort: f.sort(), Fields: f.fields, Limit: pageFor(most),
		}), most, columns...)
	}
	return c
}

// searchBack is how far back a search goes when nobody says: a server without
// text indexes reads all texts of that time.
const searchBack = 24 * time.Hour

func (t *tool) eventsSearch() *cobra.Command {
	var f storedFlags
	c := &cobra.Command{Use: "search WORDS…", Short: "Search the text of stored events, the best first", Args: cobra.MinimumNArgs(1),
		Long: `Search the words in the payload and metadata of stored events. All words must be there; "a phrase" in double quotes must be there
word by word; a word with a minus before it must not be there (put -- before the words then).`,
		Example: `  eactl events search timeout
  eactl events search '"card declined"' --type PAYMENT_FAILED --last 168h
  eactl events search -o csv -- timeout -test`}
	limit := limitFlag(c.Flags())
	f.bind(c.Flags(), searchBack)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		most, err := limit()
		if err != nil {
			return err
		}
		api, err := t.apiFor(cmd, &f)
		if err != nil {
			return err
		}
		l := t.list("score", "timestamp", "severity", "type", "source", "event_id", "text")
		defer l.end()
		return upTo(allHits(cmd.Context(), api, client.SearchEventsParams{
			Q: strings.Join(args, " "), Type: f.Type, Source: f.Source, Level: f.Level, SeverityMin: f.SeverityMin, SeverityMax: f.SeverityMax,
			UserID: f.UserID, SessionID: f.SessionID, TraceID: f.TraceID, Filter: f.Filter,
			From: f.from, To: f.to, Processed: f.processed, Rule: f.rule, Near: f.near, Limit: pageFor(most),
		}), most, func(hit client.SearchPageItem) error {
			return t.print(hit, func() error {
				return l.row(strconv.FormatFloat(hit.Score, 'f', 2, 64), hit.Event.Timestamp, hit.Event.Severity, hit.Event.Type, hit.Event.Source, hit.Event.EventID, t.marked(hit))
			})
		})
	}
	return c
}

// allHits follows the cursors of a search.
func allHits(ctx context.Context, api *client.Client, p client.SearchEventsParams) iter.Seq2[client.SearchPageItem, error] {
	return func(yield func(client.SearchPageItem, error) bool) {
		for {
			page, err := api.SearchEvents(ctx, p)
			if err != nil {
				yield(client.SearchPageItem{}, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.NextCursor == "" {
				return
			}
			p.Cursor = page.NextCursor
		}
	}
}

// marked is the first text that has the words, with them in colour.
func (t *tool) marked(hit client.SearchPageItem) coloured {
	if len(hit.Highlights) == 0 {
		return ""
	}
	h := hit.Highlights[0]
	said, at := []rune(h.Text), int64(0)
	var b strings.Builder
	for _, m := range h.Marks {
		if m.Start < at || m.End < m.Start || m.End > int64(len(said)) {
			break
		}
		b.WriteString(printable(string(said[at:m.Start])) + t.paint(text.FgYellow, printable(string(said[m.Start:m.End]))))
		at = m.End
	}
	return coloured(printable(h.Path) + ": " + strings.Join(strings.Fields(b.String()+printable(string(said[at:]))), " "))
}

func (t *tool) eventsGet() *cobra.Command {
	return &cobra.Command{Use: "get EVENT_ID", Short: "Show one stored event", Args: exactly(1, "an event id"),
		Example: `  eactl events get 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968 -o yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(t, cmd, (*client.Client).GetEvent, args[0])
		}}
}
