package ctl

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// clocksApart is from where clocks count as wrong: events that are further in
// the future than 10 minutes are refused, and expiry goes by the server's clock.
const clocksApart = 5 * time.Second

// checkup is one line of the doctor.
type checkup struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	Says  string `json:"says"`
}

// doctor tries everything that the product needs, and says what is wrong.
func (t *tool) doctor() *cobra.Command {
	return &cobra.Command{Use: "doctor", Short: "Check configuration, servers, clock, topology, indexes and the API", Args: exactly(0, "no arguments"),
		Long:    "Try everything that the product needs. It changes nothing; exit 1 when something is wrong, with what to do in its line.",
		Example: "  eactl doctor\n  EA_MONGO_URI=mongodb://db.example.com/ eactl doctor -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			checks := []struct {
				name string
				run  func(context.Context) (string, error)
			}{
				{"configuration", func(context.Context) (string, error) { _, err := t.config(); return "every value can be used", err }},
				{"MongoDB", t.checkMongo},
				{"indexes", t.checkIndexes},
				{"RabbitMQ", t.checkRabbit},
				{"topology", t.checkTopology},
				{"API", t.checkAPI},
			}
			var all []checkup
			failed := 0
			for _, c := range checks {
				result := checkup{Check: c.name, OK: true}
				says, err := c.run(ctx)
				if err != nil {
					failed++
					result.OK, says = false, verdict(err).Error()
				}
				result.Says = says
				all = append(all, result)
				if t.output == outputTable { // at once: a server that is away takes its time
					t.checkLine(result)
				}
				if failed > 0 && len(all) == 1 {
					break // without a configuration there is nothing to try
				}
			}
			if err := t.print(all, func() error { return nil }); err != nil {
				return err
			}
			if failed > 0 {
				return fmt.Errorf("%d of %d checks failed", failed, len(all))
			}
			return nil
		}}
}

func (t *tool) checkLine(c checkup) {
	verdict, colour := "ok  ", text.FgGreen
	if !c.OK {
		verdict, colour = "FAIL", text.FgRed
	}
	indented := strings.ReplaceAll(c.Says, "\n", "\n"+strings.Repeat(" ", 21))
	fmt.Fprintf(t.out, "%s  %-14s %s\n", t.paint(colour, verdict), c.Check, indented)
}

func (t *tool) checkMongo(ctx context.Context) (says string, err error) {
	err = t.withStore(ctx, func(s *store.Store) error {
		server, err := s.Server(ctx)
		if err != nil {
			return err
		}
		if server.ReplicaSet == "" {
			return fmt.Errorf("%s is a single server without transactions: start mongod with --replSet and run rs.initiate() once", server.Version)
		}
		if server.Ahead.Abs() > clocksApart {
			return fmt.Errorf("its clock is %s ahead of this machine's: set both by NTP", server.Ahead.Round(time.Second))
		}
		says = fmt.Sprintf("%s, replica set %s, clocks within %s", server.Version, server.ReplicaSet, max(server.Ahead.Abs(), time.Millisecond).Round(time.Millisecond))
		return nil
	})
	return says, err
}

func (t *tool) checkIndexes(ctx context.Context) (string, error) {
	err := t.withStore(ctx, func(s *store.Store) error {
		found, err := s.CheckIndexes(ctx)
		if err != nil || len(found) == 0 {
			return err
		}
		return fmt.Errorf("%d of %d are not as they should be, the first is %s.%s: %s",
			len(found), len(store.Indexes), found[0].Collection, found[0].Index, found[0].What)
	})
	return "every query has its index", err
}

func (t *tool) checkRabbit(ctx context.Context) (string, error) {
	c, err := t.config()
	if err == nil {
		err = probeBroker(ctx, c)
	}
	return "lets us in", err
}

func (t *tool) checkTopology(ctx context.Context) (string, error) {
	c, err := t.config()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	found, err := broker.Check(ctx, c.AMQP.URL, topologyOf(c).Broker())
	if err != nil {
		return "", brokerFailed(c, err)
	}
	if len(found) > 0 {
		return "", fmt.Errorf("%d differences, the first: %s (`eactl topology check` shows all)", len(found), found[0])
	}
	return "exchanges and queues are as they should be", nil
}

func (t *tool) checkAPI(ctx context.Context) (string, error) {
	api, err := t.api()
	if err != nil {
		return "", err
	}
	me, err := api.GetMe(ctx)
	if err == nil && me.Email == "" {
		err = errors.New("what answers at EA_API_URL is not this API")
	}
	return fmt.Sprintf("knows this key as %s, role %s", me.Email, me.Role), err
}
