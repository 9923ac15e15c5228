package ctl

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

func (t *tool) silence() *cobra.Command {
	return group("silence", "Hold notifications back for a while", t.silenceAdd(), listed(t.silenceList()), t.silenceExpire())
}

func (t *tool) silenceAdd() *cobra.Command {
	var wanted client.NewSilence
	var condition string
	var dry bool
	c := &cobra.Command{Use: "add --condition CONDITION --for LENGTH --comment WHY", Short: "Hold back what matches, from now or later on, until it ends", Args: exactly(0, "only flags"),
		Example: `  eactl silence add --condition '{"source":"shop"}' --for 2h --comment "deploy of the shop"
  eactl silence add --condition '{}' --rule 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968 --from 2026-03-01T22:00:00Z --until 2026-03-02T06:00:00Z --comment migration
  eactl silence add --condition '{"severity":{"$lt":7}}' --for 1h --comment noise --dry-run    # what it would have held in the last hour`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !json.Valid([]byte(condition)) {
				return &usageError{errors.New(`--condition is no JSON; {} is every event`)}
			}
			wanted.Condition = json.RawMessage(condition)
			api, err := t.api()
			if err != nil {
				return err
			}
			answer, err := api.CreateSilence(cmd.Context(), client.CreateSilenceParams{DryRun: dry}, wanted)
			if err != nil {
				return err
			}
			return t.print(answer, func() error {
				if s := answer.Silence; s != nil {
					return t.saySilence(*s)
				}
				return t.sayPreview(*answer.SilencePreview)
			})
		}}
	c.Flags().StringVar(&condition, "condition", "", "a condition over the event, as a rule's; {} is every event")
	c.Flags().StringArrayVar(&wanted.Rules, "rule", nil, "the id of a rule that it is about, several times for several; none: every rule")
	c.Flags().StringVar(&wanted.For, "for", "", "how long: 30m, 2h, 7d")
	c.Flags().Var(instant{&wanted.Until}, "until", "instead of --for: when it ends (RFC 3339)")
	c.Flags().Var(instant{&wanted.From}, "from", "when it begins (RFC 3339), now if not given")
	c.Flags().StringVar(&wanted.Comment, "comment", "", "why, for those who ask")
	c.Flags().BoolVar(&dry, "dry-run", false, "store nothing, say what it would have held back in the last hour")
	return c
}

func (t *tool) saySilence(s client.Silence) error {
	_, err := fmt.Fprintf(t.out, "%s is %s until %s\n", s.SilenceID, s.State, s.Until)
	return err
}

func (t *tool) sayPreview(p client.SilencePreview) error {
	least := ""
	if p.AtLeast {
		least = "at least "
	}
	_, err := fmt.Fprintf(t.out, "of the last hour's events the condition matches %s%d; rules matched %d of them, whose notifications would have been held back\n",
		least, p.Events, p.Matched)
	return err
}

func (t *tool) silenceList() *cobra.Command {
	var all bool
	var state string
	c := &cobra.Command{Use: "list", Short: "List the silences in force (--state, --all: others)", Args: exactly(0, "no arguments"),
		Example: `  eactl silence list
  eactl silence list --all -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := t.api()
			if err != nil {
				return err
			}
			p := client.ListSilencesParams{State: client.SilenceState(state)}
			if all {
				p.State = ""
			}
			return list(t, api.AllSilences(cmd.Context(), p), 0, "silence_id", "state", "from", "until", "author", "comment")
		}}
	c.Flags().BoolVar(&all, "all", false, "in every state")
	c.Flags().StringVar(&state, "state", string(client.SilenceStateActive), "pending, active or expired")
	return c
}

func (t *tool) silenceExpire() *cobra.Command {
	return &cobra.Command{Use: "expire SILENCE_ID", Short: "End a silence now; it stays readable", Args: exactly(1, "a silence id"),
		Example: `  eactl silence expire 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := t.api()
			if err != nil {
				return err
			}
			ended, err := api.ExpireSilence(cmd.Context(), args[0], client.ExpireSilenceParams{})
			if missing(err) {
				return fmt.Errorf("no silence has the id %s (`eactl silence list --all` shows them): %w", args[0], errNothing)
			}
			if err != nil {
				return err
			}
			return t.print(ended, func() error { return t.saySilence(ended) })
		}}
}
