package ctl

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

func (t *tool) targets() *cobra.Command {
	return group("targets", "Hosts whose breaker has opened, and endpoints that are disabled",
		listed(t.targetsList()), t.targetsGet(), t.targetsEnable(), t.targetsDisable())
}

func (t *tool) targetsList() *cobra.Command {
	var p client.ListTargetsParams
	c := &cobra.Command{Use: "list", Short: "List those that are held back for, or were lately", Args: exactly(0, "no arguments"),
		Example: `  eactl targets list
  eactl targets list --state disabled -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := t.api()
			if err != nil {
				return err
			}
			return list(t, api.AllTargets(cmd.Context(), p), 0, "target_id", "state", "retry_at", "reason")
		}}
	c.Flags().StringVar((*string)(&p.State), "state", "", "open, half_open, closed or disabled")
	return c
}

func (t *tool) targetsGet() *cobra.Command {
	return &cobra.Command{Use: "get TARGET_ID", Short: "Show one", Args: exactly(1, "a target's id"),
		Example: `  eactl targets get hooks.example.com:443`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(t, cmd, (*client.Client).GetTarget, args[0])
		}}
}

func (t *tool) targetsEnable() *cobra.Command {
	return &cobra.Command{Use: "enable TARGET_ID", Short: "Call an endpoint again, or close a breaker by hand", Args: exactly(1, "a target's id"),
		Example: `  eactl targets enable hooks.example.com:443
  eactl notifications retry --status suppressed --reason target_disabled    # what was owed meanwhile`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.changeTarget(args[0], func(api *client.Client) (client.Target, error) {
				return api.EnableTarget(cmd.Context(), args[0], client.EnableTargetParams{})
			})
		}}
}

func (t *tool) targetsDisable() *cobra.Command {
	var body client.DisableTargetBody
	c := &cobra.Command{Use: "disable TARGET_ID", Short: "Call an endpoint no more; what is owed to it is suppressed", Args: exactly(1, "the id of a listed endpoint"),
		Example: `  eactl targets disable b5d9c1f2a3e4 --reason "moved to another host"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.changeTarget(args[0], func(api *client.Client) (client.Target, error) {
				return api.DisableTarget(cmd.Context(), args[0], client.DisableTargetParams{}, &body)
			})
		}}
	c.Flags().StringVar(&body.Reason, "reason", "", "why, for those who ask")
	return c
}

func (t *tool) changeTarget(id string, change func(*client.Client) (client.Target, error)) error {
	api, err := t.api()
	if err != nil {
		return err
	}
	answer, err := change(api)
	if err != nil {
		return err
	}
	return t.print(answer, func() error {
		_, err := fmt.Fprintf(t.out, "%s is %s\n", id, answer.State)
		return err
	})
}
