package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/deadletter"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// edits reads path=value flags; nil when there are none.
func edits(set []string) (deadletter.Edit, error) {
	var all []deadletter.Edit
	for _, s := range set {
		path, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, &usageError{fmt.Errorf("--set %q: expected path=value, as payload.amount=7", s)}
		}
		e, err := deadletter.Set(path, value)
		if err != nil {
			return nil, &usageError{fmt.Errorf("--set: %w", err)}
		}
		all = append(all, e)
	}
	if all == nil {
		return nil, nil //nolint:nilnil // nothing is to be changed
	}
	return deadletter.Edits(all...), nil
}

func (t *tool) dlqExport() *cobra.Command {
	var s selection
	c := &cobra.Command{
		Use: "export", Short: "Write what ingest refused as JSON lines, to be mended and imported", Args: exactly(0, "no argument: it is the dead letters of "+topology.Ingest),
		Long: `Writes the dead letters of ingester.events, one JSON object a line, with their bodies as they were
sent. They stay where they are. Mend body (or body_text) with any editor and give the file to
eactl dlq import; lines that are deleted stay dead.`,
		Example: `  eactl dlq export --error /severity > letters.jsonl
  jq -c '.body.severity = 5' letters.jsonl | eactl dlq import -`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.withDead(cmd.Context(), []string{topology.Ingest}, func(ctx context.Context, queues []*deadletter.Queue) error {
				out := json.NewEncoder(t.out)
				out.SetEscapeHTML(false)
				var left []error
				err := s.each(ctx, queues, func(l *deadletter.Letter) error {
					e, err := l.Export()
					if err != nil {
						left = append(left, err)
						return nil
					}
					return out.Encode(e)
				})
				return errors.Join(append(left, err)...)
			})
		},
	}
	s.flags(c.Flags())
	return c
}

func (t *tool) dlqImport() *cobra.Command {
	var s selection
	var o deadletter.Options
	c := &cobra.Command{
		Use: "import FILE", Short: "Replay what was exported and mended", Args: exactly(1, "a file of eactl dlq export, - is standard input"),
		Long: `Gives the dead letters that the file names back to ingester.events, with the file's bodies. What is
no longer among the dead letters is named, and not sent. Interrupted anywhere nothing is lost, and
running it again finishes the job.`,
		Example: `  eactl dlq import letters.jsonl --dry-run
  eactl dlq import letters.jsonl --rate 50`,
		RunE: func(cmd *cobra.Command, args []string) error {
			bodies, err := t.importedBodies(cmd, args[0])
			if err != nil {
				return err
			}
			s.what.IDs = bodies
			o.Edit = func(id string, _ []byte) ([]byte, error) { return bodies[id], nil }
			met := map[string]bool{}
			err = t.take(cmd, []string{topology.Ingest}, &s, o, "import", "replayed", func(ctx context.Context, q *deadletter.Queue, f deadletter.Filter, o deadletter.Options) (deadletter.Result, error) {
				shown := o.Done
				o.Done = func(l *deadletter.Letter, err error) { met[l.ID] = true; shown(l, err) }
				return q.Replay(ctx, f, o)
			})
			var missing []error
			for id := range bodies {
				if !met[id] && err == nil {
					missing = append(missing, fmt.Errorf("%s is no longer among the dead letters", id))
				}
			}
			return errors.Join(append([]error{err}, missing...)...)
		},
	}
	c.Flags().BoolVar(&o.DryRun, "dry-run", false, "only list what would be replayed")
	c.Flags().Float64Var(&o.Rate, "rate", 0, "at most so many a second; 0: as fast as it goes")
	return c
}

func (t *tool) importedBodies(cmd *cobra.Command, name string) (map[string][]byte, error) {
	in := cmd.InOrStdin()
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, &usageError{err}
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	bodies, err := deadletter.Import(in)
	if err != nil {
		return nil, &usageError{fmt.Errorf("%s: %w", name, err)}
	}
	if len(bodies) == 0 {
		return nil, errNothing
	}
	return bodies, nil
}
