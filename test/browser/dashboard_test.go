package browser_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/services/api"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

// at says where an event was.
func at(longitude, latitude float64) object {
	return object{"metadata": object{"location": object{"type": "Point", "coordinates": []float64{longitude, latitude}}}}
}

// flooding gives the page ten thousand events as the stream does, a hundred in
// each frame, and says how long frames took.
const flooding = `(async () => {
	const frame = () => new Promise(requestAnimationFrame);
	const took = [];
	let rows = 0;
	let before = await frame();
	for (let n = 0; n < 10000;) {
		for (const end = n + 100; n < end; n++) {
			const at = new Date().toISOString();
			stream.dispatchEvent(new MessageEvent('event', { lastEventId: 'flood-' + n, data: JSON.stringify({
				event_id: 'flood-' + n, type: 'FLOOD_' + n, source: 'shop', severity: 1 + n % 10, timestamp: at, created_at: at,
				payload: { order: 'o-' + n, amount: n / 100 }, metadata: {}, processed: true,
			}) }));
		}
		const now = await frame();
		took.push(now - before);
		before = now;
		rows = Math.max(rows, document.querySelectorAll('tbody tr').length);
	}
	const third = Math.floor(took.length / 3);
	const quietest = (from) => Math.min(...[0, 1, 2].map((part) => took.slice(from + 11 * part, from + 11 * part + 11).reduce((a, b) => a + b) / 11));
	return JSON.stringify({ rows, first: quietest(0), last: quietest(took.length - third), longest: Math.max(...took) });
})()`

type flood struct {
	Rows    int     `json:"rows"`
	First   float64 `json:"first"`
	Last    float64 `json:"last"`
	Longest float64 `json:"longest"`
}

