package ctl

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

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
		Example: `  eactl rules match --rules rules.json --events events.jsonl
  eactl events list -o json | eactl rules match --rules draft.yaml --events - --raw`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if rulesFile == "" || eventsFile == "" {
				return &usageError{errors.New("--rules FILE and --events FILE are both needed")}
			}
			rules, err := readRules(rulesFile)
			if err != nil {
				return &usageError{err}
			}
			set, err := ruleSet(rules)
			if err != nil {
				return &usageError{err}
			}
			input := cmd.InOrStdin()
			if eventsFile != "-" {
				f, err := os.Open(eventsFile)
				if err != nil {
					return &usageError{err}
				}
				defer func() { _ = f.Close() }()
				input = f
			}
			return t.matchAll(set, placesOf(rules), eventsFile, input, raw)
		}}
	c.Flags().StringVar(&rulesFile, "rules", "", "rules: JSON array, JSON lines, extended JSON or YAML; a folder: all of its files")
	c.Flags().StringVar(&eventsFile, "events", "", "events: JSON array, JSON lines, extended JSON or YAML; - reads standard input")
	c.Flags().BoolVar(&raw, "raw", false, "also match documents that are no valid events")
	return c
}

// ruleSet compiles rules that nobody has stored: their names are their ids.
func ruleSet(rules []fileRule) (*rule.Set, error) {
	all := make([]rule.Rule, len(rules))
	for i, r := range rules {
		all[i] = r.Rule
		all[i].ID = cmp.Or(r.ID, r.Name)
	}
	return rule.NewSet(all)
}

// placesOf are the rules' places in the input, by id.
func placesOf(rules []fileRule) map[string]int {
	places := make(map[string]int, len(rules))
	for i, r := range rules {
		places[cmp.Or(r.ID, r.Name)] = i
	}
	return places
}

// matchAll prints a line for each event, with the rules in the order of the
// input.
func (t *tool) matchAll(set *rule.Set, places map[string]int, name string, input io.Reader, raw bool) error {
	decoder, err := event.NewDecoder(event.Options{})
	if err != nil {
		return err
	}
	buffered := bufio.NewWriter(t.out)
	out := &tool{out: buffered, output: outputJSON}
	if t.output == outputYAML {
		out.output = outputYAML
	}
	n := 0
	err = readEvents(name, input, func(body []byte) error {
		n++
		doc, id, err := document(decoder, body, raw)
		if err != nil {
			return &usageError{fmt.Errorf("event %d: %w", n, err)}
		}
		line := struct {
			EventID string   `json:"event_id"`
			Rules   []string `json:"rules"`
		}{id, []string{}}
		for _, m := range set.Match(doc, nil) {
			line.Rules = append(line.Rules, m.Rule.ID)
		}
		slices.SortFunc(line.Rules, func(a, b string) int { return places[a] - places[b] })
		return out.print(line, nil)
	})
	if err == nil && n == 0 {
		err = fmt.Errorf("%s holds no events: %w", name, errNothing)
	}
	return errors.Join(err, buffered.Flush())
}

// readEvents hands every event of a file to f, as JSON.
func readEvents(name string, input io.Reader, f func(body []byte) error) error {
	in := bufio.NewReaderSize(input, 1<<16)
	start, _ := in.Peek(512) // fewer are an answer, too
	if bom := []byte("\ufeff"); bytes.HasPrefix(start, bom) {
		start = start[len(bom):]
		_, _ = in.Discard(len(bom))
	}
	start = bytes.TrimLeft(start, " \t\r\n")
	if isYAML(name, start) {
		return inInput(name, readYAML(in, f))
	}
	d := json.NewDecoder(in)
	n := 0
	next := func() (value json.RawMessage, err error) {
		n++
		if err = d.Decode(&value); err != nil && !errors.Is(err, io.EOF) {
			err = inInput(name, fmt.Errorf("event %d is not JSON: %w", n, err))
		}
		return value, err
	}
	if bytes.HasPrefix(start, []byte("[")) {
		return array(d, next, f)
	}
	for {
		value, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = f(value)
		}
		if err != nil {
			return err
		}
	}
}

// array reads a JSON array item by item: a file may be larger than the memory.
func array(d *json.Decoder, next func() (json.RawMessage, error), f func(body []byte) error) error {
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		value, err := next()
		if err == nil {
			err = f(value)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return &usageError{fmt.Errorf("the array of events has no end: %w", err)}
	}
	return nil
}

// inInput blames the file, unless the error is an event's own.
func inInput(name string, err error) error {
	var usage *usageError
	if err == nil || errors.As(err, &usage) {
		return err
	}
	return &usageError{fmt.Errorf("%s: %w", name, err)}
}

// isYAML goes by the name, else by the first character.
func isYAML(name string, start []byte) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".yaml", ".yml":
		return true
	case ".json", ".jsonl", ".ndjson":
		return false
	}
	return len(start) > 0 && start[0] != '{' && start[0] != '['
}

// document is the event as it would be stored, or with raw whatever it is.
func document(d *event.Decoder, body []byte, raw bool) (bson.Raw, string, error) {
	var extended bson.Raw
	if extendedJSON.Match(body) && bson.UnmarshalExtJSON(body, false, &extended) == nil {
		plain, err := event.ToJSON(extended)
		if err != nil {
			return nil, "", err
		}
		body = plain
	}
	docs, err := d.Decode(event.Input{Body: body})
	if err == nil {
		return docs[0].Raw, docs[0].EventID, nil
	}
	if !raw {
		return nil, "", fmt.Errorf("%w (--raw matches it all the same)", err)
	}
	doc := extended // as the database has it
	if doc == nil {
		if doc, err = event.FromJSON(body); err != nil {
			return nil, "", err
		}
	}
	id, _ := doc.Lookup("event_id").StringValueOK()
	return doc, id, nil
}

// extendedJSON finds the types of extended JSON, such as mongoexport writes it.
var extendedJSON = regexp.MustCompile(`"\$(?:oid|date|numberInt|numberLong|numberDouble|numberDecimal|binary|uuid|timestamp|regularExpression|minKey|maxKey|undefined)"\s*:`)
