package store_test

import (
	"errors"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

func testRule(name string) rule.Rule {
	conditions, err := bson.Marshal(bson.D{{Key: "type", Value: "USER_LOGIN"}})
	Expect(err).NotTo(HaveOccurred())
	config, err := bson.Marshal(bson.D{{Key: "level", Value: "info"}})
	Expect(err).NotTo(HaveOccurred())
	now := time.Now().UTC().Truncate(time.Millisecond)
	return rule.Rule{ID: "id-" + name, Name: name, Conditions: conditions, Priority: 1, Enabled: true, Mode: rule.Live,
		Actions: []rule.ActionSpec{{Type: "LOG", Config: config}}, CreatedAt: now, UpdatedAt: now, CreatedBy: "spec"}
}

func testUser(email string) user.User {
	now := time.Now().UTC().Truncate(time.Millisecond)
	_, key, err := user.NewKey(now)
	Expect(err).NotTo(HaveOccurred())
	return user.User{ID: "u-" + email, Email: email, Role: user.Admin, APIKeys: []user.APIKey{key}, CreatedAt: now, UpdatedAt: now}
}

var _ = Describe("rules", func() {
	It("have immutable versions, refuse lost updates, and raise the stamp with every change", func(ctx SpecContext) {
		s := fresh(ctx)
		stamps := []int64{}
		note := func() {
			stamp, err := s.RulesStamp(ctx)
			Expect(err).NotTo(HaveOccurred())
			if len(stamps) > 0 {
				Expect(stamp).To(BeNumerically(">", stamps[len(stamps)-1]))
			}
			stamps = append(stamps, stamp)
		}
		note()
		r, err := s.CreateRule(ctx, testRule("a"))
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Version).To(Equal(1))
		note()
		r.Description = "second"
		r, err = s.ReplaceRule(ctx, r, 1)
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Version).To(Equal(2))
		note()
		_, err = s.ReplaceRule(ctx, r, 1)
		Expect(err).To(MatchError(store.ErrConflict), "somebody else saved version 2")
		_, err = s.CreateRule(ctx, testRule("a"))
		Expect(err).To(MatchError(store.ErrConflict))
		Expect(s.DeleteRule(ctx, r.ID, 2, time.Now().UTC(), "spec")).To(Succeed())
		note()
		Expect(s.DeleteRule(ctx, r.ID, 0, time.Now().UTC(), "spec")).To(MatchError(store.ErrNotFound))
		versions, err := s.RuleVersions(ctx, r.ID, 0, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(versions).To(HaveExactElements(
			And(HaveField("Version", 3), HaveField("Deleted", true), HaveField("Stamp", stamps[3])),
			And(HaveField("Version", 2), HaveField("Rule.Description", "second"), HaveField("Stamp", stamps[2])),
			And(HaveField("Version", 1), HaveField("Rule.Description", ""), HaveField("Stamp", stamps[1])),
		))
		for i, stamp := range stamps[1:] { // which version decided is known by the stamp of the rules that did
			v, err := s.RuleVersionByStamp(ctx, r.ID, stamp)
			Expect(err).NotTo(HaveOccurred())
			Expect(v.Version).To(Equal(i + 1))
		}
		_, err = s.RuleVersionByStamp(ctx, r.ID, stamps[0])
		Expect(err).To(MatchError(store.ErrNotFound))
		again, err := s.CreateRule(ctx, testRule("a"))
		Expect(err).NotTo(HaveOccurred())
		Expect(again.Version).To(Equal(4), "a version number never means two things")
		audits, err := s.FindAudit(ctx, store.AuditFilter{Subject: r.ID}, nil, 10)
		Expect(err).NotTo(HaveOccurred())
		actions := make([]string, len(audits))
		for i, a := range audits {
			actions[i] = a.Action
			Expect(a.By).To(Equal("spec"))
		}
		Expect(actions).To(ConsistOf("rule.create", "rule.replace", "rule.delete", "rule.create"))
	}, SpecTimeout(30*time.Second))

	It("are rolled back to any version, also when they are deleted", func(ctx SpecContext) {
		s := fresh(ctx)
		first, err := s.CreateRule(ctx, testRule("a"))
		Expect(err).NotTo(HaveOccurred())
		second := first
		second.Description = "second"
		second, err = s.ReplaceRule(ctx, second, 1)
		Expect(err).NotTo(HaveOccurred())
		_, err = s.RollBackRule(ctx, first, 1, 1)
		Expect(err).To(MatchError(store.ErrConflict), "it is at version 2")
		third, err := s.RollBackRule(ctx, first, 1, second.Version)
		Expect(err).NotTo(HaveOccurred())
		Expect(third.Version).To(Equal(3))
		Expect(third.SameAs(first)).To(BeTrue())
		Expect(s.DeleteRule(ctx, first.ID, 0, time.Now().UTC(), "spec")).To(Succeed())
		fifth, err := s.RollBackRule(ctx, second, 2, 0)
		Expect(err).NotTo(HaveOccurred())
		Expect(fifth.Version).To(Equal(5))
		v, err := s.RuleVersion(ctx, first.ID, 5)
		Expect(err).NotTo(HaveOccurred())
		Expect(v.RolledBackTo).To(Equal(2))
		stored, err := s.Rule(ctx, first.ID)
		Expect(err).NotTo(HaveOccurred())
		Expect(stored.SameAs(second)).To(BeTrue())
	}, SpecTimeout(30*time.Second))

	It("that nobody understands are no outage", func(ctx SpecContext) {
		s := fresh(ctx)
		r, err := s.CreateRule(ctx, testRule("a"))
		Expect(err).NotTo(HaveOccurred())
		Expect(s.SpoilRule(ctx, r.ID)).To(Succeed())
		_, err = s.Rule(ctx, r.ID)
		Expect(err).To(MatchError(ContainSubstring("cannot be decoded")))
		Expect(errors.As(err, new(interface{ Outage() bool }))).To(BeFalse())
		_, err = s.RuleVersion(ctx, r.ID, r.Version)
		Expect(err).To(MatchError(ContainSubstring("cannot be decoded")))
		Expect(errors.As(err, new(interface{ Outage() bool }))).To(BeFalse())
		_, err = s.Rule(ctx, "none")
		Expect(err).To(MatchError(store.ErrNotFound))
	}, SpecTimeout(time.Minute))

	It("that nobody understands keep no other rule back, and are named", func(ctx SpecContext) {
		spoilt := map[string]int{}
		database := emptyDatabase(ctx)
		s, err := store.Open(ctx, store.Options{URI: mongoURI(), Database: database, Spoilt: func(collection, _ string) { spoilt[collection]++ }})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx SpecContext) { Expect(s.Close(ctx)).To(Succeed()) }, NodeTimeout(10*time.Second))
		for _, name := range []string{"a", "b", "c"} {
			_, err := s.CreateRule(ctx, testRule(name))
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(s.SpoilRule(ctx, "id-b")).To(Succeed())
		rules, unreadable, err := s.EnabledRules(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(rules).To(ConsistOf(HaveField("ID", "id-a"), HaveField("ID", "id-c")))
		Expect(unreadable).To(ConsistOf(And(HaveField("ID", "id-b"), HaveField("Name", "b"), HaveField("Err", MatchError(ContainSubstring("window"))))))
		Expect(spoilt).To(Equal(map[string]int{"rules": 1}))
		Expect(s.Rules(ctx, "", 2)).To(ConsistOf(HaveField("ID", "id-a"), HaveField("ID", "id-c")), "a page is filled up")
		Expect(s.Rules(ctx, "id-a", 2)).To(ConsistOf(HaveField("ID", "id-c")))
		Expect(s.EnabledVersions(ctx)).To(Equal(map[string]int{"id-a": 1, "id-b": 1, "id-c": 1}))
	}, SpecTimeout(time.Minute))

	It("are saved all or none, each with its version", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC()
		a, b := testRule("a"), testRule("b")
		Expect(s.SaveRules(ctx, now, "spec", []rule.Rule{a, b}, nil)).To(Succeed())
		stored, err := s.RulesBy(ctx, []string{a.ID}, []string{"b", "unknown"})
		Expect(err).NotTo(HaveOccurred())
		Expect(stored).To(ConsistOf(HaveField("Version", 1), HaveField("Version", 1)))
		before, err := s.RulesStamp(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(s.SaveRules(ctx, now, "spec", nil, nil)).To(Succeed())
		Expect(s.RulesStamp(ctx)).To(Equal(before), "nothing changed")

		a.Version, a.Description = 1, "changed"
		Expect(s.SaveRules(ctx, now, "spec", []rule.Rule{testRule("c")}, []rule.Rule{a})).To(Succeed())
		stale, clash := a, testRule("other name")
		clash.ID = b.ID
		Expect(s.SaveRules(ctx, now, "spec", []rule.Rule{testRule("d")}, []rule.Rule{stale})).To(MatchError(store.ErrConflict), "a is at version 2")
		Expect(s.SaveRules(ctx, now, "spec", []rule.Rule{testRule("d"), clash}, nil)).To(MatchError(store.ErrConflict), "the id is taken")
		_, err = s.RuleByName(ctx, "d")
		Expect(err).To(MatchError(store.ErrNotFound), "nothing is half-applied")
		Expect(s.EnabledVersions(ctx)).To(Equal(map[string]int{"id-a": 2, "id-b": 1, "id-c": 1}))

		Expect(s.DeleteRule(ctx, "id-c", 0, now, "spec")).To(Succeed())
		Expect(s.SaveRules(ctx, now, "spec", []rule.Rule{testRule("c"), testRule("d")}, nil)).To(Succeed())
		Expect(s.EnabledVersions(ctx)).To(Equal(map[string]int{"id-a": 2, "id-b": 1, "id-c": 3, "id-d": 1}))

		noted := func(f store.AuditFilter) (all []string) {
			GinkgoHelper()
			found, err := s.FindAudit(ctx, f, nil, 100)
			Expect(err).NotTo(HaveOccurred())
			for _, e := range found {
				Expect(e.By).To(Equal("spec"))
				all = append(all, fmt.Sprint(e.Action, " ", e.Subject, " ", e.Detail[1]))
			}
			return all
		}
		Expect(noted(store.AuditFilter{Subject: "id-a"})).To(Equal([]string{"rule.import id-a {version 2}", "rule.import id-a {version 1}"}))
		Expect(noted(store.AuditFilter{Kind: "rule"})).To(ConsistOf("rule.import id-a {version 1}", "rule.import id-b {version 1}", "rule.import id-c {version 1}", "rule.import id-a {version 2}",
			"rule.delete id-c {version 2}", "rule.import id-c {version 3}", "rule.import id-d {version 1}"), "nothing of what was refused")
	}, SpecTimeout(30*time.Second))
})

