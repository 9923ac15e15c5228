package e2e_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// browser is a client that keeps cookies and has no key.
type browser struct {
	p      *product
	client *http.Client
	csrf   string
}

func (p *product) browser() *browser {
	GinkgoHelper()
	jar, err := cookiejar.New(nil)
	Expect(err).NotTo(HaveOccurred())
	return &browser{p: p, client: &http.Client{Jar: jar, Transport: exchanges}}
}

func (b *browser) do(ctx context.Context, method, path, body string, header ...string) (*http.Response, string) {
	GinkgoHelper()
	r, err := http.NewRequestWithContext(ctx, method, b.p.base+path, strings.NewReader(body))
	Expect(err).NotTo(HaveOccurred())
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := b.client.Do(r)
	Expect(err).NotTo(HaveOccurred())
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	Expect(err).NotTo(HaveOccurred())
	return answer, string(text)
}

func (b *browser) signIn(ctx context.Context, key string) *http.Response {
	GinkgoHelper()
	answer, text := b.do(ctx, http.MethodPost, "/session", `{"key":"`+key+`"}`)
	var shown struct {
		CSRF string `json:"csrf_token"`
	}
	Expect(json.Unmarshal([]byte(text), &shown)).To(Succeed())
	b.csrf = shown.CSRF
	return answer
}

