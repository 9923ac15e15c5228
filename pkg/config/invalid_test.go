package config_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/config"
)

var _ = Describe("a bad configuration", func() {
	It("is reported whole: every mistake of every layer by name, source and expectation", func() {
		file := write("ea.yaml", `mongo:
  databse: x
log:
  level: loud
ingester:
  batch_bytes: 1KiB
  prefetch: many
  retention_by_type: {login: 1h}
dispatcher:
  queues: {ingester.events: 3}
  schedule: [1s, soon]
nonsense: {a: 1}
lease: 5
`)
		Expect(problems(config.Options{
			File:    file,
			Environ: []string{"EA_DISPATCHER_ALLOW_NETWORKS=10.0.0.0/8,10.1", "EA_LOG_FROMAT=json"},
			Set:     []string{"sweep.limit=-1", "nokey=1", "broken"},
		})).To(Equal([]string{
			"mongo.databse (" + file + ":2): unknown key; did you mean mongo.database?",
			"log.level (" + file + `:4): "loud": expected one of debug, info, warn, error`,
			"ingester.batch_bytes (" + file + `:6): "1KiB": expected a size from 64KiB to 12MiB, as 65536 or 64KiB`,
			"ingester.prefetch (" + file + `:7): "many": expected a whole number from 1 to 65535`,
			"ingester.retention_by_type (" + file + `:8): {login: 1h}: "login: 1h": expected event types in UPPER_SNAKE, each with a duration from 1m to 87600h, as 500ms, 10s or 1h30m`,
			"dispatcher.queues (" + file + `:10): {ingester.events: 3}: "ingester.events: 3": expected queue names such as mail or webhooks.slow (lower case, not those of other processes), each with a whole number from 1 to 1000`,
			"dispatcher.schedule (" + file + `:11): [1s, soon]: "soon": expected a list, each a duration from 1s to 24h, as 500ms, 10s or 1h30m`,
			"nonsense (" + file + ":12): unknown key",
			"lease (" + file + ":13): expected a mapping",
			`dispatcher.allow_networks (EA_DISPATCHER_ALLOW_NETWORKS): "10.0.0.0/8,10.1": "10.1": expected a list of networks, as 10.1.0.0/16 or ::1/128`,
			"EA_LOG_FROMAT: unknown variable; did you mean EA_LOG_FORMAT?",
			`sweep.limit (--set): "-1": expected a whole number from 1 to 10000`,
			"nokey (--set): unknown key",
			`--set: "broken": expected section.key=value`,
		}))
	})

	It("counts its mistakes in the first line", func() {
		_, err := config.Load(config.Options{Set: []string{"a=1", "b=2"}})
		Expect(err).To(MatchError("bad configuration, 2 problems:\n  a (--set): unknown key\n  b (--set): unknown key"))
	})

	It("is one even when a later layer covers the mistake", func() {
		Expect(problems(config.Options{Environ: []string{"EA_LOG_LEVEL=loud"}, Set: []string{"log.level=info"}})).To(HaveLen(1))
	})

	DescribeTable("refuses files that are no settings", func(content, message string) {
		file := write("ea.yaml", content)
		Expect(problems(config.Options{File: file})).To(ConsistOf(ContainSubstring(message)))
	},
		Entry("no YAML", "log: [", "did not find expected node content"),
		Entry("a list", "- a\n- b\n", "expected a mapping"),
		Entry("a key twice", "log:\n  level: info\n  level: warn\n", ":3): given twice, first in line 2"),
		Entry("a section twice", "log: {level: info}\nlog: {format: json}\n", ":2): given twice, first in line 1"),
		Entry("two documents", "log: {level: info}\n---\nlog: {format: json}\n", "expected one YAML document"),
		Entry("a list for a number", "ingester: {writers: [1, 2]}\n", `[1, 2]: expected a whole number from 1 to 64`),
		Entry("a mapping for a list", "dispatcher: {schedule: {a: 1s}}\n", `{a: 1s}: expected a list`),
		Entry("something nested", "dispatcher: {queues: {mail: {concurrency: 3}}}\n", "dispatcher.queues"),
		Entry("an unknown key that is nested", "log: {sinks: [{a: 1}]}\n", "log.sinks"),
	)

	It("names a file that is not there", func() {
		Expect(problems(config.Options{Environ: []string{"EA_CONFIG=/nowhere/ea.yaml"}})).
			To(ConsistOf("config file (/nowhere/ea.yaml): no such file or directory"))
	})

	DescribeTable("is a combination that cannot work", func(key, message string, set ...string) {
		got := problems(config.Options{Process: "api", Set: set})
		Expect(got).To(HaveLen(1))
		Expect(got[0]).To(HavePrefix(key))
		Expect(got[0]).To(ContainSubstring(message))
	},
		Entry(nil, "ingester.prefetch (--set)", "batch could never fill", "ingester.prefetch=100"),
		Entry(nil, "rule_worker.prefetch", "rule_worker.concurrency (9)", "rule_worker.concurrency=9", "rule_worker.prefetch=8"),
		Entry(nil, "aggregator.counter_retention", "gone before their events", "ingester.retention=8760h"),
		Entry(nil, "aggregator.prefetch", "could never fill", "aggregator.batch_count=100"),
		Entry(nil, "dispatcher.claim_for", "two dispatchers could call at once", "dispatcher.timeout=58s"),
		Entry(nil, "secret_key_old", "the key before it", "secret_key=0123456789abcdef", "secret_key_old=0123456789abcdef"),
		Entry(nil, "lease.takeover", "three times lease.beat (4s)", "lease.beat=4s"),
		Entry(nil, "api.publish_timeout", "api.request_timeout", "api.publish_timeout=30s"),
		Entry(nil, "api.rate_burst", "api.rate_limit (500)", "api.rate_limit=500"),
		Entry(nil, "api.public_url", "as https://events.example.com", "api.public_url=https://events.example.com/ops"),
		Entry(nil, "api.public_url", "as https://events.example.com", "api.public_url=https://user:secret@events.example.com"),
		Entry(nil, "admin.addr", "is api.addr too", "admin.addr=127.0.0.1:8080"),
	)

	It("leaves combinations of a section alone that has a refused value", func() {
		Expect(problems(config.Options{Set: []string{"lease.beat=x", "lease.takeover=300ms"}})).To(HaveLen(1))
	})

	It("includes what other packages find", func() {
		Expect(problems(config.Options{Check: func(c config.Config, report func(key, message string)) {
			report("mongo.uri", "too weak: "+c.Mongo.Database)
		}})).To(ConsistOf("mongo.uri: too weak: events_aggregator"))
	})

	DescribeTable("never shows a secret", func(set string) {
		_, err := config.Load(config.Options{Set: []string{set}})
		Expect(err).To(HaveOccurred())
		Expect(err.Error()).NotTo(ContainSubstring("hush"))
		Expect(err.Error()).To(ContainSubstring(strings.SplitN(set, "=", 2)[0]))
	},
		Entry(nil, "mongo.uri=mongo://user:hush@db/"),
		Entry(nil, "mongo.uri=mongodb://user:hush%zz@db/"),
		Entry(nil, "mongo.uri=mongodb://user:hush/@x@db/"),
		Entry(nil, "amqp.url=http://user:hush@mq/"),
		Entry(nil, "amqp.url=amqp://user:hush%@mq:port/"),
		Entry(nil, "secret_key=hush"),
		Entry(nil, "secret_key_old=hush"),
		Entry(nil, "api.bootstrap_admin_key=hush hush"),
	)
})
