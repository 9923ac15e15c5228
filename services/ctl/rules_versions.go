package ctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
)

// ruleVersion is what is shown of a version.
type ruleVersion struct {
	Version      int       `json:"version"`
	At           time.Time `json:"at"`
	By           string    `json:"by"`
	UpdatedAt    time.Time `json:"updated_at"`
	CreatedBy    string    `json:"created_by"`
	Deleted      bool      `json:"deleted"`
	RolledBackTo int       `json:"rolled_back_to"`
}

// note is how a version came about, when it was not just saved.
func (v ruleVersion) note() string {
	switch {
	case v.Deleted:
		return "deleted"
	case v.RolledBackTo > 0:
		return "rolled back to " + strconv.Itoa(v.RolledBackTo)
	}
	return ""
}

func (t *tool) rulesVersions() *cobra.Command {
	return &cobra.Command{Use: "versions RULE", Short: "List a rule's versions, newest first", Args: exactly(1, "a rule's id or name"),
		Example: `  eactl rules versions "large failed payments"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, path, err := t.rule(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			w := t.rows("version", "at", "by", "how")
			err = api.all(cmd.Context(), path+"/versions", url.Values{}, 0, func(item json.RawMessage) error {
				return t.print(item, func() error {
					var v ruleVersion
					if err := json.Unmarshal(item, &v); err != nil {
						return fmt.Errorf("read the API's answer: %w", err)
					}
					w.AppendRow([]any{v.Version, v.UpdatedAt.Format(time.RFC3339), v.CreatedBy, v.note()})
					return nil
				})
			})
			if t.output == outputTable && w.Length() > 0 {
				w.Render()
			}
			if errors.Is(err, errNothing) {
				return noRule(args[0])
			}
			return err
		}}
}

func (t *tool) rulesDiff() *cobra.Command {
	var from, to int
	c := &cobra.Command{Use: "diff RULE [--from N] [--to N]", Short: "Show what changed between two versions", Args: exactly(1, "a rule's id or name"),
		Example: `  eactl rules diff "large failed payments"              # the last change
  eactl rules diff "large failed payments" --from 2 --to 5`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, path, err := t.rule(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			query := url.Values{}
			for name, n := range map[string]int{"from": from, "to": to} {
				if n < 0 {
					return &usageError{fmt.Errorf("--%s is a version, from 1", name)}
				}
				if n > 0 {
					query.Set(name, strconv.Itoa(n))
				}
			}
			var answer json.RawMessage
			if err := api.do(cmd.Context(), http.MethodGet, path+"/diff", query, nil, &answer); err != nil {
				return err
			}
			return t.print(answer, func() error { return t.showDiff(answer) })
		}}
	c.Flags().IntVar(&from, "from", 0, "the older `VERSION`; the one before --to when it is not given")
	c.Flags().IntVar(&to, "to", 0, "the newer `VERSION`; the newest when it is not given")
	return c
}

func (t *tool) showDiff(answer json.RawMessage) error {
	var d struct {
		From    ruleVersion `json:"from"`
		To      ruleVersion `json:"to"`
		Changes []struct {
			Path   string          `json:"path"`
			Old    json.RawMessage `json:"old"`
			New    json.RawMessage `json:"new"`
			Secret bool            `json:"secret"`
		} `json:"changes"`
	}
	if err := json.Unmarshal(answer, &d); err != nil {
		return fmt.Errorf("read the API's answer: %w", err)
	}
	for _, side := range []struct {
		sign  string
		color text.Color
		v     ruleVersion
	}{{"---", text.FgRed, d.From}, {"+++", text.FgGreen, d.To}} {
		line := fmt.Sprintf("%s version %d, %s by %s", side.sign, side.v.Version, side.v.At.Format(time.RFC3339), side.v.By)
		if note := side.v.note(); note != "" {
			line += " (" + note + ")"
		}
		fmt.Fprintln(t.out, t.paint(side.color, line))
	}
	for _, c := range d.Changes {
		fmt.Fprintln(t.out, t.paint(text.Bold, c.Path))
		if c.Secret {
			fmt.Fprintln(t.out, t.paint(text.FgYellow, "  the secret is another one"))
			continue
		}
		if c.Old != nil {
			fmt.Fprintln(t.out, t.paint(text.FgRed, "- "+string(c.Old)))
		}
		if c.New != nil {
			fmt.Fprintln(t.out, t.paint(text.FgGreen, "+ "+string(c.New)))
		}
	}
	if len(d.Changes) == 0 {
		fmt.Fprintln(t.out, "both ask for the same")
	}
	return nil
}

func (t *tool) rulesRollback() *cobra.Command {
	var to int
	c := &cobra.Command{Use: "rollback RULE --to VERSION", Short: "Save the content of an old version as a new one; brings back a deleted rule", Args: exactly(1, "a rule's id or name"),
		Example: `  eactl rules rollback "large failed payments" --to 3`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if to < 1 {
				return &usageError{errors.New("--to VERSION is missing (`eactl rules versions` lists them)")}
			}
			api, path, err := t.rule(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			var r json.RawMessage
			if err := api.do(cmd.Context(), http.MethodPost, path+"/rollback", nil, fmt.Appendf(nil, `{"version":%d}`, to), &r); err != nil {
				return err
			}
			return t.print(r, func() error {
				var now struct {
					Name    string `json:"name"`
					Version int    `json:"version"`
				}
				if err := json.Unmarshal(r, &now); err != nil {
					return fmt.Errorf("read the API's answer: %w", err)
				}
				_, err := fmt.Fprintf(t.out, "%q is at version %d, with the content of version %d\n", now.Name, now.Version, to)
				return err
			})
		}}
	c.Flags().IntVar(&to, "to", 0, "the `VERSION` whose content is wanted")
	return c
}
