package ctl

import (
	"fmt"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

func (t *tool) eventsTrace() *cobra.Command {
	return &cobra.Command{Use: "trace EVENT_ID", Short: "Show what became of an event, as a tree", Args: exactly(1, "an event id"),
		Long: `Show an event's way as a tree: its batch and when each stage was done with it, the rules that matched, what they owe, every
attempt to deliver it, and the events around it.`,
		Example: `  eactl events trace 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968
  eactl events trace 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968 -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := t.api()
			if err != nil {
				return err
			}
			answer, err := api.TraceEvent(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return t.print(answer, func() error {
				t.printTree(t.traceTree(answer))
				return nil
			})
		}}
}

// branch is a line of a tree with what hangs on it.
type branch struct {
	text string
	on   []branch
}

// printTree draws a tree with lines.
func (t *tool) printTree(root branch) {
	fmt.Fprintln(t.out, root.text)
	t.printBranches(root.on, "")
}

func (t *tool) printBranches(all []branch, before string) {
	for i, b := range all {
		corner, below := "├─ ", "│  "
		if i == len(all)-1 {
			corner, below = "└─ ", "   "
		}
		fmt.Fprintln(t.out, before+corner+b.text)
		t.printBranches(b.on, before+below)
	}
}

func (t *tool) traceTree(a client.Trace) branch {
	root := branch{text: t.tracedLine(a.Event.Timestamp, a.Event.Type, a.Event.Source, a.Event.Severity, a.Event.EventID)}
	root.on = append(root.on, t.batchBranch(a))
	for _, r := range a.Rules {
		name := r.RuleName
		if name == "" {
			name = r.RuleID
		}
		b := branch{text: fmt.Sprintf("rule %q", name)}
		if r.RuleVersion != nil {
			b.text += fmt.Sprintf(" version %d", *r.RuleVersion)
		}
		for _, n := range r.Notifications {
			b.on = append(b.on, t.notificationBranch(n))
		}
		if len(b.on) == 0 {
			b.on = append(b.on, branch{text: "owes nothing"})
		}
		root.on = append(root.on, b)
	}
	if len(a.Rules) == 0 {
		says := "no rule matched"
		if !a.Event.Processed {
			says = t.paint(text.FgYellow, "no rule-worker has decided it yet")
		}
		root.on = append(root.on, branch{text: says})
	}
	if c := a.CausedBy; c != nil {
		root.on = append(root.on, branch{"caused by", []branch{{text: t.tracedLine(c.Timestamp, c.Type, c.Source, c.Severity, c.EventID)}}})
	}
	for _, around := range []struct {
		name, list string
		events     []client.FoundEvent
	}{{"caused", "caused", a.Caused}, {"of the same trace", "same_trace", a.SameTrace}} {
		b := branch{text: around.name}
		for _, e := range around.events {
			b.on = append(b.on, branch{text: t.tracedLine(e.Timestamp, e.Type, e.Source, e.Severity, e.EventID)})
		}
		if slices.Contains(a.LeftOut, around.list) {
			b.on = append(b.on, branch{text: "… and more"})
		}
		if len(b.on) > 0 {
			root.on = append(root.on, b)
		}
	}
	return root
}

func (t *tool) tracedLine(at client.Time, kind, source string, severity int64, id string) string {
	return fmt.Sprintf("%s %s from %s, severity %d  %s", clockOf(at), t.paint(severityColour(severity), printable(kind)), printable(source), severity, printable(id))
}

const traceTime = "2006-01-02T15:04:05.000Z"

func clockOf(at client.Time) string { return at.UTC().Format(traceTime) }

// batchBranch says when each stage was done, and how long after storing.
func (t *tool) batchBranch(a client.Trace) branch {
	if a.Batch == nil {
		return branch{text: "its batch is not in the ledger any more"}
	}
	stored := a.Batch.StoredAt
	b := branch{text: fmt.Sprintf("batch %s of %d event(s), by %s", a.Batch.BatchID, a.Batch.Count, a.Batch.Ingester)}
	b.on = append(b.on, branch{text: fmt.Sprintf("%-18s%s  %s after it happened", "stored", clockOf(stored), rounded(stored.Sub(a.Event.Timestamp.Time)))})
	for _, stage := range []struct {
		name string
		at   *client.Time
	}{{"published", a.Batch.PublishedAt}, {"matched", a.Batch.MatchedAt}, {"actions published", a.Batch.ActionsPublishedAt}, {"counted", a.Batch.AggregatedAt}} {
		line := fmt.Sprintf("%-18s", stage.name)
		if stage.at == nil {
			line += t.paint(text.FgYellow, "not yet")
		} else {
			line += fmt.Sprintf("%s  +%s", clockOf(*stage.at), rounded(stage.at.Sub(stored.Time)))
		}
		b.on = append(b.on, branch{text: line})
	}
	return b
}

func rounded(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// fateColours show at a glance what went wrong.
var fateColours = map[string]text.Color{
	"delivered": text.FgGreen, "ok": text.FgGreen, "pending": text.FgYellow, "retry": text.FgYellow, "suppressed": text.FgYellow,
	"dead": text.FgRed, "permanent": text.FgRed,
}

func (t *tool) fate(of string) string {
	if c, known := fateColours[of]; known {
		return t.paint(c, of)
	}
	return of
}

func (t *tool) notificationBranch(n client.Notification) branch {
	line := n.Action.Type + " " + t.fate(string(n.Status))
	if n.Reason != "" {
		line += " (" + printable(n.Reason) + ")"
	}
	b := branch{text: line + " by " + n.Queue + "  " + n.NotificationID}
	for _, a := range n.Attempts {
		said := fmt.Sprintf("attempt %d at %s: %s in %d ms", a.Number, clockOf(a.At), t.fate(a.Outcome), a.DurationMs)
		if a.StatusCode != nil && *a.StatusCode > 0 {
			said += fmt.Sprintf(", HTTP %d", *a.StatusCode)
		}
		if a.Error != "" {
			said += ", " + printable(a.Error)
		}
		b.on = append(b.on, branch{text: said})
	}
	if !n.NextAttemptAt.IsZero() {
		b.on = append(b.on, branch{text: "next attempt at " + clockOf(n.NextAttemptAt)})
	}
	return b
}
