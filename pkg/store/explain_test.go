package store_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/backtest"
	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/letter"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/replay"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/silence"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

// small are collections of a handful of documents that are listed whole.
var small = map[string]bool{"leases": true, "stamps": true, "dimensions": true, "rule_workers": true, "ingesters": true}

// sent is one command that the store sent.
type sent struct {
	collection string
	command    bson.Raw
}

// explainable turns a command into what explain takes, one for each statement;
// none for commands that do not search.
func explainable(c bson.Raw) []bson.D {
	name := c.Index(0).Key()
	target, _ := c.Index(0).Value().StringValueOK()
	pick := func(doc bson.Raw, keys ...string) bson.D {
		var d bson.D
		for _, k := range keys {
			if v := doc.Lookup(k); v.Value != nil {
				d = append(d, bson.E{Key: k, Value: v})
			}
		}
		return d
	}
	// An update or deletion finds its documents as a find does.
	asFind := func(filter bson.RawValue) bson.D {
		return bson.D{{Key: "find", Value: target}, {Key: "filter", Value: filter}}
	}
	statements := func(list string) []bson.D {
		var out []bson.D
		values, _ := c.Lookup(list).Array().Values()
		for _, v := range values {
			out = append(out, asFind(v.Document().Lookup("q")))
		}
		return out
	}
	switch name {
	case "find":
		return []bson.D{append(bson.D{{Key: name, Value: target}}, pick(c, "filter", "sort", "limit", "hint", "projection")...)}
	case "aggregate":
		return []bson.D{append(bson.D{{Key: name, Value: target}}, pick(c, "pipeline", "hint", "cursor")...)}
	case "findAndModify":
		return []bson.D{asFind(c.Lookup("query"))}
	case "update":
		return statements("updates")
	case "delete":
		return statements("deletes")
	default:
		return nil
	}
}

// collectionScan says whether the server plans to read the whole collection.
func collectionScan(ctx context.Context, s *store.Store, command bson.D) bool {
	GinkgoHelper()
	plan, err := s.Explain(ctx, command)
	Expect(err).NotTo(HaveOccurred(), "%v", command)
	winning := plan.Lookup("queryPlanner", "winningPlan").String()
	if winning == "" { // an aggregation's plan is nested in its first stage
		winning = plan.String()
	}
	return strings.Contains(winning, "COLLSCAN")
}

// firstKeyIndexed says whether _id or the first key of an index of the table
// stands in the command's filter, sort or first pipeline stage.
func firstKeyIndexed(collection string, command bson.D) bool {
	var names []string
	for _, e := range command {
		v, ok := e.Value.(bson.RawValue)
		if !ok {
			continue
		}
		if stages, isArray := v.ArrayOK(); isArray {
			v = stages.Index(0).Value()
			v = v.Document().Index(0).Value()
		}
		if doc, isDoc := v.DocumentOK(); isDoc {
			elements, _ := doc.Elements()
			for _, el := range elements {
				names = append(names, el.Key())
			}
		}
	}
	return slices.Contains(names, "_id") || slices.ContainsFunc(store.Indexes, func(ix store.Index) bool {
		return ix.Collection == collection && slices.Contains(names, ix.Keys[0].Key)
	})
}

