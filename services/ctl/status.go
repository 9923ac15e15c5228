package ctl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/client"
	"github.com/events-aggregator/events-aggregator/pkg/config"
)

// depth is one queue's line of `status`.
type depth struct {
	Messages  int `json:"messages"`
	Consumers int `json:"consumers"`
}

// statusReport is `eactl status -o json`: the API's answer, with the queues
// beside it. Scripts read it.
type statusReport struct {
	client.Status

	Queues      map[string]depth `json:"queues"`       // without the prefix
	DeadLetters map[string]int   `json:"dead_letters"` // by the work queue that they were in
}

// status puts the ledger's balance and the queues' depths into one answer.
func (t *tool) status() *cobra.Command {
	return &cobra.Command{Use: "status", Short: "Queues, lag and the ledger's balance", Args: exactly(0, "no arguments"),
		Example: "  eactl status\n  eactl status -o json | jq .dead_letters",
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := t.api()
			if err != nil {
				return err
			}
			said, err := api.GetStatus(cmd.Context())
			if err != nil {
				return err
			}
			s := statusReport{Status: said, Queues: map[string]depth{}, DeadLetters: map[string]int{}}
			err = t.withBroker(cmd.Context(), func(c config.Config, conn *broker.Connection) error {
				for _, q := range topologyOf(c).Broker().Queues {
					messages, consumers, err := conn.Depth(cmd.Context(), q.Name)
					if err != nil {
						return fmt.Errorf("%w\nStart any process, which declares what is missing; `eactl topology check` shows all", err)
					}
					name := strings.TrimPrefix(q.Name, c.Broker.Prefix)
					s.Queues[name] = depth{messages, consumers}
					if owner, ok := strings.CutSuffix(name, ".dead"); ok {
						s.DeadLetters[owner] = messages
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			return t.print(s, func() error { return t.statusTables(s) })
		}}
}

func (t *tool) statusTables(s statusReport) error {
	fmt.Fprintf(t.out, "events         %d stored, %d of them not processed yet\n", s.Events.Stored, s.Events.Unprocessed)
	var states []string
	for _, state := range sortedNames(s.Notifications) {
		more := ""
		if slices.Contains(s.NotificationsAtLeast, state) {
			more = "+"
		}
		states = append(states, fmt.Sprintf("%d%s %s", s.Notifications[state], more, state))
	}
	if states == nil {
		states = []string{"none"}
	}
	fmt.Fprintf(t.out, "notifications  %s\n\n", strings.Join(states, ", "))

	w := t.rows("stage", "batches behind", "seconds behind")
	for _, name := range sortedNames(s.Lag) {
		w.AppendRow([]any{name, s.Lag[name].Batches, fmt.Sprintf("%.1f", s.Lag[name].Seconds)})
	}
	w.Render()
	fmt.Fprintln(t.out)

	w = t.rows("queue", "messages", "consumers")
	for _, q := range sortedNames(s.Queues) {
		d := s.Queues[q]
		switch waits := strings.Contains(q, ".retry.") || strings.HasSuffix(q, ".dead"); {
		case waits && d.Messages == 0: // most of them, most of the time
		case waits:
			w.AppendRow([]any{q, d.Messages, ""})
		default:
			w.AppendRow([]any{q, d.Messages, d.Consumers})
		}
	}
	w.Render()
	return nil
}
