package ctl_test

import (
	"bytes"
	"context"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/services/ctl"
)

// said is what one run of eactl said.
type said struct {
	Code     int
	Out, Err string
}

// run runs eactl with an empty environment.
func run(ctx context.Context, args ...string) said {
	var out, errOut bytes.Buffer
	code := ctl.Run(ctx, args, nil, &out, &errOut)
	return said{code, out.String(), errOut.String()}
}

func walk(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		walk(sub, f)
	}
}

var _ = Describe("every command", func() {
	It("says what it does, with an example that begins with its name", func() {
		walk(ctl.Commands(), func(c *cobra.Command) {
			Expect(c.Short).NotTo(BeEmpty(), c.CommandPath())
			if c.HasSubCommands() && c.HasParent() {
				return // its commands have them
			}
			Expect(c.Example).To(ContainSubstring(c.CommandPath()), c.CommandPath())
			Expect(c.Example).To(HavePrefix("  "), c.CommandPath())
		})
	})

	It("answers --help without a server, a key or a configuration", func(ctx SpecContext) {
		walk(ctl.Commands(), func(c *cobra.Command) {
			path := strings.Fields(c.CommandPath())[1:]
			s := run(ctx, append(path, "--help")...)
			Expect(s.Code).To(BeZero(), c.CommandPath())
			Expect(s.Out).To(ContainSubstring("Usage:\n  "+c.CommandPath()), c.CommandPath())
		})
	})

	It("takes examples apart as it is told to: every flag in an example exists", func() {
		walk(ctl.Commands(), func(c *cobra.Command) {
			for line := range strings.Lines(c.Example) {
				command := c
				for _, word := range strings.Fields(line) {
					if sub, _, err := c.Root().Find([]string{word}); err == nil && sub != c.Root() {
						command = sub // another command in a pipe
					}
					for _, sub := range command.Commands() {
						if sub.Name() == word {
							command = sub
						}
					}
					word, _, _ = strings.Cut(word, "=")
					if name, ok := strings.CutPrefix(word, "--"); ok && name != "" {
						known := command.Flag(name) != nil || c.Flag(name) != nil
						Expect(known).To(BeTrue(), "%s: %s", c.CommandPath(), word)
					}
				}
			}
		})
	})

	DescribeTable("says what was wrong with its call, and where to read on", func(ctx SpecContext, want string, args ...string) {
		s := run(ctx, args...)
		Expect(s.Code).To(Equal(2), s.Err)
		Expect(s.Err).To(And(HavePrefix("eactl: "), ContainSubstring(want), MatchRegexp("See `eactl.* --help`")))
		Expect(s.Out).To(BeEmpty())
	},
		Entry(nil, `eactl has no command "evnets"; did you mean events?`, "evnets"),
		Entry(nil, `eactl events has no command "lst"`, "events", "lst"),
		Entry(nil, "eactl rules needs one of list, get, apply, delete, export, import, versions, diff, rollback, status, test, explain, backtest, match", "rules"),
		Entry(nil, "unknown flag: --nope", "status", "--nope"),
		Entry(nil, "-o xml: expected table, json, yaml, csv", "status", "-o", "xml"),
		Entry(nil, "-o csv is for lists, such as `eactl events list`; expected table, json, yaml", "status", "-o", "csv"),
		Entry(nil, `"yesterday" for "--from" flag: expected RFC 3339 such as 2026-01-31T12:00:00Z`, "events", "list", "--from", "yesterday"),
		Entry(nil, `"0" for "--severity-max" flag: expected 1 to 10`, "tail", "--severity-max", "0"),
		Entry(nil, "--limit is 1 or more", "analytics", "users", "--limit", "0"),
		Entry(nil, "--last is a length of time, and goes without --from and --to", "analytics", "summary", "--last", "1h", "--to", "2026-01-31T12:00:00Z"),
		Entry(nil, "expected an event id, got 0", "events", "get"),
		Entry(nil, "expected no arguments, got 1", "status", "now"),
		Entry(nil, "EA_API_KEY is not set; `eactl users create", "status"),
		Entry(nil, "-f FILE is missing", "rules", "apply"),
		Entry(nil, "no such file", "rules", "apply", "-f", "testdata/none.yaml"),
		Entry(nil, "holds no rules", "rules", "apply", "-f", "testdata/empty"),
		Entry(nil, "--rules FILE and --events FILE", "rules", "match", "--rules", "testdata/match/rules.json"),
		Entry(nil, "--rate and --duration are above 0", "simulate", "--rate", "0"),
		Entry(nil, "add up to less than 1", "simulate", "--bad", "0.6", "--duplicates", "0.5"),
		Entry(nil, "no such file", "simulate", "--ids", "testdata/none/ids"),
		Entry(nil, "--limit is 0 or more", "events", "list", "--limit", "-1"),
		Entry(nil, "event 1 is not JSON", "publish", "no json"),
		Entry(nil, "/type: ", "publish", `{"source":"a"}`),
		Entry(nil, "no events in the input", "publish", ""),
		Entry(nil, "--email ADDRESS is missing", "users", "create"),
	)

	It("says what can be done when it is called alone", func(ctx SpecContext) {
		Expect(run(ctx)).To(And(HaveField("Code", 0), HaveField("Out", ContainSubstring("Available Commands:"))))
	})

	It("refuses an address that is no URL without trying", func(ctx SpecContext) {
		var out, errOut bytes.Buffer
		Expect(ctl.Run(ctx, []string{"status"}, []string{"EA_API_URL=localhost:8080", "EA_API_KEY=k"}, &out, &errOut)).To(Equal(2))
		Expect(errOut.String()).To(ContainSubstring("EA_API_URL is no URL; set it to the api's address, such as http://127.0.0.1:8080"))
	})
})