var _ = Describe("a browser's session", func() {
	const silence = `{"condition":{"type":"A"},"for":"1h","comment":"c"}`

	It("stands for its key until it is signed out, in every api process, and changes nothing without its token", func(ctx SpecContext) {
		p := start(ctx)
		b := p.browser()
		answer, _ := b.do(ctx, http.MethodGet, "/session", "")
		Expect(answer.StatusCode).To(Equal(http.StatusNoContent))
		answer, _ = b.do(ctx, http.MethodPost, "/session", `{"key":"ea_no-such-key-0123456789"}`)
		Expect(answer.StatusCode).To(Equal(http.StatusUnauthorized))
		Expect(answer.Header.Values("Set-Cookie")).To(BeEmpty())
		answer, _ = b.do(ctx, http.MethodPost, "/session", `{"key":"`+adminKey+`"}`, "Content-Type", "text/plain")
		Expect(answer.StatusCode).To(Equal(http.StatusUnsupportedMediaType), "a form of another origin can send it")
		answer, text := b.do(ctx, http.MethodPost, "/session", `{"key":"`+strings.Repeat("k", 5000)+`"}`)
		Expect(answer.StatusCode).To(Equal(http.StatusRequestEntityTooLarge), "nobody is known yet, so it is not read")
		Expect(text).To(ContainSubstring("body_too_large"))

		answer = b.signIn(ctx, adminKey)
		Expect(answer.StatusCode).To(Equal(http.StatusCreated))
		Expect(answer.Header.Get("Set-Cookie")).To(And(ContainSubstring("HttpOnly"), ContainSubstring("SameSite=Strict"), Not(ContainSubstring(adminKey))))
		answer, text = b.do(ctx, http.MethodGet, "/session", "")
		Expect(answer.StatusCode).To(Equal(http.StatusOK))
		Expect(text).To(And(ContainSubstring(b.csrf), ContainSubstring("admin@localhost"), MatchRegexp(`"key_id":"(key_\w+)"`)))
		answer, _ = b.do(ctx, http.MethodGet, "/api/v1/events", "")
		Expect(answer.StatusCode).To(Equal(http.StatusOK))

		for _, token := range []string{"", "x", strings.Repeat("0", len(b.csrf))} {
			answer, text = b.do(ctx, http.MethodPost, "/api/v1/silences", silence, "X-CSRF-Token", token)
			Expect(answer.StatusCode).To(Equal(http.StatusUnauthorized))
			Expect(text).To(ContainSubstring("no_csrf_token"))
			answer, _ = b.do(ctx, http.MethodDelete, "/session", "", "X-CSRF-Token", token)
			Expect(answer.StatusCode).To(Equal(http.StatusUnauthorized))
		}
		other := p.browser()
		other.signIn(ctx, adminKey)
		answer, _ = b.do(ctx, http.MethodPost, "/api/v1/silences", silence, "X-CSRF-Token", other.csrf)
		Expect(answer.StatusCode).To(Equal(http.StatusUnauthorized), "the token of another session")
		second := &browser{p: p.another(ctx), client: b.client} // cookies know no ports
		answer, _ = second.do(ctx, http.MethodPost, "/api/v1/silences", silence, "X-CSRF-Token", b.csrf)
		Expect(answer.StatusCode).To(Equal(http.StatusCreated))

		address, err := http.NewRequest(http.MethodGet, p.base, nil)
		Expect(err).NotTo(HaveOccurred())
		cookie := b.client.Jar.Cookies(address.URL)[0]
		answer, _ = b.do(ctx, http.MethodDelete, "/session", "", "X-CSRF-Token", b.csrf)
		Expect(answer.StatusCode).To(Equal(http.StatusNoContent))
		Expect(b.client.Jar.Cookies(address.URL)).To(BeEmpty())
		answer, text = b.do(ctx, http.MethodGet, "/api/v1/events", "", "Cookie", cookie.String())
		Expect(answer.StatusCode).To(Equal(http.StatusUnauthorized), "whoever kept the cookie")
		Expect(text).To(ContainSubstring("session_ended"))
		Eventually(ctx, func() int {
			answer, _ := second.do(ctx, http.MethodGet, "/api/v1/events", "", "Cookie", cookie.String())
			return answer.StatusCode
		}).WithTimeout(10*time.Second).Should(Equal(http.StatusUnauthorized), "through the other process")
		answer, _ = other.do(ctx, http.MethodGet, "/api/v1/events", "")
		Expect(answer.StatusCode).To(Equal(http.StatusOK), "the other browser stays")
	}, SpecTimeout(time.Minute))

	It("has its key's role, and ends with the key", func(ctx SpecContext) {
		p := start(ctx)
		var made struct {
			Key  string                `json:"api_key"`
			Keys []struct{ ID string } `json:"api_keys"`
		}
		Expect(p.call(ctx, http.MethodPost, "/api/v1/users", map[string]any{"email": "reader@example.com", "role": "user", "key": map[string]any{}}, &made)).To(Equal(http.StatusCreated))
		b := p.browser()
		b.signIn(ctx, made.Key)
		answer, text := b.do(ctx, http.MethodPost, "/api/v1/silences", silence, "X-CSRF-Token", b.csrf)
		Expect(answer.StatusCode).To(Equal(http.StatusForbidden))
		Expect(text).To(ContainSubstring(`"forbidden"`))
		Expect(p.call(ctx, http.MethodDelete, "/api/v1/api-keys/"+made.Keys[0].ID, nil, nil)).To(Equal(http.StatusNoContent))
		answer, text = b.do(ctx, http.MethodGet, "/session", "")
		Expect(answer.StatusCode).To(Equal(http.StatusUnauthorized))
		Expect(text).To(ContainSubstring("wrong_key"))
	}, SpecTimeout(time.Minute))

	It("ends its live streams, and takes its tickets along", func(ctx SpecContext) {
		p := start(ctx)
		b, key := p.browser(), &http.Client{}
		b.signIn(ctx, adminKey)
		ticket := func() string {
			GinkgoHelper()
			var made struct {
				Ticket string `json:"ticket"`
			}
			_, text := b.do(ctx, http.MethodPost, "/api/v1/stream/ticket", "", "X-CSRF-Token", b.csrf)
			Expect(json.Unmarshal([]byte(text), &made)).To(Succeed())
			return made.Ticket
		}
		open := func(client *http.Client, query, authorization string) (status int, over chan struct{}) {
			GinkgoHelper()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+"/api/v1/stream/events"+query, nil)
			Expect(err).NotTo(HaveOccurred())
			if authorization != "" {
				r.Header.Set("Authorization", authorization)
			}
			answer, err := client.Do(r)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(answer.Body.Close)
			over = make(chan struct{})
			go func() {
				defer close(over)
				_, _ = io.Copy(io.Discard, answer.Body)
			}()
			return answer.StatusCode, over
		}
		status, byCookie := open(&http.Client{Jar: b.client.Jar}, "", "")
		Expect(status).To(Equal(http.StatusOK))
		status, byTicket := open(key, "?ticket="+ticket(), "")
		Expect(status).To(Equal(http.StatusOK))
		status, byKey := open(key, "", "Bearer "+adminKey)
		Expect(status).To(Equal(http.StatusOK))
		unused := ticket()
		answer, _ := b.do(ctx, http.MethodDelete, "/session", "", "X-CSRF-Token", b.csrf)
		Expect(answer.StatusCode).To(Equal(http.StatusNoContent))
		status, _ = open(key, "?ticket="+unused, "")
		Expect(status).To(Equal(http.StatusUnauthorized))
		Eventually(ctx, byCookie).WithTimeout(15 * time.Second).Should(BeClosed())
		Eventually(ctx, byTicket).WithTimeout(15 * time.Second).Should(BeClosed())
		Expect(byKey).NotTo(BeClosed(), "the key has not ended")
	}, SpecTimeout(time.Minute))

	It("is not kept as its cookie says it", func(ctx SpecContext) {
		p := start(ctx)
		b := p.browser()
		token, _, _ := strings.Cut(strings.TrimPrefix(b.signIn(ctx, adminKey).Header.Get("Set-Cookie"), "ea_session="), ";")
		Expect(token).To(HaveLen(43))
		_, err := p.Store.Session(ctx, token)
		Expect(err).To(HaveOccurred())
	}, SpecTimeout(time.Minute))
})
