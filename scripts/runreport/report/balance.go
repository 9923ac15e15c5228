package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Simulated is `eactl simulate -o json`: what was published, as its publisher
// knows it.
type Simulated struct {
	Published  int `json:"published"` // confirmed messages: valid + duplicates + bad
	Valid      int `json:"valid"`     // with an event_id that had not been published before
	Duplicates int `json:"duplicates"`
	Bad        int `json:"bad"`
}

// Received is what the webhook receiver counted and saw.
type Received struct {
	IDs           []string `json:"-"`              // distinct webhook-ids that it accepted
	AcceptedAgain int      `json:"accepted_again"` // repeats
	BadSignatures int      `json:"bad_signatures"`
}

// Run is all that is known of one run: the state before and after it, both
// taken when nothing was under way, so that the differences are the run's own.
type Run struct {
	Before, After                 Status
	Simulated                     Simulated
	ReceivedBefore, ReceivedAfter Received
	Ledger                        Ledger
	Recount                       Recount
}

// Recount is what `aggregator verify -o json` found.
type Recount struct {
	Events  int               `json:"events"`
	Windows map[string]int    `json:"windows"`
	Drift   []json.RawMessage `json:"drift"`
	LeftOut []struct {
		Reason string `json:"reason"`
	} `json:"left_out"`
}

// expired says of what was left out that it is no fault.
const expired = "expired"

// wrong is what keeps a recount from having shown anything; "" when it has.
func (r Recount) wrong(stored int) string {
	if n := len(r.Drift); n > 0 {
		return fmt.Sprintf("%d counts are not what the events say", n)
	}
	for _, l := range r.LeftOut {
		if !strings.Contains(l.Reason, expired) {
			return "some " + l.Reason
		}
	}
	for _, period := range []string{"1m", "1h"} {
		if r.Windows[period] == 0 {
			return "no metrics of " + period + " were compared"
		}
	}
	if r.Events < stored {
		return fmt.Sprintf("only %d events were recounted, of %d", r.Events, stored)
	}
	return ""
}

// Check is one line of the balance.
type Check struct {
	What string
	Says string
	OK   bool
}

// Balance compares what went in with what is there.
func (r Run) Balance() []Check {
	undrained := r.After.Undrained()
	return []Check{
		r.events(),
		{
			"processed", fmt.Sprintf("%d stored events not processed", r.After.Events.Unprocessed),
			r.After.Events.Unprocessed == 0,
		},
		r.notifications(),
		r.webhooks(),
		{"drained", drained(undrained), len(undrained) == 0},
		r.metrics(),
	}
}

func (r Run) events() Check {
	stored := r.Ledger.Stored
	dead := r.After.badMessages() - r.Before.badMessages()
	return Check{
		"events", fmt.Sprintf("published %d = stored %d + duplicates %d + dead %d",
			r.Simulated.Published, stored, r.Simulated.Duplicates, dead),
		r.Simulated.Published > 0 && r.Simulated.Published == stored+r.Simulated.Duplicates+dead &&
			stored == r.Simulated.Valid && dead == r.Simulated.Bad,
	}
}

func (r Run) metrics() Check {
	if wrong := r.Recount.wrong(r.Ledger.Stored); wrong != "" {
		return Check{"metrics", "the recount of the raw events: " + wrong, false}
	}
	return Check{"metrics", fmt.Sprintf("the recount of %d raw events equals counters and metrics", r.Recount.Events), true}
}

func drained(undrained []string) string {
	if len(undrained) == 0 {
		return "nothing is under way"
	}
	return fmt.Sprint(undrained)
}

// Write prints the balance as a table; true when everything balances.
func Write(w io.Writer, checks []Check) (bool, error) {
	all := true
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range checks {
		verdict := "ok"
		if !c.OK {
			verdict, all = "WRONG", false
		}
		if _, err := fmt.Fprintf(table, "  %s\t%s\t%s\n", verdict, c.What, c.Says); err != nil {
			return false, err
		}
	}
	return all, table.Flush()
}
