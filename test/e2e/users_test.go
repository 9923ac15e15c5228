package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

// madeKey is the answer that shows a key.
type madeKey struct {
	ID     string     `json:"id"`
	Key    string     `json:"api_key"`
	Ends   *time.Time `json:"expires_at"`
	UserID string     `json:"user_id"`
}

// as makes a request with a key and decodes the answer.
func (p *product) as(ctx context.Context, key, method, path string, body, result any) int {
	GinkgoHelper()
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		Expect(err).NotTo(HaveOccurred())
		reader = strings.NewReader(string(text))
	}
	return p.request(ctx, method, path, key, reader, result)
}

// header makes a request and returns the answer's header.
func (p *product) header(ctx context.Context, method, path string, sent http.Header) (int, http.Header) {
	GinkgoHelper()
	r, err := http.NewRequestWithContext(ctx, method, p.base+path, nil)
	Expect(err).NotTo(HaveOccurred())
	r.Header = sent
	answer, err := http.DefaultClient.Do(r)
	Expect(err).NotTo(HaveOccurred())
	Expect(answer.Body.Close()).To(Succeed())
	return answer.StatusCode, answer.Header
}

func bearer(key string) http.Header { return http.Header{"Authorization": {"Bearer " + key}} }

var _ = Describe("users", Ordered, func() {
	var p *product
	BeforeAll(func(ctx SpecContext) { p = start(ctx) }, NodeTimeout(time.Minute))

	It("are made by an admin, see their key once, and change what is theirs alone", func(ctx SpecContext) {
		var u struct {
			ID, Role, Name string
			UserID         string `json:"user_id"`
			Version        int
			APIKey         string `json:"api_key"`
			Preferences    struct {
				Types []string `json:"event_types"`
			}
		}
		Expect(p.call(ctx, http.MethodPost, "/api/v1/users", object{"email": "Ann@Example.com", "key": object{"name": "first"}}, &u)).To(Equal(http.StatusCreated))
		Expect(u.Role).To(Equal("user"))
		key, path := u.APIKey, "/api/v1/users/"+u.UserID
		Expect(p.as(ctx, key, http.MethodGet, "/api/v1/users/me", nil, &u)).To(Equal(http.StatusOK))
		var text json.RawMessage
		Expect(p.call(ctx, http.MethodGet, "/api/v1/users?email=ann@example.com", nil, &text)).To(Equal(http.StatusOK))
		Expect(string(text)).To(And(ContainSubstring(u.UserID), ContainSubstring(`"name":"first"`), Not(ContainSubstring(key)), Not(ContainSubstring("hash"))))
		Expect(p.call(ctx, http.MethodPost, "/api/v1/users", object{"email": "ann@example.com"}, nil)).To(Equal(http.StatusConflict))

		var wrong refusal
		Expect(p.as(ctx, key, http.MethodPatch, "/api/v1/users/me", object{"role": "admin"}, &wrong)).To(Equal(http.StatusBadRequest))
		Expect(p.as(ctx, key, http.MethodPatch, "/api/v1/users/me", object{"preferences": object{"notification_channels": []string{"pager"}, "event_types": []string{"x"}}}, &wrong)).To(Equal(http.StatusUnprocessableEntity))
		Expect(wrong.places()).To(ConsistOf("/preferences/notification_channels/0", "/preferences/event_types/0"))
		Expect(p.as(ctx, key, http.MethodPatch, "/api/v1/users/me", object{"name": "Ann", "preferences": object{"event_types": []string{"A_TYPE"}}}, &u)).To(Equal(http.StatusOK))
		Expect(u.Name).To(Equal("Ann"))
		Expect(u.Preferences.Types).To(Equal([]string{"A_TYPE"}))
		for _, admins := range []string{"/api/v1/users", path, "/api/v1/audit"} {
			Expect(p.as(ctx, key, http.MethodGet, admins, nil, nil)).To(Equal(http.StatusForbidden))
		}

		match := func(method, tag string, body object) int { return p.withMatch(ctx, method, path, tag, body) }
		Expect(match(http.MethodPatch, `"1"`, object{"role": "admin"})).To(Equal(http.StatusPreconditionFailed))
		Expect(match(http.MethodPatch, `"2"`, object{"role": "admin"})).To(Equal(http.StatusOK))
		Expect(p.as(ctx, key, http.MethodGet, path, nil, nil)).To(Equal(http.StatusOK), "an admin now")
		Expect(match(http.MethodDelete, `"2"`, nil)).To(Equal(http.StatusPreconditionFailed))
		Expect(match(http.MethodDelete, `"3"`, nil)).To(Equal(http.StatusNoContent))
		Expect(p.as(ctx, key, http.MethodGet, "/api/v1/users/me", nil, nil)).To(Equal(http.StatusUnauthorized))

		var me struct {
			UserID string `json:"user_id"`
		}
		Expect(p.call(ctx, http.MethodGet, "/api/v1/users/me", nil, &me)).To(Equal(http.StatusOK))
		for _, last := range []func() int{
			func() int { return p.call(ctx, http.MethodDelete, "/api/v1/users/"+me.UserID, nil, &wrong) },
			func() int {
				return p.call(ctx, http.MethodPatch, "/api/v1/users/"+me.UserID, object{"role": "user"}, &wrong)
			},
		} {
			Expect(last()).To(Equal(http.StatusConflict))
			Expect(wrong.Code).To(Equal("last_admin"))
		}
	}, SpecTimeout(time.Minute))

	It("have keys that are made, rotated and revoked, and that no other user can touch", func(ctx SpecContext) {
		ann, bob := p.newUser(ctx, "ann@example.com"), p.newUser(ctx, "bob@example.com")
		var made, next madeKey
		var wrong refusal
		Expect(p.as(ctx, ann.Key, http.MethodPost, "/api/v1/api-keys", object{"name": "deploy", "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}, &made)).To(Equal(http.StatusCreated))
		Expect(p.as(ctx, made.Key, http.MethodGet, "/api/v1/api-keys", nil, nil)).To(Equal(http.StatusOK))
		Expect(p.as(ctx, ann.Key, http.MethodPost, "/api/v1/api-keys", object{"expires_at": "2020-01-01T00:00:00Z"}, &wrong)).To(Equal(http.StatusUnprocessableEntity))
		Expect(wrong.places()).To(Equal([]string{"/expires_at"}))
		for _, id := range []string{made.ID, "none"} {
			Expect(p.as(ctx, bob.Key, http.MethodDelete, "/api/v1/api-keys/"+id, nil, nil)).To(Equal(http.StatusNotFound))
			Expect(p.as(ctx, bob.Key, http.MethodPost, "/api/v1/api-keys/"+id+"/rotate", nil, nil)).To(Equal(http.StatusNotFound))
		}
		Expect(p.as(ctx, bob.Key, http.MethodGet, "/api/v1/api-keys?user="+ann.UserID, nil, nil)).To(Equal(http.StatusForbidden))
		Expect(p.as(ctx, bob.Key, http.MethodPost, "/api/v1/api-keys", object{"user_id": ann.UserID}, nil)).To(Equal(http.StatusForbidden))
		Expect(p.call(ctx, http.MethodPost, "/api/v1/api-keys", object{"user_id": ann.UserID}, nil)).To(Equal(http.StatusCreated), "an admin may")

		Expect(p.as(ctx, ann.Key, http.MethodPost, "/api/v1/api-keys/"+made.ID+"/rotate", object{"overlap": "1h"}, &next)).To(Equal(http.StatusCreated))
		Expect(next.Ends).NotTo(BeNil(), "it lives as long as the old one did")
		for _, k := range []string{made.Key, next.Key} {
			Expect(p.as(ctx, k, http.MethodGet, "/api/v1/users/me", nil, nil)).To(Equal(http.StatusOK), "both work")
		}
		Expect(p.as(ctx, next.Key, http.MethodPost, "/api/v1/api-keys/"+next.ID+"/rotate", object{"overlap": "0s"}, &made)).To(Equal(http.StatusCreated))
		Expect(p.as(ctx, next.Key, http.MethodGet, "/api/v1/users/me", nil, &wrong)).To(Equal(http.StatusUnauthorized))
		Expect(wrong.Code).To(Equal("expired_key"))
		Expect(p.as(ctx, made.Key, http.MethodDelete, "/api/v1/api-keys/"+made.ID, nil, nil)).To(Equal(http.StatusNoContent))
		Expect(p.as(ctx, made.Key, http.MethodGet, "/api/v1/users/me", nil, nil)).To(Equal(http.StatusUnauthorized))
		for _, bad := range []string{"-1s", "31d", "soon"} {
			Expect(p.as(ctx, ann.Key, http.MethodPost, "/api/v1/api-keys/"+made.ID+"/rotate", object{"overlap": bad}, nil)).To(Equal(http.StatusUnprocessableEntity), bad)
		}
	}, SpecTimeout(time.Minute))

	It("stop at once in every process when they are deleted, and so do their streams", func(ctx SpecContext) {
		other := p.another(ctx)
		carl := p.newUser(ctx, "carl@example.com")
		Expect(other.as(ctx, carl.Key, http.MethodGet, "/api/v1/users/me", nil, nil)).To(Equal(http.StatusOK), "the other process knows the key")
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, other.base+"/api/v1/stream/events", nil)
		Expect(err).NotTo(HaveOccurred())
		r.Header = bearer(carl.Key)
		stream, err := http.DefaultClient.Do(r)
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = stream.Body.Close() }()
		Expect(stream.StatusCode).To(Equal(http.StatusOK))
		ended := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, stream.Body)
			ended <- err
		}()

		Expect(p.call(ctx, http.MethodDelete, "/api/v1/users/"+carl.UserID, nil, nil)).To(Equal(http.StatusNoContent))
		Expect(p.as(ctx, carl.Key, http.MethodGet, "/api/v1/users/me", nil, nil)).To(Equal(http.StatusUnauthorized), "here at once")
		Eventually(ctx, func() int { return other.as(ctx, carl.Key, http.MethodGet, "/api/v1/users/me", nil, nil) }).WithTimeout(4 * time.Second).Should(Equal(http.StatusUnauthorized))
		Eventually(ctx, ended).WithTimeout(10 * time.Second).Should(Receive(BeNil()))
	}, SpecTimeout(time.Minute))

	It("are kept by eactl, the first one without a key", func(ctx SpecContext) {
		created := p.eactlWith(ctx, []string{"EA_API_KEY="}, "users", "create", "--email", "first@example.com", "--role", "admin")
		Expect(created).To(done, created.Err)
		first := "EA_API_KEY=" + strings.TrimSpace(created.Out)
		run := func(args ...string) said {
			GinkgoHelper()
			s := p.eactlWith(ctx, []string{first}, args...)
			Expect(s).To(done, "%v: %s", args, s.Err)
			return s
		}
		key := strings.TrimSpace(run("users", "create", "--email", "dora@example.com").Out)
		Expect(key).To(HavePrefix("ea_"))
		Expect(run("users", "list", "--role", "user").Out).To(And(ContainSubstring("dora@example.com"), Not(ContainSubstring("first@example.com"))))
		Expect(run("users", "update", "dora@example.com", "--name", "Dora", "--event-type", "A_TYPE").Out).To(ContainSubstring("version 2"))
		Expect(run("users", "get", "dora@example.com", "-o", "json").lines()[0]).To(HaveKeyWithValue("name", "Dora"))
		rotated := strings.TrimSpace(run("users", "rotate-key", "dora@example.com", "--overlap", "0s").Out)
		Expect(p.eactlWith(ctx, []string{"EA_API_KEY=" + key}, "users", "get", "me").Code).To(Equal(1))
		Expect(p.eactlWith(ctx, []string{"EA_API_KEY=" + rotated}, "users", "get", "me")).To(done)
		Expect(p.eactlWith(ctx, []string{"EA_API_KEY=" + rotated}, "users", "list").Code).To(Equal(1), "no admin")
		Expect(strings.TrimSpace(run("keys", "create", "--name", "laptop", "--expires", "90d").Out)).To(HavePrefix("ea_"))
		keys := run("keys", "list", "-o", "json").lines()
		Expect(keys).To(HaveLen(2))
		run("keys", "revoke", keys[1]["id"].(string))
		run("users", "delete", "dora@example.com")
		Expect(p.eactlWith(ctx, []string{first}, "users", "get", "dora@example.com").Code).To(Equal(3))
		entries := run("audit", "--kind", "user", "-o", "json").lines()
		Expect(entries[0]).To(And(HaveKeyWithValue("action", "user.delete"), HaveKeyWithValue("by", "first@example.com"), HaveKey("before"), Not(HaveKey("after")), HaveKey("request_id")))
		Expect(entries[1]).To(And(HaveKeyWithValue("action", "user.update"), HaveKeyWithValue("after", HaveKeyWithValue("name", "Dora"))))
	}, SpecTimeout(time.Minute))
})

