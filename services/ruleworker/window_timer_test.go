package ruleworker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// troubled is the database of window rules with troubles; those that are nil do
// not happen.
type troubled struct {
	ruleworker.WindowStore

	mu      sync.Mutex
	added   func([]window.Due) error
	asked   func(ctx context.Context, ruleID string, q window.Query) error // for events
	refused func(window.Due) bool                                          // to be committed
	slow    func(ctx context.Context, d window.Due)                        // to be committed
	busy    func(window.Due) bool                                          // an event comes into it each time before it is decided
	unread  func(id string, version int) error                             // of a version of a rule
}

func (t *troubled) of(s ruleworker.WindowStore) ruleworker.WindowStore {
	t.WindowStore = s
	return t
}

// with changes the troubles.
func (t *troubled) with(change func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change()
}

func (t *troubled) DecideDues(ctx context.Context, at time.Time, token primitive.ObjectID, dues []window.Due, owed []decision.Owed) ([]decision.Owed, error) {
	var busy []window.Due
	var err error
	for _, d := range dues {
		if t.slow != nil {
			t.slow(ctx, d)
		}
	}
	t.with(func() {
		for _, d := range dues {
			if t.refused != nil && t.refused(d) {
				err = errors.New("refused")
			}
			if t.busy != nil && t.busy(d) {
				busy = append(busy, d)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if len(busy) > 0 {
		if err := t.AddDues(ctx, busy); err != nil {
			return nil, err
		}
	}
	return t.WindowStore.DecideDues(ctx, at, token, dues, owed)
}

func (t *troubled) AddDues(ctx context.Context, dues []window.Due) error {
	var err error
	t.with(func() {
		if t.added != nil {
			err = t.added(dues)
		}
	})
	switch {
	case errors.Is(err, errTaken):
		return nil
	case err != nil:
		return err
	}
	return t.WindowStore.AddDues(ctx, dues)
}

// errTaken keeps slots from the database, which would be slow.
var errTaken = errors.New("taken")

func (t *troubled) RuleEvents(r *rule.Rule) window.Source {
	return troubledEvents{t.WindowStore.RuleEvents(r), t, r.ID}
}

type troubledEvents struct {
	window.Source

	t    *troubled
	rule string
}

func (e troubledEvents) Observe(ctx context.Context, q window.Query, f func(window.Observation) bool) error {
	if e.t.asked != nil {
		if err := e.t.asked(ctx, e.rule, q); err != nil {
			return err
		}
	}
	return e.Source.Observe(ctx, q, f)
}

type connectionLost struct{ error }

func (connectionLost) Outage() bool { return true }

func (t *troubled) RuleVersion(ctx context.Context, id string, version int) (r rule.Rule, fate ruleworker.RuleFate, err error) {
	t.with(func() {
		if t.unread != nil {
			err = t.unread(id, version)
		}
	})
	if err != nil {
		return r, ruleworker.RuleGone, err
	}
	return t.WindowStore.RuleVersion(ctx, id, version)
}

// silent is a rule that fires for each second in which a key has no event.
func silent(name string, groupBy ...string) rule.Rule {
	settle := every(0)
	return windowRule(name, "HEARTBEAT", window.Spec{Kind: "flatline", Timeframe: every(time.Second), Threshold: 1, GroupBy: groupBy, Settle: &settle})
}

var _ = Describe("the timer of window rules", func() {
	It("lets a key wait that is busy for ever, or whose alerts are refused, and nothing else", func(ctx SpecContext) {
		f := fleet.New(ctx)
		for _, r := range []rule.Rule{silent("keyed", "user_id"), silent("whole")} {
			_, err := f.Store.CreateRule(ctx, r)
			Expect(err).NotTo(HaveOccurred())
		}
		now := time.Now().UTC()
		Expect(f.Store.SaveBatch(ctx, batchOf("HEARTBEAT", one{at: now, user: "busy"}, one{at: now, user: "odd"}, one{at: now, user: "calm"}), "spec")).To(Succeed())
		is := func(user string) func(window.Due) bool {
			return func(d window.Due) bool { return len(d.Key) > 0 && d.Key.Lookup("user_id").StringValue() == user }
		}
		trouble := &troubled{busy: is("busy"), refused: is("odd")}
		f.Start(ctx, "rule-worker", ruleworker.WireOn(trouble.of))
		keys := func(rule string) map[string]int {
			counts := map[string]int{}
			for _, n := range notificationsOf(ctx, f, rule) {
				user, _ := n.Alert.Key.Lookup("user_id").StringValueOK()
				counts[user]++
			}
			return counts
		}
		Eventually(ctx, func(g Gomega) {
			g.Expect(keys("keyed")["calm"]).To(BeNumerically(">=", 3))
			g.Expect(keys("whole")[""]).To(BeNumerically(">=", 3))
		}).WithTimeout(20 * time.Second).Should(Succeed())
		Expect(keys("keyed")).NotTo(Or(HaveKey("busy"), HaveKey("odd")))
		trouble.with(func() { trouble.busy = nil })
		Eventually(ctx, func() int { return keys("keyed")["busy"] }).WithTimeout(20 * time.Second).Should(BeNumerically(">=", 3))
	}, SpecTimeout(time.Minute))

	It("is not stopped by a version of a rule that cannot be read", func(ctx SpecContext) {
		f := fleet.New(ctx)
		_, err := f.Store.CreateRule(ctx, silent("whole"))
		Expect(err).NotTo(HaveOccurred())
		broken := silent("broken")
		part := broken.Window.Parts()[0]
		Expect(f.Store.AddDues(ctx, []window.Due{window.NewDue("broken", 1, part, 0, "")})).To(Succeed())
		trouble := &troubled{unread: func(id string, _ int) error {
			if id == "broken" {
				return errors.New("it cannot be decoded")
			}
			return nil
		}}
		f.Start(ctx, "rule-worker", ruleworker.WireOn(trouble.of))
		Eventually(ctx, func() []string { return alertsOf(ctx, f, "whole") }).WithTimeout(20 * time.Second).ShouldNot(BeEmpty())
		Eventually(ctx, func() (window.Due, error) {
			_, dues, err := f.Store.ClaimDues(ctx, time.Now().Add(time.Hour), time.Now().Add(time.Hour), 1000)
			for _, d := range dues {
				if d.RuleID == "broken" {
					return d, err
				}
			}
			return window.Due{}, err
		}).Should(And(HaveField("Tries", BeNumerically(">=", 1)), HaveField("Error", "it cannot be decoded")))
	}, SpecTimeout(time.Minute))

	It("begins with many keys in small commands, also when another rule's beginning is refused", func(ctx SpecContext) {
		f := fleet.New(ctx)
		for _, name := range []string{"refused", "many"} {
			r := silent(name, "user_id")
			settle := every(time.Hour) // nothing of it is decided
			r.Window.Settle = &settle
			_, err := f.Store.CreateRule(ctx, r)
			Expect(err).NotTo(HaveOccurred())
		}
		_, err := f.Store.CreateRule(ctx, silent("whole"))
		Expect(err).NotTo(HaveOccurred())
		const keys = 1200
		beats := make([]one, keys)
		for i := range beats {
			beats[i] = one{at: time.Now().UTC(), user: fmt.Sprint("u", i)}
		}
		Expect(f.Store.SaveBatch(ctx, batchOf("HEARTBEAT", beats...), "spec")).To(Succeed())
		seeded, longest := map[string]bool{}, 0
		trouble := &troubled{added: func(dues []window.Due) error {
			longest = max(longest, len(dues))
			for _, d := range dues {
				switch d.RuleID {
				case "refused":
					return errors.New("refused")
				case "many":
					seeded[string(d.Key)] = true
				}
			}
			if len(dues) > 0 && dues[0].RuleID == "many" {
				return errTaken
			}
			return nil
		}}
		f.Start(ctx, "rule-worker", ruleworker.WireOn(trouble.of))
		Eventually(ctx, func() (n int) {
			trouble.with(func() { n = len(seeded) })
			return n
		}).WithTimeout(40 * time.Second).Should(Equal(keys))
		Eventually(ctx, func() []string { return alertsOf(ctx, f, "whole") }).WithTimeout(20 * time.Second).ShouldNot(BeEmpty())
		trouble.with(func() { Expect(longest).To(BeNumerically("<=", 1000)) })
	}, SpecTimeout(time.Minute))

	It("says in its report of which rule it could not read all keys from before", func(ctx SpecContext) {
		f := fleet.New(ctx)
		r, err := f.Store.CreateRule(ctx, silent("keyed", "user_id"))
		Expect(err).NotTo(HaveOccurred())
		now := time.Now().UTC()
		Expect(f.Store.SaveBatch(ctx, batchOf("HEARTBEAT", one{at: now, user: "a"}, one{at: now, user: "b"}, one{at: now, user: "c"}), "spec")).To(Succeed())
		warned := func(ctx context.Context) (texts []string) {
			held, err := f.Store.RuleHoldings(ctx)
			Expect(err).NotTo(HaveOccurred())
			for _, h := range held {
				for _, w := range h.Warned {
					texts = append(texts, fmt.Sprint(w.RuleID, " ", w.Version, ": ", w.Warning))
				}
			}
			return texts
		}
		f.Start(ctx, "rule-worker", ruleworker.WireSeeding(2), quickPoll)
		Eventually(ctx, warned).WithTimeout(20 * time.Second).Should(ConsistOf(And(HavePrefix("keyed 1: "),
			ContainSubstring("only 2 are surely watched"), ContainSubstring("there are more than 2 events"), ContainSubstring("narrower conditions"))))
		r.Conditions = document(bson.D{{Key: "type", Value: "OTHER"}})
		_, err = f.Store.ReplaceRule(ctx, r, 1)
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, warned).WithTimeout(20 * time.Second).Should(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("goes on with the next slot after one that is given up", func(ctx SpecContext) {
		f := fleet.New(ctx)
		r, err := f.Store.CreateRule(ctx, silent("whole"))
		Expect(err).NotTo(HaveOccurred())
		part := r.Window.Parts()[0]
		slot := part.SlotOf(time.Now().Add(-30 * time.Second))
		last := window.NewDue("whole", r.Version, part, slot, "")
		last.Tries = 299
		Expect(f.Store.AddDues(ctx, []window.Due{last})).To(Succeed())
		events := published(ctx, f)
		from, to := part.Slot(slot)
		trouble := &troubled{asked: func(_ context.Context, _ string, q window.Query) error {
			if q.From <= from && to <= q.To {
				return errors.New("refused")
			}
			return nil
		}}
		f.Start(ctx, "rule-worker", ruleworker.WireOn(trouble.of))
		Eventually(ctx, func(g Gomega) {
			got := alertsOf(ctx, f, "whole")
			g.Expect(got).NotTo(ContainElement(fmt.Sprintf("@%d", slot)))
			for next := slot + 1; next < slot+10; next++ {
				g.Expect(got).To(ContainElement(fmt.Sprintf("@%d", next)))
			}
		}).WithTimeout(20 * time.Second).Should(Succeed())
		Eventually(ctx, events).Should(HaveLen(1), "and an event says that the rule fails")
		Expect(events()[0].RoutingKey).To(Equal("events.rule.failing"))
		Expect(string(events()[0].Body)).To(And(ContainSubstring(`"rule_name":"whole"`), ContainSubstring("not decided in 300 tries: refused")))
	}, SpecTimeout(time.Minute))

	It("evaluates keys that failed in smaller groups, and those that cannot be searched by themselves", func(ctx SpecContext) {
		r := silent("keyed", "user_id")
		r.ID, r.Version = "keyed", 1
		sizes := func(tries ...int) []int {
			var dues []window.Due
			for i := range 300 {
				for _, n := range tries {
					d := window.NewDue(r.ID, r.Version, r.Window.Parts()[0], 0, string(document(bson.D{{Key: "user_id", Value: fmt.Sprint(n, "u", i)}})))
					d.Tries = n
					dues = append(dues, d)
				}
			}
			odd := window.NewDue(r.ID, r.Version, r.Window.Parts()[0], 0, string(document(bson.D{{Key: "user_id", Value: bson.A{"a"}}})))
			groups, err := ruleworker.GroupsOf(ctx, r, append(dues, odd))
			Expect(err).NotTo(HaveOccurred())
			var n []int
			for _, keys := range groups {
				n = append(n, len(keys))
			}
			return n
		}
		Expect(sizes(0)).To(Equal([]int{300, 1}))
		Expect(sizes(1)).To(Equal([]int{125, 125, 50, 1}))
		Expect(sizes(0, 1)).To(ConsistOf(300, 125, 125, 50, 1))
		Expect(sizes(4)).To(And(HaveLen(301), HaveEach(1)))
		Expect(sizes(299)).To(HaveLen(301))
	})

	It("tells of the other keys of a slot when one has too many events, and is given up", func(ctx SpecContext) {
		f := fleet.New(ctx)
		r, err := f.Store.CreateRule(ctx, silent("keyed", "user_id"))
		Expect(err).NotTo(HaveOccurred())
		part := r.Window.Parts()[0]
		slot := part.SlotOf(time.Now().Add(-30 * time.Second))
		from, _ := part.Slot(slot)
		beat := time.UnixMilli(from).Add(-time.Second).UTC()
		Expect(f.Store.SaveBatch(ctx, batchOf("HEARTBEAT", one{at: beat, user: "heavy"}, one{at: beat, user: "a"}, one{at: beat, user: "b"}), "spec")).To(Succeed())
		key := func(user string) string { return string(document(bson.D{{Key: "user_id", Value: user}})) }
		var dues []window.Due
		for user, tries := range map[string]int{"heavy": 299, "a": 4, "b": 4} {
			d := window.NewDue(r.ID, r.Version, part, slot, key(user))
			d.Tries = tries
			dues = append(dues, d)
		}
		Expect(f.Store.AddDues(ctx, dues)).To(Succeed())
		trouble := &troubled{asked: func(_ context.Context, _ string, q window.Query) error {
			if q.From <= from && slices.Contains(q.Keys, key("heavy")) {
				return window.ErrTooMany
			}
			return nil
		}}
		f.Start(ctx, "rule-worker", ruleworker.WireOn(trouble.of))
		Eventually(ctx, func() (users []string) {
			for _, n := range notificationsOf(ctx, f, "keyed") {
				if n.Alert.Slot == slot {
					users = append(users, n.Alert.Key.Lookup("user_id").StringValue())
				}
			}
			return users
		}).WithTimeout(20 * time.Second).Should(ConsistOf("a", "b"))
	}, SpecTimeout(time.Minute))

	It("does not wait for a rule whose queries take for ever, or lose their connection", func(ctx SpecContext) {
		f := fleet.New(ctx)
		names := []string{"slow", "lost", "quick"}
		for i := range 9 { // more than there are places for
			names = append(names, fmt.Sprint("slow-", i))
		}
		for _, name := range names {
			_, err := f.Store.CreateRule(ctx, silent(name))
			Expect(err).NotTo(HaveOccurred())
		}
		trouble := &troubled{asked: func(ctx context.Context, ruleID string, _ window.Query) error {
			switch {
			case strings.HasPrefix(ruleID, "slow"):
				<-ctx.Done()
				return &store.TooSlow{Err: ctx.Err()}
			case ruleID == "lost":
				return connectionLost{errors.New("the server closed the connection")}
			}
			return nil
		}}
		f.Start(ctx, "rule-worker", ruleworker.WireOn(trouble.of))
		Eventually(ctx, func() int { return len(alertsOf(ctx, f, "quick")) }).WithTimeout(20 * time.Second).Should(BeNumerically(">=", 4))
		Expect(alertsOf(ctx, f, "slow")).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("does not wait for a rule that has many alerts to commit", func(ctx SpecContext) {
		f := fleet.New(ctx)
		many, err := f.Store.CreateRule(ctx, silent("many", "user_id"))
		Expect(err).NotTo(HaveOccurred())
		_, err = f.Store.CreateRule(ctx, silent("few"))
		Expect(err).NotTo(HaveOccurred())
		// More keys than are settled together, and all of them due before the start: on a
		// slow server those that begin by an event are due one after the other.
		const users = 250
		part := many.Window.Parts()[0]
		slot := part.SlotOf(time.Now().Add(-30 * time.Second))
		from, _ := part.Slot(slot)
		var beats []one
		var dues []window.Due
		for i := range users {
			user := fmt.Sprint("u", i)
			beats = append(beats, one{at: time.UnixMilli(from).Add(-time.Second).UTC(), user: user})
			dues = append(dues, window.NewDue(many.ID, many.Version, part, slot, string(document(bson.D{{Key: "user_id", Value: user}}))))
		}
		Expect(f.Store.SaveBatch(ctx, batchOf("HEARTBEAT", beats...), "spec")).To(Succeed())
		Expect(f.Store.AddDues(ctx, dues)).To(Succeed())
		begun, committed := make(chan struct{}), make(chan struct{})
		var once sync.Once
		trouble := &troubled{slow: func(ctx context.Context, d window.Due) {
			if d.RuleID == "many" {
				once.Do(func() { close(begun) })
				select {
				case <-committed:
				case <-ctx.Done():
				}
			}
		}}
		f.Start(ctx, "rule-worker", ruleworker.WireOn(trouble.of))
		Eventually(ctx, begun).WithTimeout(30 * time.Second).Should(BeClosed())
		before := len(alertsOf(ctx, f, "few"))
		Eventually(ctx, func() int { return len(alertsOf(ctx, f, "few")) }).WithTimeout(30 * time.Second).Should(BeNumerically(">=", before+4))
		Expect(alertsOf(ctx, f, "many")).To(BeEmpty())
		close(committed)
		Eventually(ctx, func() int { return len(alertsOf(ctx, f, "many")) }).WithTimeout(time.Minute).Should(BeNumerically(">=", users))
	}, SpecTimeout(2*time.Minute))

	It("says of a key with a clock of yesterday only what is so now", func(ctx SpecContext) {
		f := fleet.New(ctx)
		r, err := f.Store.CreateRule(ctx, silent("keyed", "user_id"))
		Expect(err).NotTo(HaveOccurred())
		f.Start(ctx, "rule-worker", ruleworker.Wire)
		now := time.Now().UTC()
		offer(ctx, f, batchOf("HEARTBEAT", one{at: now.Add(-20 * time.Hour), user: "a", stored: now}))
		Eventually(ctx, func() []string { return alertsOf(ctx, f, "keyed") }).WithTimeout(20 * time.Second).ShouldNot(BeEmpty())
		last := r.Window.Parts()[0].SlotOf(now) - 1
		for _, n := range notificationsOf(ctx, f, "keyed") {
			Expect(n.Alert.Slot).To(BeNumerically(">=", last), "the last complete window when the event came")
		}
	}, SpecTimeout(time.Minute))

	It("decides the many slots after a late event in a few queries", func(ctx SpecContext) {
		f := fleet.New(ctx)
		r, err := f.Store.CreateRule(ctx, silent("keyed", "user_id"))
		Expect(err).NotTo(HaveOccurred())
		var queries atomic.Int64
		trouble := &troubled{asked: func(context.Context, string, window.Query) error {
			queries.Add(1)
			return nil
		}}
		f.Start(ctx, "rule-worker", ruleworker.WireOn(trouble.of))
		const late = 400
		start := time.Now().UTC().Truncate(time.Second).Add(-late * time.Second)
		offer(ctx, f, batchOf("HEARTBEAT", one{at: start, user: "a"}, one{at: start.Add(100 * time.Second), user: "a"}, one{at: start.Add(101 * time.Second), user: "a"}))
		Eventually(ctx, func(g Gomega) {
			got := alertsOf(ctx, f, "keyed")
			g.Expect(len(got)).To(BeNumerically(">=", late-10))
			g.Expect(got).To(Equal(recounted(ctx, f, r, start, settledBy(r))))
		}).WithTimeout(20 * time.Second).Should(Succeed())
		Expect(queries.Load()).To(BeNumerically("<", late/2))
	}, SpecTimeout(time.Minute))

	It("commits about a thousand notifications at a time, those of an alert together", func() {
		part := silent("r", "user_id").Window.Parts()[0]
		var dues []window.Due
		var owed []decision.Owed
		due := func(slot int64, key string, alerts, each int) {
			d := window.NewDue("r", 1, part, slot, key)
			dues = append(dues, d)
			for i := range alerts {
				for j := range each {
					owed = append(owed, decision.Owed{Due: d.ID, Notification: notification.Notification{
						ID: fmt.Sprint(d.ID, i, j), Alert: &notification.Alert{Slot: int64(i)}}})
				}
			}
		}
		due(0, "a", 200, 3)
		due(0, "b", 200, 2)
		due(1, "a", 100, 1)
		due(2, "a", 900, 3) // more than one transaction of its own
		due(3, "a", 0, 0)   // whose alerts exist
		slots, portions, parts := ruleworker.Portions(dues, owed)
		again := []decision.Owed{}
		taken := map[string]int{}
		for i, p := range portions {
			Expect(len(p)).To(BeNumerically("<=", 1002))
			again = append(again, p...)
			if i > 0 && len(p) > 0 && len(portions[i-1]) > 0 {
				last := portions[i-1][len(portions[i-1])-1]
				Expect(p[0].Due == last.Due && p[0].Alert.Slot == last.Alert.Slot).To(BeFalse(), "an alert is cut")
			}
			for _, d := range slots[i] {
				if !parts[i] {
					taken[d.ID]++
				}
			}
		}
		Expect(again).To(Equal(owed), "in the same order")
		Expect(parts).To(Equal([]bool{false, false, true, true, false}))
		Expect(taken).To(HaveLen(len(dues)))
		for _, n := range taken {
			Expect(n).To(Equal(1), "each slot is taken away once, with the last of what it owes")
		}
	})
})
