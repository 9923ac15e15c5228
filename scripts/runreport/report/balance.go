package report

import (
	"fmt"
	"io"
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
	MetricsCorrect                bool // the recount of the raw events equals the counters
}

// Check is one line of the balance.
type Check struct {
	What string
	Says string
	OK   bool
}

// outcomes is the number of events that the dispatcher published during the
// run: one for each notification that reached its end.
func (r Run) outcomes() int {
	b, a := r.Before.Notifications, r.After.Notifications
	return a.Delivered - b.Delivered + a.Dead - b.Dead
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
		{"metrics", metrics(r.MetricsCorrect), r.MetricsCorrect},
	}
}

func (r Run) events() Check {
	stored := r.After.Events.Stored - r.Before.Events.Stored - r.outcomes()
	dead := r.After.badMessages() - r.Before.badMessages()
	return Check{
		"events", fmt.Sprintf("published %d = stored %d + duplicates %d + dead %d",
			r.Simulated.Published, stored, r.Simulated.Duplicates, dead),
		r.Simulated.Published > 0 && r.Simulated.Published == stored+r.Simulated.Duplicates+dead &&
			stored == r.Simulated.Valid && dead == r.Simulated.Bad,
	}
}

func metrics(correct bool) string {
	if !correct {
		return "the recount of the raw events differs"
	}
	return "the recount of the raw events equals the counters"
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
