package dispatcher_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

var _ = Describe("A delivery", func() {
	var f *fleet.Fleet
	var receiver *sink.Running

	BeforeEach(func(ctx SpecContext) {
		f = fleet.New(ctx)
		receiver = receive()
	}, NodeTimeout(30*time.Second))

	It("is signed, recorded and announced", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Body: "thanks"})
		events := outcomes(ctx, f)
		start(ctx, f)
		owed := oweHooks(ctx, f, 20, receiver.URL+"/hook", bson.E{Key: "headers", Value: bson.D{{Key: "X-Team", Value: "payments"}}})
		send(ctx, f, owed...)

		for _, m := range owed {
			n := becomes(ctx, f, m, notification.Delivered)
			Expect(n.Attempts).To(HaveLen(1))
			a := n.Attempts[0]
			Expect(a.Outcome).To(Equal(notification.OutcomeOK))
			Expect(a.StatusCode).To(Equal(http.StatusOK))
			Expect(a.ResponseExcerpt).To(Equal("thanks"))
			Expect(a.Worker).NotTo(BeEmpty())
			Expect(a.At).To(BeTemporally("~", time.Now(), time.Minute))
			Expect(n.NextAttemptAt).To(BeNil())
		}
		stats := receiver.Stats()
		Expect(stats.Accepted).To(Equal(20))
		Expect(stats.Repeated).To(BeZero())
		Expect(stats.BadSignatures).To(BeZero())

		call := receiver.Calls()[0]
		Expect(call.Method).To(Equal(http.MethodPost))
		Expect(call.Header.Get("Content-Type")).To(Equal("application/json"))
		Expect(call.Header.Get("X-Team")).To(Equal("payments"))
		Expect(call.Header.Get("User-Agent")).To(HavePrefix("events-aggregator/"))
		Expect(call.Header.Get("Traceparent")).To(HavePrefix(trace[:36]))
		Expect(call.Header.Get("Traceparent")).NotTo(Equal(trace), "it is a span of its own")
		Expect(call.Header).NotTo(HaveKey("Accept-Encoding"))
		var body struct {
			Event          map[string]any `json:"event"`
			NotificationID string         `json:"notification_id"`
			Attempt        int            `json:"attempt"`
		}
		Expect(json.Unmarshal(call.Body, &body)).To(Succeed())
		Expect(body.NotificationID).To(Equal(call.ID))
		Expect(body.Attempt).To(Equal(1))
		Expect(body.Event).To(HaveKeyWithValue("type", "PAYMENT_FAILED"))

		Eventually(ctx, events).Should(HaveLen(20))
		Expect(distinct(events())).To(HaveLen(20))
		e := events()[0]
		Expect(e.key).To(Equal(topology.KeyDelivery))
		Expect(e.Type).To(Equal("NOTIFICATION_DELIVERY"))
		Expect(e.Source).To(Equal("action-dispatcher"))
		Expect(e.Severity).To(Equal(2))
		Expect(e.TraceID).To(Equal(trace[3:35]))
		Expect(e.headers).To(HaveKeyWithValue("traceparent", HavePrefix(trace[:36])))
		Expect(e.Payload).To(HaveKeyWithValue("status", "delivered"))
		Expect(e.Payload).To(HaveKeyWithValue("rule_name", "failed payments"))
		Expect(e.Payload).To(HaveKeyWithValue("action_type", "WEBHOOK"))
		Expect(e.Payload).To(HaveKeyWithValue("target", receiver.Host))
		Expect(e.Payload).To(HaveKeyWithValue("attempt", BeNumerically("==", 1)))
		Expect(e.Metadata).To(HaveKeyWithValue("hops", BeNumerically("==", 3)))
		Expect(e.Metadata).To(HaveKeyWithValue("caused_by", e.Payload["event_id"]))
		empty(ctx, f)
		Expect(f.DeadLetters(ctx, queue)).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("is tried again by the schedule, under the same id", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Statuses: []int{500, 503}})
		events := outcomes(ctx, f)
		start(ctx, f, schedule(time.Second, time.Second, time.Second))
		owed := oweHooks(ctx, f, 1, receiver.URL)
		send(ctx, f, owed...)

		Eventually(ctx, func(g Gomega) {
			n := notificationOf(ctx, g, f, owed[0])
			g.Expect(n.AttemptCount).To(Equal(1))
			g.Expect(n.NextAttemptAt).NotTo(BeNil())
			g.Expect(*n.NextAttemptAt).To(BeTemporally("~", n.Attempts[0].At.Add(time.Second), 500*time.Millisecond))
		}).WithPolling(20 * time.Millisecond).Should(Succeed())
		n := becomes(ctx, f, owed[0], notification.Delivered)
		Expect(n.Attempts).To(HaveLen(3))
		Expect(n.Attempts[0].ErrorClass).To(Equal("http_5xx"))
		Expect(n.Attempts[1].ErrorClass).To(Equal("unavailable"))
		Expect(n.Attempts[1].At.Sub(n.Attempts[0].At)).To(BeNumerically(">=", 900*time.Millisecond))
		stats := receiver.Stats()
		Expect(stats.Distinct).To(Equal(1))
		Expect(stats.Calls).To(Equal(3))
		Eventually(ctx, events).Should(HaveLen(1))
		Expect(events()[0].Payload).To(HaveKeyWithValue("attempt", BeNumerically("==", 3)))
		empty(ctx, f)
	}, SpecTimeout(time.Minute))

	It("that cannot succeed is dead at once: recorded, announced, dead-lettered", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Status: http.StatusNotFound})
		events := outcomes(ctx, f)
		start(ctx, f)
		owed := oweHooks(ctx, f, 1, receiver.URL)
		send(ctx, f, owed...)

		n := becomes(ctx, f, owed[0], notification.Dead)
		Expect(n.Reason).To(Equal("permanent"))
		Expect(n.Attempts).To(HaveLen(1))
		Eventually(ctx, func() int { return f.Depth(ctx, queue+".dead") }).Should(Equal(1))
		dead := f.DeadLetters(ctx, queue)
		Expect(dead).To(HaveLen(1))
		Expect(dead[0].Reason).To(Equal(broker.ReasonPermanent))
		Expect(dead[0].ErrorClass).To(Equal("http_4xx"))
		Expect(dead[0].Error).To(ContainSubstring("404"))
		Expect(dead[0].Attempts).To(Equal(1))
		again, err := f.Topology.Actions().Decode(dead[0].Message)
		Expect(err).NotTo(HaveOccurred())
		Expect(again.Notification.ID).To(Equal(n.ID))
		Eventually(ctx, events).Should(HaveLen(1))
		Expect(events()[0].Severity).To(Equal(7))
		Expect(events()[0].Payload).To(HaveKeyWithValue("status", "dead"))
		Expect(events()[0].Payload).To(HaveKeyWithValue("reason", "permanent"))
	}, SpecTimeout(time.Minute))

	It("is dead when the schedule is exhausted", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Status: http.StatusInternalServerError})
		events := outcomes(ctx, f)
		start(ctx, f, schedule(time.Second))
		owed := oweHooks(ctx, f, 1, receiver.URL)
		send(ctx, f, owed...)

		n := becomes(ctx, f, owed[0], notification.Dead)
		Expect(n.Reason).To(Equal("exhausted"))
		Expect(n.Attempts).To(HaveLen(2))
		Eventually(ctx, func() int { return f.Depth(ctx, queue+".dead") }).Should(Equal(1))
		dead := f.DeadLetters(ctx, queue)
		Expect(dead[0].Reason).To(Equal(broker.ReasonExhausted))
		Expect(dead[0].ErrorClass).To(Equal("http_5xx"))
		Expect(dead[0].Attempts).To(Equal(2))
		Expect(dead[0].Exchange).To(Equal(f.Topology.Exchange(topology.ExchangeActions)), "the original, also after a tier")
		Expect(dead[0].FirstFailedAt).To(BeTemporally("<", n.Attempts[1].At))
		Eventually(ctx, events).Should(HaveLen(1))
		Expect(events()[0].Payload).To(HaveKeyWithValue("reason", "exhausted"))
	}, SpecTimeout(time.Minute))

	It("waits as long as the receiver asks, rounded up to a tier", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Status: http.StatusTooManyRequests, RetryAfter: "5"})
		start(ctx, f)
		owed := oweHooks(ctx, f, 1, receiver.URL)
		send(ctx, f, owed...)
		Eventually(ctx, func() int { return f.Depth(ctx, queue+".retry.10s") }).Should(Equal(1))
		n := notificationOf(ctx, Default, f, owed[0])
		Expect(n.Attempts[0].RetryAfterMS).To(BeNumerically("==", 5000))
		Expect(n.Attempts[0].ErrorClass).To(Equal("rate_limited"))
		Expect(*n.NextAttemptAt).To(BeTemporally("~", n.Attempts[0].At.Add(10*time.Second), time.Second))
	}, SpecTimeout(time.Minute))

	DescribeTable("that breaks is tried again", func(ctx SpecContext, faults sink.Faults, class string) {
		faults.First = 1
		receiver.SetFaults(faults)
		start(ctx, f)
		owed := oweHooks(ctx, f, 1, receiver.URL, bson.E{Key: "timeout", Value: "2s"})
		send(ctx, f, owed...)
		n := becomes(ctx, f, owed[0], notification.Delivered)
		Expect(n.Attempts).To(HaveLen(2))
		Expect(n.Attempts[0].ErrorClass).To(Equal(class))
		Expect(n.Attempts[0].Error).NotTo(BeEmpty())
		Expect(n.Attempts[0].DurationMS).To(BeNumerically("<", 9000))
		Expect(receiver.Stats().Distinct).To(Equal(1))
	},
		Entry("when nothing is answered in time", sink.Faults{Hang: true}, "timeout", SpecTimeout(time.Minute)),
		Entry("when the answer comes too late", sink.Faults{LatencyMS: 10_000}, "timeout", SpecTimeout(time.Minute)),
		Entry("when the connection is reset", sink.Faults{Reset: true}, "connection", SpecTimeout(time.Minute)),
		Entry("when the answer breaks off", sink.Faults{CutOff: true}, "cut_off", SpecTimeout(time.Minute)),
	)

	It("does not follow a redirect", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Status: http.StatusFound})
		start(ctx, f)
		owed := oweHooks(ctx, f, 1, receiver.URL)
		send(ctx, f, owed...)
		n := becomes(ctx, f, owed[0], notification.Dead)
		Expect(n.Attempts[0].ErrorClass).To(Equal("redirect"))
		Expect(receiver.Stats().Calls).To(Equal(1))
	}, SpecTimeout(time.Minute))

	It("keeps only the beginning of a long answer, as text", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Body: strings.Repeat("ä", 40_000) + "\xff"})
		start(ctx, f, func(c *config.Config) { c.Dispatcher.ResponseExcerpt = 1023 })
		owed := oweHooks(ctx, f, 1, receiver.URL)
		send(ctx, f, owed...)
		n := becomes(ctx, f, owed[0], notification.Delivered)
		Expect(n.Attempts[0].ResponseExcerpt).To(Equal(strings.Repeat("ä", 511)))
	}, SpecTimeout(time.Minute))

	It("is not held up by a receiver that wants to speak another protocol", func(ctx SpecContext) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: spec\r\n\r\n"))
			<-r.Context().Done()
			_ = conn.Close()
		}))
		DeferCleanup(server.CloseClientConnections)
		start(ctx, f, schedule(time.Second))
		owed := oweHooks(ctx, f, 1, server.URL)
		send(ctx, f, owed...)
		n := becomes(ctx, f, owed[0], notification.Dead)
		Expect(n.Attempts[0].ErrorClass).To(Equal("http_invalid"))
		Expect(n.Attempts[0].DurationMS).To(BeNumerically("<", 5000))
	}, SpecTimeout(time.Minute))

	It("writes LOG actions to the audit log", func(ctx SpecContext) {
		core, lines := observer.New(zapcore.InfoLevel)
		f.Log = zap.New(core)
		start(ctx, f)
		owed := owe(ctx, f, "LOG", bson.D{{Key: "level", Value: "warn"}, {Key: "message", Value: "payment of {{.Event.source}} failed"}})
		send(ctx, f, owed...)
		n := becomes(ctx, f, owed[0], notification.Delivered)
		Expect(n.Attempts).To(HaveLen(1))
		Eventually(ctx, lines.FilterMessage("delivery attempt").All).Should(ConsistOf(And(
			HaveField("LoggerName", HaveSuffix("audit")), HaveField("ContextMap()", HaveKeyWithValue("outcome", "ok")))))
		written := lines.FilterMessage("rule action").All()
		Expect(written).To(HaveLen(1))
		Expect(written[0].LoggerName).To(HaveSuffix("audit"))
		Expect(written[0].Level).To(Equal(zapcore.WarnLevel))
		Expect(written[0].ContextMap()).To(And(
			HaveKeyWithValue("text", "payment of spec failed"), HaveKeyWithValue("notification_id", n.ID),
			HaveKeyWithValue("event_id", n.EventID), HaveKeyWithValue("rule_name", "failed payments")))
	}, SpecTimeout(time.Minute))

	DescribeTable("that its configuration forbids is dead, with the reason", func(ctx SpecContext, kind string, cfg bson.D, class, text string) {
		start(ctx, f)
		owed := owe(ctx, f, kind, cfg)
		send(ctx, f, owed...)
		n := becomes(ctx, f, owed[0], notification.Dead)
		Expect(n.Attempts[0].ErrorClass).To(Equal(class))
		Expect(n.Attempts[0].Error).To(ContainSubstring(text))
	},
		Entry("an action that is not known here", "FAX", bson.D{}, "unknown_action", "FAX", SpecTimeout(time.Minute)),
		Entry("a configuration that is none", "WEBHOOK", bson.D{{Key: "url", Value: "ftp://x"}}, "invalid_config", "/url", SpecTimeout(time.Minute)),
		Entry("an address that is not allowed", "WEBHOOK", bson.D{{Key: "url", Value: "http://10.1.2.3/"}}, "address_refused", "allow_networks", SpecTimeout(time.Minute)),
	)

	It("shows no secret anywhere", func(ctx SpecContext) {
		const header, password, parameter = "Bearer tok-3f9a77c1", "pw-88aa11bb", "prm-55cc66dd"
		receiver.SetFaults(sink.Faults{Status: http.StatusBadRequest,
			Body: "you sent " + header + " and " + password + " and " + parameter + " and " + secret + " and bWU6cHctODhhYTExYmI="})
		events := outcomes(ctx, f)
		start(ctx, f)
		owed := oweHooks(ctx, f, 1, "http://me:"+password+"@"+receiver.Host+"/x?token="+parameter,
			bson.E{Key: "headers", Value: bson.D{{Key: "X-Key", Value: header}}})
		send(ctx, f, owed...)
		n := becomes(ctx, f, owed[0], notification.Dead)
		call := receiver.Calls()[0]
		Expect(call.Header.Get("Authorization")).To(Equal("Basic bWU6cHctODhhYTExYmI="))
		Expect(call.Header.Get("X-Key")).To(Equal(header))
		Eventually(ctx, func() int { return f.Depth(ctx, queue+".dead") }).Should(Equal(1))
		dead := f.DeadLetters(ctx, queue)[0]
		Eventually(ctx, events).Should(HaveLen(1))
		Expect(n.Attempts[0].ResponseExcerpt).To(HavePrefix("you sent ********"))
		shown := strings.Join([]string{n.Attempts[0].ResponseExcerpt, n.Attempts[0].Error, events()[0].body, dead.Error}, "\n")
		for _, s := range []string{"tok-3f9a77c1", password, parameter, secret, strings.TrimPrefix(secret, "whsec_"), "bWU6cHctODhhYTExYmI="} {
			Expect(shown).NotTo(ContainSubstring(s))
		}
	}, SpecTimeout(time.Minute))
})

