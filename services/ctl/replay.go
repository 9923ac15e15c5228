package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

func (t *tool) replay() *cobra.Command {
	return group("replay", "Have stored events decided once more",
		t.replayStart(), listed(t.replayList()), t.replayShow(),
		t.replayChange("pause", "Stop a replay where it is; resume goes on from there", (*client.Client).PauseReplay),
		t.replayChange("resume", "Let a replay go on that is paused or failed", (*client.Client).ResumeReplay),
		t.replayChange("cancel", "End a replay for good; what it made stays", (*client.Client).CancelReplay))
}

// replayFlags are those of one start.
type replayFlags struct {
	condition         string
	within            rangeFlags
	last              time.Duration
	rules             []string
	rate              float64
	dry, skip, follow bool
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
			api, err := t.api()
			if err != nil {
				return err
			}
			wanted, err := f.request(cmd.Context(), api)
			if err != nil {
				return err
			}
			started, err := api.CreateReplay(cmd.Context(), wanted)
			if err != nil {
				return err
			}
			if f.follow || f.dry {
				return t.followReplay(cmd.Context(), api, started)
			}
			return t.print(started, func() error {
				_, err := fmt.Fprint(t.out, leftOut(started.LeftOut))
				return errors.Join(t.sayReplay(started), err)
			})
		}}
	c.Flags().StringVar(&f.condition, "filter", "", `only events that match this condition, e.g. '{"payload.amount":{"$gte":100}}'`)
	c.Flags().Var(instant{&f.within.from}, "from", "events not before this `TIME` (RFC 3339)")
	c.Flags().Var(instant{&f.within.to}, "to", "events before this `TIME` (RFC 3339); now when it is not given")
	c.Flags().DurationVar(&f.last, "last", 0, "the last `TIME`, such as 2h, instead of --from and --to")
	c.Flags().StringArrayVar(&f.rules, "rule", nil, "the id or name of a rule that decides, several times for several; none: all that are enabled")
	c.Flags().Float64Var(&f.rate, "rate", 0, "at most so many notifications a second; 0: as fast as it goes")
	c.Flags().BoolVar(&f.skip, "skip-delivered", true, "leave alone what was delivered")
	c.Flags().BoolVar(&f.dry, "dry-run", false, "do nothing, say how many events and notifications it would be for each rule, before throttles and groups")
	c.Flags().BoolVar(&f.follow, "follow", false, "stay until it is over, with a progress bar on a terminal")
	return c
}

func (f replayFlags) request(ctx context.Context, api *client.Client) (r client.NewReplay, err error) {
	if err := f.within.last(f.last); err != nil {
		return r, err
	}
	if f.within.from.IsZero() {
		return r, &usageError{errors.New("--from or --last is missing: which events")}
	}
	r.From, r.To, r.DryRun, r.Rate, r.SkipDelivered = f.within.from, f.within.to, f.dry, f.rate, &f.skip
	if f.condition != "" {
		if !json.Valid([]byte(f.condition)) {
			return r, &usageError{errors.New("--filter is no JSON")}
		}
		r.Condition = client.Condition(f.condition)
	}
	for _, name := range f.rules {
		id, err := deciding(ctx, api, name)
		if err != nil {
			return r, err
		}
		r.Rules = append(r.Rules, id)
	}
	return r, nil
}

// deciding is the id of a rule that can decide single events.
func deciding(ctx context.Context, api *client.Client, idOrName string) (string, error) {
	r, err := ruleOf(ctx, api, idOrName)
	switch {
	case err != nil:
		return "", err
	case r.Window != nil:
		return "", &usageError{fmt.Errorf("rule %q has a window, whose alerts are about many events; `eactl rules backtest` says which there are", idOrName)}
	case !r.Enabled:
		return "", &usageError{fmt.Errorf("rule %q is disabled, so it would decide nothing; enable it first", idOrName)}
	}
	return r.RuleID, nil
}

// lookEvery is how often a replay that is followed is looked at.
const lookEvery = 500 * time.Millisecond

