package process_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

const (
	presentKey = "present-key-of-the-specs"
	nextKey    = "next-key-of-the-specs"
)

// ask calls the crew's api as its admin.
func (c *crew) ask(ctx context.Context, method, path string, body any) (status int, answer string) {
	GinkgoHelper()
	var text []byte
	if body != nil {
		var err error
		text, err = json.Marshal(body)
		Expect(err).NotTo(HaveOccurred())
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+c.api+path, bytes.NewReader(text))
	Expect(err).NotTo(HaveOccurred())
	request.Header.Set("Authorization", "Bearer "+adminKey)
	response, err := http.DefaultClient.Do(request)
	Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	Expect(err).NotTo(HaveOccurred())
	return response.StatusCode, string(read)
}

// stored is every document of every collection, as text by collection.
func (c *crew) stored(ctx context.Context) map[string]string {
	GinkgoHelper()
	client, err := mongo.Connect(ctx, options.Client().ApplyURI(c.MongoURI))
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = client.Disconnect(ctx) }()
	names, err := client.Database(c.Database).ListCollectionNames(ctx, bson.D{})
	Expect(err).NotTo(HaveOccurred())
	all := map[string]string{}
	for _, name := range names {
		cursor, err := client.Database(c.Database).Collection(name).Find(ctx, bson.D{})
		Expect(err).NotTo(HaveOccurred())
		var text strings.Builder
		for cursor.Next(ctx) {
			text.WriteString(cursor.Current.String())
		}
		Expect(cursor.Err()).NotTo(HaveOccurred())
		all[name] = text.String()
	}
	return all
}

// rotating is eactl secrets rotate, with these keys.
func (c *crew) rotating(fault, current, old string, args ...string) *exec.Cmd {
	cmd := exec.Command(bin+"/eactl", append([]string{"secrets", "rotate", "-o", "json"}, args...)...)
	cmd.Env = append(append(cleanEnviron(), settings(c.Fleet)...), "EA_SECRET_KEY="+current, "EA_SECRET_KEY_OLD="+old, "EA_FAULT="+fault)
	cmd.Stderr = GinkgoWriter
	return cmd
}

// sealedWith counts the values in a text that a key has sealed, by the key's id.
func sealedWith(text string) map[string]int {
	keys := map[string]int{}
	for _, part := range strings.Split(text, "ea-sealed:1:")[1:] {
		of, _, _ := strings.Cut(part, ":")
		id, _, _ := strings.Cut(of, "@") // of a URL its target follows
		keys[id]++
	}
	return keys
}

