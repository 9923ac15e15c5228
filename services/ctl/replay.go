package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/replay"
)

func (t *tool) replay() *cobra.Command {
	return group("replay", "Have stored events decided once more",
		t.replayStart(), t.replayList(), t.replayShow(),
		t.replayChange("pause", "Stop a replay where it is; resume goes on from there"),
		t.replayChange("resume", "Let a replay go on that is paused or failed"),
		t.replayChange("cancel", "End a replay for good; what it made stays"))
}

// replayFlags are those of one start.
type replayFlags struct {
	condition, from, to string
	last                time.Duration
	rules               []string
	rate                float64
	dry, skip, follow   bool
}

func (t *tool) replayStart() *cobra.Command {
	var f replayFlags
	c := &cobra.Command{Use: "start --from TIME", Short: "Decide the stored events of a time once more, by some rules or by all", Args: exactly(0, "only flags"),
		Long: `Decides stored events once more, in the order of their timestamps: the rules that match now make
the notifications that they owe, as if the events had just come (silences, mute times, throttles
and groups count; max_matches_per_hour does not). What is delivered already is left alone, and what is dead begins anew; with
--skip-delivered=false what is delivered is called once more, under the same webhook-id.

A rule-worker does the work, one replay after the other; it survives the death of its process.
Rules with a window are left out: their alerts are about many events.`,
		Example: `  eactl replay start --last 2h --rule "large failed payments" --dry-run
  eactl replay start --from 2026-03-01T10:00:00Z --to 2026-03-01T12:00:00Z --filter '{"source":"shop"}' --rate 50 --follow
  eactl replay start --last 30m --rule "to the archive" --skip-delivered=false    # its receiver has lost them`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := t.client()
			if err != nil {
				return err
			}
			body, err := f.body(cmd.Context(), api, time.Now())
			if err != nil {
				return err
			}
			var started job
			if err := api.do(cmd.Context(), http.MethodPost, "/replays", nil, body, &started); err != nil {
				return err
			}
			if f.follow || f.dry {
				return t.followReplay(cmd.Context(), api, started)
			}
			return t.print(started.raw, func() error {
				_, err := fmt.Fprint(t.out, started.leftOut())
				return errors.Join(t.sayReplay(started), err)
			})
		}}
	c.Flags().StringVar(&f.condition, "filter", "", `only events that match this condition, e.g. '{"payload.amount":{"$gte":100}}'`)
	c.Flags().StringVar(&f.from, "from", "", "events not before this `TIME` (RFC 3339)")
	c.Flags().StringVar(&f.to, "to", "", "events before this `TIME` (RFC 3339); now when it is not given")
	c.Flags().DurationVar(&f.last, "last", 0, "the last `TIME`, such as 2h, instead of --from and --to")
	c.Flags().StringArrayVar(&f.rules, "rule", nil, "the id or name of a rule that decides, several times for several; none: all that are enabled")
	c.Flags().Float64Var(&f.rate, "rate", 0, "at most so many notifications a second; 0: as fast as it goes")
	c.Flags().BoolVar(&f.skip, "skip-delivered", true, "leave alone what was delivered")
	c.Flags().BoolVar(&f.dry, "dry-run", false, "do nothing, say how many events and notifications it would be for each rule, before throttles and groups")
	c.Flags().BoolVar(&f.follow, "follow", false, "stay until it is over, with a progress bar on a terminal")
	return c
}

