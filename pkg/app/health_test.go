package app_test

import (
	"context"
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

var _ = Describe("the health paths of a process that works", func() {
	var f *fleet.Fleet
	BeforeEach(func(ctx SpecContext) {
		leakless()
		f = fleet.New(ctx)
	}, NodeTimeout(time.Minute))

	It("answer ok, by component, with the lag of every stage", func(ctx SpecContext) {
		r := f.Start(ctx, "aggregator", func(_ context.Context, p *app.Process) error {
			p.Go("idle", func(ctx context.Context) error { <-ctx.Done(); return nil })
			return nil
		})
		Eventually(ctx, func(g Gomega) {
			code, answer := get(ctx, r.AdminAddr(), "/health")
			g.Expect(code).To(Equal(200))
			g.Expect(answer).To(And(HaveKeyWithValue("status", "ok"), HaveKeyWithValue("service", "aggregator"),
				HaveKeyWithValue("instance", r.Process().Instance), HaveKeyWithValue("workers", ConsistOf("idle")),
				HaveKeyWithValue("lag", HaveLen(4)), HaveKeyWithValue("lag_budget_seconds", 30.0)))
			for _, c := range []string{"mongodb", "rabbitmq", "workers"} {
				g.Expect(answer["components"]).To(HaveKeyWithValue(c, HaveKeyWithValue("status", "ok")))
			}
		}).Should(Succeed())
		for _, path := range []string{"/health/mongodb", "/health/rabbitmq", "/readyz", "/livez"} {
			code, _ := get(ctx, r.AdminAddr(), path)
			Expect(code).To(Equal(200), path)
		}
		code, answer := get(ctx, r.AdminAddr(), "/health/redis")
		Expect(code).To(Equal(404))
		Expect(answer).To(HaveKeyWithValue("see", "/health"))

		code, metrics, err := fetch(ctx, r.AdminAddr(), "/metrics")
		Expect(err).NotTo(HaveOccurred())
		Expect(code).To(Equal(200))
		Expect(metrics).To(And(ContainSubstring("mongodb_operations_total{"), ContainSubstring(`ea_lag_seconds{stage="published_at"} 0`),
			ContainSubstring("ea_lag_batches"), ContainSubstring("process_resident_memory_bytes")))
	}, SpecTimeout(30*time.Second))

	It("turn degraded when a stage is behind its budget, and stay ready", func(ctx SpecContext) {
		save(ctx, f, time.Now().Add(-time.Minute))
		r := f.Start(ctx, "api", nothing)
		Eventually(ctx, func(g Gomega) {
			code, answer := get(ctx, r.AdminAddr(), "/health")
			g.Expect(code).To(Equal(200))
			g.Expect(answer).To(HaveKeyWithValue("status", "degraded"))
			g.Expect(answer["lag"]).To(ContainElement(And(HaveKeyWithValue("stage", "published_at"),
				HaveKeyWithValue("batches", 1.0), HaveKeyWithValue("seconds", BeNumerically(">", 59)))))
		}).Should(Succeed())
		code, _ := get(ctx, r.AdminAddr(), "/readyz")
		Expect(code).To(Equal(200))
	}, SpecTimeout(30*time.Second))

	It("include the checks of the service, each asked once for many probes", func(ctx SpecContext) {
		asked := make(chan struct{}, 1000)
		r := f.Start(ctx, "rule-worker", func(_ context.Context, p *app.Process) error {
			p.Ready("rules", func(context.Context) error { asked <- struct{}{}; return errors.New("no rule set yet") })
			p.Ready("broken", func(context.Context) error { panic("oops") })
			return nil
		}, func(c *config.Config) { c.Health.Cache = time.Minute })
		for range 50 {
			code, answer := get(ctx, r.AdminAddr(), "/readyz")
			Expect(code).To(Equal(503))
			Expect(answer["reasons"]).To(And(HaveKeyWithValue("rules", "no rule set yet"), HaveKeyWithValue("broken", ContainSubstring("oops"))))
		}
		Expect(len(asked)).To(BeNumerically("<=", 2), "once, and once more when the process began to work")
	}, SpecTimeout(30*time.Second))
})

// save stores a batch that no stage will touch.
func save(ctx context.Context, f *fleet.Fleet, at time.Time) {
	GinkgoHelper()
	first, _ := event.NewIDBlock(1)
	id := first.Hex()
	doc, err := bson.Marshal(bson.D{
		{Key: "_id", Value: first}, {Key: "batch_id", Value: id}, {Key: "event_id", Value: id}, {Key: "type", Value: "SPEC"},
		{Key: "source", Value: "spec"}, {Key: "severity", Value: 1}, {Key: "timestamp", Value: at}, {Key: "processed", Value: false},
		{Key: "created_at", Value: at}, {Key: "expires_at", Value: at.Add(time.Hour)},
	})
	Expect(err).NotTo(HaveOccurred())
	Expect(f.Store.SaveBatch(ctx, event.Batch{ID: id, FirstID: first, LastID: first, MaxSeverity: 1, StoredAt: at, Events: []bson.Raw{doc}}, "spec")).To(Succeed())
}
