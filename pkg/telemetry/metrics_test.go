package telemetry_test

import (
	"fmt"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

var _ = Describe("metrics", func() {
	var registry *prometheus.Registry
	BeforeEach(func() { registry = prometheus.NewRegistry() })

	It("have the names and labels that users know", func() {
		telemetry.Events(registry).Add(3, "PAYMENT_FAILED", "payments", "error")
		telemetry.RulesMatched(registry).Add(2, "r1")
		telemetry.MongoOperations(registry)("events", "insert", "ok")
		telemetry.Processed(registry).Observe(telemetry.StageStore, 20*time.Millisecond)
		Expect(testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP events_total Events stored, by type, source and level; beyond 200 types or sources as other.
# TYPE events_total counter
events_total{level="error",source="payments",type="PAYMENT_FAILED"} 3
# HELP mongodb_operations_total Finished MongoDB commands, by collection, command and outcome (ok, error).
# TYPE mongodb_operations_total counter
mongodb_operations_total{collection="events",op="insert",outcome="ok"} 1
# HELP rules_matched_total Matches committed, by rule id; beyond 1000 rules as other.
# TYPE rules_matched_total counter
rules_matched_total{rule="r1"} 2
`), "events_total", "mongodb_operations_total", "rules_matched_total")).To(Succeed())
		Expect(testutil.GatherAndCount(registry, "events_processed_duration")).To(Equal(1))
	})

	It("call what a producer makes up after 200 values other, and never more", func() {
		events := telemetry.Events(registry)
		var wg sync.WaitGroup
		for worker := range 4 {
			wg.Go(func() {
				for i := range 500 {
					events.Add(1, fmt.Sprintf("T_%d_%d", worker, i), "s", "info")
				}
			})
		}
		wg.Wait()
		Expect(testutil.GatherAndCount(registry, "events_total")).To(Equal(201))
		events.Add(1, "T_LATE", "s", "info")
		Expect(testutil.GatherAndCount(registry, "events_total")).To(Equal(201))
	})

	It("are shared by parts of a process that ask for the same one", func() {
		telemetry.RulesMatched(registry).Add(1, "r")
		telemetry.RulesMatched(registry).Add(1, "r")
		families, err := registry.Gather()
		Expect(err).NotTo(HaveOccurred())
		Expect(families[0].GetMetric()[0].GetCounter().GetValue()).To(BeNumerically("==", 2))
	})

	It("are not shared by processes", func() {
		one, two := telemetry.NewRegistry(), telemetry.NewRegistry()
		telemetry.Events(one).Add(1, "T", "s", "info")
		Expect(testutil.GatherAndCount(two, "events_total")).To(BeZero())
		Expect(testutil.GatherAndCount(two, "go_goroutines")).To(Equal(1))
	})

	It("stop a program that uses one name for two things", func() {
		telemetry.Events(registry)
		Expect(func() {
			telemetry.Register(registry, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "events_total", Help: "x"}, []string{"a"}))
		}).To(Panic())
	})
})