// body is the request.
func (f replayFlags) body(ctx context.Context, api *client, now time.Time) ([]byte, error) {
	request := map[string]any{"dry_run": f.dry, "rate": f.rate, "skip_delivered": f.skip}
	switch {
	case f.last != 0 && (f.from != "" || f.to != "" || f.last < 0):
		return nil, &usageError{errors.New("--last is a length of time, and goes without --from and --to")}
	case f.last != 0:
		request["from"] = now.UTC().Add(-f.last)
	case f.from == "":
		return nil, &usageError{errors.New("--from or --last is missing: which events")}
	}
	for name, at := range map[string]string{"from": f.from, "to": f.to} {
		if at == "" {
			continue
		}
		if _, err := time.Parse(time.RFC3339Nano, at); err != nil {
			return nil, &usageError{fmt.Errorf("--%s is %q, expected RFC 3339 such as 2026-01-31T12:00:00Z", name, at)}
		}
		request[name] = at
	}
	if f.condition != "" {
		if !json.Valid([]byte(f.condition)) {
			return nil, &usageError{errors.New("--filter is no JSON")}
		}
		request["condition"] = json.RawMessage(f.condition)
	}
	ids := []string{}
	for _, name := range f.rules {
		id, err := api.deciding(ctx, name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	request["rules"] = ids
	return json.Marshal(request)
}

// deciding is the id of a rule that can decide single events.
func (c *client) deciding(ctx context.Context, idOrName string) (string, error) {
	one, err := c.rule(ctx, idOrName)
	if err != nil {
		return "", err
	}
	var r struct {
		ID      string          `json:"rule_id"`
		Enabled bool            `json:"enabled"`
		Window  json.RawMessage `json:"window"`
	}
	if err := json.Unmarshal(one, &r); err != nil {
		return "", fmt.Errorf("read the API's answer: %w", err)
	}
	switch {
	case r.Window != nil:
		return "", &usageError{fmt.Errorf("rule %q has a window, whose alerts are about many events; `eactl rules backtest` says which there are", idOrName)}
	case !r.Enabled:
		return "", &usageError{fmt.Errorf("rule %q is disabled, so it would decide nothing; enable it first", idOrName)}
	}
	return r.ID, nil
}

// job is a replay as the API shows it.
type job struct {
	ID       string          `json:"replay_id"`
	State    replay.State    `json:"state"`
	From     time.Time       `json:"from"`
	To       time.Time       `json:"to"`
	DryRun   bool            `json:"dry_run"`
	Part     float64         `json:"part"`
	Progress replay.Progress `json:"progress"`
	LeftOut  replay.LeftOut  `json:"left_out"`
	Error    string          `json:"error"`

	raw json.RawMessage
}

// UnmarshalJSON keeps the answer as it is beside what is read of it.
func (j *job) UnmarshalJSON(b []byte) error {
	type plain job
	var read plain
	if err := json.Unmarshal(b, &read); err != nil {
		return err
	}
	*j = job(read)
	j.raw = append(json.RawMessage{}, b...)
	return nil
}

// lookEvery is how often a replay that is followed is looked at.
const lookEvery = 500 * time.Millisecond

// followReplay waits until a replay is over, or stopped by somebody.
func (t *tool) followReplay(ctx context.Context, api *client, j job) error {
	bar := t.partBar()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for j.State == replay.Waiting || j.State == replay.Running {
		bar.show(j.Part, string(j.State), fmt.Sprintf("%s, %d to be sent", counted(int(j.Progress.Events), "event"), j.Progress.Sent()))
		select {
		case <-ctx.Done():
			bar.end()
			return fmt.Errorf("the replay goes on without you: `eactl replay show %s` says how far it is, `eactl replay cancel %s` ends it", j.ID, j.ID)
		case <-ticker.C:
		}
		err := api.do(ctx, http.MethodGet, "/replays/"+url.PathEscape(j.ID), nil, nil, &j)
		if err != nil && ctx.Err() == nil {
			bar.end()
			return err
		}
	}
	bar.end()
	if err := t.print(j.raw, func() error { return t.showReplayed(j) }); err != nil {
		return err
	}
	switch {
	case j.State == replay.Failed:
		return fmt.Errorf("the replay stopped: %s\n`eactl replay resume %s` goes on from where it is", j.Error, j.ID)
	case j.State != replay.Done:
		return fmt.Errorf("the replay was %s by somebody", j.State)
	case j.Progress.Matches == 0:
		return errNothing
	}
	return nil
}

func (t *tool) replayList() *cobra.Command {
	var state string
	limit := 0
	c := &cobra.Command{Use: "list", Short: "List replays, newest first", Args: exactly(0, "no arguments"),
		Example: `  eactl replay list
  eactl replay list --state running -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return &usageError{errors.New("--limit is 0 or more")}
			}
			api, err := t.client()
			if err != nil {
				return err
			}
			query := url.Values{}
			if state != "" {
				query.Set("state", state)
			}
			l := t.list("replay_id", "state", "from", "to", "dry_run", "created_at", "created_by", "done_until")
			defer l.end()
			return api.all(cmd.Context(), "/replays", query, limit, l.add)
		}}
	c.Flags().StringVar(&state, "state", "", "only those that are waiting, running, paused, done, cancelled or failed")
	c.Flags().IntVar(&limit, "limit", 50, "at most so many; 0: all")
	return c
}

func (t *tool) replayShow() *cobra.Command {
	follow := false
	c := &cobra.Command{Use: "show REPLAY_ID", Short: "Show how far a replay is, and what it came to", Args: exactly(1, "a replay's id"),
		Example: `  eactl replay show 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968 --follow`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := t.client()
			if err != nil {
				return err
			}
			var j job
			if err := api.do(cmd.Context(), http.MethodGet, "/replays/"+url.PathEscape(args[0]), nil, nil, &j); err != nil {
				return noReplay(args[0], err)
			}
			if follow {
				return t.followReplay(cmd.Context(), api, j)
			}
			return t.print(j.raw, func() error { return t.showReplayed(j) })
		}}
	c.Flags().BoolVar(&follow, "follow", false, "stay until it is over, with a progress bar on a terminal")
	return c
}

func (t *tool) replayChange(verb, short string) *cobra.Command {
	return &cobra.Command{Use: verb + " REPLAY_ID", Short: short, Args: exactly(1, "a replay's id"),
		Example: "  eactl replay " + verb + " 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968",
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := t.client()
			if err != nil {
				return err
			}
			var j job
			if err := api.do(cmd.Context(), http.MethodPost, "/replays/"+url.PathEscape(args[0])+"/"+verb, nil, nil, &j); err != nil {
				return noReplay(args[0], err)
			}
			return t.print(j.raw, func() error { return t.sayReplay(j) })
		}}
}

func noReplay(id string, err error) error {
	if errors.Is(err, errNothing) {
		return fmt.Errorf("no replay has the id %s (`eactl replay list` shows them): %w", id, errNothing)
	}
	return err
}

func (t *tool) sayReplay(j job) error {
	_, err := fmt.Fprintf(t.out, "%s is %s\n", j.ID, j.State)
	return err
}

// leftOutSaid are the rules that are named to a reader.
const leftOutSaid = 5

// leftOut is a line about the rules that are not asked, "" when there are none.
func (j job) leftOut() string {
	if j.LeftOut.Count == 0 {
		return ""
	}
	var names []string
	for _, r := range j.LeftOut.Rules[:min(len(j.LeftOut.Rules), leftOutSaid)] {
		names = append(names, strconv.Quote(r.Name))
	}
	more := ""
	if n := j.LeftOut.Count - len(names); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("left out, since windows are about many events: %s%s (see eactl rules backtest)\n", strings.Join(names, ", "), more)
}

// showReplayed is a replay as a person reads it.
func (t *tool) showReplayed(j job) error {
	what := "replay"
	if j.DryRun {
		what = "dry run"
	}
	p := j.Progress
	fmt.Fprintf(t.out, "%s %s is %s, %.0f %% of %s to %s\n", what, j.ID, j.State, 100*j.Part, minute(j.From), minute(j.To))
	if j.Error != "" {
		fmt.Fprintln(t.out, j.Error)
	}
	fmt.Fprintf(t.out, "%s, %d matches: %d made, %d dead ones tried again, %d delivered ones called again\n", counted(int(p.Events), "event"), p.Matches, p.Made, p.Retried, p.Repeated)
	fmt.Fprintf(t.out, "left alone: %d delivered, %d under way; held back: %d\n%s", p.Delivered, p.UnderWay, p.Held, j.leftOut())
	rows := t.rows("rule", "matches", "made", "retried", "repeated", "delivered", "under way", "held", "first event")
	for _, r := range p.Rules {
		sample := ""
		if len(r.Samples) > 0 {
			sample = r.Samples[0]
		}
		rows.AppendRow([]any{r.Name, r.Matches, r.Made, r.Retried, r.Repeated, r.Delivered, r.UnderWay, r.Held, sample})
	}
	if rows.Length() > 0 {
		rows.Render()
	}
	return nil
}