// newUser makes one without the role admin.
func (p *product) newUser(ctx context.Context, email string) (k struct {
	UserID string `json:"user_id"`
	Key    string `json:"api_key"`
}) {
	GinkgoHelper()
	Expect(p.call(ctx, http.MethodPost, "/api/v1/users", object{"email": email, "key": object{}}, &k)).To(Equal(http.StatusCreated))
	return k
}

var _ = Describe("limits", Ordered, func() {
	var all *product
	BeforeAll(func(ctx SpecContext) { all = start(ctx) }, NodeTimeout(time.Minute))

	It("are told of each key by the standard headers, and a key beyond them waits alone", func(ctx SpecContext) {
		p := all.another(ctx, func(c *config.Config) { c.API.RateLimit, c.API.RateBurst = 1, 5 })
		status, h := p.header(ctx, http.MethodGet, "/api/v1/users/me", bearer(adminKey))
		Expect(status).To(Equal(http.StatusOK))
		Expect(h).To(And(HaveKeyWithValue("Ratelimit-Limit", []string{"5"}), HaveKeyWithValue("Ratelimit-Remaining", []string{"4"}), HaveKeyWithValue("Ratelimit-Reset", []string{"1"})))
		ann := p.newUser(ctx, "ann@example.com")
		Eventually(ctx, func(g Gomega) {
			status, h := p.header(ctx, http.MethodGet, "/api/v1/users/me", bearer(adminKey))
			g.Expect(status).To(Equal(http.StatusTooManyRequests))
			g.Expect(h).To(And(HaveKeyWithValue("Ratelimit-Remaining", []string{"0"}), HaveKeyWithValue("Retry-After", []string{"1"})))
		}).Should(Succeed())
		Expect(p.as(ctx, ann.Key, http.MethodGet, "/api/v1/users/me", nil, nil)).To(Equal(http.StatusOK))
	}, SpecTimeout(time.Minute))

	It("stop an address that sends wrong keys, and none that is in", func(ctx SpecContext) {
		p := all.another(ctx, func(c *config.Config) {
			c.API.WrongKeysPerMinute = 3
			c.API.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		})
		from := func(address, key string) int {
			GinkgoHelper()
			sent := bearer(key)
			sent.Set("X-Forwarded-For", address)
			status, h := p.header(ctx, http.MethodGet, "/api/v1/users/me", sent)
			if status == http.StatusTooManyRequests {
				Expect(h.Get("Retry-After")).NotTo(BeEmpty())
			}
			return status
		}
		Expect(from("192.0.2.1", adminKey)).To(Equal(http.StatusOK))
		for _, expected := range []int{401, 401, 401, 429, 429} {
			Expect(from("192.0.2.1", "ea_wrong-key-0123456789")).To(Equal(expected))
		}
		Expect(from("192.0.2.1", adminKey)).To(Equal(http.StatusOK), "who was in goes on")
		Expect(from("192.0.2.2", "ea_wrong-key-0123456789")).To(Equal(http.StatusUnauthorized), "another address")
	}, SpecTimeout(time.Minute))

	It("stop an address that makes up sessions", func(ctx SpecContext) {
		p := all.another(ctx, func(c *config.Config) { c.API.WrongKeysPerMinute = 3 })
		for _, expected := range []int{401, 401, 401, 429} {
			status, _ := p.header(ctx, http.MethodGet, "/api/v1/users/me", http.Header{"Cookie": {"ea_session=made-up"}})
			Expect(status).To(Equal(expected))
		}
		status, _ := p.header(ctx, http.MethodGet, "/api/v1/users/me", bearer(adminKey))
		Expect(status).To(Equal(http.StatusTooManyRequests), "this process had not seen the key before")
	}, SpecTimeout(time.Minute))

	It("stop an address that signs sessions out that it makes up", func(ctx SpecContext) {
		p := all.another(ctx, func(c *config.Config) { c.API.WrongKeysPerMinute = 3 })
		for i, expected := range []int{204, 204, 204, 429} {
			made := fmt.Sprint("made-up-", i)
			status, _ := p.header(ctx, http.MethodDelete, "/session", http.Header{"Cookie": {"ea_session=" + made}, "X-Csrf-Token": {user.CSRFToken(made)}})
			Expect(status).To(Equal(expected))
		}
	}, SpecTimeout(time.Minute))

	It("let no page of another origin in, but those that are configured", func(ctx SpecContext) {
		asked := func() http.Header {
			h := bearer(adminKey)
			h.Set("Origin", "https://ops.example.com")
			return h
		}
		_, h := all.header(ctx, http.MethodGet, "/api/v1/users/me", asked())
		Expect(h).NotTo(HaveKey("Access-Control-Allow-Origin"))
		Expect(h).To(And(HaveKeyWithValue("X-Content-Type-Options", []string{"nosniff"}), HaveKeyWithValue("X-Frame-Options", []string{"DENY"}),
			HaveKeyWithValue("Cache-Control", []string{"no-store"}), HaveKey("Content-Security-Policy"), HaveKey("X-Request-Id")))
		p := all.another(ctx, func(c *config.Config) { c.API.CORSOrigins = []string{"https://ops.example.com"} })
		_, h = p.header(ctx, http.MethodGet, "/api/v1/users/me", asked())
		Expect(h).To(HaveKeyWithValue("Access-Control-Allow-Origin", []string{"https://ops.example.com"}))
		Expect(h.Get("Access-Control-Allow-Credentials")).To(BeEmpty())
		other := asked()
		other.Set("Origin", "https://evil.example.com")
		_, h = p.header(ctx, http.MethodGet, "/api/v1/users/me", other)
		Expect(h).NotTo(HaveKey("Access-Control-Allow-Origin"))
	}, SpecTimeout(time.Minute))
})
