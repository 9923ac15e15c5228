package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/dispatcher"
	"github.com/events-aggregator/events-aggregator/test/support/contract"
)

// change is a request that changes something, once what it needs is there.
type change struct {
	target string // instead of the operation's path
	body   any    // a list of rules leaves an entry of each
}

// changes are requests that change something, by operation.
func (p *product) changes(ctx context.Context) map[string]func() change {
	made := 0
	name := func() string { made++; return fmt.Sprintf("made-%d", made) }
	log := []any{object{"type": "LOG", "config": object{"level": "info", "message": "m"}}}
	rule := func() object {
		return object{"name": name(), "conditions": object{"type": "PAYMENT_FAILED"}, "actions": log}
	}
	at := func(path string, body any) func() change { return func() change { return change{path, body} } }
	saved := func(more string, body any) func() change {
		return func() change { return change{"/api/v1/rules/" + p.save(ctx, rule()) + more, body} }
	}
	id := func(path string, body any, field string) string {
		GinkgoHelper()
		var answer map[string]any
		Expect(p.call(ctx, http.MethodPost, path, body, &answer)).To(Equal(http.StatusCreated), "%v", answer)
		return answer[field].(string)
	}
	owed := func(status notification.Status, next *time.Time) string {
		GinkgoHelper()
		now := time.Now().UTC().Truncate(time.Millisecond)
		n := notification.Notification{ID: "ntf_" + uuid.NewString(), EventID: uuid.NewString(), RuleID: "r", RuleVersion: 1, RuleName: "r",
			Action: notification.Action{Type: "LOG"}, Queue: topology.NotificationsDefault, Status: status, NextAttemptAt: next,
			Attempts: []notification.Attempt{}, CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(time.Hour)}
		Expect(p.Store.InsertNotification(ctx, n)).To(Succeed())
		return "/api/v1/notifications/" + n.ID
	}
	silence := func(more string) func() change {
		return func() change {
			return change{"/api/v1/silences/" + id("/api/v1/silences", object{"condition": object{}, "for": "1h", "comment": "c"}, "silence_id") + more, nil}
		}
	}
	endpoint := func(enable bool, more string) func() change {
		return func() change {
			target := "endpoint:" + name()
			Expect(p.Store.DisableTarget(ctx, target, "host", "why", "spec", time.Now(), nil)).To(Succeed())
			if enable {
				Expect(p.call(ctx, http.MethodPost, "/api/v1/targets/"+target+"/enable", nil, nil)).To(Equal(http.StatusOK))
			}
			return change{"/api/v1/targets/" + url.PathEscape(target) + more, nil}
		}
	}
	replay := func(before, more string) func() change {
		return func() change {
			path := "/api/v1/replays/" + id("/api/v1/replays", object{"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}, "replay_id")
			if before != "" {
				Expect(p.call(ctx, http.MethodPost, path+before, nil, nil)).To(Equal(http.StatusOK))
			}
			return change{path + more, nil}
		}
	}
	template := func() string {
		GinkgoHelper()
		path := "/api/v1/templates/" + name()
		Expect(p.call(ctx, http.MethodPut, path, object{"subject": "s", "text": "t"}, nil)).To(Equal(http.StatusCreated))
		return path
	}
	someone := func() string {
		return "/api/v1/users/" + id("/api/v1/users", object{"email": name() + "@example.com"}, "user_id")
	}
	key := func() string { return "/api/v1/api-keys/" + id("/api/v1/api-keys", object{"name": name()}, "id") }
	return map[string]func() change{
		"createRule":  func() change { return change{"", rule()} },
		"importRules": func() change { return change{"", []any{rule(), rule()}} },
		"replaceRule": func() change { return saved("", rule())() },
		"patchRule":   saved("", object{"description": "other"}),
		"deleteRule":  saved("", nil),
		"rollBackRule": func() change {
			path := saved("", nil)().target
			Expect(p.call(ctx, http.MethodPatch, path, object{"description": "other"}, nil)).To(Equal(http.StatusOK))
			return change{path + "/rollback", object{"version": 1}}
		},
		"tryAction": func() change {
			p.Start(ctx, "action-dispatcher", dispatcher.Wire) // the answer waits for the attempt
			e := p.keep(ctx, object{"type": "PAYMENT_FAILED", "source": "shop"}).Events[0].Lookup("event_id").StringValue()
			return saved("/actions/0/try?event_id="+e, nil)()
		},
		"retryNotification": func() change { return change{owed(notification.Dead, nil) + "/retry", nil} },
		"cancelNotification": func() change {
			soon := time.Now().Add(time.Hour)
			return change{owed(notification.Pending, &soon) + "/cancel", nil}
		},
		"retryNotifications": func() change { owed(notification.Dead, nil); return change{"", object{"status": "dead"}} },
		"putTemplate":        func() change { return change{"/api/v1/templates/" + name(), object{"subject": "s", "text": "t"}} },
		"deleteTemplate":     func() change { return change{template(), nil} },
		"createSilence":      at("", object{"condition": object{}, "for": "1h", "comment": "c"}),
		"deleteSilence":      silence(""),
		"expireSilence":      silence("/expire"),
		"enableTarget":       endpoint(false, "/enable"),
		"disableTarget":      endpoint(true, "/disable"),
		"createReplay":       at("", object{"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}),
		"pauseReplay":        replay("", "/pause"),
		"resumeReplay":       replay("/pause", "/resume"),
		"cancelReplay":       replay("", "/cancel"),
		"replayDeadLetters": func() change {
			p.DeadByBroker(ctx, topology.Ingest, broker.Message{Exchange: p.Topology.Exchange(topology.ExchangeEvents), RoutingKey: "events.x", Body: []byte("{")})
			return change{"", object{"queue": topology.Ingest}}
		},
		"createUser": func() change { return change{"", object{"email": name() + "@example.com"}} },
		"patchUser":  func() change { return change{someone(), object{"name": "other"}} },
		"deleteUser": func() change { return change{someone(), nil} },
		"patchMe":    func() change { return change{"", object{"name": name()}} },
		"createKey":  at("", object{"name": "k"}),
		"rotateKey":  func() change { return change{key() + "/rotate", nil} },
		"revokeKey":  func() change { return change{key(), nil} },
	}
}

var _ = Describe("the audit", func() {
	It("has one entry of each change through the API, and none of what was refused", func(ctx SpecContext) {
		d, err := contract.Load()
		Expect(err).NotTo(HaveOccurred())
		p := start(ctx, unlimited)
		plain := p.plainUser(ctx)
		entries := func() []store.Audit {
			GinkgoHelper()
			found, err := p.Store.FindAudit(ctx, store.AuditFilter{}, nil, 10_000)
			Expect(err).NotTo(HaveOccurred())
			return found
		}
		cases := p.changes(ctx)
		for _, o := range d.Operations {
			if o.Audit == "" {
				continue
			}
			prepare, known := cases[o.ID]
			Expect(known).To(BeTrue(), "%s has no case here", o.ID)
			c := prepare()
			if c.target == "" {
				c.target = o.Path
			}
			before := len(entries())
			for _, key := range []string{"", "ea_wrong-key-0123456789", plain} {
				if key == plain && o.Role != "admin" {
					continue
				}
				Expect(p.as(ctx, key, o.Method, c.target, c.body, nil)).To(BeNumerically(">=", http.StatusUnauthorized), "%s %s", o.ID, key)
			}
			if o.Body != nil {
				Expect(p.call(ctx, o.Method, c.target, object{"nonsense": 1}, nil)).To(BeNumerically(">=", http.StatusBadRequest), o.ID)
			}
			if o.Takes("If-Match") {
				body, _ := c.body.(object)
				Expect(p.withMatch(ctx, o.Method, c.target, `"none"`, body)).To(Equal(http.StatusPreconditionFailed), o.ID)
			}
			Expect(entries()).To(HaveLen(before), "%s was refused", o.ID)

			Expect(p.call(ctx, o.Method, c.target, c.body, nil)).To(BeNumerically("<", http.StatusMultipleChoices), o.ID)
			now := entries()
			left := 1
			if rules, several := c.body.([]any); several {
				left = len(rules)
			}
			Expect(now).To(HaveLen(before+left), o.ID)
			for _, entry := range now[:left] {
				Expect(entry.Action).To(Equal(o.Audit), o.ID)
				Expect(entry.By).To(Equal("admin@localhost"), o.ID)
				Expect(entry.RequestID).To(And(Not(BeEmpty()), Equal(now[0].RequestID)), o.ID)
			}
		}
	}, SpecTimeout(2*time.Minute))

	It("is filtered and paged, and shows rules before and after with their secrets masked", func(ctx SpecContext) {
		p := start(ctx)
		rule := object{"name": "hook", "conditions": object{"type": "A_TYPE"},
			"actions": []any{object{"type": "WEBHOOK", "config": object{"url": "https://example.com/hook", "secret": "a secret of sixteen or more"}}}}
		id := p.save(ctx, rule)
		Expect(p.call(ctx, http.MethodPatch, "/api/v1/rules/"+id, object{"description": "new"}, nil)).To(Equal(http.StatusOK))
		Expect(p.call(ctx, http.MethodDelete, "/api/v1/rules/"+id, nil, nil)).To(Equal(http.StatusNoContent))
		var page struct {
			Items []struct {
				Action, By    string
				Before, After map[string]any
			}
			Next string `json:"next_cursor"`
		}
		list := func(query string) int {
			GinkgoHelper()
			page.Items, page.Next = nil, ""
			Expect(p.call(ctx, http.MethodGet, "/api/v1/audit?"+query, nil, &page)).To(Equal(http.StatusOK))
			return len(page.Items)
		}
		Expect(list("subject=" + id)).To(Equal(3))
		deleted, patched, created := page.Items[0], page.Items[1], page.Items[2]
		Expect(deleted.Action).To(Equal("rule.delete"))
		Expect(deleted.Before).To(HaveKeyWithValue("description", "new"))
		Expect(deleted.After).To(BeNil())
		Expect(patched.Before).NotTo(HaveKey("description"))
		Expect(patched.After).To(HaveKeyWithValue("description", "new"))
		Expect(created.Before).To(BeNil())
		Expect(fmt.Sprint(page)).To(And(ContainSubstring("********"), Not(ContainSubstring("sixteen"))))

		Expect(list("kind=rule&limit=2")).To(Equal(2))
		Expect(list("kind=rule&limit=2&cursor=" + page.Next)).To(Equal(1))
		Expect(page.Items[0].Action).To(Equal("rule.create"))
		Expect(list("action=rule.delete")).To(Equal(1))
		Expect(list("by=admin@localhost&kind=rule")).To(Equal(3))
		Expect(list("by=nobody@example.com")).To(BeZero())

		rule["name"], rule["description"] = "another", "new"
		made := p.save(ctx, rule)
		rule["description"] = "newer"
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules/import", []any{rule}, nil)).To(Equal(http.StatusOK))
		Expect(list("kind=rule&subject="+made)).To(Equal(2), "an import is a change of each of its rules")
		Expect(page.Items[0].Action).To(Equal("rule.import"))
		Expect(page.Items[0].Before).To(HaveKeyWithValue("description", "new"))
		Expect(page.Items[0].After).To(And(HaveKeyWithValue("description", "newer"), HaveKeyWithValue("version", BeEquivalentTo(2))))
		Expect(fmt.Sprint(page)).To(And(ContainSubstring("********"), Not(ContainSubstring("sixteen"))))
		Expect(list("to=" + url.QueryEscape(time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)))).To(BeZero())
	}, SpecTimeout(time.Minute))
})