var _ = DescribeTable("a connection string that asks for less than the product promises is refused by name",
	func(uri, named string) {
		err := store.CheckURI(uri)
		if named == "" {
			Expect(err).NotTo(HaveOccurred())
			return
		}
		Expect(err).To(MatchError(ContainSubstring(named)))
		Expect(err.Error()).NotTo(ContainSubstring("hunter2"))
	},
	Entry("plain", "mongodb://user:hunter2@localhost/", ""),
	Entry("majority", "mongodb://localhost/?w=majority&journal=true&readConcernLevel=majority", ""),
	Entry("w=1", "mongodb://user:hunter2@localhost/?w=1", "w=1"),
	Entry("w=0", "mongodb://user:hunter2@localhost/?w=0", "w=0"),
	Entry("journal", "mongodb://user:hunter2@localhost/?journal=false", "journal=false"),
	Entry("local reads", "mongodb://localhost/?readConcernLevel=local", "readConcernLevel=local"),
	Entry("secondaries", "mongodb://localhost/?readPreference=secondaryPreferred", "readPreference=secondaryPreferred"),
	Entry("not a connection string", "postgres://user:hunter2@localhost/", "MongoDB connection string"),
	Entry("a bad port", "mongodb://user:hunter2@localhost:port/", "MongoDB connection string"),
	Entry("a password without a host", "mongodb://user:hunter2/db", "expected mongodb://"),
)
