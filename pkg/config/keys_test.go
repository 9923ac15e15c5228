package config_test

import (
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/config"
)

// elsewhere gives every key a good value that is not its default.
var elsewhere = map[string]string{
	"mongo.uri": "mongodb://db.example/?replicaSet=rs0", "mongo.database": "other", "mongo.max_pool": "7",
	"amqp.url": "amqps://mq.example/vhost", "broker.prefix": "t1.", "admin.addr": "0.0.0.0:9999",
	"api.addr": "0.0.0.0:80", "api.public_url": "https://events.example.com", "api.bootstrap_admin_key": "a-long-enough-bootstrap-key",
	"api.body_limit": "3MiB", "api.events_per_request": "10", "api.page_limit": "11", "api.request_timeout": "29s", "api.backtest_timeout": "28s", "api.analytics_timeout": "27s", "api.search_timeout": "26s",
	"api.publish_timeout": "3s", "api.rate_limit": "12", "api.rate_burst": "1300", "api.stream_clients": "14", "api.session_lifetime": "17h",
	"api.wrong_keys_per_minute": "61", "api.trusted_proxies": "10.0.0.0/8", "api.cors_origins": "https://ops.example.com,http://localhost:3000",
	"api.stream_key_clients": "14", "api.stream_buffer": "15", "api.stream_heartbeat": "16s",
	"log.level": "debug", "log.format": "json",
	"ingester.batch_events": "100", "ingester.batch_bytes": "64KiB", "ingester.batch_wait": "1s", "ingester.writers": "3",
	"ingester.prefetch": "501", "ingester.retention": "1h", "ingester.retention_by_type": "USER_LOGIN=24h",
	"ingester.region": "eu-1", "ingester.schema_dir": ".", "ingester.recent_ids": "0",
	"rule_worker.prefetch": "9", "rule_worker.batch_count": "7", "rule_worker.concurrency": "4", "rule_worker.poll": "1s", "rule_worker.windows_every": "1s", "rule_worker.groups_every": "2s", "rule_worker.replays_every": "3s", "rule_worker.notification_retention": "2h",
	"dispatcher.queues": "mail=3", "dispatcher.target_concurrency": "2", "dispatcher.timeout": "2s", "dispatcher.schedule": "1s,1m",
	"dispatcher.target_rate": "7", "dispatcher.breaker_wait": "1m", "dispatcher.schedules": "webhooks.default=1s+10s",
	"channels.urls": "mail=smtp://user:password@mail.example/?from=a@example.com", "channels.default": "log",
	"dispatcher.claim_for": "2m", "dispatcher.allow_networks": "127.0.0.0/8,::1/128", "dispatcher.response_excerpt": "0",
	"aggregator.prefetch": "65", "aggregator.batch_count": "5", "aggregator.batch_wait": "0s", "aggregator.materialise_every": "3s",
	"aggregator.counter_retention": "2000h", "aggregator.dimension_values": "6", "aggregator.dead_letter_retention": "100h",
	"sweep.every": "1s", "sweep.stored_after": "2s", "sweep.actions_after": "3s", "sweep.limit": "4", "sweep.attempts_after": "5m", "sweep.first_attempts_after": "6h",
	"lease.beat": "1s", "lease.takeover": "6s", "health.lag_budget": "1m", "health.cache": "0s",
	"shutdown.drain_timeout": "1s", "secret_key": "0123456789abcdef", "secret_key_old": "fedcba9876543210",
}

var _ = Describe("every key", func() {
	for _, named := range config.Keys() {
		key, env := named[0], named[1]

		It("takes "+key+" from file, environment and flag, and changes that field alone", func() {
			text, ok := elsewhere[key]
			Expect(ok).To(BeTrue(), "the table of this spec lacks %s", key)

			file := filepath.Join(GinkgoT().TempDir(), "ea.yaml")
			yaml := key + ": '" + text + "'\n"
			if section, name, nested := strings.Cut(key, "."); nested {
				yaml = section + ":\n  " + name + ": '" + text + "'\n"
			}
			Expect(os.WriteFile(file, []byte(yaml), 0o600)).To(Succeed())

			for _, o := range []config.Options{
				{File: file},
				{Environ: []string{env + "=" + text}},
				{Set: []string{key + "=" + text}},
			} {
				o.Process = "ingester"
				c, err := config.Load(o)
				Expect(err).NotTo(HaveOccurred())
				Expect(config.Changed(config.Defaults("ingester"), c)).To(Equal([]string{key}))
			}
		})
	}

	It("is in this spec's table, and nothing else is", func() {
		var keys []string
		for _, named := range config.Keys() {
			keys = append(keys, named[0])
		}
		Expect(keys).To(HaveLen(len(elsewhere)))
		for _, key := range keys {
			Expect(elsewhere).To(HaveKey(key))
		}
	})
})

var _ = Describe("the fixed names", func() {
	It("keeps those that scripts rely on", func() {
		var env []string
		for _, named := range config.Keys() {
			env = append(env, named[1])
		}
		Expect(env).To(ContainElements("EA_MONGO_URI", "EA_MONGO_DATABASE", "EA_AMQP_URL", "EA_BROKER_PREFIX", "EA_API_ADDR",
			"EA_ADMIN_ADDR", "EA_API_BOOTSTRAP_ADMIN_KEY", "EA_DISPATCHER_ALLOW_NETWORKS", "EA_SECRET_KEY"))
	})

	DescribeTable("gives each process an admin address of its own", func(process, addr string) {
		c, err := config.Load(config.Options{Process: process})
		Expect(err).NotTo(HaveOccurred())
		Expect(c.Admin.Addr).To(Equal(addr))
		Expect(c).To(Equal(config.Defaults(process)))
	},
		Entry(nil, "ingester", "127.0.0.1:9101"), Entry(nil, "rule-worker", "127.0.0.1:9102"),
		Entry(nil, "action-dispatcher", "127.0.0.1:9103"), Entry(nil, "aggregator", "127.0.0.1:9104"),
		Entry(nil, "api", "127.0.0.1:9105"))

	It("has the documented defaults", func() {
		c := config.Defaults("api")
		Expect(c.Mongo.Database).To(Equal("events_aggregator"))
		Expect(c.Broker.Prefix).To(BeEmpty())
		Expect(c.API.Addr).To(Equal("127.0.0.1:8080"))
		Expect(c.Dispatcher.QueueNames()).To(ConsistOf("notifications.critical", "notifications.default", "webhooks.critical", "webhooks.default"))
	})
})
