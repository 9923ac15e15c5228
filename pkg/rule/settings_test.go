package rule_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

var _ = Describe("What a rule says beside its condition", func() {
	const text = `{"name": "a", "conditions": {"type": "A"}, "actions": [],
		"window": {"kind": "percentage", "group_by": "user_id", "timeframe": "1h30m", "settle": "0s", "match": {"severity": {"$gte": 7}},
			"min": 0, "max": 12.5, "min_denominator": 10},
		"throttle": {"per": ["user_id", "payload.shop"], "for": "5m", "max": "1d"},
		"group": {"by": ["source"], "wait": "30s", "interval": "5m", "repeat": "4h", "identity": ["type"]},
		"mute": [{"days": ["Saturday", "sunday"], "from": "00:00", "to": "24:00", "time_zone": "Europe/Berlin"}],
		"max_matches_per_hour": 100}`

	It("is read, stored, shown and compared as a whole", func() {
		r, err := rule.ParseJSON([]byte(text))
		Expect(err).NotTo(HaveOccurred())
		stored, err := bson.Marshal(r)
		Expect(err).NotTo(HaveOccurred())
		Expect(bson.Raw(stored).Lookup("throttle", "for").StringValue()).To(Equal("5m"), "people read it in the database")
		var loaded rule.Rule
		Expect(bson.Unmarshal(stored, &loaded)).To(Succeed())
		shown, err := loaded.JSON()
		Expect(err).NotTo(HaveOccurred())
		again, err := rule.ParseJSON(shown)
		Expect(err).NotTo(HaveOccurred(), "%s", shown)
		again.CreatedAt, again.UpdatedAt = r.CreatedAt, r.UpdatedAt
		Expect(again).To(Equal(r))
		again.Actions = nil
		Expect(again.SameAs(r)).To(BeTrue(), "no actions, whether said or not")
		again.ID, again.Version, again.CreatedBy = "other", 7, "somebody"
		Expect(again.SameAs(r)).To(BeTrue(), "who saved it when does not matter")
		again.Window.NumEvents = 3
		Expect(again.SameAs(r)).To(BeFalse())
	})

	It("has Alertmanager's times for a group that says none", func() {
		r, err := rule.ParseJSON([]byte(`{"name": "a", "conditions": {}, "actions": [], "group": {"by": "source", "wait": "0s"}}`))
		Expect(err).NotTo(HaveOccurred())
		shown, err := r.JSON()
		Expect(err).NotTo(HaveOccurred())
		Expect(shown).To(ContainSubstring(`"group":{"by":["source"],"wait":"0s","interval":"5m","repeat":"4h"}`))
	})
})
