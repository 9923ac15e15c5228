package ctl

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
)

func (t *tool) topology() *cobra.Command {
	return group("topology", "The broker's exchanges and queues", t.topologyPrint(), t.topologyCheck(), t.topologyExport())
}

func (t *tool) topologyPrint() *cobra.Command {
	return &cobra.Command{Use: "print", Short: "Print exchanges, queues and bindings", Args: exactly(0, "no arguments"),
		Long:    "Print the exchanges, queues and bindings that every process declares at start. Needs no server.",
		Example: "  eactl topology print\n  EA_BROKER_PREFIX=staging. eactl topology print -o yaml",
		RunE: func(*cobra.Command, []string) error {
			c, err := t.config()
			if err != nil {
				return err
			}
			b := topologyOf(c).Broker()
			return t.print(b, func() error {
				for _, e := range b.Exchanges {
					fmt.Fprintf(t.out, "exchange  %s (%s)\n", e.Name, e.Kind)
				}
				for _, q := range b.Queues {
					fmt.Fprintf(t.out, "queue     %s %v\n", q.Name, q.Args)
				}
				for _, bind := range b.Bindings {
					fmt.Fprintf(t.out, "binding   %s -- %s --> %s\n", bind.Exchange, bind.Key, bind.Queue)
				}
				return nil
			})
		}}
}

// difference is one line of `topology check`.
type difference struct {
	Object string `json:"object"`
	Detail string `json:"detail"`
	Advice string `json:"advice"`
}

func (t *tool) topologyCheck() *cobra.Command {
	return &cobra.Command{Use: "check", Short: "Compare the broker with the table; exit 1 when it differs", Args: exactly(0, "no arguments"),
		Long: `Compare the broker's exchanges and queues with those that every process declares; exit 1 when they differ.
It changes nothing. Bindings cannot be asked for by AMQP; starting any process makes those that are missing.`,
		Example: "  eactl topology check\n  eactl topology check -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := t.config()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), apiTimeout)
			defer cancel()
			table := topologyOf(c).Broker()
			found, err := broker.Check(ctx, c.AMQP.URL, table)
			if err != nil {
				return brokerFailed(c, err)
			}
			differences := make([]difference, len(found))
			for i, d := range found {
				differences[i] = difference{d.Object, d.Detail, d.Advice}
			}
			err = t.print(differences, func() error {
				for _, d := range found {
					fmt.Fprintln(t.out, d)
				}
				return nil
			})
			if err != nil {
				return err
			}
			if len(found) > 0 {
				return fmt.Errorf("%d of %d exchanges and queues differ; each line says what to do", len(found), len(table.Exchanges)+len(table.Queues))
			}
			if t.output == outputTable {
				_, err = fmt.Fprintf(t.out, "all %d exchanges and %d queues are as they should be\n", len(table.Exchanges), len(table.Queues))
			}
			return err
		}}
}

func (t *tool) topologyExport() *cobra.Command {
	return &cobra.Command{Use: "export", Short: "Print a RabbitMQ definitions file", Args: exactly(0, "no arguments"),
		Long:    "Print the topology as a RabbitMQ definitions file, for brokers on which the processes may not declare anything.",
		Example: "  eactl topology export > definitions.json && rabbitmqctl import_definitions definitions.json",
		RunE: func(*cobra.Command, []string) error {
			c, err := t.config()
			if err != nil {
				return err
			}
			text, err := topologyOf(c).Definitions()
			if err != nil {
				return err
			}
			return t.print(json.RawMessage(text), func() error { return t.printJSON(json.RawMessage(text)) })
		}}
}
