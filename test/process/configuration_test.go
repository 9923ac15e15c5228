package process_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// exitBadConfig is what a supervisor must not answer with a restart.
const exitBadConfig = 2

// mistakes are one configuration with mistakes in all of its layers; each of
// these texts must be in the answer.
var (
	mistakenFile = `
mongo:
  uri: mongodb://ea:s3cret-m@db.example.com/?w=1     # weaker than promised
amqp:
  url: http://ea:s3cret-r@mq.example.com/            # no AMQP
ingester:
  batch_event: 100                                   # misspelt
  writers: many                                      # wrong type
  retention_by_type: [a]                             # wrong shape
aggregator:
  prefetch: 0                                        # out of range
lease:
  beat: 10s                                          # together they cannot work
  takeover: 11s
dispatcher:
  schedule: [1s, 7s]                                 # 7s is no retry tier
sweeep:                                              # unknown section
  every: 1s
`
	mistakenEnviron = []string{"EA_LOG_LEVEL=loud", "EA_INGESTER_WRITER=3", "EA_SHUTDOWN_DRAIN_TIMEOUT=5", "EA_SECRET_KEY=s3cret-k"}
	mistakenFlags   = []string{"--set", "health.lag_budget=-1s", "--set", "nonsense"}
	mistakesNamed   = []string{
		"mongo.uri (", "w=1 is weaker than the majority",
		"amqp.url (", "expected amqp",
		"ingester.batch_event (", "unknown key; did you mean ingester.batch_events?",
		`:8): "many": expected a whole number from 1 to 64`,
		"ingester.retention_by_type (",
		"aggregator.prefetch (",
		"lease.takeover (", "less than three times lease.beat",
		"dispatcher.schedule (", "7s is no retry tier",
		"sweeep (", "unknown key; did you mean sweep?",
		`log.level (EA_LOG_LEVEL): "loud": expected one of debug, info, warn, error`,
		"EA_INGESTER_WRITER: unknown variable; did you mean EA_INGESTER_WRITERS?",
		`shutdown.drain_timeout (EA_SHUTDOWN_DRAIN_TIMEOUT): "5"`,
		"secret_key (EA_SECRET_KEY): expected",
		`health.lag_budget (--set): "-1s"`,
		`--set: "nonsense": expected section.key=value`,
	}
)

var _ = Describe("a bad configuration", func() {
	var file string
	write := func(text string) {
		GinkgoHelper()
		file = filepath.Join(GinkgoT().TempDir(), "ea.yaml")
		Expect(os.WriteFile(file, []byte(text), 0o600)).To(Succeed())
	}

	It("stops each of the five with exit 2, all mistakes named at once and no secret told", func(ctx SpecContext) {
		write(mistakenFile)
		inParallel(ctx, names, func(ctx context.Context, name string) {
			r := start(name, append(mistakenEnviron, "EA_CONFIG="+file), mistakenFlags...)
			r.waitEnded(ctx, exitBadConfig)
			for _, text := range mistakesNamed {
				Expect(r.log()).To(ContainSubstring(text))
			}
			Expect(r.log()).To(HavePrefix(name + ": bad configuration, 15 problems:\n"))
			Expect(strings.Count(r.log(), "\n")).To(Equal(16), "a line each")
			Expect(r.log()).NotTo(ContainSubstring("s3cret"))
			Expect(r.Out.Contents()).To(BeEmpty())
		})
	})

	It("stops eactl with exit 2 as well, where it reads the configuration", func(ctx SpecContext) {
		write(mistakenFile)
		cmd := exec.CommandContext(ctx, bin+"/eactl", "dlq", "list")
		cmd.Env = append(cleanEnviron(), append(slices.Clone(mistakenEnviron), "EA_CONFIG="+file)...)
		said, err := cmd.CombinedOutput()
		Expect(err).To(HaveOccurred())
		Expect(cmd.ProcessState.ExitCode()).To(Equal(exitBadConfig), "%s", said)
		for _, text := range []string{"EA_LOG_LEVEL", "EA_INGESTER_WRITER", "amqp.url", "sweeep", "ingester.batch_event"} {
			Expect(string(said)).To(ContainSubstring(text))
		}
		Expect(string(said)).NotTo(ContainSubstring("s3cret"))
	}, SpecTimeout(time.Minute))

	It("stops the api when it would serve two things on one address", func(ctx SpecContext) {
		address := freeAddress()
		r := start("api", []string{"EA_API_ADDR=" + address, "EA_ADMIN_ADDR=" + address})
		r.waitEnded(ctx, exitBadConfig)
		Expect(r.log()).To(ContainSubstring("admin.addr (EA_ADMIN_ADDR): " + address + " is api.addr too"))
	})

	DescribeTable("is refused as a whole when its file cannot be read", func(ctx SpecContext, text, problem string) {
		write(text)
		if text == "" {
			Expect(os.Remove(file)).To(Succeed())
		}
		inParallel(ctx, names, func(ctx context.Context, name string) {
			r := start(name, nil, "--config", file)
			r.waitEnded(ctx, exitBadConfig)
			Expect(r.log()).To(ContainSubstring("config file (" + file))
			Expect(r.log()).To(ContainSubstring(problem))
		})
	},
		Entry("is missing", "", "no such file or directory"),
		Entry("is no YAML", "mongo: {", "yaml"),
		Entry("is a list", "- mongo", "expected a mapping"),
	)
})
