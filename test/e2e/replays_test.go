package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/creack/pty"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/ctl"
	"github.com/events-aggregator/events-aggregator/services/dispatcher"
	"github.com/events-aggregator/events-aggregator/services/ingester"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

var _ = Describe("replays", Ordered, func() {
	const events = 6
	var p *product
	var receiver *sink.Running
	var ruleID string
	type progress struct {
		Events, Matches, Made, Retried, Repeated, Held, Delivered int64
	}
	type shown struct {
		ID       string `json:"replay_id"`
		State    string
		Part     float64
		By       string `json:"created_by"`
		Progress progress
		LeftOut  struct {
			Count int
			Rules []struct{ Name string }
		} `json:"left_out"`
	}

	BeforeAll(func(ctx SpecContext) {
		p = start(ctx)
		var err error
		receiver, err = sink.Start("")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(receiver.Close)
		rule := func(name string, body map[string]any) string {
			GinkgoHelper()
			var r struct {
				ID string `json:"rule_id"`
			}
			body["name"], body["conditions"] = name, map[string]any{"type": "PAYMENT_FAILED"}
			Expect(p.call(ctx, http.MethodPost, "/api/v1/rules", body, &r)).To(Equal(http.StatusCreated))
			return r.ID
		}
		hook := map[string]any{"type": "WEBHOOK", "config": map[string]any{"url": receiver.URL + "/hook", "method": "POST"}}
		ruleID = rule("to the shop", map[string]any{"actions": []any{hook}})
		rule("windowed", map[string]any{"actions": []any{hook}, "window": map[string]any{"kind": "frequency", "timeframe": "1m", "num_events": 1000}})
		rule("off", map[string]any{"actions": []any{hook}, "enabled": false})
		p.Start(ctx, "ingester", ingester.Wire)
		p.Start(ctx, "rule-worker", ruleworker.Wire)
		p.Start(ctx, "action-dispatcher", dispatcher.Wire)
		for i := range events {
			p.Publish(ctx, broker.Message{RoutingKey: "events.payment.failed", ContentType: "application/json",
				Body: fmt.Appendf(nil, `{"type":"PAYMENT_FAILED","source":"shop","severity":5,"timestamp":%q,"payload":{"n":%d}}`, time.Now().UTC().Format(time.RFC3339Nano), i)})
		}
		Eventually(ctx, receiver.IDs).WithTimeout(30 * time.Second).Should(HaveLen(events))
		Eventually(ctx, func() (map[notification.Status]int64, error) {
			return p.Store.CountNotifications(ctx, store.NotificationFilter{})
		}).WithTimeout(20 * time.Second).Should(HaveKeyWithValue(notification.Delivered, BeEquivalentTo(events)))
	}, NodeTimeout(2*time.Minute))

	over := func(ctx SpecContext, id string) shown {
		GinkgoHelper()
		var s shown
		Eventually(ctx, func() string {
			Expect(p.call(ctx, http.MethodGet, "/api/v1/replays/"+id, nil, &s)).To(Equal(http.StatusOK))
			return s.State
		}).WithTimeout(30 * time.Second).Should(Equal("done"))
		return s
	}

	It("leave alone what was delivered, and call it once more, under its own id, when that is asked for", func(ctx SpecContext) {
		var s shown
		from := time.Now().UTC().Add(-time.Hour)
		Expect(p.call(ctx, http.MethodPost, "/api/v1/replays", map[string]any{"from": from, "condition": map[string]any{"payload.n": map[string]any{"$lt": 4}}}, &s)).To(Equal(http.StatusCreated))
		Expect(s.State).To(Equal("waiting"))
		Expect(s.LeftOut.Count).To(Equal(1))
		Expect(s.LeftOut.Rules).To(ConsistOf(HaveField("Name", "windowed")))
		Expect(over(ctx, s.ID).Progress).To(Equal(progress{Events: 4, Matches: 4, Delivered: 4}))
		Expect(p.call(ctx, http.MethodPost, "/api/v1/replays", map[string]any{"from": from, "rules": []string{ruleID}, "skip_delivered": false}, &s)).To(Equal(http.StatusCreated))
		s = over(ctx, s.ID)
		Expect(s).To(And(HaveField("By", "admin@localhost"), HaveField("Part", 1.0), HaveField("LeftOut.Count", 0)))
		Expect(s.Progress).To(And(HaveField("Matches", BeEquivalentTo(events)), HaveField("Repeated", BeEquivalentTo(events))))
		Eventually(ctx, func() int { return receiver.Stats().AcceptedAgain }).WithTimeout(20 * time.Second).Should(Equal(events))
		Expect(receiver.IDs()).To(HaveLen(events), "under the same webhook-ids")
	}, SpecTimeout(2*time.Minute))

	It("are started, followed, listed and stopped by eactl", func(ctx SpecContext) {
		dry := p.eactl(ctx, "replay", "start", "--last", "1h", "--filter", `{"type":"PAYMENT_FAILED"}`, "--rule", "to the shop", "--dry-run")
		Expect(dry).To(done)
		Expect(dry.Out).To(And(HavePrefix("dry run "), ContainSubstring("6 events, 6 matches: 0 made"), ContainSubstring("6 delivered, 0 under way"), ContainSubstring("to the shop")))
		followed := p.eactl(ctx, "replay", "start", "--last", "1h", "--filter", `{"type":"USER_LOGIN"}`, "--follow", "-o", "json")
		Expect(followed.Code).To(Equal(3), "nothing matched")
		Expect(followed.lines()[0]).To(HaveKeyWithValue("state", "done"))

		// Slow enough to be stopped: a call a second.
		started := p.eactl(ctx, "replay", "start", "--last", "1h", "--skip-delivered=false", "--rate", "1", "-o", "json")
		Expect(started).To(done)
		id := started.lines()[0]["replay_id"].(string)
		Expect(p.eactl(ctx, "replay", "pause", id).Out).To(Equal(id + " is paused\n"))
		Expect(p.eactl(ctx, "replay", "pause", id).Code).To(Equal(1))
		Expect(p.eactl(ctx, "replay", "list", "--state", "paused").Out).To(ContainSubstring(id))
		Expect(p.eactl(ctx, "replay", "resume", id, "-o", "json").lines()[0]).To(HaveKeyWithValue("state", "waiting"))
		Expect(p.eactl(ctx, "replay", "cancel", id).Out).To(ContainSubstring("cancelled"))
		shown := p.eactl(ctx, "replay", "show", id)
		Expect(shown).To(done)
		Expect(shown.Out).To(And(ContainSubstring("is cancelled"), ContainSubstring(`left out, since windows are about many events: "windowed" (`)))
		Expect(p.eactl(ctx, "replay", "show", id, "--follow").Code).To(Equal(1))
		Expect(p.eactl(ctx, "replay", "list", "-o", "json").lines()).To(HaveLen(5))
		Expect(p.eactl(ctx, "replay", "show", "none").Code).To(Equal(3))
		audits, err := p.Store.FindAudit(ctx, store.AuditFilter{Subject: id}, nil, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(audits).To(HaveEach(HaveField("By", "admin@localhost")))
		Expect(audits).To(HaveLen(4))
	}, SpecTimeout(2*time.Minute))

	It("show a bar on a terminal while they are followed", func(ctx SpecContext) {
		master, slave, err := pty.Open()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { _ = master.Close() })
		Expect(pty.Setsize(slave, &pty.Winsize{Rows: 24, Cols: 120})).To(Succeed())
		screen := make(chan string, 1)
		go func() {
			text, _ := io.ReadAll(master) // ends with the slave, by an error
			screen <- string(text)
		}()
		var out bytes.Buffer
		code := ctl.Run(ctx, []string{"replay", "start", "--last", "1h", "--filter", `{"type":"PAYMENT_FAILED"}`, "--follow"}, p.environ(), &out, slave)
		Expect(slave.Close()).To(Succeed())
		Expect(code).To(BeZero())
		Expect(out.String()).To(ContainSubstring("is done, 100 %"))
		var text string
		Eventually(ctx, screen).Should(Receive(&text))
		Expect(text).To(ContainSubstring("to be sent"))
	}, SpecTimeout(time.Minute))

	It("are refused with every mistake at its place", func(ctx SpecContext) {
		var answer struct {
			Code   string
			Errors []struct{ Pointer, Message string }
		}
		var rules struct {
			Items []struct {
				ID   string `json:"rule_id"`
				Name string
			}
		}
		Expect(p.call(ctx, http.MethodGet, "/api/v1/rules", nil, &rules)).To(Equal(http.StatusOK))
		byName := map[string]string{}
		for _, r := range rules.Items {
			byName[r.Name] = r.ID
		}
		Expect(p.call(ctx, http.MethodPost, "/api/v1/replays", map[string]any{"from": time.Now().Add(-time.Hour), "rate": -1,
			"rules": []string{byName["windowed"], byName["off"], "none", ruleID, ruleID}}, &answer)).To(Equal(http.StatusUnprocessableEntity))
		Expect(answer.Code).To(Equal("invalid_replay"))
		Expect(answer.Errors).To(ConsistOf(HaveField("Pointer", "/rate"),
			And(HaveField("Pointer", "/rules/0"), HaveField("Message", ContainSubstring("frequency window"))), And(HaveField("Pointer", "/rules/1"), HaveField("Message", ContainSubstring("disabled"))),
			HaveField("Pointer", "/rules/2"), And(HaveField("Pointer", "/rules/4"), HaveField("Message", "is there twice"))))
		for _, args := range [][]string{{"start"}, {"start", "--last", "1h", "--from", "2026-03-01T00:00:00Z"}, {"start", "--from", "yesterday"},
			{"start", "--last", "1h", "--filter", "{"}, {"start", "--last", "1h", "--rule", "windowed"}, {"start", "--last", "1h", "--filter", `{"a":{"$where":1}}`}, {"show"}, {}} {
			Expect(p.eactl(ctx, append([]string{"replay"}, args...)...).Code).To(Equal(2), strings.Join(args, " "))
		}
		Expect(p.eactl(ctx, "replay", "start", "--last", "1h", "--rule", "no such rule").Code).To(Equal(3))
	}, SpecTimeout(time.Minute))

	It("of dead letters give their events to another rule", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Status: http.StatusNotFound})
		p.Publish(ctx, broker.Message{RoutingKey: "events.payment.failed", ContentType: "application/json",
			Body: fmt.Appendf(nil, `{"type":"PAYMENT_FAILED","source":"shop","timestamp":%q}`, time.Now().UTC().Format(time.RFC3339Nano))})
		Eventually(ctx, func() int { return p.Depth(ctx, topology.WebhooksDefault+".dead") }).WithTimeout(30 * time.Second).Should(Equal(1))
		receiver.SetFaults(sink.Faults{})
		for name, code := range map[string]int{"windowed": 2, "off": 2, "none": 3} {
			Expect(p.eactl(ctx, "dlq", "replay", "webhooks.default", "--to-rule", name).Code).To(Equal(code), name)
		}
		Expect(p.eactl(ctx, "dlq", "replay", "ingester.events", "--to-rule", "to the shop").Err).To(ContainSubstring("never stored"))
		var r struct {
			ID string `json:"rule_id"`
		}
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules", map[string]any{"name": "to the log", "conditions": map[string]any{"type": "PAYMENT_FAILED"},
			"actions": []any{map[string]any{"type": "LOG", "config": map[string]any{"level": "info", "message": "m"}}}}, &r)).To(Equal(http.StatusCreated))
		var answer struct{ Replayed int }
		Expect(p.call(ctx, http.MethodPost, "/api/v1/dead-letters/replay", map[string]any{"queue": "webhooks.default", "to_rule": "none"}, nil)).To(Equal(http.StatusUnprocessableEntity))
		Expect(p.call(ctx, http.MethodPost, "/api/v1/dead-letters/replay", map[string]any{"queue": "webhooks.default", "to_rule": r.ID, "dry_run": true}, &answer)).To(Equal(http.StatusOK))
		given := p.eactl(ctx, "dlq", "replay", "webhooks.default", "--to-rule", "to the log", "-o", "json")
		Expect(given).To(done)
		Expect(given.each("replayed")).To(Equal([]any{true}))
		Eventually(ctx, func() ([]notification.Notification, error) {
			return p.Store.FindNotifications(ctx, store.NotificationFilter{RuleID: r.ID, Status: notification.Delivered}, nil, 10)
		}).WithTimeout(20 * time.Second).Should(ConsistOf(HaveField("ReplayID", Not(BeEmpty()))))
		Expect(p.Depth(ctx, topology.WebhooksDefault+".dead")).To(BeZero())
		var made struct {
			Items []struct {
				ReplayID string `json:"replay_id"`
			}
		}
		Expect(p.call(ctx, http.MethodGet, "/api/v1/notifications?rule="+r.ID, nil, &made)).To(Equal(http.StatusOK))
		Expect(p.call(ctx, http.MethodGet, "/api/v1/notifications?replay="+made.Items[0].ReplayID, nil, &made)).To(Equal(http.StatusOK))
		Expect(made.Items).To(HaveLen(1))
	}, SpecTimeout(2*time.Minute))
})
