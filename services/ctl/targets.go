package ctl

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func (t *tool) targets() *cobra.Command {
	return group("targets", "Hosts whose breaker has opened, and endpoints that are disabled",
		t.targetsList(), t.targetsGet(), t.targetsEnable(), t.targetsDisable())
}

func (t *tool) targetsList() *cobra.Command {
	var state string
	c := &cobra.Command{Use: "list", Short: "List those that are held back for, or were lately", Args: exactly(0, "no arguments"),
		Example: `  eactl targets list
  eactl targets list --state disabled -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := t.client()
			if err != nil {
				return err
			}
			query := url.Values{}
			if state != "" {
				query.Set("state", state)
			}
			l := t.list("target_id", "state", "retry_at", "reason")
			defer l.end()
			return api.all(cmd.Context(), "/targets", query, 0, l.add)
		}}
	c.Flags().StringVar(&state, "state", "", "open, half_open, closed or disabled")
	return c
}

func (t *tool) targetsGet() *cobra.Command {
	return &cobra.Command{Use: "get TARGET_ID", Short: "Show one", Args: exactly(1, "a target's id"),
		Example: `  eactl targets get hooks.example.com:443`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.showOne(cmd, "/targets/"+url.PathEscape(args[0]))
		}}
}

func (t *tool) targetsEnable() *cobra.Command {
	return &cobra.Command{Use: "enable TARGET_ID", Short: "Call an endpoint again, or close a breaker by hand", Args: exactly(1, "a target's id"),
		Example: `  eactl targets enable hooks.example.com:443
  eactl notifications retry --status suppressed --reason target_disabled    # what was owed meanwhile`,
		RunE: func(cmd *cobra.Command, args []string) error { return t.changeTarget(cmd, args[0], "enable", nil) }}
}

func (t *tool) targetsDisable() *cobra.Command {
	var reason string
	c := &cobra.Command{Use: "disable TARGET_ID", Short: "Call an endpoint no more; what is owed to it is suppressed", Args: exactly(1, "the id of a listed endpoint"),
		Example: `  eactl targets disable b5d9c1f2a3e4 --reason "moved to another host"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := json.Marshal(map[string]string{"reason": reason})
			if err != nil {
				return err
			}
			return t.changeTarget(cmd, args[0], "disable", body)
		}}
	c.Flags().StringVar(&reason, "reason", "", "why, for those who ask")
	return c
}

func (t *tool) changeTarget(cmd *cobra.Command, id, change string, body []byte) error {
	api, err := t.client()
	if err != nil {
		return err
	}
	var answer json.RawMessage
	if err := api.do(cmd.Context(), http.MethodPost, "/targets/"+url.PathEscape(id)+"/"+change, nil, body, &answer); err != nil {
		return err
	}
	return t.print(answer, func() error {
		m, err := decoded(answer)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.out, "%s is %s\n", id, cell(m, "state"))
		return err
	})
}
