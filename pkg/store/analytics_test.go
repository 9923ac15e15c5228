package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// troubled makes n events of three users and five sessions, one in two an error
// whose text lies in one of several places.
func troubled(n int) event.Batch {
	return testBatch(n, func(i int, d bson.D) bson.D {
		d[2].Value = []string{"PAYMENT_FAILED", "SYSTEM_ERROR"}[i/2%2]
		d[4].Value = int32([]int{3, 7, 5, 9}[i%4])
		d[5].Value = today().Add(time.Duration(i) * 37 * time.Second)
		text := []string{"timeout after 30s", "refused by 10.0.0.7", "déjà vu", ""}[i%3+i/11%2]
		d[6].Value = []bson.D{
			{{Key: "error", Value: text}}, {{Key: "error", Value: bson.D{{Key: "message", Value: text}}}},
			{{Key: "message", Value: text}, {Key: "error", Value: i}}, {{Key: "n", Value: i}}, {{Key: "reason", Value: text}},
		}[i%5]
		d = append(d, bson.E{Key: "n", Value: i})
		if i%4 > 0 {
			d = append(d, bson.E{Key: "matched_rules", Value: []string{"all", fmt.Sprint("rule-", i%2)}})
		}
		if i%3 > 0 {
			d = append(d, bson.E{Key: "user_id", Value: fmt.Sprint("u", i%3)}, bson.E{Key: "session_id", Value: fmt.Sprint("s", i%5)})
		}
		return d
	})
}

// plainEvent is an event as a loop sees it.
type plainEvent struct {
	EventID   string `bson:"event_id"`
	Type      string
	Severity  int
	Timestamp time.Time
	User      string   `bson:"user_id"`
	Session   string   `bson:"session_id"`
	Rules     []string `bson:"matched_rules"`
	Payload   bson.Raw `bson:"payload"`
}

func (e plainEvent) text() string {
	for _, path := range store.ErrorTextFields {
		if v, err := e.Payload.LookupErr(strings.Split(strings.TrimPrefix(path, "payload."), ".")...); err == nil {
			if s, ok := v.StringValueOK(); ok {
				return s
			}
		}
	}
	return ""
}

func plainEvents(b event.Batch) []plainEvent {
	GinkgoHelper()
	all := make([]plainEvent, len(b.Events))
	for i, raw := range b.Events {
		Expect(bson.Unmarshal(raw, &all[i])).To(Succeed())
		all[i].Timestamp = all[i].Timestamp.UTC()
	}
	return all
}