var _ = Describe("A message that is no delivery order", func() {
	It("is dead-lettered, and its neighbours are delivered", func(ctx SpecContext) {
		f, receiver := fleet.New(ctx), receive()
		start(ctx, f)
		owed := oweHooks(ctx, f, 3, receiver.URL)
		send(ctx, f, owed[0])
		good, err := f.Topology.Actions().Encode(owed[0])
		Expect(err).NotTo(HaveOccurred())
		noAttempt, noID := owed[1], owed[1]
		noAttempt.Attempt, noID.Notification.ID = 0, ""
		bad := []func(m *broker.Message){
			func(m *broker.Message) { m.Body = nil },
			func(m *broker.Message) { m.Body = []byte("{}") },
			func(m *broker.Message) { m.Body = []byte(`{"notification":{"_id":"ntf_1"}}`) },
			func(m *broker.Message) { m.Body = m.Body[:len(m.Body)/2] },
			func(m *broker.Message) { m.Body = []byte(strings.Repeat("\xff", 4096)) },
			func(m *broker.Message) { m.ContentType = "text/plain" },
			func(m *broker.Message) { m.Body = raw(bson.D{{Key: "notification", Value: 1}}) },
			func(m *broker.Message) {
				m.Body = raw(bson.D{{Key: "notification", Value: bson.D{{Key: "_id", Value: "n"}}}, {Key: "event", Value: "text"}, {Key: "attempt", Value: 1}})
			},
			func(m *broker.Message) { m.Body = raw(bson.D{{Key: "attempt", Value: -1}}) },
		}
		for _, spoil := range bad {
			m := good
			spoil(&m)
			Expect(f.Publisher.Publish(ctx, m)).To(Succeed())
		}
		send(ctx, f, noAttempt, noID)
		send(ctx, f, owed[2])

		becomes(ctx, f, owed[0], notification.Delivered)
		becomes(ctx, f, owed[2], notification.Delivered)
		Eventually(ctx, func() int { return f.Depth(ctx, queue+".dead") }).Should(Equal(len(bad) + 2))
		for _, d := range f.DeadLetters(ctx, queue) {
			Expect(d.Reason).To(Equal(broker.ReasonPermanent))
			Expect(d.ErrorClass).To(Equal("malformed_message"))
		}
		Expect(receiver.Stats().Calls).To(Equal(2))
		empty(ctx, f)
	}, SpecTimeout(time.Minute))

	It("for a notification that is not there is dead, once the record is asked", func(ctx SpecContext) {
		f, receiver := fleet.New(ctx), receive()
		start(ctx, f)
		owed := oweHooks(ctx, f, 1, receiver.URL)
		unknown := owed[0]
		unknown.Notification.ID, unknown.Republished = "ntf_unknown", true
		send(ctx, f, unknown)
		Eventually(ctx, func() int { return f.Depth(ctx, queue+".dead") }).Should(Equal(1))
		Expect(f.DeadLetters(ctx, queue)[0].ErrorClass).To(Equal("unknown_notification"))
		Expect(receiver.Stats().Calls).To(BeZero())
	}, SpecTimeout(time.Minute))
})
