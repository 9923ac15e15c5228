package store_test

import (
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// sealed is a configuration that a key has encrypted, as far as these specs look.
func sealed(key string) bson.Raw {
	return raw(bson.D{{Key: "url", Value: "http://x"}, {Key: "key", Value: key}})
}

// renewed encrypts with a key what is under the old one, when something else has
// happened after the reading.
func renewed(old, key string, meanwhile func()) store.Renew {
	return func(_ string, config bson.Raw) (bson.Raw, bool) {
		meanwhile()
		return sealed(key), config.Lookup("key").StringValue() == old
	}
}

var _ = Describe("secrets that are encrypted anew", func() {
	It("are left as they are where another has encrypted them with its key since they were read", func(ctx SpecContext) {
		s := fresh(ctx)
		r := testRule("a")
		for i := range r.Actions {
			r.Actions[i].Config = sealed("old")
		}
		r, err := s.CreateRule(ctx, r)
		Expect(err).NotTo(HaveOccurred())
		n := pending("n", "e")
		n.Action.Config = sealed("old")
		Expect(s.InsertNotification(ctx, n)).To(Succeed())

		overtaken := func(renew func(store.Renew) (store.Renewed, error)) {
			GinkgoHelper()
			Expect(renew(renewed("old", "new", func() {
				_, err := renew(renewed("old", "newest", func() {}))
				Expect(err).NotTo(HaveOccurred())
			}))).To(Equal(store.Renewed{Found: 1}))
			Expect(renew(renewed("old", "new", func() {}))).To(Equal(store.Renewed{}))
		}
		overtaken(func(by store.Renew) (store.Renewed, error) { return s.RenewRules(ctx, by, false) })
		overtaken(func(by store.Renew) (store.Renewed, error) { return s.RenewRuleVersions(ctx, by, false) })
		overtaken(func(by store.Renew) (store.Renewed, error) {
			return s.RenewNotifications(ctx, time.Time{}, by, false)
		})

		after, err := s.Rule(ctx, r.ID)
		Expect(err).NotTo(HaveOccurred())
		version, err := s.RuleVersion(ctx, r.ID, r.Version)
		Expect(err).NotTo(HaveOccurred())
		stored, err := s.Notification(ctx, "n")
		Expect(err).NotTo(HaveOccurred())
		for _, a := range append(after.Actions, version.Rule.Actions...) {
			Expect(a.Config).To(Equal(sealed("newest")))
		}
		Expect(stored.Action.Config).To(Equal(sealed("newest")))
	}, SpecTimeout(time.Minute))

	It("are left as they are where another key has encrypted the action beside it, which this one cannot open", func(ctx SpecContext) {
		s := fresh(ctx)
		r := testRule("a")
		r.Actions = []rule.ActionSpec{{Type: "WEBHOOK", Config: sealed("first")}, {Type: "WEBHOOK", Config: sealed("second")}}
		r, err := s.CreateRule(ctx, r)
		Expect(err).NotTo(HaveOccurred())
		one := store.Renewed{Found: 1, Changed: 1}
		var once sync.Once
		Expect(s.RenewRules(ctx, renewed("first", "second", func() {
			once.Do(func() { Expect(s.RenewRules(ctx, renewed("second", "third", func() {}), false)).To(Equal(one)) })
		}), false)).To(Equal(one))
		after, err := s.Rule(ctx, r.ID)
		Expect(err).NotTo(HaveOccurred())
		Expect(after.Actions).To(HaveExactElements(HaveField("Config", sealed("second")), HaveField("Config", sealed("third"))))
	}, SpecTimeout(time.Minute))
})