var _ = Describe("the dashboard", Ordered, func() {
	var p *product
	var receiver *sink.Running
	var t *tab

	BeforeAll(func(ctx SpecContext) {
		p = start(ctx)
		var err error
		receiver, err = sink.Start("")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(receiver.Close)
		t = open(p.base())
	}, NodeTimeout(2*time.Minute))

	It("lets in who has a key, and keeps none", func() {
		t.visit("")
		t.see("Sign in")
		t.accessible("who is to sign in")
		t.write("API key", "ea_no-such-key-0123456789")
		t.press("Sign in")
		t.see("not known, or was replaced")
		t.write("API key", adminKey)
		t.press("Sign in")
		t.see("First admin")
		t.see("Connected")
		Expect(t.eval("document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + location.href")).NotTo(ContainSubstring("ea_"))
	})

	It("takes the key of make run out of the address", func() {
		one := open(p.base())
		one.visit("#key=" + adminKey)
		one.see("First admin")
		one.see("Most frequent errors")
		Expect(one.eval("location.href")).NotTo(ContainSubstring("key"))
		one.visit("?again#key=ea_of-somebody-else-0123456789")
		one.see("The key in the address was not used: you are signed in as First admin.")
		Expect(one.eval("location.href")).NotTo(ContainSubstring("key"))
	})

	It("says so when an address is of nothing", func() {
		one := open(p.base())
		one.visit("#key=" + adminKey)
		one.see("First admin")
		one.visit("?again#/events/%E0%A4%A")
		one.see("there is nothing under this id")
		one.visit("?again#/%E0%A4%A")
		one.see("There is no view at #/%E0%A4%A")
	})

	It("shows events as they are stored, those that pass the filter, and each with its trace", func(ctx SpecContext) {
		t.press("Live")
		t.see("As they are stored")
		trace := object{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
		p.publish(ctx, "ORDER_CREATED", "shop", 2, object{"order": "o-1"}, trace)
		t.see("ORDER_CREATED")
		p.publish(ctx, "PAYMENT_FAILED", "shop", 8, object{"amount": 250, "order": "o-1"}, trace)
		t.see("PAYMENT_FAILED")
		t.write("Condition", `{"payload.amount": {"$gt`)
		t.see("No JSON: line 1")
		t.write("Condition", `{"payload.amount": {"$where": 1}}`)
		t.see("$where")
		t.write("Condition", `{"payload.amount": {"$gte": 100}}`)
		t.see("The condition is valid.")
		t.press("Apply")
		t.seeNot("ORDER_CREATED")
		t.see("PAYMENT_FAILED")
		p.publish(ctx, "ORDER_CREATED", "shop", 2, object{"amount": 1})
		p.publish(ctx, "PAYMENT_FAILED", "bank", 9, object{"amount": 1000})
		t.see("critical 9")
		Expect(t.eval("document.body.innerText")).NotTo(ContainSubstring("ORDER_CREATED"))

		t.press("Pause")
		p.publish(ctx, "REFUND_FAILED", "bank", 7, object{"amount": 300})
		t.see("1 came since")
		Expect(t.eval("document.body.innerText")).NotTo(ContainSubstring("REFUND_FAILED"))
		t.press("Continue")
		t.see("REFUND_FAILED")

		t.write("Condition", `{"payload.order": "o-1"}`)
		t.see("The condition is valid.")
		t.press("Apply")
		t.seeNot("REFUND_FAILED")
		t.press("PAYMENT_FAILED")
		t.see("The same trace")
		t.see("+0 ms")
		t.accessible("an event beside the live feed")
		t.press("Close")
	}, SpecTimeout(2*time.Minute))

	It("rings for critical events, whatever view is open", func(ctx SpecContext) {
		t.press("Critical events")
		t.see("critical 9")
		t.accessible("the bell's list")
		t.press("Close")
		t.press("Targets")
		t.until("document.querySelector('.bell').getAttribute('aria-label') === 'Critical events'", "they were looked at")
		p.publish(ctx, "DISK_SLOW", "plant", 7, object{})
		id := p.publish(ctx, "DISK_FULL", "plant", 8, object{})
		t.until("document.querySelector('.bell').textContent === '1'", "the bell does not ring")
		t.until("document.title === '(1) Targets · Events Aggregator'", "nor does the title")
		t.press("Critical events, 1 new")
		t.see("DISK_FULL")
		t.press("DISK_FULL")
		t.until("location.hash.endsWith("+quoted(id)+")", "it does not lead to the event")
		t.until("document.querySelector('.bell').textContent === ''", "it rings still")
		Expect(t.eval("document.title")).To(Equal("Events · Events Aggregator"))
	}, SpecTimeout(2*time.Minute))

	It("finds stored events by their words, and by a condition", func(ctx SpecContext) {
		p.publish(ctx, "LOGIN_OK", "auth", 1, object{}, at(13.4, 52.5))
		p.publish(ctx, "LOGIN_OK", "auth", 1, object{}, at(2.35, 48.9))
		p.publish(ctx, "LOGIN_FAILED", "auth", 5, object{"reason": "wrong password thrice"})
		p.publish(ctx, "LOGIN_FAILED", "auth", 5, object{"reason": "account closed"}, at(13.4, 52.5))
		t.view("events")
		t.see("Newest first")
		Eventually(ctx, func() any { // until both are stored: a search is not repeated by itself
			t.press("Search again")
			return t.eval("document.body.innerText")
		}).WithTimeout(patience).Should(And(ContainSubstring("thrice"), ContainSubstring("account closed")))
		t.write("Words", "password -closed")
		t.press("Search")
		t.see("What fits best first")
		t.see("wrong password thrice")
		t.seeNot("account closed")
		t.press("Clear")
		t.write("Condition", `{"payload.reason": {"$regex": "closed$"}}`)
		t.see("The condition is valid.")
		t.press("Search")
		t.see("account closed")
		t.seeNot("wrong password thrice")
		t.press("Clear")
		t.write("Source", "auth")
		t.press("Search")
		t.until("document.querySelectorAll('.places circle').length === 2", "no map of the two places")
		t.picture("events-map")
		t.eval("document.querySelector('.places circle.warning').dispatchEvent(new MouseEvent('click', { bubbles: true })); null")
		t.until("document.querySelectorAll('.places circle').length === 1", "the map does not lead to those of one place")
		Expect(t.eval("location.hash")).To(ContainSubstring("near=13.4%2C52.5%2C"))
	}, SpecTimeout(2*time.Minute))

	It("goes on after a reload in mid-stream", func(ctx SpecContext) {
		t.view("live?filter=" + url.QueryEscape(`{"payload.order": "o-1"}`))
		t.see("PAYMENT_FAILED")
		t.eval("location.reload()")
		t.see("PAYMENT_FAILED")
		Expect(t.eval("location.hash")).To(ContainSubstring("payload.order"), "the filter is in the address")
		p.publish(ctx, "ORDER_PAID", "shop", 2, object{"order": "o-1"})
		t.see("ORDER_PAID")
	}, SpecTimeout(2*time.Minute))

	It("stays as quick as it was while ten thousand live events come", func() {
		one := open(p.base())
		one.visit("#key=" + adminKey)
		one.see("First admin")
		one.eval("window.EventSource = class extends EventSource { constructor(address) { super(address); window.stream = this; } }; null")
		one.view("live")
		one.until("window.stream?.readyState === EventSource.OPEN", "no stream")
		var seen flood
		Expect(json.Unmarshal([]byte(one.eval(flooding).(string)), &seen)).To(Succeed())
		GinkgoWriter.Printf("%+v\n", seen)
		Expect(seen.Rows).To(Equal(200), "rows at most")
		// Of each third the quietest moment, which has a redraw in it: what else the
		// machine does is no fault of the page.
		Expect(seen.Last).To(BeNumerically("<=", 2*seen.First), "milliseconds a frame, of the last third and of the first")
		one.see("FLOOD_9999")
		Expect(one.eval("document.querySelectorAll('tbody tr').length")).To(BeEquivalentTo(200))
	})

	It("tells a gap where it cannot say what it saw last, and leads to what it missed", func(ctx SpecContext) {
		t.press("Overview")
		t.eval("window.EventSource = class extends EventSource { constructor(address) { super(address); window.stream = this; } }; null")
		t.view("live?type=INVOICE_LOST&severity_min=3&filter=" + url.QueryEscape(`{"payload.n": {"$gte": 1}}`))
		t.until("stream.readyState === EventSource.OPEN", "no stream")
		t.eval("stream.close(); stream.dispatchEvent(new Event('error')); null") // as after an answer that is no stream
		p.publish(ctx, "INVOICE_LOST", "shop", 2, object{"n": 1, "not": "the severity"})
		p.publish(ctx, "INVOICE_LOST", "shop", 5, object{"n": 0, "not": "the condition"})
		p.publish(ctx, "INVOICE_LOST", "shop", 5, object{"n": 1, "is": "what was missed"})
		t.see("may be missing here")
		t.picture("live-gap")
		t.see("what was missed")
		t.eval("window.gap = document.querySelector('.gap a').href; null")
		Expect(t.eval("new URLSearchParams(gap.split('?')[1]).get('type')")).To(Equal("INVOICE_LOST"))
		t.press("Read them")
		t.see("Newest first")
		t.see("what was missed")
		text := t.eval("document.body.innerText")
		Expect(text).NotTo(Or(ContainSubstring("the severity"), ContainSubstring("the condition")))
	}, SpecTimeout(2*time.Minute))

	It("writes a rule, tries it on an event and on history, and shows what it did", func(ctx SpecContext) {
		t.press("Rules")
		t.press("New rule")
		t.write("Name", "large failed payments")
		t.write("Condition", `{"type": "PAYMENT_FAILED", "payload.amount": {"$gte": 100}}`)
		t.write("Action 1", "WEBHOOK")
		t.write("Settings of action 1", `{"url": "`+receiver.URL+`", "method": "NOPE"}`)
		t.press("Save the rule")
		t.see("/actions/0")
		t.write("Settings of action 1", `{"url": "`+receiver.URL+`", "method": "POST"}`)
		t.write("The event, or its id", `{"type": "PAYMENT_FAILED", "source": "shop", "payload": {"amount": 5}}`)
		t.press("Test")
		t.see("It does not match.")
		t.write("The event, or its id", `{"type": "PAYMENT_FAILED", "source": "shop", "payload": {"amount": 500}}`)
		t.press("Test")
		t.see("It matches.")
		t.press("Back-test")
		t.see("2 matches")
		t.until("!!document.querySelector('.chart canvas')", "no picture of the matches")
		t.press("Save the rule")
		t.see("saved as version 1")
		t.press("Rules")
		t.see("hold these rules")

		id := p.publish(ctx, "PAYMENT_FAILED", "shop", 8, object{"amount": 700})
		Eventually(ctx, func() int { return receiver.Stats().Accepted }).WithTimeout(patience).Should(Equal(1))
		t.view("events/" + id)
		t.see("WEBHOOK")
		t.see("delivered")
		t.see("Attempt 1, ")
		t.see("actions published")
		t.eval("document.querySelector('.clauses').scrollIntoView()")
		t.picture("event-trace")
		t.press("Notifications")
		t.see("large failed payments")
		t.press("Rules")
		t.until("document.querySelector('.matched')?.textContent.trim() === '1'", "no matches by the hour")
	}, SpecTimeout(3*time.Minute))

	It("silences events like one", func(ctx SpecContext) {
		id := p.publish(ctx, "PAYMENT_FAILED", "noisy", 8, object{"amount": 1})
		t.view("events/" + id)
		t.see("none matched")
		t.press("Silence events like this")
		t.write("Comment", "a deploy of noisy")
		t.press("Silence")
		t.see("a deploy of noisy")
		t.see("active")
		Eventually(ctx, func(g Gomega) { // until every worker knows it
			id := p.publish(ctx, "PAYMENT_FAILED", "noisy", 8, object{"amount": 900})
			t.view("events/" + id)
			t.see("WEBHOOK")
			g.Expect(t.eval("document.body.innerText")).To(ContainSubstring("silenced"))
		}).WithTimeout(time.Minute).Should(Succeed())
		t.press("Silences")
		t.press("End now a deploy of noisy")
		t.see("None. A silence holds back")
	}, SpecTimeout(2*time.Minute))

	It("replays dead letters, one first", func(ctx SpecContext) {
		accepted := receiver.Stats().Accepted
		receiver.SetFaults(sink.Faults{Status: http.StatusNotFound})
		p.publish(ctx, "PAYMENT_FAILED", "shop", 8, object{"amount": 800})
		t.press("Dead letters")
		t.see("1 cause, 1 message")
		receiver.SetFaults(sink.Faults{})
		t.press("Open webhooks.default")
		t.press("Dry run")
		t.see("1 would go back to webhooks.default")
		t.press("Replay 1")
		t.see("1 of 1 went back")
		Eventually(ctx, func() int { return receiver.Stats().Accepted }).WithTimeout(patience).Should(Equal(accepted + 1))
		t.press("Close")
		t.see("No message waits for anybody")
	}, SpecTimeout(2*time.Minute))

	It("keeps the versions of a rule, what changed, and the way back", func() {
		t.press("Rules")
		t.press("large failed payments")
		t.write("Condition", `{"type": "PAYMENT_FAILED", "payload.amount": {"$gte": 5000}}`)
		t.press("Save as a new version")
		t.see("saved as version 2")
		t.press("Versions")
		t.press("Look at version 1")
		t.see("− 100")
		t.see("+ 5000")
		t.press("Go back to version 1")
		t.see("as 1")
	})

	It("can be used by the keyboard alone", func(ctx SpecContext) {
		one := open(p.base())
		one.visit("")
		one.see("API key")
		one.keys(adminKey + "\r")
		one.see("First admin")
		reach := func(name string) {
			GinkgoHelper()
			for range 60 {
				one.keys("\t")
				if one.eval(`((e) => (e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent).trim())(document.activeElement) === `+quoted(name)) == true {
					Expect(one.eval("getComputedStyle(document.activeElement).outlineStyle")).To(Equal("solid"), "the focus of %s is not to be seen", name)
					return
				}
			}
			Fail("Tab does not lead to " + name)
		}
		reach("Live")
		one.keys("\r")
		p.publish(ctx, "ORDER_HELD", "shop", 2, object{})
		p.publish(ctx, "PAYMENT_FAILED", "shop", 8, object{})
		one.see("ORDER_HELD")
		reach("Type")
		one.keys("PAYMENT_FAILED\r")
		one.seeNot("ORDER_HELD")
		one.see("PAYMENT_FAILED")
		reach("Pause")
		one.keys(" ")
		one.see("Paused")
		reach("PAYMENT_FAILED")
		one.keys("\r")
		one.see("Why did a rule fire, or not?")
		one.keys("\u001b")
		one.until("!document.querySelector('dialog')", "Escape does not close the event")
		reach("Sign out")
		one.keys("\r")
		one.see("API key")
	}, SpecTimeout(2*time.Minute))

	It("is accessible and fits, light and dark, on a desk and in a hand", func() {
		DeferCleanup(func() { t.wide(); t.colours("light") })
		t.view("rules")
		t.see("large failed payments")
		rule := t.eval("[...document.querySelectorAll('td a')].find((a) => a.textContent === 'large failed payments').hash.slice(2)").(string)
		t.view("notifications")
		t.see("large failed payments")
		notification := t.eval("document.querySelector('td a').hash.slice(2)").(string)
		views := []string{"overview", "live", "events", "rules", "rules/new", "notifications", "targets", "dead-letters", "silences?new=yes", "users", "audit"}
		for _, view := range append(views, rule, rule+"?tab=versions", notification) {
			t.view(view)
			t.until("!document.querySelector('.loading')", "%s is loading", view)
			for _, scheme := range []string{"light", "dark"} {
				t.colours(scheme)
				t.until(`document.documentElement.dataset.theme === '`+scheme+`'`, "it is not %s", scheme)
				t.wide()
				t.picture(view + "-" + scheme)
				t.accessible(view + ", " + scheme)
				t.narrow()
				t.picture(view + "-" + scheme + "-narrow")
				t.until("document.documentElement.scrollWidth <= innerWidth", "%s is wider than the screen", view)
			}
		}
	})

	It("offers to retry many only by what the retry can be told", func() {
		t.view("notifications?status=suppressed")
		t.see("Retry all suppressed ones")
		t.view("notifications?status=suppressed&held_by=some-silence")
		t.see("Held back by some-silence")
		t.seeNot("Retry all suppressed ones")
		t.picture("notifications-held-by")
	})

	It("signs out for good, or says that it did not", func() {
		t.eval("window.asked = fetch; window.fetch = (address, how) => how?.method === 'DELETE' ? Promise.reject(new TypeError('cut')) : asked(address, how); null")
		t.press("Sign out")
		t.see("The server did not hear that you signed out")
		t.picture("sign-out-unheard")
		t.eval("window.fetch = asked; null")
		t.press("Sign out again")
		t.seeNot("The server did not hear")
		t.see("API key")
		t.eval("location.reload()")
		t.see("API key")
	})

	It("is small, and asks nobody else", func(ctx SpecContext) {
		total := 0
		for _, path := range []string{"", "app.js", "app.css"} {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base()+path, nil)
			Expect(err).NotTo(HaveOccurred())
			r.Header.Set("Accept-Encoding", "gzip")
			answer, err := http.DefaultClient.Do(r)
			Expect(err).NotTo(HaveOccurred())
			_ = answer.Body.Close()
			Expect(answer.Header.Get("Content-Encoding")).To(Equal("gzip"), path)
			Expect(answer.Header.Get("Content-Security-Policy")).To(And(ContainSubstring("default-src 'none'"), Not(ContainSubstring("unsafe"))))
			total += int(answer.ContentLength)
		}
		Expect(total).To(And(BeNumerically(">", 10<<10), BeNumerically("<=", 250<<10)))
	}, SpecTimeout(time.Minute))

	It("says that the api is away, and comes back by itself", func(ctx SpecContext) {
		t.write("API key", adminKey)
		t.press("Sign in")
		t.press("Live")
		t.see("Connected")
		Expect(p.api.Stop(ctx)).To(Succeed())
		t.see("The api is away")
		p.startAPI(ctx, p.addr)
		t.see("Connected")
		t.seeNot("What you see may be old")
		p.publish(ctx, "ORDER_SHIPPED", "shop", 2, object{"order": "o-2"})
		t.see("ORDER_SHIPPED")
	}, SpecTimeout(2*time.Minute))

	It("says which server is away, shows what it had, and goes on where it was", func(ctx SpecContext) {
		mongoURI, amqpURL := p.MongoURI, p.AMQPURL
		mongo, rabbit := fleet.Through(&mongoURI), fleet.Through(&amqpURL)
		second := p.Start(ctx, "api", api.Wire, func(c *config.Config) { c.Mongo.URI, c.AMQP.URL = mongoURI, amqpURL })
		one := open("http://" + second.Addr() + "/")
		one.visit("#key=" + adminKey)
		one.see("Connected")
		one.view("live?source=harbour")
		one.see("Live")
		p.publish(ctx, "SHIP_ARRIVED", "harbour", 2, object{"pier": 1})
		one.see("SHIP_ARRIVED")

		rabbit.Refuse(true)
		rabbit.Cut()
		one.see("RabbitMQ is away")
		one.see("What is stored can be read")
		p.publish(ctx, "SHIP_UNLOADED", "harbour", 2, object{"pier": 1})
		one.see("SHIP_UNLOADED")
		rabbit.Refuse(false)
		one.see("Connected")

		mongo.Refuse(true)
		mongo.Cut()
		one.see("MongoDB is away")
		one.see("Events wait in RabbitMQ; none is lost.")
		one.picture("mongodb-away")
		one.see("SHIP_UNLOADED")
		p.publish(ctx, "SHIP_LEFT", "harbour", 2, object{"pier": 1})
		two := open("http://" + second.Addr() + "/") // whoever comes meanwhile
		two.visit("#key=" + adminKey)
		two.see("MongoDB is away")
		mongo.Refuse(false)
		one.see("Connected")
		one.see("SHIP_LEFT")
		two.see("First admin")
	}, SpecTimeout(3*time.Minute))
})
