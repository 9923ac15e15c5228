package store_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/test/support/querygen"
)

// The matcher judges, since the server for development finds more here than
// MongoDB does.
var _ = Describe("what events of a window's key are looked for by", func() {
	found := func(doc bson.Raw, keys ...string) (equalities bson.D, matches bool) {
		GinkgoHelper()
		equalities = store.Equalities(keys)
		c, err := rule.Compile(raw(equalities))
		Expect(err).NotTo(HaveOccurred())
		return equalities, c.Match(doc)
	}

	It("finds every event that has the key", func() {
		g := querygen.New(5)
		searched := 0
		for range 20_000 {
			paths := []string{g.Path(), g.Path()}
			if paths[0] == paths[1] {
				paths = paths[:1]
			}
			doc, other := querygen.Marshal(g.Document(3)), querygen.Marshal(g.Document(3))
			key := rule.WindowKey(doc, paths)
			for _, keys := range [][]string{{key}, {key, rule.WindowKey(other, paths)}} {
				equalities, matches := found(doc, keys...)
				Expect(matches).To(BeTrue(), "%v of %s", equalities, doc)
				if len(equalities) > 0 {
					searched++
				}
			}
		}
		Expect(searched).To(BeNumerically(">", 10_000), "keys that cannot be searched are the exception")
	})

	DescribeTable("is not null where a path has a position", func(items any, searchable bool) {
		path := "payload.items.0.sku"
		doc := raw(bson.D{{Key: "payload", Value: bson.D{{Key: "items", Value: items}}}})
		key := rule.WindowKey(doc, []string{path})
		Expect(rule.SearchableKey(key)).To(Equal(searchable))
		_, matches := found(doc, key)
		Expect(matches).To(BeTrue())
	},
		Entry("that the array does not have", bson.A{}, false),
		Entry("that holds no document", bson.A{int32(5)}, false),
		Entry("that has the field", bson.A{bson.D{{Key: "sku", Value: "a"}}}, true),
	)

	It("is null where no path has one", func() {
		Expect(rule.SearchableKey(rule.WindowKey(raw(bson.D{}), []string{"user_id", "payload.shop", "0"}))).To(BeTrue())
	})
})

var _ = Describe("what is read of a rule's events", func() {
	DescribeTable("names no path beside one above it, which the database would refuse", func(groupBy []string, want ...string) {
		r := windowed(bson.D{}, window.Spec{Kind: "change", GroupBy: groupBy, Field: "payload.n"})
		var names []string
		for _, e := range (&store.Store{}).RuleEvents(&r).Projection(window.Query{Values: true}) {
			names = append(names, e.Key)
		}
		Expect(names).To(ConsistOf(append(want, "timestamp", "type", "metadata.hops")))
	},
		Entry(nil, []string{"user_id"}, "user_id", "payload.n"),
		Entry(nil, []string{"payload"}, "payload"),
		Entry(nil, []string{"payload.items.0.sku", "payload.items.sku"}, "payload.items", "payload.n"),
		Entry("with a name between them", []string{"payload.user", "payload.user-agent", "payload.user.id"},
			"payload.user", "payload.user-agent", "payload.n"),
	)
})
