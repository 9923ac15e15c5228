package ctl

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// matchRules matches files, without any server.
func (t *tool) matchRules() *cobra.Command {
	var rulesFile, eventsFile string
	var raw bool
	c := &cobra.Command{Use: "match --rules FILE --events FILE", Short: "Match events against rules offline, one JSON line per event", Args: exactly(0, "only flags"),
		Example: `  eactl rules match --rules rules.json --events events.jsonl`,
		RunE: func(*cobra.Command, []string) error {
			rules, err := readRules(rulesFile)
			if err != nil {
				return &usageError{err}
			}
			for i := range rules {
				if rules[i].ID == "" {
					rules[i].ID = rules[i].Name
				}
			}
			set, err := rule.NewSet(rules)
			if err != nil {
				return &usageError{err}
			}
			f, err := os.Open(eventsFile)
			if err != nil {
				return &usageError{err}
			}
			defer func() { _ = f.Close() }()
			return t.matchAll(set, f, raw)
		}}
	c.Flags().StringVar(&rulesFile, "rules", "", "rules: JSON array, JSON lines, extended JSON or YAML")
	c.Flags().StringVar(&eventsFile, "events", "", "events: JSON lines")
	c.Flags().BoolVar(&raw, "raw", false, "also match documents that are no valid events")
	return c
}

func (t *tool) matchAll(set *rule.Set, f *os.File, raw bool) error {
	decoder, err := event.NewDecoder(event.Options{})
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	out := bufio.NewWriter(t.out)
	n := 0
	for lines.Scan() {
		body := bytes.TrimSpace(lines.Bytes())
		if len(body) == 0 {
			continue
		}
		n++
		doc, id, err := document(decoder, body, raw)
		if err != nil {
			return errors.Join(&usageError{fmt.Errorf("event %d: %w", n, err)}, out.Flush())
		}
		names := []string{}
		for _, m := range set.Match(doc, nil) {
			names = append(names, m.Rule.ID)
		}
		line := struct {
			EventID string   `json:"event_id"`
			Rules   []string `json:"rules"`
		}{id, names}
		if err := (&tool{out: out}).printLine(line); err != nil {
			return err
		}
	}
	if n == 0 {
		return errNothing
	}
	return errors.Join(lines.Err(), out.Flush())
}

func document(d *event.Decoder, body []byte, raw bool) (bson.Raw, string, error) {
	docs, err := d.Decode(event.Input{Body: bytes.Clone(body)})
	if err == nil {
		return docs[0].Raw, docs[0].EventID, nil
	}
	if !raw {
		return nil, "", fmt.Errorf("%w (--raw matches it all the same)", err)
	}
	doc, err := event.FromJSON(body)
	if err != nil {
		return nil, "", err
	}
	id, _ := doc.Lookup("event_id").StringValueOK()
	return doc, id, nil
}
