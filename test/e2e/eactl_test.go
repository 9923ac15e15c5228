package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"go.yaml.in/yaml/v3"

	"github.com/events-aggregator/events-aggregator/scripts/runreport/report"
	"github.com/events-aggregator/events-aggregator/services/ctl"
	"github.com/events-aggregator/events-aggregator/services/ingester"
	"github.com/events-aggregator/events-aggregator/test/support/faultproxy"
)

// environ is what an operator's shell would have; more comes last and wins.
func (p *product) environ(more ...string) []string {
	return append([]string{
		"EA_API_URL=" + p.base, "EA_API_KEY=" + adminKey, "EA_AMQP_URL=" + p.AMQPURL,
		"EA_MONGO_URI=" + p.MongoURI, "EA_MONGO_DATABASE=" + p.Database, "EA_BROKER_PREFIX=" + p.Prefix,
	}, more...)
}

// said is what one run of eactl said.
type said struct {
	Code     int
	Out, Err string
}

// eactl runs eactl as the shell would.
func (p *product) eactl(ctx context.Context, args ...string) said {
	return p.eactlWith(ctx, nil, args...)
}

func (p *product) eactlWith(ctx context.Context, more []string, args ...string) said {
	var out, errOut bytes.Buffer
	code := ctl.Run(ctx, args, p.environ(more...), &out, &errOut)
	return said{code, out.String(), errOut.String()}
}

// lines decodes output of a JSON object a line.
func (s said) lines() []map[string]any {
	GinkgoHelper()
	var all []map[string]any
	for line := range strings.Lines(s.Out) {
		var m map[string]any
		Expect(json.Unmarshal([]byte(line), &m)).To(Succeed(), "%s", line)
		all = append(all, m)
	}
	return all
}

var done = HaveField("Code", 0)

