package process_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/test/support/faultproxy"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// password must not be found in any output.
const password = "Tr0ub4dor&3"

// unreachable is a server that a process cannot use, and what it says of it.
type unreachable struct {
	why    string
	server string // in /readyz
	reason string // in /readyz, and in the log's line
	// broken gives the addresses with that server's replaced.
	broken func(mongo, amqp *url.URL) (mongoURI, amqpURL string)
	// silence is how long an attempt can take.
	silence time.Duration
}

func (u unreachable) String() string { return u.server + " " + u.why }

// withPassword is an address with a user whom the servers do not know.
func withPassword(u url.URL) *url.URL {
	u.User = url.UserPassword("nobody", password)
	return &u
}

// at is an address with another host and port.
func at(host string, u *url.URL) string {
	other := withPassword(*u)
	other.Host = host
	return other.String()
}

// faulty is a proxy of that server which fails like this.
func faulty(u *url.URL, how func(p *faultproxy.Proxy)) string {
	GinkgoHelper()
	p, err := faultproxy.Start(u.Host)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(p.Close)
	how(p)
	return at(p.Addr(), u)
}

func resetting(p *faultproxy.Proxy) { p.Refuse(true) }
func silent(p *faultproxy.Proxy)    { p.Stall(true) }

// mongoBroken and amqpBroken replace one address.
func mongoBroken(broken func(u *url.URL) string) func(mongo, amqp *url.URL) (string, string) {
	return func(mongo, amqp *url.URL) (string, string) { return broken(mongo), amqp.String() }
}

func amqpBroken(broken func(u *url.URL) string) func(mongo, amqp *url.URL) (string, string) {
	return func(mongo, amqp *url.URL) (string, string) { return mongo.String(), broken(amqp) }
}

var allUnreachable = []unreachable{
	{
		why: "refuses the password", server: "mongodb", reason: "user name or password refused",
		broken: mongoBroken(func(u *url.URL) string { return at(u.Host, u) }),
	},
	{
		why: "is not there", server: "mongodb", reason: "connection refused: nothing listens there",
		broken: mongoBroken(func(u *url.URL) string { return at(freeAddress(), u) }),
	},
	{
		why: "has no name", server: "mongodb", reason: "no such host",
		broken: mongoBroken(func(u *url.URL) string { return at("mongo.invalid:27017", u) }),
	},
	{
		why: "hangs up", server: "mongodb", reason: "connection lost: the server or something before it hung up",
		broken: mongoBroken(func(u *url.URL) string { return faulty(u, resetting) }),
	},
	{
		why: "says nothing", server: "mongodb", reason: "no answer in time", silence: 5 * time.Second,
		broken: mongoBroken(func(u *url.URL) string { return faulty(u, silent) }),
	},
	{
		why: "refuses the password", server: "rabbitmq", reason: "user name or password refused",
		broken: amqpBroken(func(u *url.URL) string { return at(u.Host, u) }),
	},
	{
		why: "is not there", server: "rabbitmq", reason: "connection refused: nothing listens there",
		broken: amqpBroken(func(u *url.URL) string { return at(freeAddress(), u) }),
	},
	{
		why: "has no name", server: "rabbitmq", reason: "no such host",
		broken: amqpBroken(func(u *url.URL) string { return at("mq.invalid:5672", u) }),
	},
	{
		why: "hangs up", server: "rabbitmq", reason: "connection lost: the server or something before it hung up",
		broken: amqpBroken(func(u *url.URL) string { return faulty(u, resetting) }),
	},
	{
		why: "says nothing", server: "rabbitmq", reason: "no answer in time", silence: 6 * time.Second,
		broken: amqpBroken(func(u *url.URL) string { return faulty(u, silent) }),
	},
}

var _ = Describe("a server that cannot be used", func() {
	It("is said in one line without the password, and named by /readyz, while each of the five waits", func(ctx SpecContext) {
		mongoURI, amqpURL := fleet.Servers()
		mongo, err := url.Parse(mongoURI)
		Expect(err).NotTo(HaveOccurred())
		amqp, err := url.Parse(amqpURL)
		Expect(err).NotTo(HaveOccurred())
		inParallel(ctx, allUnreachable, func(ctx context.Context, of unreachable) {
			mongoURI, amqpURL := of.broken(mongo, amqp)
			var all []*running
			for _, name := range names {
				all = append(all, start(name, []string{"EA_MONGO_URI=" + mongoURI, "EA_MONGO_DATABASE=ea_unused", "EA_AMQP_URL=" + amqpURL,
					"EA_BROKER_PREFIX=unused.", "EA_HEALTH_CACHE=0s"}))
			}
			for _, r := range all {
				Eventually(ctx, r.complaints).WithTimeout(of.silence+10*time.Second).Should(HaveLen(1), r.name)
			}
			passes(ctx, of.silence+2*time.Second)                        // several attempts more
			inParallel(ctx, all, func(ctx context.Context, r *running) { // /readyz asks a server that is away for 2 s
				lines := r.complaints()
				Expect(lines).To(HaveLen(1), "%s: a line for each reason, not for each attempt", r)
				Expect(lines[0]).To(And(ContainSubstring(of.reason), Not(ContainSubstring("\\n"))), r.name)
				Expect(r.log()).NotTo(Or(ContainSubstring(password), ContainSubstring(url.QueryEscape(password))))
				answer, err := r.ready(ctx)
				Expect(err).NotTo(HaveOccurred())
				Expect(answer.Code).To(Equal(http.StatusServiceUnavailable))
				Expect(answer.Reasons).To(HaveKeyWithValue(of.server, of.reason), r.name)
				if of.server == "rabbitmq" {
					Expect(answer.Reasons).NotTo(HaveKey("mongodb"), r.name)
				}
			})
			stopAll(ctx, all...)
		})
	}, SpecTimeout(3*time.Minute))
})

// complaints are the lines of the log that are no news.
func (r *running) complaints() []string {
	var found []string
	for text := range strings.Lines(r.log()) {
		var line struct {
			Level string `json:"level"`
		}
		if json.Unmarshal([]byte(text), &line) != nil || line.Level != "info" {
			found = append(found, text)
		}
	}
	return found
}
