package dispatcher_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/services/dispatcher"
)

// lure is a row of testdata/ssrf.json: a URL that would lead to this machine or a
// private network, if anything let it.
type lure struct {
	Why     string            `json:"why"`
	URL     string            `json:"url"`
	DNS     []string          `json:"dns"`    // what the host's name means
	Then    []string          `json:"then"`   // and what from the second time on
	Allow   string            `json:"allow"`  // a network that may be called: of a receiver that leads on
	Status  int               `json:"status"` // its answer
	Headers map[string]string `json:"headers"`
}

// lured are the answers that say that no connection was made. A name may be none,
// or take too long.
var lured = []string{"address_refused", "invalid_config", "dns", "timeout"}

var _ = Describe("The guard of outgoing calls, for every URL that leads astray", func() {
	var port int
	var trapped atomic.Int32

	// trap counts connections at an address; false where there is none.
	trap := func(host string, port int) (int, bool) {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return 0, false
		}
		DeferCleanup(l.Close)
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				trapped.Add(1)
				_ = conn.Close()
			}
		}()
		return l.Addr().(*net.TCPAddr).Port, true
	}

	BeforeEach(func() {
		trapped.Store(0)
		var ok bool
		port, ok = trap("127.0.0.1", 0)
		Expect(ok).To(BeTrue())
		trap("::1", port)
		addresses, err := net.InterfaceAddrs()
		Expect(err).NotTo(HaveOccurred())
		for _, a := range addresses {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsPrivate() {
				trap(p.Addr().String(), port)
			}
		}
	})

	// message asks for one call of the URL.
	message := func(kind, url string) notification.Message {
		config := bson.D{{Key: "url", Value: url}}
		now := time.Now().UTC()
		event := raw(bson.D{{Key: "event_id", Value: "e"}, {Key: "type", Value: "A"}, {Key: "source", Value: "s"}, {Key: "severity", Value: int32(5)}, {Key: "timestamp", Value: now}})
		return notification.Message{Attempt: 1, Event: event,
			Notification: notification.Notification{ID: "ntf_1", EventID: "e", RuleID: "r", RuleName: "r", Action: notification.Action{Type: kind, Config: raw(config)}}}
	}

	// rounds are more calls of a name than it means the same for.
	const rounds = 3
	carry := func(ctx context.Context, kind string, l lure, resolver *net.Resolver, allowed ...netip.Prefix) (class, text string) {
		url := strings.ReplaceAll(l.URL, "PORT", strconv.Itoa(port))
		for range rounds {
			bound, cancel := context.WithTimeout(ctx, 2*time.Second)
			class, text = dispatcher.Carry(bound, message(kind, url), resolver, allowed...)
			cancel()
		}
		return class, text
	}

	var lures []lure
	BeforeEach(func() {
		text, err := os.ReadFile("testdata/ssrf.json")
		Expect(err).NotTo(HaveOccurred())
		Expect(json.Unmarshal(text, &lures)).To(Succeed())
		Expect(len(lures)).To(BeNumerically(">", 100))
		for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
			GinkgoT().Setenv(name, fmt.Sprintf("http://127.0.0.1:%d", port))
		}
	})

	DescribeTable("connects by none", func(ctx SpecContext, kind string) {
		var running sync.WaitGroup
		room := make(chan struct{}, 16)
		for _, l := range lures {
			if l.DNS != nil || l.Allow != "" {
				continue
			}
			room <- struct{}{}
			running.Go(func() {
				defer func() { <-room }()
				defer GinkgoRecover()
				class, text := carry(ctx, kind, l, nil)
				Expect(lured).To(ContainElement(class), "%s: %q: %s", l.Why, l.URL, text)
				if host := strings.TrimSuffix(strings.TrimPrefix(l.URL, "http://"), ":PORT/"); net.ParseIP(strings.Trim(host, "[]")) != nil {
					Expect(class).To(Equal("address_refused"), "%s: %q: %s", l.Why, l.URL, text)
				}
			})
		}
		running.Wait()
		Expect(trapped.Load()).To(BeZero())
	}, Entry(nil, "WEBHOOK", SpecTimeout(time.Minute)), Entry(nil, "ALERT", SpecTimeout(time.Minute)))

	DescribeTable("connects by no name of them", func(ctx SpecContext, kind string) {
		for _, l := range lures {
			if l.DNS == nil {
				continue
			}
			names := serveNames()
			names.answerOnce(l.DNS, l.DNS)
			if l.Then != nil {
				names.answerOnce(l.DNS, l.Then)
			}
			var allowed []netip.Prefix
			if l.Allow != "" {
				allowed = append(allowed, netip.MustParsePrefix(l.Allow))
			}
			class, text := carry(ctx, kind, l, names.resolver(), allowed...)
			Expect(class).To(Equal("address_refused"), "%s: %v: %s", l.Why, l.DNS, text)
			Expect(names.asked.Load()).To(BeNumerically(">", 0))
		}
		Expect(trapped.Load()).To(BeZero())
	}, Entry(nil, "WEBHOOK", SpecTimeout(time.Minute)), Entry(nil, "ALERT", SpecTimeout(time.Minute)))

	DescribeTable("is led on by no receiver that may be called", func(ctx SpecContext, kind string) {
		for _, l := range lures {
			if l.Status == 0 {
				continue
			}
			var called atomic.Int32
			leading := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				called.Add(1)
				for name, value := range l.Headers {
					w.Header().Set(name, strings.ReplaceAll(value, "PORT", strconv.Itoa(port)))
				}
				w.WriteHeader(l.Status)
			}))
			_ = leading.Listener.Close()
			var err error
			leading.Listener, err = net.Listen("tcp", net.JoinHostPort("127.0.0.2", strconv.Itoa(port)))
			Expect(err).NotTo(HaveOccurred())
			leading.Start()
			carry(ctx, kind, l, nil, netip.MustParsePrefix(l.Allow))
			leading.Close()
			Expect(called.Load()).To(BeEquivalentTo(rounds), "%s %d", l.Why, l.Status)
		}
		Expect(trapped.Load()).To(BeZero())
	}, Entry(nil, "WEBHOOK", SpecTimeout(time.Minute)), Entry(nil, "ALERT", SpecTimeout(time.Minute)))

	It("would see a connection, if there were one", func(ctx SpecContext) {
		carry(ctx, "WEBHOOK", lure{URL: "http://127.0.0.1:PORT/"}, nil, netip.MustParsePrefix("127.0.0.1/32"))
		Eventually(ctx, trapped.Load).Should(BeNumerically(">", 0))
	}, SpecTimeout(20*time.Second))
})
