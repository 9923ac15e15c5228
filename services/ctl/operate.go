package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

// users creates users in the database itself: the first one has no key to ask
// the API with.
func (t *tool) users() *cobra.Command {
	var email, name, role string
	create := &cobra.Command{Use: "create --email ADDRESS", Short: "Create a user and print their API key, once", Args: exactly(0, "only flags"),
		Example: `  eactl users create --email ops@example.com --role admin`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			now := time.Now().UTC()
			plain, key, err := user.NewKey(now)
			if err != nil {
				return err
			}
			u := user.User{ID: uuid.NewString(), Email: email, Name: name, Role: user.Role(role), APIKeys: []user.APIKey{key}, CreatedAt: now, UpdatedAt: now,
				Preferences: user.Preferences{NotificationChannels: []string{}, EventTypes: []string{}}}
			if err := u.Validate(); err != nil {
				return &usageError{err}
			}
			return t.withStore(cmd.Context(), func(s *store.Store) error {
				if err := errors.Join(s.EnsureIndexes(cmd.Context())); err != nil {
					return err
				}
				if err := s.CreateUser(cmd.Context(), u); err != nil {
					return err
				}
				if t.output == "json" {
					return t.printLine(map[string]string{"user_id": u.ID, "email": u.Email, "role": role, "api_key": plain})
				}
				_, err := fmt.Fprintf(t.out, "%s\n", plain)
				return err
			})
		}}
	create.Flags().StringVar(&email, "email", "", "the user's address")
	create.Flags().StringVar(&name, "name", "", "the user's name")
	create.Flags().StringVar(&role, "role", string(user.Plain), "admin or user")
	return group("users", "Keep users", create)
}

func (t *tool) topology() *cobra.Command {
	printing := &cobra.Command{Use: "print", Short: "Print exchanges, queues and bindings", Args: exactly(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			c, err := t.config()
			if err != nil {
				return err
			}
			b := topologyOf(c).Broker()
			if t.output == "json" {
				return t.printJSON(b)
			}
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
		}}
	check := &cobra.Command{Use: "check", Short: "Compare the broker with the table; exit 1 when it differs", Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := t.config()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), apiTimeout)
			defer cancel()
			differences, err := broker.Check(ctx, c.AMQP.URL, topologyOf(c).Broker())
			if err != nil {
				return err
			}
			for _, d := range differences {
				fmt.Fprintln(t.out, d)
			}
			if len(differences) > 0 {
				return fmt.Errorf("%d difference(s)", len(differences))
			}
			_, err = fmt.Fprintln(t.out, "the broker has what the table says")
			return err
		}}
	return group("topology", "The broker's exchanges and queues", printing, check)
}

// depth is one queue's line of `status`.
type depth struct {
	Messages int `json:"messages"`
}

// status puts the ledger's balance and the queues' depths into one answer.
func (t *tool) status() *cobra.Command {
	return &cobra.Command{Use: "status", Short: "Queues, lag and the ledger's balance", Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := t.client()
			if err != nil {
				return err
			}
			answer := map[string]any{}
			if err := api.do(cmd.Context(), http.MethodGet, "/status", nil, nil, &answer); err != nil {
				return err
			}
			queues, dead := map[string]depth{}, map[string]int{}
			err = t.withBroker(cmd.Context(), func(c config.Config, conn *broker.Connection) error {
				prefix := c.Broker.Prefix
				for _, q := range topologyOf(c).Broker().Queues {
					n, _, err := conn.Depth(cmd.Context(), q.Name)
					if err != nil {
						return err
					}
					name := strings.TrimPrefix(q.Name, prefix)
					queues[name] = depth{n}
					if owner, ok := strings.CutSuffix(name, ".dead"); ok {
						dead[owner] = n
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			answer["queues"], answer["dead_letters"] = queues, dead
			if t.output == "json" {
				return t.printLine(answer)
			}
			for _, part := range []string{"events", "notifications", "lag"} {
				line, err := json.Marshal(answer[part])
				if err != nil {
					return err
				}
				fmt.Fprintf(t.out, "%-14s %s\n", part, line)
			}
			w := t.rows("queue", "messages")
			for _, q := range sortedNames(queues) {
				if queues[q].Messages > 0 || !strings.Contains(q, ".retry.") {
					w.AppendRow([]any{q, queues[q].Messages})
				}
			}
			w.Render()
			return nil
		}}
}

// doctor tries everything that the product needs, and says what is wrong.
func (t *tool) doctor() *cobra.Command {
	return &cobra.Command{Use: "doctor", Short: "Check configuration, servers, topology, indexes and the API", Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			checks := []struct {
				name string
				run  func() error
			}{
				{"configuration", func() error { _, err := t.config(); return err }},
				{"MongoDB", func() error { return t.withStore(ctx, func(*store.Store) error { return nil }) }},
				{"indexes", func() error {
					return t.withStore(ctx, func(s *store.Store) error {
						missing, err := s.CheckIndexes(ctx)
						if err == nil && len(missing) > 0 {
							err = fmt.Errorf("%d missing, first %s.%s; starting any process creates them", len(missing), missing[0].Collection, missing[0].Index)
						}
						return err
					})
				}},
				{"RabbitMQ", func() error {
					return t.withBroker(ctx, func(config.Config, *broker.Connection) error { return nil })
				}},
				{"topology", func() error {
					c, err := t.config()
					if err != nil {
						return err
					}
					found, err := broker.Check(ctx, c.AMQP.URL, topologyOf(c).Broker())
					if err == nil && len(found) > 0 {
						err = fmt.Errorf("%d difference(s), first: %s", len(found), found[0])
					}
					return err
				}},
				{"API", func() error {
					api, err := t.client()
					if err != nil {
						return err
					}
					return api.do(ctx, http.MethodGet, "/users/me", nil, nil, nil)
				}},
			}
			failed := 0
			for _, c := range checks {
				if err := c.run(); err != nil {
					failed++
					fmt.Fprintf(t.out, "FAIL  %-14s %s\n", c.name, err)
					continue
				}
				fmt.Fprintf(t.out, "ok    %s\n", c.name)
			}
			if failed > 0 {
				return fmt.Errorf("%d of %d checks failed", failed, len(checks))
			}
			return nil
		}}
}
