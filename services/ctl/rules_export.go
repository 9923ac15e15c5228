package ctl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/spf13/cobra"
)

// rulesExport writes all rules in a form that import reads back to the same.
func (t *tool) rulesExport() *cobra.Command {
	return &cobra.Command{Use: "export", Short: "Write all rules as one file, secrets masked", Args: exactly(0, "no arguments"),
		Long: `Write all rules as one file: a JSON array with a rule a line, or YAML with -o yaml.

import and apply read it back to the same rules. Versions, times and authors are left out, so that the file changes only when
a rule does. Secrets are masked; where the rule is stored already, import keeps the stored ones.`,
		Example: `  eactl rules export > rules.json
  eactl rules export -o yaml > rules.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := t.client()
			if err != nil {
				return err
			}
			begin, between, end := "[\n", ",\n", "\n]\n"
			if t.output == outputYAML {
				begin, between, end = "", "", ""
			}
			text := begin
			err = api.all(cmd.Context(), "/rules", url.Values{}, 0, func(item json.RawMessage) error {
				item, err := withoutFields(item, "version", "created_at", "updated_at", "created_by")
				if err != nil {
					return err
				}
				if _, err := fmt.Fprint(t.out, text); err != nil {
					return err
				}
				text = between
				if t.output == outputYAML {
					return writeYAML(t.out, item)
				}
				_, err = t.out.Write(item)
				return err
			})
			if errors.Is(err, errNothing) { // no rules are rules, too: an empty file must be a valid one
				err = nil
				if t.output != outputYAML {
					_, err = fmt.Fprint(t.out, "[]\n")
				}
				return err
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(t.out, end)
			return err
		}}
}

// withoutFields is an object without some of its fields, the others as they are.
func withoutFields(object json.RawMessage, names ...string) (json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("the API's answer is no JSON object: %w", err)
	}
	out := []byte("{")
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("the API's answer is no JSON object: %w", err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("the API's answer is no JSON object: %w", err)
		}
		if slices.Contains(names, fmt.Sprint(name)) {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, key...), ':'), value...)
	}
	return append(out, '}'), nil
}