var _ = Describe("eactl secrets rotate", func() {
	It("encrypts all that is stored anew while the product runs, also when it is killed half-way; then the old key can go", func(ctx SpecContext) {
		crewed(func(ctx context.Context, c *crew, _ struct{}) {
			const signing = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
			signed, err := sink.Start(signing)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(signed.Close)
			keys := func(current, old string) []string {
				return []string{"EA_SECRET_KEY=" + current, "EA_SECRET_KEY_OLD=" + old, "EA_RULE_WORKER_POLL=1s"}
			}
			launch := func(current, old string, names ...string) (all []*running) {
				GinkgoHelper()
				for _, name := range names {
					all = append(all, c.launch(name, keys(current, old)...))
				}
				for _, r := range all {
					r.waitReady(ctx)
				}
				return all
			}
			first := launch(presentKey, "", "api", "action-dispatcher")
			launch("", "", "ingester", "rule-worker")
			for i := range 30 {
				status, answer := c.ask(ctx, http.MethodPost, "/api/v1/rules", map[string]any{"name": fmt.Sprint("guarded ", i),
					"conditions": map[string]any{"type": "GUARDED"}, "enabled": i < 3, "priority": 1 + i,
					"actions": []any{map[string]any{"type": "WEBHOOK", "config": map[string]any{"url": signed.URL, "secret": signing}}}})
				Expect(status).To(Equal(http.StatusCreated), answer)
			}
			publishGuarded := func(n int) {
				GinkgoHelper()
				for range n {
					m, _ := newMessage(5)
					m.Body = bytes.Replace(m.Body, []byte(eventType), []byte("GUARDED"), 1)
					c.Publish(ctx, m)
				}
			}
			accepted := func() int { return signed.Stats().Accepted }
			publishGuarded(20)
			Eventually(ctx, accepted).WithTimeout(patience).Should(Equal(60))
			signed.SetFaults(sink.Faults{Status: http.StatusNotFound})
			publishGuarded(1)
			dead := func() int { return c.Depth(ctx, topology.WebhooksDefault+".dead") }
			Eventually(ctx, func() int {
				return c.Depth(ctx, topology.WebhooksDefault+".dead") + c.Depth(ctx, topology.WebhooksCritical+".dead")
			}).
				WithTimeout(patience).Should(Equal(3))
			signed.SetFaults(sink.Faults{})
			sealed := func() map[string]int {
				GinkgoHelper()
				counts := map[string]int{}
				for _, text := range c.stored(ctx) {
					for id, n := range sealedWith(text) {
						counts[id] += n
					}
				}
				return counts
			}
			before := sealed()
			Expect(before).To(HaveLen(1))
			present := slices.Collect(maps.Keys(before))[0]

			By("the new key beside the present one, a rotation with another that sleeps, and one that dies half-way")
			stopAll(ctx, first...)
			second := launch(nextKey, presentKey, "api", "action-dispatcher")
			dry, err := c.rotating("", nextKey, presentKey, "--dry-run").Output()
			Expect(err).NotTo(HaveOccurred())
			Expect(string(dry)).To(And(ContainSubstring(`"rules":30`), ContainSubstring(`"notifications":63`)))
			Expect(sealed()).To(Equal(before))
			sleeper := c.rotating(string(fault.SecretsRenewing)+":stop", "a-key-of-nobody-else", presentKey)
			var sleeperSaid bytes.Buffer
			sleeper.Stdout = &sleeperSaid
			Expect(sleeper.Start()).To(Succeed())
			DeferCleanup(func() { _ = sleeper.Process.Kill() })
			sleeps(ctx, sleeper)
			killed := c.rotating(string(fault.SecretsRenewing)+":kill:2", nextKey, presentKey)
			Expect(killed.Start()).To(Succeed())
			dies(killed)
			Expect(sealed()).To(And(HaveLen(2), HaveKey(present)), "half of them")
			publishGuarded(5)

			By("run again, and once more")
			said, err := c.rotating("", nextKey, presentKey).Output()
			Expect(err).NotTo(HaveOccurred())
			Expect(string(said)).To(And(ContainSubstring(`"unreadable":0`), Not(ContainSubstring(`"notifications":0`))))
			Eventually(ctx, accepted).WithTimeout(patience).Should(Equal(75))
			Expect(sealed()).To(And(HaveLen(1), Not(HaveKey(present))))
			said, err = c.rotating("", nextKey, presentKey).Output()
			Expect(err).NotTo(HaveOccurred())
			Expect(string(said)).To(ContainSubstring(`"rules":0,"rule_versions":0,"notifications":0`))
			after := sealed()
			Expect(sleeper.Process.Signal(syscall.SIGCONT)).To(Succeed())
			_ = sleeper.Wait()
			Expect(sleeper.ProcessState.ExitCode()).To(Equal(1), "it cannot read what is under the new key")
			Expect(sleeperSaid.String()).To(And(ContainSubstring(`"rules":0,"rule_versions":0,"notifications":0`), Not(ContainSubstring(`"unreadable":0`))))
			Expect(sealed()).To(Equal(after), "nor writes over it")

			By("the new key alone: new events, and dead letters that are encrypted with the one that is gone")
			stopAll(ctx, second...)
			launch(nextKey, "", "api", "action-dispatcher")
			publishGuarded(5)
			Eventually(ctx, accepted).WithTimeout(patience).Should(Equal(90))
			for _, queue := range []string{topology.WebhooksDefault, topology.WebhooksCritical} {
				cmd, _, _ := eactl(c.Fleet, "", "dlq", "replay", queue)
				_ = cmd.Wait()
			}
			Eventually(ctx, accepted).WithTimeout(patience).Should(Equal(93))
			Expect(dead()).To(BeZero())
			Expect(signed.Stats().BadSignatures).To(BeZero())

			By("a key that is neither is named")
			lost := c.rotating("", "another-key-of-the-specs", presentKey)
			said, err = lost.Output()
			Expect(err).To(HaveOccurred())
			Expect(lost.ProcessState.ExitCode()).To(Equal(1))
			Expect(string(said)).To(ContainSubstring(`"rules":0`))
			Expect(sealed()).To(HaveLen(1))
		})(ctx, struct{}{})
	}, SpecTimeout(3*time.Minute))
})