// followReplay waits until a replay is over, or stopped by somebody.
func (t *tool) followReplay(ctx context.Context, api *client.Client, j client.Replay) error {
	bar := t.partBar()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for j.State == client.ReplayStateWaiting || j.State == client.ReplayStateRunning {
		p := j.Progress
		bar.show(j.Part, string(j.State), fmt.Sprintf("%s, %d to be sent", counted(int(p.Events), "event"), p.Made+p.Retried+p.Repeated))
		select {
		case <-ctx.Done():
			bar.end()
			return fmt.Errorf("the replay goes on without you: `eactl replay show %s` says how far it is, `eactl replay cancel %s` ends it", j.ReplayID, j.ReplayID)
		case <-ticker.C:
		}
		now, err := api.GetReplay(ctx, j.ReplayID)
		switch {
		case err == nil:
			j = now
		case ctx.Err() == nil:
			bar.end()
			return err
		}
	}
	bar.end()
	if err := t.print(j, func() error { return t.showReplayed(j) }); err != nil {
		return err
	}
	switch {
	case j.State == client.ReplayStateFailed:
		return fmt.Errorf("the replay stopped: %s\n`eactl replay resume %s` goes on from where it is", j.Error, j.ReplayID)
	case j.State != client.ReplayStateDone:
		return fmt.Errorf("the replay was %s by somebody", j.State)
	case j.Progress.Matches == 0:
		return errNothing
	}
	return nil
}

func (t *tool) replayList() *cobra.Command {
	var p client.ListReplaysParams
	c := &cobra.Command{Use: "list", Short: "List replays, newest first", Args: exactly(0, "no arguments"),
		Example: `  eactl replay list
  eactl replay list --state running -o json`}
	limit := limitFlag(c.Flags())
	c.Flags().StringVar((*string)(&p.State), "state", "", "only those that are waiting, running, paused, done, cancelled or failed")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		most, err := limit()
		if err != nil {
			return err
		}
		api, err := t.api()
		if err != nil {
			return err
		}
		p.Limit = pageFor(most)
		return list(t, api.AllReplays(cmd.Context(), p), most, "replay_id", "state", "from", "to", "dry_run", "created_at", "created_by", "done_until")
	}
	return c
}

func (t *tool) replayShow() *cobra.Command {
	follow := false
	c := &cobra.Command{Use: "show REPLAY_ID", Short: "Show how far a replay is, and what it came to", Args: exactly(1, "a replay's id"),
		Example: `  eactl replay show 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968 --follow`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := t.api()
			if err != nil {
				return err
			}
			j, err := api.GetReplay(cmd.Context(), args[0])
			if err != nil {
				return noReplay(args[0], err)
			}
			if follow {
				return t.followReplay(cmd.Context(), api, j)
			}
			return t.print(j, func() error { return t.showReplayed(j) })
		}}
	c.Flags().BoolVar(&follow, "follow", false, "stay until it is over, with a progress bar on a terminal")
	return c
}

func (t *tool) replayChange(verb, short string, change func(*client.Client, context.Context, string) (client.Replay, error)) *cobra.Command {
	return &cobra.Command{Use: verb + " REPLAY_ID", Short: short, Args: exactly(1, "a replay's id"),
		Example: "  eactl replay " + verb + " 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968",
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := t.api()
			if err != nil {
				return err
			}
			j, err := change(api, cmd.Context(), args[0])
			if err != nil {
				return noReplay(args[0], err)
			}
			return t.print(j, func() error { return t.sayReplay(j) })
		}}
}

func noReplay(id string, err error) error {
	if missing(err) {
		return fmt.Errorf("no replay has the id %s (`eactl replay list` shows them): %w", id, errNothing)
	}
	return err
}

func (t *tool) sayReplay(j client.Replay) error {
	_, err := fmt.Fprintf(t.out, "%s is %s\n", j.ReplayID, j.State)
	return err
}

// leftOutSaid are the rules that are named to a reader.
const leftOutSaid = 5

// leftOut is a line about the rules that are not asked, "" when there are none.
func leftOut(l client.ReplayLeftOut) string {
	if l.Count == 0 {
		return ""
	}
	var names []string
	for _, r := range l.Rules[:min(len(l.Rules), leftOutSaid)] {
		names = append(names, strconv.Quote(r.Name))
	}
	more := ""
	if n := int(l.Count) - len(names); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("left out, since windows are about many events: %s%s (see eactl rules backtest)\n", strings.Join(names, ", "), more)
}

// showReplayed is a replay as a person reads it.
func (t *tool) showReplayed(j client.Replay) error {
	what := "replay"
	if j.DryRun {
		what = "dry run"
	}
	p := j.Progress
	fmt.Fprintf(t.out, "%s %s is %s, %.0f %% of %s to %s\n", what, j.ReplayID, j.State, 100*j.Part, minute(j.From), minute(j.To))
	if j.Error != "" {
		fmt.Fprintln(t.out, printableLines(j.Error))
	}
	fmt.Fprintf(t.out, "%s, %d matches: %d made, %d dead ones tried again, %d delivered ones called again\n", counted(int(p.Events), "event"), p.Matches, p.Made, p.Retried, p.Repeated)
	fmt.Fprintf(t.out, "left alone: %d delivered, %d under way; held back: %d\n%s", p.Delivered, p.UnderWay, p.Held, leftOut(j.LeftOut))
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
