package ctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func (t *tool) silence() *cobra.Command {
	return group("silence", "Hold notifications back for a while", t.silenceAdd(), t.silenceList(), t.silenceExpire())
}

func (t *tool) silenceAdd() *cobra.Command {
	var condition, length, until, from, comment string
	var rules []string
	var dry bool
	c := &cobra.Command{Use: "add --condition CONDITION --for LENGTH --comment WHY", Short: "Hold back what matches, from now or later on, until it ends", Args: exactly(0, "only flags"),
		Example: `  eactl silence add --condition '{"source":"shop"}' --for 2h --comment "deploy of the shop"
  eactl silence add --condition '{}' --rule 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968 --from 2026-03-01T22:00:00Z --until 2026-03-02T06:00:00Z --comment migration
  eactl silence add --condition '{"severity":{"$lt":7}}' --for 1h --comment noise --dry-run    # what it would have held in the last hour`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !json.Valid([]byte(condition)) {
				return &usageError{errors.New(`--condition is no JSON; {} is every event`)}
			}
			wanted := map[string]any{"condition": json.RawMessage(condition), "comment": comment}
			for name, value := range map[string]string{"for": length, "until": until, "from": from} {
				if value != "" {
					wanted[name] = value
				}
			}
			if len(rules) > 0 {
				wanted["rules"] = rules
			}
			body, err := json.Marshal(wanted)
			if err != nil {
				return err
			}
			api, err := t.client()
			if err != nil {
				return err
			}
			query := url.Values{}
			if dry {
				query.Set("dry_run", "true")
			}
			var answer json.RawMessage
			if err := api.do(cmd.Context(), http.MethodPost, "/silences", query, body, &answer); err != nil {
				return err
			}
			return t.print(answer, func() error { return t.sayAdded(answer, dry) })
		}}
	c.Flags().StringVar(&condition, "condition", "", "a condition over the event, as a rule's; {} is every event")
	c.Flags().StringArrayVar(&rules, "rule", nil, "the id of a rule that it is about, several times for several; none: every rule")
	c.Flags().StringVar(&length, "for", "", "how long: 30m, 2h, 7d")
	c.Flags().StringVar(&until, "until", "", "instead of --for: when it ends (RFC 3339)")
	c.Flags().StringVar(&from, "from", "", "when it begins (RFC 3339), now if not given")
	c.Flags().StringVar(&comment, "comment", "", "why, for those who ask")
	c.Flags().BoolVar(&dry, "dry-run", false, "store nothing, say what it would have held back in the last hour")
	return c
}

func (t *tool) sayAdded(answer json.RawMessage, dry bool) error {
	m, err := decoded(answer)
	if err != nil {
		return err
	}
	if !dry {
		_, err = fmt.Fprintf(t.out, "%s is %s until %s\n", cell(m, "silence_id"), cell(m, "state"), cell(m, "until"))
		return err
	}
	least := ""
	if m["at_least"] == true {
		least = "at least "
	}
	_, err = fmt.Fprintf(t.out, "of the last hour's events the condition matches %s%s; rules matched %s of them, whose notifications would have been held back\n",
		least, cell(m, "events"), cell(m, "matched"))
	return err
}

func (t *tool) silenceList() *cobra.Command {
	var all bool
	var state string
	c := &cobra.Command{Use: "list", Short: "List the silences in force (--state, --all: others)", Args: exactly(0, "no arguments"),
		Example: `  eactl silence list
  eactl silence list --all -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := t.client()
			if err != nil {
				return err
			}
			query := url.Values{}
			if !all {
				query.Set("state", state)
			}
			l := t.list("silence_id", "state", "from", "until", "author", "comment")
			defer l.end()
			return api.all(cmd.Context(), "/silences", query, 0, l.add)
		}}
	c.Flags().BoolVar(&all, "all", false, "in every state")
	c.Flags().StringVar(&state, "state", "active", "pending, active or expired")
	return c
}

func (t *tool) silenceExpire() *cobra.Command {
	return &cobra.Command{Use: "expire SILENCE_ID", Short: "End a silence now; it stays readable", Args: exactly(1, "a silence id"),
		Example: `  eactl silence expire 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := t.client()
			if err != nil {
				return err
			}
			var answer json.RawMessage
			err = api.do(cmd.Context(), http.MethodPost, "/silences/"+url.PathEscape(args[0])+"/expire", nil, nil, &answer)
			if errors.Is(err, errNothing) {
				return fmt.Errorf("no silence has the id %s (`eactl silence list --all` shows them): %w", args[0], errNothing)
			}
			if err != nil {
				return err
			}
			return t.print(answer, func() error { return t.sayAdded(answer, false) })
		}}
}
