package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/services/dispatcher"
	"github.com/events-aggregator/events-aggregator/services/ingester"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

var _ = Describe("secrets of actions", func() {
	const (
		firstKey, secondKey = "first-key-of-the-spec", "second-key-of-the-spec"
		signing             = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
		header              = "Bearer header-of-the-spec"
		password            = "password-of-the-spec"
	)
	withKeys := func(current, old string) func(*config.Config) {
		return func(c *config.Config) { c.SecretKey, c.SecretKeyOld = current, old }
	}
	// stored are the configurations as the database has them.
	stored := func(ctx context.Context, p *product) (text string) {
		GinkgoHelper()
		rules, err := p.Store.Rules(ctx, "", 100)
		Expect(err).NotTo(HaveOccurred())
		for _, r := range rules {
			versions, err := p.Store.RuleVersions(ctx, r.ID, 0, 100)
			Expect(err).NotTo(HaveOccurred())
			for _, v := range append(versions, store.RuleVersion{Rule: r}) {
				text += v.Rule.Actions[0].Config.String()
			}
		}
		found, err := p.Store.FindNotifications(ctx, store.NotificationFilter{}, nil, 100)
		Expect(err).NotTo(HaveOccurred())
		for _, n := range found {
			text += n.Action.Config.String()
		}
		return text
	}
	inTheClear := Or(ContainSubstring(signing), ContainSubstring(header), ContainSubstring(password))

	It("are encrypted at rest, masked for everybody, kept through a round trip, and used", func(ctx SpecContext) {
		p := start(ctx, withKeys(firstKey, ""))
		receiver, err := sink.Start(signing)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(receiver.Close)
		receiver.Keep()

		file := filepath.Join(GinkgoT().TempDir(), "rules.yaml")
		Expect(os.WriteFile(file, fmt.Appendf(nil, `name: guarded
conditions: {type: GUARDED}
actions:
  - type: WEBHOOK
    config:
      url: http://ops:%s@%s/hook
      headers: {X-Key: %s}
      secret: %s
`, password, receiver.Host, header, signing), 0o600)).To(Succeed())
		Expect(p.eactl(ctx, "rules", "apply", "-f", file)).To(And(done, HaveField("Out", HavePrefix("1 created"))))
		Expect(p.eactl(ctx, "rules", "apply", "-f", file).Out).To(HaveSuffix(" 1 unchanged\n"))
		Expect(stored(ctx, p)).To(And(ContainSubstring("ea-sealed:"), Not(inTheClear)))

		shown := p.eactl(ctx, "rules", "list", "-o", "json")
		Expect(shown.Out).To(And(ContainSubstring("********"), ContainSubstring(receiver.Host), Not(inTheClear), Not(ContainSubstring("ea-sealed"))))

		By("written back as it was shown, with another description")
		var rule map[string]any
		path := "/api/v1/rules/" + shown.lines()[0]["rule_id"].(string)
		Expect(p.call(ctx, http.MethodGet, path, nil, &rule)).To(Equal(http.StatusOK))
		rule["description"] = "changed"
		Expect(p.call(ctx, http.MethodPut, path, rule, nil)).To(Equal(http.StatusOK))
		again := filepath.Join(GinkgoT().TempDir(), "again.jsonl")
		Expect(os.WriteFile(again, []byte(strings.ReplaceAll(shown.Out, `"priority":100`, `"priority":7`)), 0o600)).To(Succeed())
		Expect(p.eactl(ctx, "rules", "apply", "-f", again).Out).To(HavePrefix("0 created, 1 changed"))

		By("an event is delivered with them")
		p.Start(ctx, "ingester", ingester.Wire)
		p.Start(ctx, "rule-worker", ruleworker.Wire) // without any key
		p.Start(ctx, "action-dispatcher", dispatcher.Wire, withKeys(firstKey, ""))
		Expect(p.eactl(ctx, "publish", `{"type":"GUARDED","source":"spec"}`)).To(done)
		Eventually(ctx, func(g Gomega) {
			counts, err := p.Store.CountNotifications(ctx, store.NotificationFilter{})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(counts[notification.Delivered]).To(BeEquivalentTo(1))
		}).WithTimeout(20 * time.Second).Should(Succeed())
		Expect(receiver.Stats().BadSignatures).To(BeZero())
		call := receiver.Calls()[0]
		Expect(call.Header.Get("X-Key")).To(Equal(header))
		Expect(call.Header.Get("Authorization")).To(HavePrefix("Basic "))
		Expect(stored(ctx, p)).NotTo(inTheClear)
		var list struct {
			Items []struct {
				Action map[string]any `json:"action"`
			} `json:"items"`
		}
		Expect(p.call(ctx, http.MethodGet, "/api/v1/notifications", nil, &list)).To(Equal(http.StatusOK))
		Expect(fmt.Sprint(list)).To(And(ContainSubstring("********@"+receiver.Host), Not(inTheClear)))
	}, SpecTimeout(2*time.Minute))

	It("are encrypted anew by applying the rules once more, and an api without the key says so", func(ctx SpecContext) {
		p := start(ctx)
		file := filepath.Join(GinkgoT().TempDir(), "rules.json")
		Expect(os.WriteFile(file, fmt.Appendf(nil, `{"name":"guarded","conditions":{"type":"GUARDED"},"actions":[{"type":"WEBHOOK","config":{"url":"https://example.com/","headers":{"X-Key":%q},"secret":%q}}]}`, header, signing), 0o600)).To(Succeed())
		Expect(p.eactl(ctx, "rules", "apply", "-f", file)).To(done)
		Expect(stored(ctx, p)).To(inTheClear, "no key, no encryption")

		rules := func(through *product) string { // listed, and ready to be applied
			GinkgoHelper()
			s := through.eactl(ctx, "rules", "list", "-o", "json")
			Expect(s).To(done)
			Expect(s.Out).NotTo(Or(inTheClear, ContainSubstring("ea-sealed")))
			name := filepath.Join(GinkgoT().TempDir(), "listed.jsonl")
			Expect(os.WriteFile(name, []byte(s.Out), 0o600)).To(Succeed())
			return name
		}
		current := func() string {
			GinkgoHelper()
			all, err := p.Store.Rules(ctx, "", 1)
			Expect(err).NotTo(HaveOccurred())
			return all[0].Actions[0].Config.String()
		}
		first := p.another(ctx, withKeys(firstKey, ""))
		Expect(first.eactl(ctx, "rules", "apply", "-f", rules(first)).Out).To(HavePrefix("0 created, 1 changed"))
		Expect(current()).NotTo(inTheClear)

		second := p.another(ctx, withKeys(secondKey, firstKey))
		before := current()
		Expect(second.eactl(ctx, "rules", "apply", "-f", rules(second)).Out).To(HavePrefix("0 created, 1 changed"))
		Expect(second.eactl(ctx, "rules", "apply", "-f", rules(second)).Out).To(HaveSuffix(" 1 unchanged\n"))
		Expect(current()).NotTo(Equal(before))

		By("the first key alone does not open them any more")
		s := first.eactl(ctx, "rules", "apply", "-f", rules(first))
		Expect(s.Code).To(Equal(1))
		Expect(s.Err).To(ContainSubstring("EA_SECRET_KEY_OLD"))

		By("a value as it is stored is refused")
		var problem struct {
			Code string `json:"code"`
		}
		text := current()
		at := strings.Index(text, "ea-sealed:")
		stolen := text[at : at+strings.IndexByte(text[at:], '"')]
		Expect(second.call(ctx, http.MethodPost, "/api/v1/rules", map[string]any{
			"name": "thief", "conditions": map[string]any{"type": "A"},
			"actions": []any{map[string]any{"type": "WEBHOOK", "config": map[string]any{"url": "https://example.org/", "headers": map[string]any{"X-Key": stolen}}}},
		}, &problem)).To(Equal(http.StatusUnprocessableEntity))
		Expect(problem.Code).To(Equal("sealed_secret"))

		By("the way back: with the key as the old one alone they are stored in the clear again")
		back := p.another(ctx, withKeys("", secondKey))
		Expect(back.eactl(ctx, "rules", "apply", "-f", rules(back)).Out).To(HavePrefix("0 created, 1 changed"))
		Expect(current()).To(inTheClear)
	}, SpecTimeout(2*time.Minute))
})
