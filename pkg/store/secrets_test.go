package store_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

var _ = Describe("secrets that are encrypted anew", func() {
	It("are left as they are where another has encrypted them with its key since they were read", func(ctx SpecContext) {
		s := fresh(ctx)
		sealed := func(key string) bson.Raw {
			return raw(bson.D{{Key: "url", Value: "http://x"}, {Key: "key", Value: key}})
		}
		r := testRule("a")
		for i := range r.Actions {
			r.Actions[i].Config = sealed("old")
		}
		r, err := s.CreateRule(ctx, r)
		Expect(err).NotTo(HaveOccurred())
		n := pending("n", "e")
		n.Action.Config = sealed("old")
		Expect(s.InsertNotification(ctx, n)).To(Succeed())

		// to encrypts with a key what meanwhile, which comes after the reading, has not.
		to := func(key string, meanwhile func()) store.Renew {
			return func(_ string, config bson.Raw) (bson.Raw, bool) {
				meanwhile()
				return sealed(key), config.Lookup("key").StringValue() == "old"
			}
		}
		overtaken := func(renew func(store.Renew) (int, error)) {
			GinkgoHelper()
			Expect(renew(to("new", func() {
				Expect(renew(to("newest", func() {}))).To(Equal(1))
			}))).To(BeZero())
		}
		overtaken(func(by store.Renew) (int, error) { return s.RenewRules(ctx, by, false) })
		overtaken(func(by store.Renew) (int, error) { return s.RenewRuleVersions(ctx, by, false) })
		overtaken(func(by store.Renew) (int, error) { return s.RenewNotifications(ctx, time.Time{}, by, false) })

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
})
