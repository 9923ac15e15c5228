package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/user"
	"github.com/events-aggregator/events-aggregator/test/support/contract"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// These specs say little themselves: the transport of the suite compares each
// answer with the document.
var _ = Describe("every operation of the document", func() {
	var operations []contract.Operation
	BeforeEach(func() {
		d, err := contract.Load()
		Expect(err).NotTo(HaveOccurred())
		operations = d.Operations
	})

	It("lets in whom it says, and no one else", func(ctx SpecContext) {
		p := start(ctx, unlimited)
		plain := p.plainUser(ctx)
		for _, o := range operations {
			public, admin := o.Role == "public", o.Role == "admin"
			for _, who := range []struct {
				name, key, code string
				out             bool
			}{
				{"nobody", "", "no_key", !public}, {"a wrong key", "ea_wrong-key-0123456789", "wrong_key", !public},
				{"a user", plain, "forbidden", admin}, {"an admin", adminKey, "", false},
			} {
				status, text := p.try(ctx, &o, o.Target(nil), who.key, o.Sample())
				at := fmt.Sprintf("%s by %s: %d %.300s", o.ID, who.name, status, text)
				if who.out {
					Expect([]int{http.StatusUnauthorized, http.StatusForbidden}).To(ContainElement(status), at)
					Expect(text).To(ContainSubstring(`"`+who.code+`"`), at)
				} else {
					Expect([]int{http.StatusUnauthorized, http.StatusForbidden}).NotTo(ContainElement(status), at)
				}
			}
		}
	}, SpecTimeout(2*time.Minute))

	It("takes no parameter for a query of its own, and answers whatever it is sent", func(ctx SpecContext) {
		p := start(ctx, unlimited)
		p.keep(ctx, object{"type": "SECRET_EVENT", "source": "shop"})
		for _, o := range operations {
			for _, parameter := range o.Parameters {
				for _, hostile := range hostileTexts {
					header := http.Header{}
					switch {
					case parameter.In == "path" && hostile == "", parameter.In == "header" && strings.ContainsRune(hostile, 0): // HTTP cannot carry it
						continue
					case parameter.In == "header":
						header.Set(parameter.Name, hostile)
					}
					status, text := p.tryWith(ctx, &o, o.Target(map[string]string{parameter.Name: hostile}), adminKey, o.Sample(), header)
					Expect(status).To(BeNumerically("<", http.StatusInternalServerError), "%s %s=%q: %s", o.ID, parameter.Name, hostile, text)
					Expect(text).NotTo(ContainSubstring("SECRET_EVENT"), "%s %s=%q", o.ID, parameter.Name, hostile)
				}
			}
			if o.Role == "public" {
				continue
			}
			for _, query := range []string{"nonsense=1", "type[$ne]=x", "type[]=x&type[]=y", "$where=1", "limit=1&limit=2", "from[$gt]=", "%00=1", "%ff=1"} {
				target := o.Target(nil)
				target += map[bool]string{true: "&", false: "?"}[strings.Contains(target, "?")] + query
				status, text := p.try(ctx, &o, target, adminKey, nil)
				Expect(status).To(Equal(http.StatusBadRequest), "%s: %s", target, text)
			}
		}
	}, SpecTimeout(4*time.Minute))

	It("answers whatever its body is made of", func(ctx SpecContext) {
		p := start(ctx, unlimited)
		for _, o := range operations {
			sample := o.Sample()
			if sample == nil {
				continue
			}
			bodies := [][]byte{nil, []byte("{"), []byte("\xff\xfe"), []byte(`{"a\u0000":1}`), []byte("[[[[[["), bytes.Repeat([]byte("["), 20_000), []byte(`"text"`)}
			for _, by := range []string{`{"$gt":""}`, `{"$where":"sleep(1000)"}`, `["$ne"]`, `null`, `"\u0000"`, `1e400`, `-1`} {
				bodies = append(bodies, contract.Mutants(sample, by)...)
			}
			for _, body := range bodies {
				status, text := p.try(ctx, &o, o.Target(nil), adminKey, body)
				Expect(status).To(BeNumerically("<", http.StatusInternalServerError), "%s of %.300q: %s", o.ID, body, text)
			}
		}
	}, SpecTimeout(4*time.Minute))

	It("answers as it says while the database is slow", func(ctx SpecContext) {
		f := fleet.New(ctx)
		proxy := fleet.Through(&f.MongoURI)
		const short = 400 * time.Millisecond
		p := (&product{Fleet: f}).another(ctx, unlimited, func(c *config.Config) {
			c.API.RequestTimeout, c.API.AnalyticsTimeout, c.API.SearchTimeout, c.API.PublishTimeout = short, short, short, short/2
		})
		me := contract.Operation{Method: http.MethodGet}
		Eventually(ctx, func() int {
			status, _ := p.try(ctx, &me, "/api/v1/users/me", adminKey, nil)
			return status
		}).WithTimeout(20 * time.Second).Should(Equal(http.StatusOK)) // from then on the key is known
		proxy.Delay(2 * short)
		statuses := make([]int, len(operations))
		var asking errgroup.Group
		asking.SetLimit(24) // the key is known for two seconds
		for i, o := range operations {
			if o.Role == "public" || slices.Contains([]string{"backtestRule", "exportEvents", "importRules"}, o.ID) { // which have longer
				continue
			}
			asking.Go(func() error {
				defer GinkgoRecover()
				statuses[i], _ = p.try(ctx, &o, o.Target(nil), adminKey, o.Sample())
				return nil
			})
		}
		Expect(asking.Wait()).To(Succeed())
		Expect(statuses).To(And(ContainElement(http.StatusServiceUnavailable), ContainElement(http.StatusGatewayTimeout)))
	}, SpecTimeout(time.Minute))

	It("refuses a body over the limit, and cuts one that comes too slowly", func(ctx SpecContext) {
		p := start(ctx, func(c *config.Config) {
			c.API.BodyLimit, c.API.RequestTimeout, c.API.PublishTimeout = 1<<10, time.Second, 500*time.Millisecond
			c.API.CORSOrigins = []string{"https://ops.example.com"}
		})
		large := bytes.Repeat([]byte(" "), 1<<10+1)
		for _, o := range operations {
			if o.Body == nil {
				continue
			}
			status, text := p.try(ctx, &o, o.Target(nil), adminKey, large)
			Expect(status).To(Equal(http.StatusRequestEntityTooLarge), "%s: %s", o.ID, text)
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+"/api/v1/events", io.MultiReader(bytes.NewReader(large))) // of unknown length
		Expect(err).NotTo(HaveOccurred())
		r.Header.Set("Authorization", "Bearer "+adminKey)
		answer, err := http.DefaultClient.Do(r)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Body.Close()).To(Succeed())
		Expect(answer.StatusCode).To(Equal(http.StatusRequestEntityTooLarge))

		r, err = http.NewRequestWithContext(ctx, http.MethodGet, p.base+"/livez", nil)
		Expect(err).NotTo(HaveOccurred())
		r.Header.Set("X-Large", strings.Repeat("x", 80<<10))
		answer, err = http.DefaultClient.Do(r)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Body.Close()).To(Succeed())
		Expect(answer.StatusCode).To(Equal(http.StatusRequestHeaderFieldsTooLarge))

		slow := []struct{ target, key, begins, code string }{
			{"POST /api/v1/events", adminKey, "HTTP/1.1 408 ", "slow_body"},
			{"GET /api/v1/stream/events", adminKey, "HTTP/1.1 408 ", "slow_body"},
			{"POST /api/v1/rules?create_indexes=true", "nobody's key", "HTTP/1.1 401 ", "wrong_key"},
			{"POST /nothing", "", "HTTP/1.1 404 ", "no_such_route"},
			{"OPTIONS /nothing", "", "HTTP/1.1 204 ", ""},
		}
		conns := make([]net.Conn, len(slow))
		for i, request := range slow { // at the same time
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(p.base, "http://"))
			Expect(err).NotTo(HaveOccurred())
			defer func() { _ = conn.Close() }()
			Expect(conn.SetDeadline(time.Now().Add(20 * time.Second))).To(Succeed())
			_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: specs\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{\"type\":", request.target, request.key)
			Expect(err).NotTo(HaveOccurred())
			conns[i] = conn
		}
		for i, request := range slow {
			text, err := io.ReadAll(conns[i]) // until the api hangs up
			Expect(err).NotTo(HaveOccurred(), request.target)
			Expect(string(text)).To(And(HavePrefix(request.begins), ContainSubstring(request.code)), request.target)
		}
	}, SpecTimeout(2*time.Minute))
})

