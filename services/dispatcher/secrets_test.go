package dispatcher_test

import (
	"context"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/events-aggregator/events-aggregator/pkg/action/builtin"
	"github.com/events-aggregator/events-aggregator/pkg/action/seal"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

var _ = Describe("Encrypted secrets", func() {
	const key, older = "secret-key-of-the-spec", "secret-key-before-that"
	var f *fleet.Fleet
	var receiver *sink.Running

	BeforeEach(func(ctx SpecContext) {
		f = fleet.New(ctx)
		receiver = receive()
	}, NodeTimeout(30*time.Second))

	withKeys := func(current, old string) func(*config.Config) {
		return func(c *config.Config) { c.SecretKey, c.SecretKeyOld = current, old }
	}
	// oweSealed owes a webhook whose rule was saved with the key.
	oweSealed := func(ctx context.Context, with string) notification.Message {
		GinkgoHelper()
		keys, err := seal.New(with)
		Expect(err).NotTo(HaveOccurred())
		t, _ := builtin.Table().Lookup("WEBHOOK")
		sealed, err := keys.Seal(t, raw(webhookTo(receiver.URL+"/hook", bson.E{Key: "headers", Value: bson.D{{Key: "X-Key", Value: "header-of-the-spec"}}})))
		Expect(err).NotTo(HaveOccurred())
		var d bson.D
		Expect(bson.Unmarshal(sealed, &d)).To(Succeed())
		return owe(ctx, f, "WEBHOOK", d)[0]
	}

	It("are opened for the call alone: what goes back to the broker stays encrypted", func(ctx SpecContext) {
		start(ctx, f, withKeys(key, ""), schedule(time.Second))
		receiver.SetFaults(sink.Faults{Status: http.StatusInternalServerError})
		m := oweSealed(ctx, key)
		send(ctx, f, m)
		Expect(becomes(ctx, f, m, notification.Dead).Attempts).To(HaveLen(2))
		Expect(receiver.Stats().BadSignatures).To(BeZero())
		Expect(receiver.Calls()[1].Header.Get("X-Key")).To(Equal("header-of-the-spec"))
		Eventually(ctx, func() int { return f.Depth(ctx, queue+".dead") }).Should(Equal(1))
		dead := f.DeadLetters(ctx, queue)
		Expect(dead).To(HaveLen(1))
		Expect(string(dead[0].Body)).To(ContainSubstring("ea-sealed:"))
		Expect(string(dead[0].Body)).NotTo(Or(ContainSubstring(secret), ContainSubstring("header-of-the-spec")))
	}, SpecTimeout(time.Minute))

	It("of the key before open, too", func(ctx SpecContext) {
		start(ctx, f, withKeys(key, older))
		first, second := oweSealed(ctx, older), oweSealed(ctx, key)
		send(ctx, f, first, second)
		becomes(ctx, f, first, notification.Delivered)
		becomes(ctx, f, second, notification.Delivered)
		Expect(receiver.Stats().BadSignatures).To(BeZero())
	}, SpecTimeout(time.Minute))

	It("of a key that is gone are those of the record, which was encrypted anew", func(ctx SpecContext) {
		m := oweSealed(ctx, older)
		send(ctx, f, m)
		start(ctx, f, withKeys(key, ""))
		Eventually(ctx, func() int { return f.Depth(ctx, queue+".retry.1m") }).Should(Equal(1), "nobody has encrypted it anew")
		keys, err := seal.New(key, older)
		Expect(err).NotTo(HaveOccurred())
		kind, _ := builtin.Table().Lookup("WEBHOOK")
		changed, err := f.Store.RenewNotifications(ctx, time.Time{}, func(_ string, config bson.Raw) (bson.Raw, bool) {
			renewed, changed, err := keys.Renew(kind, config)
			Expect(err).NotTo(HaveOccurred())
			return renewed, changed
		}, false)
		Expect(err).NotTo(HaveOccurred())
		Expect(changed).To(Equal(store.Renewed{Found: 1, Changed: 1}))
		send(ctx, f, m)
		becomes(ctx, f, m, notification.Delivered)
		Expect(receiver.Stats().BadSignatures).To(BeZero())
		Expect(receiver.Calls()[0].Header.Get("X-Key")).To(Equal("header-of-the-spec"))
	}, SpecTimeout(time.Minute))

	It("make a process without the key wait, at no cost to the notification, and say what is missing", func(ctx SpecContext) {
		core, logs := observer.New(zapcore.ErrorLevel)
		f.Log = zap.New(core)
		start(ctx, f)
		locked, plain := oweSealed(ctx, key), oweHooks(ctx, f, 1, receiver.URL+"/hook")[0]
		send(ctx, f, locked, plain)
		becomes(ctx, f, plain, notification.Delivered)
		Eventually(ctx, func() int { return f.Depth(ctx, queue+".retry.1m") }).Should(Equal(1))
		Expect(becomes(ctx, f, locked, notification.Pending).Attempts).To(BeEmpty())
		Expect(f.DeadLetters(ctx, queue)).To(BeEmpty())
		Expect(receiver.Stats().Accepted).To(Equal(1))
		said := logs.FilterMessage("notifications wait for the key of their secrets").All()
		Expect(said).To(HaveLen(1))
		Expect(said[0].ContextMap()).To(And(HaveKey("key_id"), HaveKeyWithValue("error", ContainSubstring("EA_SECRET_KEY"))))
	}, SpecTimeout(time.Minute))
})