var _ = Describe("analyses of events", Ordered, func() {
	var (
		s      *store.Store
		events []plainEvent
		mu     sync.Mutex
		asked  []sent
		hours  = store.EventFilter{From: today(), To: today().Add(2 * time.Hour)}
	)
	BeforeAll(func(ctx SpecContext) {
		b := troubled(120)
		events = plainEvents(b)
		var err error
		s, err = store.Open(ctx, store.Options{URI: mongoURI(), Database: emptyDatabase(ctx)}.WithCommands(func(collection string, c bson.Raw) {
			mu.Lock()
			defer mu.Unlock()
			if name := c.Index(0).Key(); name == "aggregate" || name == "find" && collection == "events" {
				asked = append(asked, sent{collection, c})
			}
		}))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx SpecContext) { Expect(s.Close(ctx)).To(Succeed()) }, NodeTimeout(10*time.Second))
		Expect(s.EnsureIndexes(ctx)).To(Succeed())
		save(ctx, s, b)
	}, NodeTimeout(time.Minute))

	It("finds errors with their texts, wherever these are, as a loop does", func(ctx SpecContext) {
		for _, f := range []store.EventFilter{
			{From: today(), To: today().Add(2 * time.Hour), SeverityMin: 7},
			{From: today().Add(7 * time.Minute), To: today().Add(time.Hour), SeverityMin: 9, Type: "SYSTEM_ERROR"},
		} {
			var want, got []store.ErrorEvent
			for _, e := range events {
				if e.Severity >= f.SeverityMin && !e.Timestamp.Before(f.From) && e.Timestamp.Before(f.To) && (f.Type == "" || e.Type == f.Type) {
					want = append(want, store.ErrorEvent{EventID: e.EventID, Type: e.Type, Text: e.text(), UserID: e.User, At: e.Timestamp})
				}
			}
			Expect(want).NotTo(BeEmpty())
			Expect(s.EachError(ctx, f, func(e store.ErrorEvent) bool { got = append(got, e); return true })).To(Succeed())
			Expect(got).To(ConsistOf(want))
		}
		calls := 0
		f := hours
		f.SeverityMin = 7
		Expect(s.EachError(ctx, f, func(store.ErrorEvent) bool { calls++; return false })).To(Succeed())
		Expect(calls).To(Equal(1))
	}, SpecTimeout(time.Minute))

	It("looks at the beginning of a long text", func(ctx SpecContext) {
		long := testBatch(1, func(_ int, d bson.D) bson.D {
			d[4].Value, d[5].Value = int32(9), today().Add(-time.Hour)
			d[6].Value = bson.D{{Key: "error", Value: strings.Repeat("é", 2000)}}
			return d
		})
		save(ctx, s, long)
		Expect(s.EachError(ctx, store.EventFilter{From: today().Add(-time.Hour), To: today(), SeverityMin: 7}, func(e store.ErrorEvent) bool {
			Expect(e.Text).To(Equal(strings.Repeat("é", 1024)))
			return true
		})).To(Succeed())
	}, SpecTimeout(time.Minute))

	It("counts what rules matched, by slot, as a loop does", func(ctx SpecContext) {
		type key struct {
			rule string
			slot int
		}
		const slot = 10 * time.Minute
		want := map[key]int64{}
		for _, e := range events {
			for _, r := range e.Rules {
				if r != "rule-0" && !e.Timestamp.Before(hours.From) && e.Timestamp.Before(hours.To) {
					want[key{r, int(e.Timestamp.Sub(hours.From) / slot)}]++
				}
			}
		}
		Expect(want).To(HaveKey(key{"rule-1", 0}))
		found, err := s.RuleMatches(ctx, []string{"rule-1", "all", "none"}, hours.From, hours.To, slot)
		Expect(err).NotTo(HaveOccurred())
		got := map[key]int64{}
		for _, m := range found {
			got[key{m.Rule, m.Slot}] = m.Count
		}
		Expect(got).To(Equal(want))
	}, SpecTimeout(time.Minute))

	It("finds what a user did, by slot, type and session, as a loop does", func(ctx SpecContext) {
		type key struct {
			slot          int
			kind, session string
		}
		const slot = 5 * time.Minute
		want, errors := map[key]int64{}, map[key]int64{}
		for _, e := range events {
			if e.User == "u1" {
				k := key{int(e.Timestamp.Sub(today()) / slot), e.Type, e.Session}
				want[k]++
				if e.Severity >= 7 {
					errors[k]++
				}
			}
		}
		f := hours
		f.UserID = "u1"
		var found []store.UserEvents
		Expect(s.UserEvents(ctx, f, slot, func(u store.UserEvents) { found = append(found, u) })).To(Succeed())
		Expect(found).To(HaveLen(len(want)))
		Expect(slices.IsSortedFunc(found, func(a, b store.UserEvents) int { return b.Slot - a.Slot })).To(BeTrue(), "the latest first")
		for _, u := range found {
			k := key{u.Slot, u.Type, u.Session}
			Expect(u.Count).To(Equal(want[k]), "%v", k)
			Expect(u.Errors).To(Equal(errors[k]), "%v", k)
		}
	}, SpecTimeout(time.Minute))

	It("finds the most active users, as a loop does", func(ctx SpecContext) {
		want := map[string]*store.ActiveUser{}
		sessions, types := map[[2]string]bool{}, map[[2]string]bool{}
		for _, e := range events {
			if e.User == "" {
				continue
			}
			u := want[e.User]
			if u == nil {
				u = &store.ActiveUser{UserID: e.User, First: e.Timestamp}
				want[e.User] = u
			}
			u.Count++
			u.Last = e.Timestamp
			if e.Severity >= 7 {
				u.Errors++
			}
			if k := [2]string{e.User, e.Session}; e.Session != "" && !sessions[k] {
				sessions[k] = true
				u.Sessions++
			}
			if k := [2]string{e.User, e.Type}; !types[k] {
				types[k] = true
				u.Types = append(u.Types, e.Type)
			}
		}
		found, err := s.ActiveUsers(ctx, hours, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(HaveLen(len(want)))
		for _, u := range found {
			w := want[u.UserID]
			Expect(u.Types).To(ConsistOf(w.Types))
			u.Types, u.First, u.Last, w.Types = nil, u.First.UTC(), u.Last.UTC(), nil
			Expect(u).To(Equal(*w))
		}
		one, err := s.ActiveUsers(ctx, hours, 1)
		Expect(err).NotTo(HaveOccurred())
		Expect(one).To(HaveLen(1))
		Expect(one[0].Count).To(Equal(max(found[0].Count, found[1].Count)))
	}, SpecTimeout(time.Minute))

	It("lists so many types of an active user, those of most of its events", func(ctx SpecContext) {
		day := store.EventFilter{From: today().Add(-24 * time.Hour), To: today().Add(-12 * time.Hour)}
		save(ctx, s, testBatch(220, func(i int, d bson.D) bson.D {
			d[2].Value, d[5].Value = fmt.Sprintf("T%03d", i*7%110), day.From.Add(time.Duration(i)*time.Second)
			if i*7%110 < 10 && i >= 110 { // these have one event, and the others two
				d[2].Value = "T050"
			}
			return append(d, bson.E{Key: "user_id", Value: "maker"})
		}))
		found, err := s.ActiveUsers(ctx, day, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(HaveLen(1))
		Expect(found[0].Count).To(BeEquivalentTo(220))
		Expect(found[0].Types).To(And(HaveLen(100), Not(ContainElement(HavePrefix("T00")))))
	}, SpecTimeout(time.Minute))

	It("is asked of an index, whatever is filtered", func(ctx SpecContext) {
		condition, err := bson.Marshal(bson.D{{Key: "payload.n", Value: bson.D{{Key: "$gte", Value: 5}}}})
		Expect(err).NotTo(HaveOccurred())
		every := func(err error) { GinkgoHelper(); Expect(err).NotTo(HaveOccurred()) }
		mu.Lock()
		asked = nil
		mu.Unlock()
		for _, change := range []func(*store.EventFilter){
			func(*store.EventFilter) {}, func(f *store.EventFilter) { f.Type, f.Source, f.Condition = "SYSTEM_ERROR", "auth", condition },
		} {
			f := hours
			f.SeverityMin = 8
			change(&f)
			every(s.EachError(ctx, f, func(store.ErrorEvent) bool { return true }))
			_, err := s.ActiveUsers(ctx, f, 3)
			every(err)
			q := store.SumsQuery{Range: metric.Range{From: f.From, To: f.To}, By: metric.Dimensions, Window: period("1h"), Responses: true}
			_, err = s.EventSums(ctx, q, f)
			every(err)
			_, err = eventApart(ctx, s, q, f)
			every(err)
			f.UserID = "u1"
			every(s.UserEvents(ctx, f, time.Minute, func(store.UserEvents) {}))
			_, err = s.RuleMatches(ctx, []string{"all", "rule-1"}, f.From, f.To, time.Minute)
			every(err)
		}
		mu.Lock()
		commands := asked
		mu.Unlock()
		Expect(commands).To(HaveLen(14))
		for _, c := range commands {
			for _, d := range explainable(c.command) {
				plan := explained(ctx, s, d)
				Expect(plan).To(And(ContainSubstring("IXSCAN"), Not(ContainSubstring("COLLSCAN"))), "%s\n%s", c.command, plan)
			}
		}
	}, SpecTimeout(time.Minute))
})

func explained(ctx context.Context, s *store.Store, command bson.D) string {
	GinkgoHelper()
	plan, err := s.Explain(ctx, command)
	Expect(err).NotTo(HaveOccurred(), "%v", command)
	return plan.String()
}