// places are all that take a secret, each with one of its own.
func places(name string) string { return name + "-7f3a9c51d2" }

var _ = Describe("a secret in every place that takes one", func() {
	It("is in clear in no log, no answer, no collection and no dead letter", func(ctx SpecContext) {
		crewed(func(ctx context.Context, c *crew, _ struct{}) {
			// It answers what it was sent, as some do, and refuses or fails by path.
			echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<10))
				status, known := map[string]int{"/ok": http.StatusOK, "/ok/api/v2/alerts": http.StatusOK, "/refuse": http.StatusBadRequest}[r.URL.Path]
				if !known {
					status = http.StatusInternalServerError
				}
				w.WriteHeader(status)
				fmt.Fprintf(w, "you sent %s %s\n%v\n%s", r.Method, r.URL, r.Header, body)
			}))
			DeferCleanup(echo.Close)
			host := strings.TrimPrefix(echo.URL, "http://")
			signing := "whsec_c2VjcmV0LW9mLXRoZS1zcGVjLTdmM2E5YzUxZDI="
			secrets := []string{signing, strings.TrimPrefix(signing, "whsec_"), adminKey, presentKey, "old-" + presentKey}
			secret := func(name string) string {
				s := places(name)
				secrets = append(secrets, s)
				return s
			}
			config := func(path string) map[string]any {
				return map[string]any{"url": fmt.Sprintf("http://user:%s@%s%s?token=%s", secret("password"+path[1:]), host, path, secret("query"+path[1:])),
					"headers": map[string]any{"Authorization": "Bearer " + secret("bearer"+path[1:]), "X-Api-Key": secret("header" + path[1:])},
					"secret":  signing, "retry": []string{"1s"}}
			}
			unreachable := config("/gone")
			unreachable["url"] = strings.Replace(unreachable["url"].(string), host, "127.0.0.1:1", 1)
			private := config("/private")
			private["url"] = strings.Replace(private["url"].(string), host, "10.1.2.3", 1)
			alert := map[string]any{"url": fmt.Sprintf("http://%s@%s/ok", secret("alertkey"), host), "retry": []string{},
				"headers": map[string]any{"Authorization": "Bearer " + secret("alertbearer")}}
			letter := map[string]any{"recipients": []string{"ops@example.com"}, "retry": []string{}}
			with := func(extra map[string]any, channel string) map[string]any {
				one := maps.Clone(extra)
				one["channel"] = channel
				return one
			}
			channels := "mail=smtp://" + secret("mailuser") + ":" + secret("mailpassword") + "@127.0.0.1:1/?from=alerts@example.com" +
				",hook=generic+http://" + host + "/fail?token=" + secret("shoutrrrquery") +
				",chat=mattermost://" + host + "/" + secret("mattermost") + "?disabletls=yes"

			env := []string{"EA_LOG_LEVEL=debug", "EA_SECRET_KEY=" + presentKey, "EA_SECRET_KEY_OLD=old-" + presentKey, "EA_CHANNELS_URLS=" + channels, "EA_RULE_WORKER_POLL=1s"}
			var all []*running
			for _, name := range names {
				all = append(all, c.launch(name, env...))
			}
			for _, r := range all {
				r.waitReady(ctx)
			}
			answers := map[string]string{}
			ask := func(method, path string, body any) (int, string) {
				GinkgoHelper()
				status, answer := c.ask(ctx, method, path, body)
				answers[method+" "+path+fmt.Sprintf(" %T %d", body, len(answers))] = answer
				return status, answer
			}

			By("rules with secrets, saved, refused, tried")
			actions := []any{}
			for _, a := range []struct {
				kind   string
				config map[string]any
			}{
				{"WEBHOOK", config("/ok")}, {"WEBHOOK", config("/refuse")}, {"WEBHOOK", config("/fail")}, {"WEBHOOK", unreachable}, {"WEBHOOK", private},
				{"ALERT", alert}, {"SEND_NOTIFICATION", with(letter, "mail")}, {"SEND_NOTIFICATION", with(letter, "hook")}, {"SEND_NOTIFICATION", with(letter, "chat")},
			} {
				actions = append(actions, map[string]any{"type": a.kind, "config": a.config})
			}
			rule := map[string]any{"name": "secretive", "conditions": map[string]any{"type": eventType}, "actions": actions}
			status, answer := ask(http.MethodPost, "/api/v1/rules", rule)
			Expect(status).To(Equal(http.StatusCreated), answer)
			var saved struct {
				ID string `json:"rule_id"`
			}
			Expect(json.Unmarshal([]byte(answer), &saved)).To(Succeed())
			path := "/api/v1/rules/" + saved.ID
			rule["description"] = "a second version"
			status, answer = ask(http.MethodPut, path, rule)
			Expect(status).To(Equal(http.StatusOK), answer)
			for field, value := range map[string]any{"url": "http://user:" + secret("wrongurl") + "@bad host/", "headers": map[string]any{"X Bad": secret("wrongheader")},
				"secret": "whsec_" + secret("wrongsecret"), "timeout": secret("wrongtimeout")} {
				wrong := config("/ok")
				wrong[field] = value
				bad := map[string]any{"name": "wrong", "conditions": map[string]any{"type": "A"}, "actions": []any{map[string]any{"type": "WEBHOOK", "config": wrong}}}
				status, answer := ask(http.MethodPost, "/api/v1/rules", bad)
				Expect(status).To(Equal(http.StatusUnprocessableEntity), answer)
				ask(http.MethodPost, "/api/v1/rules/test", map[string]any{"rule": bad})
			}

			By("events that they are used for")
			event := publish(ctx, c.Fleet, 1)[0]
			owed := 1 + len(actions) // the crew's own rule, too
			Eventually(ctx, func(g Gomega) {
				settled := 0
				found, err := c.Store.FindNotifications(ctx, store.NotificationFilter{}, nil, 100)
				g.Expect(err).NotTo(HaveOccurred())
				for _, n := range found {
					if n.Status != notification.Pending {
						settled++
					}
				}
				g.Expect(settled).To(Equal(owed), "%+v", found)
				records, err := c.Store.FindDeadLetters(ctx, store.DeadLetterFilter{}, nil, 100)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(len(records)).To(BeNumerically(">=", 7))
			}).WithTimeout(90 * time.Second).WithPolling(200 * time.Millisecond).Should(Succeed())
			status, answer = ask(http.MethodPost, path+"/actions/1/try?event_id="+event, nil)
			Expect(status).To(Equal(http.StatusOK), answer)

			By("every answer that may show one")
			lists := map[string]string{"/rules": "rule_id", "/notifications": "notification_id", "/dead-letters": "dead_id", "/targets": "target_id",
				"/templates": "name", "/silences": "silence_id", "/events": "event_id"}
			for _, list := range slices.Sorted(maps.Keys(lists)) {
				status, answer := ask(http.MethodGet, "/api/v1"+list, nil)
				Expect(status).To(Equal(http.StatusOK), "%s: %s", list, answer)
				var page struct {
					Items []map[string]any `json:"items"`
				}
				Expect(json.Unmarshal([]byte(answer), &page)).To(Succeed())
				for _, item := range page.Items {
					id, _ := item[lists[list]].(string)
					Expect(id).NotTo(BeEmpty(), "%s: %v", list, item)
					status, answer := ask(http.MethodGet, "/api/v1"+list+"/"+url.PathEscape(id), nil)
					Expect(status).To(Equal(http.StatusOK), "%s/%s: %s", list, id, answer)
				}
			}
			for _, more := range []string{"/rules/status", "/dead-letters/groups", "/channels", "/action-types", "/status", "/lag", "/users/me", "/analytics/summary",
				"/rules/" + saved.ID + "/versions", "/rules/" + saved.ID + "/versions/1", "/rules/" + saved.ID + "/diff?from=1&to=2", "/rules/" + saved.ID + "/explain?event=" + event} {
				status, answer := ask(http.MethodGet, "/api/v1"+more, nil)
				Expect(status).To(Equal(http.StatusOK), "%s: %s", more, answer)
			}
			status, answer = ask(http.MethodPost, "/api/v1/rules/backtest", map[string]any{"rule": rule, "from": time.Now().Add(-time.Hour).UTC(), "to": time.Now().UTC()})
			Expect(status).To(BeNumerically("<", 500), answer)
			for _, r := range all {
				for _, path := range []string{"/metrics", "/health", "/readyz"} {
					answers[r.name+path] = get(ctx, "http://"+r.admin+path)
				}
			}

			By("eactl, and processes that are let in nowhere")
			tool := func(args ...string) {
				GinkgoHelper()
				cmd := exec.CommandContext(ctx, bin+"/eactl", args...)
				cmd.Env = append(append(append(cleanEnviron(), settings(c.Fleet)...), env...), "EA_API_URL=http://"+c.api, "EA_API_KEY="+adminKey)
				said, _ := cmd.CombinedOutput() // exit codes are other specs' matter
				answers["eactl "+strings.Join(args, " ")] = string(said)
			}
			tool("rules", "list", "-o", "yaml")
			tool("rules", "export")
			tool("dlq", "list")
			tool("dlq", "list", "-o", "json")
			tool("dlq", "groups")
			tool("dlq", "export", topology.WebhooksDefault)
			for _, d := range ids(answers["eactl dlq list -o json"], "dead_id") {
				tool("dlq", "show", "--id", d)
			}
			tool("doctor")
			tool("secrets", "rotate")
			rabbit, err := url.Parse(c.AMQPURL)
			Expect(err).NotTo(HaveOccurred())
			rabbit.User = url.UserPassword("guest", secret("amqp"))
			locked := []string{"EA_LOG_LEVEL=debug", "EA_AMQP_URL=" + rabbit.String(), "EA_MONGO_URI=mongodb://ops:" + secret("mongo") + "@127.0.0.1:1/?replicaSet=rs0&serverSelectionTimeoutMS=200"}
			outside := c.launch("ingester", locked...)
			for _, args := range [][]string{{"doctor"}, {"status"}, {"users", "create", "--email", "a@example.com"}, {"dlq", "list"}} {
				cmd := exec.CommandContext(ctx, bin+"/eactl", args...)
				cmd.Env = append(append(append(cleanEnviron(), settings(c.Fleet)...), "EA_API_URL=http://"+c.api, "EA_API_KEY="+secret("wrongkey")), locked...)
				said, _ := cmd.CombinedOutput()
				answers["eactl outside "+strings.Join(args, " ")] = string(said)
			}
			Eventually(ctx, outside.log).WithTimeout(patience).Should(ContainSubstring("MongoDB"))
			cmd := exec.CommandContext(ctx, bin+"/api", "config", "print")
			cmd.Env = append(append(append(cleanEnviron(), settings(c.Fleet)...), env...), append(locked, "EA_API_BOOTSTRAP_ADMIN_KEY="+adminKey)...)
			said, err := cmd.CombinedOutput()
			Expect(err).NotTo(HaveOccurred(), "%s", said)
			answers["api config print"] = string(said)

			By("in clear nowhere")
			Expect(len(secrets)).To(BeNumerically(">", 40))
			Expect(len(answers)).To(BeNumerically(">", 100))
			for _, r := range append(all, outside) {
				answers["log of "+r.name] = r.log()
				answers["output of "+r.name] = string(r.Out.Contents())
			}
			for name, text := range c.stored(ctx) {
				answers["collection "+name] = text
			}
			for _, q := range c.Topology.Queues() {
				for _, l := range c.DeadLetters(ctx, strings.TrimPrefix(q.Name, c.Prefix)) {
					answers["dead letter "+l.ID] = fmt.Sprintf("%s %v", l.Body, l.Headers)
				}
			}
			var found []string
			for place, text := range answers {
				for _, s := range secrets {
					if at := strings.Index(text, s); at >= 0 {
						found = append(found, fmt.Sprintf("%s: … %s …", place, text[max(0, at-80):min(len(text), at+len(s)+20)]))
					}
				}
			}
			Expect(found).To(BeEmpty(), strings.Join(found, "\n"))
			Expect(answers["collection notifications"]).To(ContainSubstring("ea-sealed:"))
		})(ctx, struct{}{})
	}, SpecTimeout(4*time.Minute))
})

// ids are the values of a field in lines of JSON.
func ids(lines, field string) (all []string) {
	GinkgoHelper()
	for line := range strings.Lines(lines) {
		var item map[string]any
		Expect(json.Unmarshal([]byte(line), &item)).To(Succeed(), "%s", line)
		all = append(all, item[field].(string))
	}
	return all
}

func get(ctx context.Context, url string) string {
	GinkgoHelper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	Expect(err).NotTo(HaveOccurred())
	response, err := http.DefaultClient.Do(request)
	Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}
