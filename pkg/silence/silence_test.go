package silence_test

import (
	"errors"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/silence"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func raw(d bson.D) bson.Raw {
	GinkgoHelper()
	b, err := bson.Marshal(d)
	Expect(err).NotTo(HaveOccurred())
	return b
}

func pointers(err error) []string {
	GinkgoHelper()
	if err == nil {
		return nil
	}
	var e *silence.Invalid
	Expect(errors.As(err, &e)).To(BeTrue(), "%v", err)
	var all []string
	for _, p := range e.Problems {
		all = append(all, p.Pointer)
	}
	return all
}

func from(source string, at time.Time, length time.Duration, rules ...string) silence.Silence {
	return silence.Silence{ID: source, Condition: raw(bson.D{{Key: "source", Value: source}}), Rules: rules, From: at, Until: at.Add(length)}
}

var _ = Describe("A silence", func() {
	DescribeTable("is read from JSON, or refused with the places", func(body string, want ...string) {
		s, err := silence.ParseJSON([]byte(body), noon)
		if err == nil {
			err = s.Validate(noon)
		}
		Expect(pointers(err)).To(ConsistOf(want))
	},
		Entry(nil, `{"condition": {}, "for": "2h", "comment": "deploy"}`),
		Entry(nil, `{"condition": {"source": "shop"}, "rules": ["r1"], "from": "2026-03-03T00:00:00Z", "until": "2026-03-04T00:00:00+02:00", "comment": "deploy"}`),
		Entry(nil, `{}`, "/condition", "/until"),
		Entry(nil, `{"condition": {"a": {"$x": 1}}, "for": "1h", "comment": "x"}`, "/condition/a/$x"),
		Entry(nil, `{"condition": {"a": {"$oid": 1}}, "for": "1h", "comment": "x"}`, "/condition/a"),
		Entry(nil, `{"condition": {}, "for": "1h", "until": "2026-03-04T00:00:00Z", "comment": "x"}`, "/until"),
		Entry(nil, `{"condition": {}, "until": "2026-03-02T11:00:00Z", "comment": " "}`, "/until", "/comment"),
		Entry(nil, `{"condition": {}, "from": "2026-03-05T00:00:00Z", "until": "2026-03-04T00:00:00Z", "comment": "x"}`, "/until"),
		Entry(nil, `{"condition": {}, "for": "400d", "comment": "x", "rules": [""]}`, "/until", "/rules/0"),
		Entry(nil, `{"condition": {}, "for": "1h", "comment": "`+strings.Repeat("x", 1025)+`"}`, "/comment"),
		Entry(nil, `{"conditions": {}, "for": "1h"}`, "/conditions"),
		Entry(nil, `{"condition": {}, "for": "1h", "rules": "r1"}`, "/rules"),
		Entry(nil, `{"condition": {}, "for": "an hour"}`, "/for"),
		Entry(nil, `{} {}`, ""),
		Entry(nil, `[]`, ""),
		Entry(nil, `{"condition": `, ""),
	)

	It("is shown with its state", func() {
		s, err := silence.ParseJSON([]byte(`{"condition": {"severity": {"$lt": 5}}, "for": "2h", "comment": "deploy"}`), noon)
		Expect(err).NotTo(HaveOccurred())
		s.ID, s.Author = "s1", "ops@example.com"
		held := int64(3)
		Expect(s.JSON(noon.Add(time.Hour), &held)).To(MatchJSON(`{"silence_id": "s1", "state": "active", "condition": {"severity": {"$lt": 5}},
			"from": "2026-03-02T12:00:00Z", "until": "2026-03-02T14:00:00Z", "author": "ops@example.com", "comment": "deploy",
			"created_at": "2026-03-02T12:00:00Z", "held": 3}`))
	})

	It("ends by itself, or when somebody ends it", func() {
		s := from("shop", noon, time.Hour)
		Expect(s.State(noon.Add(-time.Second))).To(Equal(silence.Pending))
		Expect(s.State(noon)).To(Equal(silence.Active))
		Expect(s.State(noon.Add(time.Hour))).To(Equal(silence.Expired))
		ended := s.Expire(noon.Add(time.Minute))
		Expect(ended.State(noon.Add(time.Minute))).To(Equal(silence.Expired))
		Expect(*ended.ExpiredAt).To(Equal(noon.Add(time.Minute)))
		Expect(ended.ExpiresAt).To(Equal(noon.Add(time.Minute + silence.Retention)))
		Expect(ended.Expire(noon.Add(2*time.Minute))).To(Equal(ended), "it has ended")
		early := s.Expire(noon.Add(-time.Minute))
		Expect(early.Until).To(Equal(noon.Add(-time.Minute)))
		Expect(early.From).To(Equal(early.Until))
	})
})

var _ = Describe("A set of silences", func() {
	event := raw(bson.D{{Key: "source", Value: "shop"}, {Key: "severity", Value: 5}})

	It("finds the one that holds a rule's match back, of several the one that ends last", func() {
		set, broken := silence.NewSet([]silence.Silence{
			from("shop", noon, time.Hour), from("other", noon, 5*time.Hour), from("shop", noon, 3*time.Hour, "r1", "r2"), from("shop", noon.Add(time.Minute), 2*time.Hour),
		})
		Expect(broken).To(BeEmpty())
		until := func(ruleID string, at time.Time) any {
			s := set.Match(ruleID, event, at)
			if s == nil {
				return nil
			}
			return s.Until
		}
		Expect(until("r1", noon)).To(Equal(noon.Add(3 * time.Hour)))
		Expect(until("r3", noon)).To(Equal(noon.Add(time.Hour)))
		Expect(until("r3", noon.Add(time.Minute))).To(Equal(noon.Add(2*time.Hour + time.Minute)))
		Expect(until("r3", noon.Add(-time.Second))).To(BeNil())
		Expect(until("r2", noon.Add(3*time.Hour))).To(BeNil())
	})

	It("leaves out and names what does not compile", func() {
		bad := from("bad", noon, time.Hour)
		bad.Condition = raw(bson.D{{Key: "$where", Value: "1"}})
		set, broken := silence.NewSet([]silence.Silence{bad, from("shop", noon, time.Hour)})
		Expect(broken).To(ConsistOf(MatchError(ContainSubstring("silence bad"))))
		Expect(set.Len()).To(Equal(1))
		Expect(set.Match("r", event, noon)).NotTo(BeNil())
	})
})