var _ = Describe("eactl", Ordered, func() {
	var p *product
	BeforeAll(func(ctx SpecContext) {
		p = start(ctx)
		p.Start(ctx, "ingester", ingester.Wire)
	}, NodeTimeout(2*time.Minute))

	Context("publish", func() {
		It("prints the id of each event once it is confirmed, and the event is stored", func(ctx SpecContext) {
			id := uuid.NewString()
			s := p.eactl(ctx, "publish", fmt.Sprintf(`{"event_id":%q,"type":"PUBLISH_SPEC","source":"shop"} {"type":"PUBLISH_SPEC","source":"shop"}`, id))
			Expect(s).To(done)
			ids := strings.Fields(s.Out)
			Expect(ids).To(HaveLen(2))
			Expect(ids[0]).To(Equal(id))
			for _, id := range ids {
				Eventually(ctx, func() said { return p.eactl(ctx, "events", "get", id, "-o", "json") }).Should(done)
			}
			Expect(p.eactl(ctx, "publish", "-o", "json", fmt.Sprintf(`{"event_id":%q,"type":"PUBLISH_SPEC","source":"shop"}`, id)).lines()).
				To(Equal([]map[string]any{{"event_id": id}}))
		}, SpecTimeout(time.Minute))

		It("publishes nothing when one event cannot be stored", func(ctx SpecContext) {
			id := uuid.NewString()
			s := p.eactl(ctx, "publish", fmt.Sprintf(`{"event_id":%q,"type":"PUBLISH_SPEC","source":"shop"} {"type":"x","source":"shop"}`, id))
			Expect(s.Code).To(Equal(2))
			Expect(s.Err).To(And(ContainSubstring("event 2: /type: "), ContainSubstring("eactl publish --help")))
			Expect(s.Out).To(BeEmpty())
			Expect(p.eactl(ctx, "events", "get", id).Code).To(Equal(3))
		}, SpecTimeout(time.Minute))

		It("says where no broker is, at once and without the password", func(ctx SpecContext) {
			began := time.Now()
			s := p.eactlWith(ctx, []string{"EA_AMQP_URL=amqp://ops:hunter2@127.0.0.1:1/"}, "publish", `{"type":"A","source":"b"}`)
			Expect(s.Code).To(Equal(1))
			Expect(s.Err).To(And(ContainSubstring("RabbitMQ at amqp://ops:********@127.0.0.1:1/: connection refused"), ContainSubstring("EA_AMQP_URL")))
			Expect(s.Err).NotTo(ContainSubstring("hunter2"))
			Expect(time.Since(began)).To(BeNumerically("<", 5*time.Second))
		}, SpecTimeout(time.Minute))

		It("says which setting is wrong when the broker refuses the password", func(ctx SpecContext) {
			u, err := url.Parse(p.AMQPURL)
			Expect(err).NotTo(HaveOccurred())
			u.User = url.UserPassword("guest", "hunter2")
			s := p.eactlWith(ctx, []string{"EA_AMQP_URL=" + u.String()}, "publish", `{"type":"A","source":"b"}`)
			Expect(s.Code).To(Equal(1))
			Expect(s.Err).To(ContainSubstring("user name or password refused"))
			Expect(s.Err).NotTo(ContainSubstring("hunter2"))
		}, SpecTimeout(time.Minute))
	})

	Context("simulate", func() {
		It("publishes what it says: valid events are stored, bad ones dead", func(ctx SpecContext) {
			ids := filepath.Join(GinkgoT().TempDir(), "ids")
			s := p.eactl(ctx, "simulate", "--rate", "100", "--duration", "2s", "--bad", "0.1", "--duplicates", "0.1", "--ids", ids, "-o", "json")
			Expect(s).To(done)
			var r report.Simulated
			Expect(json.Unmarshal([]byte(s.Out), &r)).To(Succeed())
			Expect(r.Published).To(Equal(200), "the rate times the duration")
			Expect(r.Published).To(Equal(r.Valid + r.Duplicates + r.Bad))
			Expect(r.Bad).To(BeNumerically(">", 0))
			Expect(r.Duplicates).To(BeNumerically(">", 0))
			text, err := os.ReadFile(ids)
			Expect(err).NotTo(HaveOccurred())
			valid := strings.Fields(string(text))
			Expect(valid).To(HaveLen(r.Valid))

			Eventually(ctx, func(g Gomega) {
				known, err := p.Store.KnownEvents(ctx, valid)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(known).To(HaveLen(len(valid)))
				var now report.Status
				g.Expect(json.Unmarshal([]byte(p.eactl(ctx, "status", "-o", "json").Out), &now)).To(Succeed())
				g.Expect(now.DeadLetters).To(HaveKeyWithValue("ingester.events", r.Bad))
			}).WithTimeout(30 * time.Second).Should(Succeed())
		}, SpecTimeout(time.Minute))

		It("finishes and counts what was begun when it is stopped", func(ctx SpecContext) {
			cut, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			s := p.eactl(cut, "simulate", "--rate", "50", "--duration", "1h")
			Expect(s).To(done)
			Expect(s.Out).To(MatchRegexp(`^published [1-9]\d*: \d+ valid, 0 duplicates, 0 bad\n$`), "no colours, no bar: this is no terminal")
			Expect(s.Err).To(BeEmpty())
		}, SpecTimeout(time.Minute))
	})

	Context("events", func() {
		var source string
		BeforeAll(func(ctx SpecContext) {
			source = "events-spec"
			var text strings.Builder
			for i := range 60 {
				fmt.Fprintf(&text, `{"type":"LISTED","source":%q,"severity":%d,"user_id":"u%d","payload":{"n":%d}}`, source, 1+i%10, i%2, i)
			}
			Expect(p.eactl(ctx, "publish", text.String())).To(done)
			Eventually(ctx, func() []map[string]any {
				return p.eactl(ctx, "events", "list", "--source", source, "--limit", "0", "-o", "json").lines()
			}).WithTimeout(20 * time.Second).Should(HaveLen(60))
		}, NodeTimeout(time.Minute))

		DescribeTable("are listed by filters", func(ctx SpecContext, want int, args ...string) {
			s := p.eactl(ctx, append([]string{"events", "list", "--source", source, "--limit", "0", "-o", "json"}, args...)...)
			Expect(s).To(done)
			Expect(s.lines()).To(HaveLen(want))
		},
			Entry("of severity", SpecTimeout(time.Minute), 24, "--severity-min", "7", "--severity-max", "10"),
			Entry("of level", SpecTimeout(time.Minute), 12, "--level", "critical"),
			Entry("of user", SpecTimeout(time.Minute), 30, "--user-id", "u1"),
			Entry("of any condition", SpecTimeout(time.Minute), 5, "--filter", `{"payload.n":{"$gte":10,"$lt":15}}`),
			Entry("up to a limit", SpecTimeout(time.Minute), 7, "--limit", "7"),
			Entry("over pages", SpecTimeout(time.Minute), 55, "--limit", "55"))

		It("are rows, lines of JSON, or YAML documents", func(ctx SpecContext) {
			list := []string{"events", "list", "--source", source, "--limit", "2"}
			table := p.eactl(ctx, list...)
			Expect(table.Out).To(And(ContainSubstring("EVENT ID"), ContainSubstring("LISTED")))
			Expect(table.Out).NotTo(ContainSubstring("\x1b["))
			Expect(p.eactl(ctx, append(list, "-o", "json")...).lines()).To(HaveLen(2))
			d := yaml.NewDecoder(strings.NewReader(p.eactl(ctx, append(list, "-o", "yaml")...).Out))
			var first, second map[string]any
			Expect(d.Decode(&first)).To(Succeed())
			Expect(d.Decode(&second)).To(Succeed())
			Expect(second).To(And(HaveKeyWithValue("type", "LISTED"), HaveKeyWithValue("payload", HaveKey("n"))))
			Expect(d.Decode(&first)).To(MatchError(io.EOF))
		}, SpecTimeout(time.Minute))

		It("that are none end with 3", func(ctx SpecContext) {
			Expect(p.eactl(ctx, "events", "list", "--type", "NEVER_SEEN")).To(Equal(said{3, "", "eactl: nothing matched\n"}))
			Expect(p.eactl(ctx, "events", "get", uuid.NewString()).Code).To(Equal(3))
		}, SpecTimeout(time.Minute))

		It("refuses a filter that cannot be, by name", func(ctx SpecContext) {
			s := p.eactl(ctx, "events", "list", "--filter", `{"payload.n":{"$where":"1"}}`, "--severity-min", "99")
			Expect(s.Code).To(Equal(2))
			Expect(s.Err).To(And(ContainSubstring("filter: "), ContainSubstring("$where"), ContainSubstring("severity_min: ")))
			Expect(p.eactl(ctx, "events", "list", "--from", "yesterday").Err).To(ContainSubstring("RFC 3339"))
		}, SpecTimeout(time.Minute))

		It("need a key that is in use", func(ctx SpecContext) {
			s := p.eactlWith(ctx, []string{"EA_API_KEY="}, "events", "list")
			Expect(s.Code).To(Equal(2))
			Expect(s.Err).To(ContainSubstring("eactl users create"))
			s = p.eactlWith(ctx, []string{"EA_API_KEY=ea_somebody-elses-key"}, "events", "list")
			Expect(s.Code).To(Equal(1))
			Expect(s.Err).To(And(ContainSubstring("not known"), ContainSubstring("eactl users create")))
			s = p.eactlWith(ctx, []string{"EA_API_URL=http://127.0.0.1:1"}, "events", "list")
			Expect(s.Code).To(Equal(1))
			Expect(s.Err).To(And(ContainSubstring("http://127.0.0.1:1"), ContainSubstring("EA_API_URL"), ContainSubstring("connection refused")))
		}, SpecTimeout(time.Minute))
	})

	Context("tail", func() {
		It("shows what is stored from now on, resumes where it was, and stops when asked", func(ctx SpecContext) {
			u, err := url.Parse(p.base)
			Expect(err).NotTo(HaveOccurred())
			proxy, err := faultproxy.Start(u.Host)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(proxy.Close)

			out, in := io.Pipe()
			errOut := gbytes.NewBuffer()
			tailing, stop := context.WithCancel(ctx)
			DeferCleanup(stop)
			code := make(chan int, 1)
			go func() {
				defer in.Close()
				code <- ctl.Run(tailing, []string{"tail", "--type", "TAILED", "-o", "json"}, p.environ("EA_API_URL=http://"+proxy.Addr()), in, errOut)
			}()
			shown := make(chan int, 1000)
			go func() {
				defer close(shown)
				for lines := bufio.NewScanner(out); lines.Scan(); {
					var e struct {
						Payload struct {
							N int `json:"n"`
						} `json:"payload"`
					}
					if json.Unmarshal(lines.Bytes(), &e) == nil {
						shown <- e.Payload.N
					}
				}
			}()
			n := 0
			publish := func() {
				GinkgoHelper()
				n++
				Expect(p.eactl(ctx, "publish", fmt.Sprintf(`{"type":"TAILED","source":"spec","payload":{"n":%d}}`, n))).To(done)
			}
			seen := map[int]int{}
			look := func() map[int]int { // what was shown so far, and how often
				for {
					select {
					case v := <-shown:
						seen[v]++
					default:
						return seen
					}
				}
			}
			// Its position is not shown, so events are published until one is seen;
			// those before it were stored before the stream was open.
			Eventually(ctx, func(g Gomega) {
				publish()
				g.Eventually(ctx, look).WithTimeout(time.Second).Should(HaveKey(n))
			}).WithTimeout(30 * time.Second).Should(Succeed())
			for range 3 {
				proxy.Refuse(true)
				proxy.Cut()
				Eventually(errOut).WithContext(ctx).WithTimeout(10 * time.Second).Should(gbytes.Say("trying again"))
				publish()
				publish()
				proxy.Refuse(false)
				Eventually(ctx, look).WithTimeout(20 * time.Second).Should(And(HaveKey(n-1), HaveKey(n)))
			}
			Expect(look()).To(HaveEach(1), "nothing is shown twice")
			stop()
			Eventually(ctx, code).Should(Receive(Equal(0)))
		}, SpecTimeout(2*time.Minute))

		It("shows by --critical alone what somebody must look at", func(ctx SpecContext) {
			out := gbytes.NewBuffer()
			tailing, stop := context.WithCancel(ctx)
			code := make(chan int, 1)
			go func() { code <- ctl.Run(tailing, []string{"tail", "--critical"}, p.environ(), out, GinkgoWriter) }()
			Eventually(ctx, func(g Gomega) { // what was stored before the stream was open is not shown
				p.keep(ctx, object{"type": "MILD", "source": "spec", "severity": 7}, object{"type": "GRAVE", "source": "spec", "severity": 8})
				g.Eventually(out).WithContext(ctx).WithTimeout(time.Second).Should(gbytes.Say("GRAVE"))
			}).WithTimeout(30 * time.Second).Should(Succeed())
			stop()
			Eventually(ctx, code).Should(Receive(Equal(0)))
			Expect(string(out.Contents())).NotTo(ContainSubstring("MILD"))
		}, SpecTimeout(time.Minute))

		It("ends at once when it is refused or when there is no API", func(ctx SpecContext) {
			Expect(p.eactl(ctx, "tail", "--filter", "{").Code).To(Equal(2))
			Expect(p.eactlWith(ctx, []string{"EA_API_URL=http://127.0.0.1:1"}, "tail").Code).To(Equal(1))
			Expect(p.eactlWith(ctx, []string{"EA_API_KEY=ea_somebody-elses-key"}, "tail").Code).To(Equal(1))
		}, SpecTimeout(time.Minute))
	})

	Context("status", func() {
		It("has the shape that scripts read", func(ctx SpecContext) {
			s := p.eactl(ctx, "status", "-o", "json")
			Expect(s).To(done)
			strict := json.NewDecoder(strings.NewReader(s.Out))
			var now report.Status
			Expect(strict.Decode(&now)).To(Succeed())
			Expect(now.Events.Stored).To(BeNumerically(">", 0))
			Expect(now.Queues).To(HaveKey("ingester.events"), "the prefix is left out")
			Expect(now.DeadLetters).To(HaveKey("ingester.events"))
			Expect(now.Lag).To(HaveKey("matched_at"))
			var all map[string]any
			Expect(json.Unmarshal([]byte(s.Out), &all)).To(Succeed())
			Expect(all).To(And(HaveKey("notifications"), HaveKey("leases"), HaveKey("stream_clients")))
		}, SpecTimeout(time.Minute))

		It("is read by people, too", func(ctx SpecContext) {
			s := p.eactl(ctx, "status")
			Expect(s).To(done)
			Expect(s.Out).To(And(MatchRegexp(`events +\d+ stored`), MatchRegexp(`ingester\.events +│ +\d+ +│ +1`), ContainSubstring("matched_at")))
		}, SpecTimeout(time.Minute))

		It("says what to do when the topology is not there", func(ctx SpecContext) {
			s := p.eactlWith(ctx, []string{"EA_BROKER_PREFIX=nobody-declared."}, "status")
			Expect(s.Code).To(Equal(1))
			Expect(s.Err).To(And(ContainSubstring("nobody-declared."), ContainSubstring("eactl topology check")))
		}, SpecTimeout(time.Minute))
	})

	Context("topology", func() {
		It("is printed without any server, in every form", func(ctx SpecContext) {
			s := p.eactlWith(ctx, []string{"EA_AMQP_URL=amqp://127.0.0.1:1/"}, "topology", "print")
			Expect(s).To(done)
			Expect(s.Out).To(And(ContainSubstring("exchange  "+p.Prefix+"ea.stored (topic)"), ContainSubstring("queue     "+p.Prefix+"ingester.events.dead ")))
			var table struct {
				Queues []struct {
					Name      string         `json:"name"`
					Arguments map[string]any `json:"arguments"`
				} `json:"queues"`
			}
			Expect(json.Unmarshal([]byte(p.eactl(ctx, "topology", "print", "-o", "json").Out), &table)).To(Succeed())
			Expect(table.Queues[0].Arguments).To(HaveKeyWithValue("x-queue-type", "quorum"))
			var file map[string][]map[string]any
			Expect(json.Unmarshal([]byte(p.eactl(ctx, "topology", "export").Out), &file)).To(Succeed())
			Expect(file).To(HaveKeyWithValue("bindings", Not(BeEmpty())))
		}, SpecTimeout(time.Minute))

		It("is compared with the broker's", func(ctx SpecContext) {
			Expect(p.eactl(ctx, "topology", "check")).To(done)
			s := p.eactlWith(ctx, []string{"EA_BROKER_PREFIX=nobody-declared."}, "topology", "check", "-o", "json")
			Expect(s.Code).To(Equal(1))
			Expect(s.Out).To(And(ContainSubstring(`"object":"queue nobody-declared.ingester.events"`), ContainSubstring(`"advice":"start any`)))
		}, SpecTimeout(time.Minute))
	})

	Context("users", func() {
		It("are created with a key that works, once", func(ctx SpecContext) {
			s := p.eactl(ctx, "users", "create", "--email", "ops@example.com", "-o", "json")
			Expect(s).To(done)
			key := s.lines()[0]["api_key"].(string)
			Expect(s.lines()[0]).To(And(HaveKeyWithValue("email", "ops@example.com"), HaveKeyWithValue("role", "user"), HaveKey("user_id")))
			Expect(p.eactlWith(ctx, []string{"EA_API_KEY=" + key}, "rules", "list").Code).To(Equal(3), "let in, and there are none")
			s = p.eactlWith(ctx, []string{"EA_API_KEY=" + key}, "rules", "delete", "x")
			Expect(s.Code).To(Equal(1))
			Expect(s.Err).To(And(ContainSubstring("admin"), ContainSubstring("--role admin")))
			s = p.eactl(ctx, "users", "create", "--email", "ops@example.com")
			Expect(s.Code).To(Equal(1))
			Expect(s.Err).To(ContainSubstring("ops@example.com is a user already"))
			plain := p.eactl(ctx, "users", "create", "--email", "admin2@example.com", "--role", "admin")
			Expect(p.eactlWith(ctx, []string{"EA_API_KEY=" + strings.TrimSpace(plain.Out)}, "doctor")).To(done)
		}, SpecTimeout(time.Minute))

		It("need an address and a role", func(ctx SpecContext) {
			Expect(p.eactl(ctx, "users", "create").Err).To(ContainSubstring("--email ADDRESS is missing"))
			Expect(p.eactl(ctx, "users", "create", "--email", "nobody", "--role", "root").Err).To(And(ContainSubstring("nobody"), ContainSubstring("admin or user")))
		}, SpecTimeout(time.Minute))
	})

	Context("doctor", func() {
		It("finds everything well", func(ctx SpecContext) {
			s := p.eactl(ctx, "doctor")
			Expect(s).To(done, s.Out)
			Expect(s.Out).To(And(MatchRegexp(`ok +MongoDB .*replica set`), MatchRegexp(`ok +API .*role admin`)))
			Expect(s.Out).NotTo(ContainSubstring("\x1b["))
		}, SpecTimeout(time.Minute))

		It("tries everything, and says what is wrong and what to do", func(ctx SpecContext) {
			s := p.eactlWith(ctx, []string{"EA_MONGO_URI=mongodb://ops:hunter2@127.0.0.1:1/", "EA_BROKER_PREFIX=nobody-declared.", "EA_API_KEY="}, "doctor", "-o", "json")
			Expect(s.Code).To(Equal(1))
			Expect(s.Err).To(ContainSubstring("4 of 6 checks failed"))
			Expect(s.Out).NotTo(ContainSubstring("hunter2"))
			var all []struct {
				Check string `json:"check"`
				Says  string `json:"says"`
				OK    bool   `json:"ok"`
			}
			Expect(json.Unmarshal([]byte(s.Out), &all)).To(Succeed())
			Expect(all).To(HaveLen(6))
			for _, c := range all {
				Expect(c.OK).To(Equal(c.Check == "configuration" || c.Check == "RabbitMQ"), "%s: %s", c.Check, c.Says)
			}
		}, SpecTimeout(time.Minute))

		It("names every mistake of a configuration that cannot be, and stops there", func(ctx SpecContext) {
			s := p.eactlWith(ctx, []string{"EA_BROKER_PREFIX=a b", "EA_NO_SUCH_KEY=1"}, "doctor")
			Expect(s.Code).To(Equal(1))
			Expect(s.Out).To(And(ContainSubstring("EA_BROKER_PREFIX"), ContainSubstring("EA_NO_SUCH_KEY"), Not(ContainSubstring("MongoDB"))))
		}, SpecTimeout(time.Minute))
	})
})