var _ = Describe("every query of the store", func() {
	It("is served by an index", func(ctx SpecContext) {
		var mu sync.Mutex
		var all []sent
		s, err := store.Open(ctx, store.Options{URI: mongoURI(), Database: emptyDatabase(ctx)}.WithCommands(func(collection string, c bson.Raw) {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, sent{collection, c})
		}))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx SpecContext) { Expect(s.Close(ctx)).To(Succeed()) }, NodeTimeout(10*time.Second))
		Expect(s.EnsureIndexes(ctx)).To(Succeed())
		Expect(s.CheckIndexes(ctx)).To(BeEmpty())

		now := time.Now().UTC()
		b := testBatch(3)
		eventID := b.Events[0].Lookup("event_id").StringValue()
		id := b.Events[0].Lookup("_id").ObjectID()
		yes := true
		every := func(err error) { GinkgoHelper(); Expect(err).NotTo(HaveOccurred()) }
		drop := func(_ any, err error) { GinkgoHelper(); every(err) }

		every(s.SaveBatch(ctx, b, "spec"))
		drop(s.KnownEvents(ctx, []string{eventID}))
		drop(s.Event(ctx, eventID))
		for _, stage := range store.Stages {
			every(s.MarkStage(ctx, stage, now, b.ID))
			drop(s.OpenBatches(ctx, stage, now, store.LedgerRow{ID: "a", StoredAt: now.Add(-time.Hour)}, 10))
		}
		row, err := s.Batch(ctx, b.ID)
		every(err)
		drop(s.LoadBatch(ctx, row))
		drop(s.Decide(ctx, now, []decision.Batch{{Batch: b, Matches: []event.Match{{ID: id, Rules: []string{"r"}}}, Owed: owing(pending("n1", eventID))}}))
		noisy := testRule("noisy")
		noisy.Throttle, noisy.MaxMatchesPerHour = &rule.Throttle{For: interval.Duration(time.Hour)}, 1
		drop(s.Decide(ctx, now, []decision.Batch{owes(noisy, now, 3)}))
		drop(s.Decide(ctx, now, []decision.Batch{owes(grouping(), now, 3)}))
		due, err := s.DueGroups(ctx, now, 10)
		every(err)
		every(s.PostponeGroups(ctx, []string{"other"}, now))
		drop(s.FlushGroups(ctx, now, []string{due[0].ID}, telling(grouping(), now)))
		costly := owes(testRule("costly"), now, 1)
		for range decision.MostExcesses {
			costly.Excesses = append(costly.Excesses, decision.Excess{Rule: costly.Owed[0].Rule, EventID: "e"})
		}
		drop(s.Decide(ctx, now, []decision.Batch{costly}))
		drop(s.DisableExcessive(ctx, now, "spec", decision.ExcessesOf([]decision.Batch{costly})))
		drop(s.Announcements(ctx, 10))
		every(s.MarkAnnounced(ctx, "a1"))
		quiet := silence.Silence{ID: "s1", Condition: bson.Raw{5, 0, 0, 0, 0}, From: now, Until: now.Add(time.Hour), CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
		every(s.CreateSilence(ctx, quiet))
		drop(s.ExpireSilence(ctx, "s1", now, "spec", nil))
		drop(s.Silence(ctx, "s1"))
		drop(s.SilencesStamp(ctx))
		drop(s.SilencesAfter(ctx, now))
		for _, state := range []silence.State{"", silence.Pending, silence.Active, silence.Expired} {
			drop(s.FindSilences(ctx, state, now, nil, 10))
			drop(s.FindSilences(ctx, state, now, &store.SilencePosition{CreatedAt: now, ID: "s1"}, 10))
		}
		drop(s.HeldBy(ctx, "s1", 10))
		drop(s.Decided(ctx, []string{b.ID}))
		drop(s.OwedNotifications(ctx, []string{eventID}))
		drop(s.UnpublishedNotifications(ctx, now, nil, 10))
		drop(s.UnpublishedNotifications(ctx, now, &notification.Notification{ID: "n1", CreatedAt: now.Add(-time.Hour)}, 10, "gone"))
		every(s.MarkPublished(ctx, notification.Notification{ID: "n1"}, notification.Notification{ID: "n2", Orders: 2}))
		every(s.LeaveUnpublished(ctx, "n1"))
		drop(s.Lag(ctx, now))
		drop(s.EventsByID(ctx, []primitive.ObjectID{id}))
		drop(s.Events(ctx, []string{eventID}))
		drop(s.ExistingNotifications(ctx, []string{"n1"}))
		windowed := testRule("windowed")
		windowed.Window = &window.Spec{Kind: "frequency", NumEvents: 3, Timeframe: interval.Duration(time.Minute), GroupBy: []string{"user_id"}}
		key := rule.WindowKey(b.Events[0], windowed.Window.GroupBy)
		for _, q := range []window.Query{{}, {Keys: []string{key}}, {Keys: []string{key}, Order: window.NewestFirst, Wanted: 1}, {Order: window.OldestFirst}} {
			q.From, q.To = now.Add(-time.Hour).UnixMilli(), now.UnixMilli()
			every(s.RuleEvents(&windowed).Observe(ctx, q, func(window.Observation) bool { return true }))
		}
		drop(s.MissingIndexes(ctx, []rule.Rule{windowed}))
		dues := []window.Due{window.NewDue(windowed.ID, 1, windowed.Window.Parts()[0], 1, key)}
		every(s.AddDues(ctx, dues))
		_, dues, err = s.ClaimDues(ctx, now, now, 10)
		every(err)
		Expect(dues).To(HaveLen(1))
		_, _, err = s.ClaimDues(ctx, now, now.Add(-time.Hour), 10, "other")
		every(err)
		drop(s.NewestBegin(ctx, 50))
		every(s.ReportIngest(ctx, "a", time.Second, now))
		drop(s.IngestReports(ctx))
		every(s.LeaveIngest(ctx, "a"))
		every(s.AddDues(ctx, dues))
		_, _, err = s.HandOverDues(ctx, windowed.ID, 2, "", 10)
		every(err)
		token, dues, err := s.ClaimDues(ctx, now, now, 10)
		every(err)
		every(s.PostponeDues(ctx, token, dues, now, "slow"))
		every(s.SleepDues(ctx, token, dues, now, "asleep"))
		_, err = s.OweDue(ctx, now, token, dues[0], owing(pending("n3", eventID)))
		every(err)
		_, err = s.DecideDues(ctx, now, token, dues, owing(pending("n3", eventID)))
		every(err)
		every(s.DropDues(ctx, token, dues))
		_, _, err = s.Claim(ctx, claim("n1", 1, "t", now))
		every(err)
		every(s.ReleaseClaim(ctx, "n1", "t"))
		drop(s.RecordAttempts(ctx, now, []store.AttemptRecord{{ID: "n1", Attempt: attempt(1, "a", notification.OutcomeOK), Status: notification.Delivered},
			{ID: "n2", Attempt: attempt(1, "a", notification.OutcomeOK), Status: notification.Delivered}}))

		after := &store.EventPosition{Timestamp: now, ID: id}
		condition := func(d bson.D) bson.Raw {
			raw, err := bson.Marshal(d)
			every(err)
			return raw
		}
		hour := now.Add(-time.Hour)
		for _, f := range []store.EventFilter{
			{}, {Type: "USER_LOGIN"}, {Type: "USER_LOGIN", SeverityMin: 2}, {Source: "auth"}, {UserID: "u"}, {SessionID: "s"},
			{TraceID: "t"}, {Rule: "r"}, {Rules: []string{"r"}, From: now}, {AnyRule: true, From: now}, {From: hour, To: now}, {Processed: &yes, From: hour},
			{SeverityMin: 7}, {SeverityMin: 9, Source: "auth"}, {Rule: "r", Type: "USER_LOGIN"}, {CausedBy: eventID},
			{Near: &store.Circle{Longitude: 13.4, Latitude: 52.5, Metres: 1000}}, {Near: &store.Circle{Longitude: 13.4, Latitude: 52.5, Metres: 1000}, From: hour},
			{Condition: condition(bson.D{{Key: "payload.n", Value: 1}}), From: hour},
			{Condition: condition(bson.D{{Key: "type", Value: "USER_LOGIN"}, {Key: "payload.n", Value: 1}})},
			{Condition: condition(bson.D{{Key: "user_id", Value: "u"}})},
			{Condition: condition(bson.D{{Key: "timestamp", Value: bson.D{{Key: "$gte", Value: hour}}}})},
		} {
			narrowed, err := s.Narrowed(ctx, f)
			every(err)
			Expect(narrowed || f.Whole()).To(BeTrue(), "%v", f)
			drop(s.FindEvents(ctx, store.EventList{EventFilter: f, Limit: 10}))
			drop(s.FindEvents(ctx, store.EventList{EventFilter: f, Limit: 10, After: after}))
			drop(s.FindEvents(ctx, store.EventList{EventFilter: f, Limit: 10, After: after, OldestFirst: true, Fields: []string{"type"}}))
			if narrowed {
				_, _, err = s.SearchEvents(ctx, store.EventSearch{EventFilter: f, Limit: 10, Search: event.Search{Words: []string{"a"}}})
				every(err)
			}
		}
		drop(s.EventsAfter(ctx, id, 10))
		search, other := s.RuleSearch(testRule("a").Conditions), s.RuleSearch(testRule("b").Conditions)
		for _, q := range []backtest.Search{search, search.Without(other)} {
			drop(q.Counts(ctx, now.Add(-time.Hour), now, "hour"))
			every(q.Events(ctx, now.Add(-time.Hour), now, true, 20, []string{"event_id"}, func(bson.Raw) bool { return true }))
			every(q.Events(ctx, now.Add(-time.Hour), now, false, 0, nil, func(bson.Raw) bool { return true }))
		}
		for _, f := range []store.NotificationFilter{{}, {Status: notification.Pending}, {RuleID: "r1"}, {EventID: eventID}, {From: now},
			{HeldBy: "s1"}, {ReplayID: "j1"}, {Status: notification.Suppressed, Reason: notification.Muted}} {
			drop(s.FindNotifications(ctx, f, nil, 10))
			drop(s.FindNotifications(ctx, f, &store.NotificationPosition{CreatedAt: now, ID: "n1"}, 10))
			drop(s.CountNotifications(ctx, f))
		}
		_, _, err = s.NotificationCounts(ctx, 10)
		every(err)
		every(s.SaveDeadLetters(ctx, store.DeadLetterRecord{ID: "d1", Queue: "q", DeadAt: now, ExpiresAt: now.Add(time.Hour)}))
		drop(s.DeadLetter(ctx, "d1"))
		drop(s.WaitingDeadLetters(ctx, 10))
		for _, f := range []store.DeadLetterFilter{{}, {Queue: "q"}, {Queue: "q", Reason: "permanent", ErrorClass: "c"}, {Cause: "c"}, {Waiting: true}, {From: now.Add(-time.Hour)}} {
			drop(s.FindDeadLetters(ctx, f, nil, 10))
			drop(s.FindDeadLetters(ctx, f, &store.DeadLetterPosition{DeadAt: now, ID: "d1"}, 10))
			if f != (store.DeadLetterFilter{}) {
				drop(s.DeadLetterGroups(ctx, f))
			}
		}
		u := testUser("one@example.com")
		every(s.CreateUser(ctx, u))
		drop(s.UserByKeyHash(ctx, u.APIKeys[0].Hash))
		drop(s.UserByEmail(ctx, u.Email))
		drop(s.User(ctx, u.ID))
		drop(s.FindUsers(ctx, "", "a", 10))
		drop(s.FindUsers(ctx, user.Admin, "a", 10))
		drop(s.ChangeUser(ctx, u.ID, "spec", now, func(u user.User) (user.User, error) { u.Name = "other"; return u, nil }))
		drop(s.Users(ctx, 10))
		drop(s.People(ctx, []string{u.ID}, nil))
		drop(s.People(ctx, nil, []user.Role{user.Admin}))
		drop(s.People(ctx, []string{u.ID}, []user.Role{user.Admin}))
		for _, id := range []string{"again", "called", "forced"} {
			every(s.InsertNotification(ctx, pending(id, eventID)))
		}
		at := now.Add(-time.Hour)
		drop(s.RecordAttempts(ctx, now, []store.AttemptRecord{
			{ID: "again", Attempt: attempt(1, "a", notification.OutcomeRetry), Status: notification.Pending, NextAttemptAt: &at},
			{ID: "called", Attempt: attempt(1, "a", notification.OutcomeRetry), Status: notification.Pending, NextAttemptAt: &at},
			{ID: "forced", Attempt: attempt(1, "a", notification.OutcomeOK), Status: notification.Delivered},
		}))
		drop(s.OverdueNotifications(ctx, now, 10))
		drop(s.LeftAlone(ctx, now, []string{"webhooks.default"}, 10))
		renew := func(_ string, config bson.Raw) (bson.Raw, bool) { return config, len(config) > 0 }
		drop(s.RenewRules(ctx, renew, false))
		drop(s.RenewRuleVersions(ctx, renew, false))
		drop(s.RenewNotifications(ctx, time.Time{}, renew, false))
		drop(s.RenewNotifications(ctx, now, renew, false))
		every(s.Postpone(ctx, []string{"again"}, now))
		drop(s.RetryNotification(ctx, "again", "spec", now))
		drop(s.CancelNotification(ctx, "called", "spec", now))
		drop(s.ForceNotification(ctx, "forced", "nonce", "spec", now))
		_, _, err = s.ClaimForced(ctx, "forced", "nonce", "t", now, now.Add(time.Minute))
		every(err)
		drop(s.RecordForced(ctx, "forced", "nonce", attempt(2, "a", notification.OutcomeOK), now))
		for _, id := range []string{"j1", "j2", "j3"} {
			every(s.CreateReplay(ctx, job(id, now)))
		}
		taken, _, err := s.TakeReplay(ctx, 1, "w", now)
		every(err)
		every(s.ReplayEvents(ctx, taken, now.Add(time.Minute), 10, func(bson.Raw) bool { return true }))
		_, _, err = s.StepReplay(ctx, taken, pageOf(b, now), now)
		every(err)
		drop(s.PauseReplay(ctx, "j1", "spec", now))
		drop(s.ResumeReplay(ctx, "j1", "spec", now))
		drop(s.CancelReplay(ctx, "j2", "spec", now))
		every(s.FailReplay(ctx, taken, "why", now))
		drop(s.Replay(ctx, "j1"))
		for _, state := range []replay.State{"", replay.Waiting} {
			drop(s.FindReplays(ctx, state, nil, 10))
			drop(s.FindReplays(ctx, state, &store.ReplayPosition{CreatedAt: now, ID: "j1"}, 10))
		}
		drop(s.HeldTargets(ctx))
		drop(s.Targets(ctx, "", "", 10))
		drop(s.Targets(ctx, store.TargetOpen, "a", 10))
		drop(s.OpenTarget(ctx, "host", "why", "w", now, func(int) time.Time { return now }))
		drop(s.ProbeTarget(ctx, "host", "w", now, now.Add(time.Second)))
		drop(s.CloseTarget(ctx, "host", "w", now))
		every(s.DisableTarget(ctx, "endpoint:1", "host", "why", "w", now, nil))
		drop(s.EnableTarget(ctx, "endpoint:1", "w", now, nil))
		saved, err := s.SaveTemplate(ctx, letter.Template{Name: "a", Subject: "x", Text: "x"}, 0, now, "spec")
		every(err)
		drop(s.SaveTemplate(ctx, saved, 1, now, "spec"))
		every(s.SeedTemplates(ctx, now, saved))
		drop(s.Template(ctx, "a"))
		drop(s.Templates(ctx, "", 10))
		drop(s.RulesWithTemplate(ctx, "a"))
		every(s.DeleteTemplate(ctx, "a", now, "spec", nil))
		every(s.TouchKey(ctx, u.APIKeys[0].Hash, now, time.Minute))
		_, another, err := user.NewKey(now)
		every(err)
		every(s.AddKey(ctx, u.ID, "spec", now, another))
		_, third, err := user.NewKey(now)
		every(err)
		_, _, err = s.RotateKey(ctx, another.ID, u.ID, "spec", now, now, third)
		every(err)
		every(s.RevokeKey(ctx, another.ID, "", "spec", now))
		every(s.CreateUser(ctx, testUser("two@example.com")))
		every(s.DeleteUser(ctx, u.ID, "spec", now, nil))
		r := testRule("one")
		drop(s.CreateRule(ctx, r))
		drop(s.ReplaceRule(ctx, r, 1))
		_, _, err = s.EnabledRules(ctx)
		every(err)
		drop(s.WindowRules(ctx))
		drop(s.Rules(ctx, "", 10))
		drop(s.Rule(ctx, r.ID))
		drop(s.RuleByName(ctx, r.Name))
		drop(s.RulesStamp(ctx))
		drop(s.RuleVersions(ctx, r.ID, 5, 10))
		drop(s.RuleVersion(ctx, r.ID, 1))
		drop(s.RuleVersionsOf(ctx, []string{r.ID + ":1"}))
		drop(s.RuleVersionByStamp(ctx, r.ID, 1))
		drop(s.RuleVersionAt(ctx, r.ID, now.Add(time.Hour)))
		drop(s.RulesBy(ctx, []string{r.ID}, []string{r.Name}))
		two := testRule("two")
		every(s.SaveRules(ctx, now, "spec", []rule.Rule{two, testRule("three")}, nil))
		two.Version = 1
		every(s.SaveRules(ctx, now, "spec", nil, []rule.Rule{two}))
		drop(s.EnabledVersions(ctx))
		drop(s.FindAudit(ctx, store.AuditFilter{Subject: r.ID}, nil, 10))
		for _, f := range []store.AuditFilter{{}, {By: "spec"}, {Kind: "rule", From: now}, {Action: "rule.create", To: now}, {Subject: r.ID, By: "spec"}} {
			drop(s.FindAudit(ctx, f, nil, 10))
			drop(s.FindAudit(ctx, f, &store.AuditPosition{At: now}, 10))
		}
		noted, err := s.NoteAudit(ctx, store.Audit{At: now, Action: "a.b"})
		every(err)
		every(s.EndAudit(ctx, noted, bson.D{{Key: "done", Value: 1}}))
		every(s.EndAudit(ctx, noted, nil))
		drop(s.Decision(ctx, b.ID))
		every(s.ReportRules(ctx, rule.Holding{Worker: "w", BeatAt: now}))
		every(s.BeatRules(ctx, "w", now, time.Second))
		drop(s.RuleHoldings(ctx))
		every(s.ForgetRules(ctx, "w"))
		every(s.DeleteRule(ctx, r.ID, 0, now, "spec"))

		mu.Lock()
		commands := all
		mu.Unlock()
		// A planner that scans even for an _id with a second condition tells
		// nothing about our indexes; there the first key decides.
		scansAll := collectionScan(ctx, s, bson.D{{Key: "find", Value: "notifications"},
			{Key: "filter", Value: bson.D{{Key: "_id", Value: "x"}, {Key: "status", Value: "pending"}}}})
		explained := 0
		var scans []string
		for _, c := range commands {
			if small[c.collection] {
				continue
			}
			for _, d := range explainable(c.command) {
				if scansAll && !firstKeyIndexed(c.collection, d) || !scansAll && collectionScan(ctx, s, d) {
					scans = append(scans, d[0].Key+" "+c.collection+" "+c.command.String())
				}
				explained++
			}
		}
		Expect(scans).To(BeEmpty(), "no index serves these")
		Expect(explained).To(BeNumerically(">", 60))
	}, SpecTimeout(2*time.Minute))
})
