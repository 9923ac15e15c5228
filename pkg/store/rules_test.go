package store_test

import (
	"reflect"
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
		versions, err := s.RuleVersions(ctx, r.ID, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(versions).To(HaveLen(3))
		again, err := s.CreateRule(ctx, testRule("a"))
		Expect(err).NotTo(HaveOccurred())
		Expect(again.Version).To(Equal(4), "a version number never means two things")
	}, SpecTimeout(30*time.Second))

	It("are applied all or none, and what is already so is left alone", func(ctx SpecContext) {
		s := fresh(ctx)
		same := func(a, b rule.Rule) bool { return reflect.DeepEqual(a.Conditions, b.Conditions) }
		created, changed, err := s.ApplyRules(ctx, []rule.Rule{testRule("a"), testRule("b")}, same)
		Expect(err).NotTo(HaveOccurred())
		Expect([]int{created, changed}).To(Equal([]int{2, 0}))
		created, changed, err = s.ApplyRules(ctx, []rule.Rule{testRule("a"), testRule("b")}, same)
		Expect(err).NotTo(HaveOccurred())
		Expect([]int{created, changed}).To(Equal([]int{0, 0}))
		clash := testRule("c")
		clash.ID = "id-a"
		_, _, err = s.ApplyRules(ctx, []rule.Rule{testRule("d"), clash}, same)
		Expect(err).To(MatchError(store.ErrConflict))
		_, err = s.RuleByName(ctx, "d")
		Expect(err).To(MatchError(store.ErrNotFound), "nothing is half-applied")
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
)
