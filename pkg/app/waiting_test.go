package app_test

import (
	"context"
	"net/url"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"go.uber.org/zap/zaptest/observer"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/test/support/faultproxy"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

var _ = Describe("a process whose servers are away", func() {
	BeforeEach(leakless)

	It("lives, is not ready, says why, and stops at once when asked", func(ctx SpecContext) {
		log, lines := observed()
		r, err := app.Start(ctx, "ingester", alone(ctx), nothing, app.WithLogger(log))
		Expect(err).NotTo(HaveOccurred())
		stopped(r)

		code, _ := get(ctx, r.AdminAddr(), "/livez")
		Expect(code).To(Equal(200))
		Eventually(ctx, func(g Gomega) {
			code, answer := get(ctx, r.AdminAddr(), "/readyz")
			g.Expect(code).To(Equal(503))
			g.Expect(answer).To(HaveKeyWithValue("ready", false))
			g.Expect(answer["reasons"]).To(And(
				HaveKeyWithValue("mongodb", "connection refused: nothing listens there"),
				HaveKeyWithValue("rabbitmq", "connection refused: nothing listens there"),
				HaveKeyWithValue("workers", "starting: waiting for MongoDB")))
		}).Should(Succeed())

		code, answer := get(ctx, r.AdminAddr(), "/health")
		Expect(code).To(Equal(503))
		Expect(answer).To(And(HaveKeyWithValue("status", "down"), HaveKeyWithValue("lag_unknown", "MongoDB is away")))
		for _, path := range []string{"/health/mongodb", "/health/rabbitmq"} {
			code, answer = get(ctx, r.AdminAddr(), path)
			Expect(code).To(Equal(503), path)
			Expect(answer).To(HaveKeyWithValue("reason", ContainSubstring("refused")))
		}
		code, body, err := fetch(ctx, r.AdminAddr(), "/metrics")
		Expect(err).NotTo(HaveOccurred())
		Expect(code).To(Equal(200))
		Expect(body).To(ContainSubstring("go_goroutines"))

		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		Expect(r.Booted(short)).To(MatchError(ContainSubstring("mongodb: connection refused")))

		stop, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		Expect(r.Stop(stop)).To(Succeed())
		Expect(r.Wait()).To(Succeed())
		Expect(r.Booted(ctx)).To(MatchError(ContainSubstring("ended before it worked")))
		Expect(lines.FilterMessage("stopped").Len()).To(Equal(1))
	}, SpecTimeout(20*time.Second))

	It("says each reason in one line, not one per attempt, and never the password", func(ctx SpecContext) {
		log, lines := observed()
		r, err := app.Start(ctx, "ingester", alone(ctx), nothing, app.WithLogger(log))
		Expect(err).NotTo(HaveOccurred())
		stopped(r)
		Eventually(ctx, func() int { return lines.FilterMessage("waiting for a server").Len() }).WithTimeout(4 * time.Second).Should(Equal(1))
		Consistently(ctx, func() int { return lines.FilterMessage("waiting for a server").Len() }).WithTimeout(5 * time.Second).Should(Equal(1))
		line := lines.FilterMessage("waiting for a server").All()[0].ContextMap()
		Expect(line).To(And(HaveKeyWithValue("server", "MongoDB"), HaveKeyWithValue("reason", ContainSubstring("connection refused"))))
		for _, l := range lines.All() {
			for _, v := range l.ContextMap() {
				Expect(v).NotTo(ContainSubstring("hush"), l.Message)
			}
		}
		Expect(lines.Len()).To(BeNumerically("<=", 3), "one per server, besides the start")
	}, SpecTimeout(30*time.Second))

	It("works within 5 s of their coming up, whichever comes first", func(ctx SpecContext) {
		f := fleet.New(ctx)
		mongo, rabbit := proxied(&f.MongoURI), proxied(&f.AMQPURL)
		for _, order := range [][]*faultproxy.Proxy{{mongo, rabbit}, {rabbit, mongo}} {
			mongo.Refuse(true)
			rabbit.Refuse(true)
			r := f.Launch(ctx, "ingester", nothing)
			Consistently(ctx, func() int { code, _ := get(ctx, r.AdminAddr(), "/readyz"); return code }).
				WithTimeout(time.Second).WithPolling(200 * time.Millisecond).Should(Equal(503))
			order[0].Refuse(false)
			Consistently(ctx, r.Done()).WithTimeout(time.Second).ShouldNot(BeClosed())
			code, _ := get(ctx, r.AdminAddr(), "/readyz")
			Expect(code).To(Equal(503))

			up := time.Now()
			order[1].Refuse(false)
			Expect(r.Booted(ctx)).To(Succeed())
			Eventually(ctx, func() int { code, _ := get(ctx, r.AdminAddr(), "/readyz"); return code }).Should(Equal(200))
			Expect(time.Since(up)).To(BeNumerically("<", 5*time.Second))
			Expect(r.Stop(ctx)).To(Succeed())
		}
	}, SpecTimeout(time.Minute))

	It("turns unready when they go away later, and ready again", func(ctx SpecContext) {
		f := fleet.New(ctx)
		mongo, rabbit := proxied(&f.MongoURI), proxied(&f.AMQPURL)
		r := f.Start(ctx, "ingester", nothing)
		ready := func() int { code, _ := get(ctx, r.AdminAddr(), "/readyz"); return code }
		Eventually(ctx, ready).Should(Equal(200))
		for _, p := range []*faultproxy.Proxy{mongo, rabbit} {
			p.Refuse(true)
			p.Cut()
			Eventually(ctx, ready).WithTimeout(10 * time.Second).Should(Equal(503))
			p.Refuse(false)
			Eventually(ctx, ready).WithTimeout(10 * time.Second).Should(Equal(200))
		}
	}, SpecTimeout(time.Minute))

	It("names a refused password, and does not show it", func(ctx SpecContext) {
		f := fleet.New(ctx)
		u, err := url.Parse(f.AMQPURL)
		Expect(err).NotTo(HaveOccurred())
		u.User = url.UserPassword(u.User.Username(), "hush")
		c := f.Config("ingester")
		c.AMQP.URL = u.String()
		log, lines := observed()
		r, err := app.Start(ctx, "ingester", c, nothing, app.WithLogger(log))
		Expect(err).NotTo(HaveOccurred())
		stopped(r)
		Eventually(ctx, func(g Gomega) {
			_, answer := get(ctx, r.AdminAddr(), "/readyz")
			g.Expect(answer["reasons"]).To(HaveKeyWithValue("rabbitmq", "user name or password refused"))
		}).WithTimeout(10 * time.Second).Should(Succeed())
		Expect(lines.Filter(func(e observer.LoggedEntry) bool { return e.Level > 0 }).Len()).To(Equal(1), "one clear line")
		for _, l := range lines.All() {
			for _, v := range l.ContextMap() {
				Expect(v).NotTo(ContainSubstring("hush"), l.Message)
			}
		}
	}, SpecTimeout(30*time.Second))
})

// proxied puts a proxy in front of the server that the URL names.
func proxied(serverURL *string) *faultproxy.Proxy {
	GinkgoHelper()
	u, err := url.Parse(*serverURL)
	Expect(err).NotTo(HaveOccurred())
	p, err := faultproxy.Start(u.Host)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(p.Close)
	u.Host = p.Addr()
	if u.Scheme == "mongodb" { // the replica set's own addresses would lead around the proxy
		u.RawQuery = "directConnection=true"
	}
	*serverURL = u.String()
	return p
}