// hostileTexts are what somebody sends who wants more than an answer.
var hostileTexts = []string{
	"", `{"$gt":""}`, `{"$where":"sleep(1000)"}`, "$where", `' || 1==1 || '`, "\x00", "\xff\xfe", strings.Repeat("x", 10_000), "-1", "[$ne]", "../../users/me",
}

// unlimited lifts the rates, since one key, or address, asks for all.
func unlimited(c *config.Config) {
	c.API.RateLimit, c.API.RateBurst, c.API.WrongKeysPerMinute = 1_000_000, 1_000_000, 1_000_000
}

// plainUser makes a user without the role admin, and returns the key.
func (p *product) plainUser(ctx context.Context) string {
	GinkgoHelper()
	now := time.Now().UTC()
	plain, key, err := user.NewKey(now)
	Expect(err).NotTo(HaveOccurred())
	Expect(p.Store.CreateUser(ctx, user.User{ID: "plain", Email: "plain@example.com", Role: user.Plain, APIKeys: []user.APIKey{key}, CreatedAt: now, UpdatedAt: now,
		Preferences: user.Preferences{NotificationChannels: []string{}, EventTypes: []string{}}})).To(Succeed())
	return plain
}

// try makes a request of an operation and returns what is answered; of a stream
// only that it begins.
func (p *product) try(ctx context.Context, o *contract.Operation, target, key string, body []byte) (int, string) {
	GinkgoHelper()
	return p.tryWith(ctx, o, target, key, body, http.Header{})
}

func (p *product) tryWith(ctx context.Context, o *contract.Operation, target, key string, body []byte, header http.Header) (int, string) {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	address, err := url.Parse(p.base + target)
	Expect(err).NotTo(HaveOccurred())
	r, err := http.NewRequestWithContext(ctx, o.Method, address.String(), bytes.NewReader(body))
	Expect(err).NotTo(HaveOccurred())
	r.Header = header
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	answer, err := http.DefaultClient.Do(r)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = answer.Body.Close() }()
	if strings.HasPrefix(answer.Header.Get("Content-Type"), "text/event-stream") {
		return answer.StatusCode, ""
	}
	text, err := io.ReadAll(answer.Body)
	Expect(err).NotTo(HaveOccurred())
	return answer.StatusCode, string(text)
}
