package config_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/config"
)

// write makes a file with that content.
func write(name, content string) string {
	path := filepath.Join(GinkgoT().TempDir(), name)
	Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
	return path
}

// problems loads and expects a refusal; each problem is one line.
func problems(o config.Options) []string {
	_, err := config.Load(o)
	var invalid *config.Invalid
	ExpectWithOffset(1, err).To(HaveOccurred())
	ExpectWithOffset(1, err).To(BeAssignableToTypeOf(invalid))
	var lines []string
	for _, p := range err.(*config.Invalid).Problems {
		lines = append(lines, p.String())
	}
	return lines
}

var _ = Describe("layers", func() {
	It("puts the environment before the file and flags before both", func() {
		file := write("ea.yaml", "log: {level: warn}\ningester: {writers: 5, region: file}\n")
		c, err := config.Load(config.Options{
			File: file, Environ: []string{"EA_LOG_LEVEL=error", "EA_INGESTER_WRITERS=6"}, Set: []string{"log.level=debug"},
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(c.Log.Level).To(Equal("debug"))
		Expect(c.Ingester.Writers).To(Equal(6))
		Expect(c.Ingester.Region).To(Equal("file"))
	})

	It("reads the file that EA_CONFIG names, unless --config names another", func() {
		a, b := write("a.yaml", "log: {level: warn}"), write("b.yaml", "log: {level: error}")
		c, err := config.Load(config.Options{Environ: []string{"EA_CONFIG=" + a}})
		Expect(err).NotTo(HaveOccurred())
		Expect(c.Log.Level).To(Equal("warn"))
		c, err = config.Load(config.Options{File: b, Environ: []string{"EA_CONFIG=" + a}})
		Expect(err).NotTo(HaveOccurred())
		Expect(c.Log.Level).To(Equal("error"))
	})

	It("takes an empty variable, an empty file and a key without value for not set", func() {
		file := write("ea.yaml", "log:\n  level:\nbroker:\n")
		c, err := config.Load(config.Options{File: file, Environ: []string{"EA_MONGO_DATABASE=", "EA_ADMIN_ADDR="}})
		Expect(err).NotTo(HaveOccurred())
		Expect(c).To(Equal(config.Defaults("")))
		_, err = config.Load(config.Options{File: write("empty.yaml", "# nothing\n")})
		Expect(err).NotTo(HaveOccurred())
	})

	It("keeps upper case in mappings and dots in names", func() {
		file := write("ea.yaml", `
ingester:
  retention_by_type: {USER_LOGIN: 168h, AUDIT: 8760h}
dispatcher:
  queues: {webhooks.slow: 4, webhooks.default: 8}
  schedule: [10s, 1m]
  allow_networks: [10.1.2.3/16]
`)
		c, err := config.Load(config.Options{File: file})
		Expect(err).NotTo(HaveOccurred())
		Expect(c.Ingester.RetentionByType).To(Equal(map[string]time.Duration{"USER_LOGIN": 168 * time.Hour, "AUDIT": 8760 * time.Hour}))
		Expect(c.Dispatcher.Queues).To(HaveKeyWithValue("webhooks.slow", config.Queue{Concurrency: 4}))
		Expect(c.Dispatcher.Queues).To(HaveKeyWithValue("webhooks.default", config.Queue{Concurrency: 8}))
		Expect(c.Dispatcher.Queues).To(HaveKey("notifications.critical"), "the standard queues stay")
		Expect(c.Dispatcher.Schedule).To(Equal([]time.Duration{10 * time.Second, time.Minute}))
		Expect(c.Dispatcher.AllowNetworks).To(Equal([]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}))
	})

	It("follows YAML anchors", func() {
		c, err := config.Load(config.Options{File: write("ea.yaml", "lease: {beat: &b 3s}\nsweep: {every: *b}\n")})
		Expect(err).NotTo(HaveOccurred())
		Expect(c.Sweep.Every).To(Equal(3 * time.Second))
	})

	It("says where each value came from", func() {
		file := write("ea.yaml", "\nlog:\n  level: warn\n  format: json\n")
		Expect(config.Sources(config.Options{File: file, Environ: []string{"EA_LOG_FORMAT=console"}, Set: []string{"sweep.limit=3"}})).
			To(Equal(map[string]string{"log.level": file + ":3", "log.format": "EA_LOG_FORMAT", "sweep.limit": "--set"}))
	})
})

var _ = Describe("secrets from files", func() {
	It("reads them without the line end", func() {
		file := write("uri", "mongodb://u:p@db/\n")
		key := write("key", "0123456789abcdef0123\r\n")
		c, err := config.Load(config.Options{Environ: []string{
			"EA_MONGO_URI_FILE=" + file, "EA_SECRET_KEY_FILE=" + key, "EA_API_BOOTSTRAP_ADMIN_KEY_FILE=" + key,
			"EA_AMQP_URL_FILE=" + write("amqp", "amqp://u:p@mq/"),
		}})
		Expect(err).NotTo(HaveOccurred())
		Expect(c.Mongo.URI).To(Equal("mongodb://u:p@db/"))
		Expect(c.AMQP.URL).To(Equal("amqp://u:p@mq/"))
		Expect(c.SecretKey).To(Equal("0123456789abcdef0123"))
		Expect(c.API.BootstrapAdminKey).To(Equal("0123456789abcdef0123"))
	})

	It("refuses a file that is not there, and a value given both ways", func() {
		Expect(problems(config.Options{Environ: []string{"EA_MONGO_URI_FILE=/nowhere/uri"}})).
			To(ConsistOf("mongo.uri (EA_MONGO_URI_FILE): read /nowhere/uri: no such file or directory"))
		Expect(problems(config.Options{Environ: []string{"EA_SECRET_KEY=0123456789abcdef", "EA_SECRET_KEY_FILE=/x"}})).
			To(ConsistOf("secret_key (EA_SECRET_KEY_FILE): EA_SECRET_KEY is set too; set one of them"))
	})

	It("is not for keys that are no secrets", func() {
		Expect(problems(config.Options{Environ: []string{"EA_LOG_LEVEL_FILE=/x"}})).To(ConsistOf(HavePrefix("EA_LOG_LEVEL_FILE: unknown variable")))
	})
})

var _ = Describe("EA_ variables that are no settings", func() {
	It("knows those of eactl, the scripts, the tests and Kubernetes", func() {
		_, err := config.Load(config.Options{Environ: []string{
			"EA_API_URL=http://x", "EA_API_KEY=k", "EA_FAULT=ingester.inserted:kill", "EA_RUN_DIR=.run", "EA_MONGO=mongod",
			"EA_BENCH_EVENTS=1", "EA_TEST_KEEP=1", "PATH=/bin",
			"EA_API_SERVICE_HOST=10.0.0.1", "EA_API_PORT=tcp://10.0.0.1:80", "EA_API_PORT_80_TCP_ADDR=10.0.0.1",
		}})
		Expect(err).NotTo(HaveOccurred())
	})

	It("reports any other, with the one that was probably meant", func() {
		Expect(problems(config.Options{Environ: []string{"EA_LOG_LEVLE=debug", "EA_WHATEVER=1"}})).To(Equal([]string{
			"EA_LOG_LEVLE: unknown variable; did you mean EA_LOG_LEVEL?", "EA_WHATEVER: unknown variable",
		}))
	})
})
