package rule_test

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action/builtin"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
	"github.com/events-aggregator/events-aggregator/test/support/querygen"
)

const minute = interval.Duration(time.Minute)

// valid is a rule that nothing is wrong with.
func valid() rule.Rule {
	return rule.Rule{
		ID: "r-1", Name: "a rule", Priority: 1, Enabled: true, Mode: rule.Live, Version: 2,
		Conditions: querygen.Marshal(bson.D{{Key: "timestamp", Value: bson.D{{Key: "$gt", Value: querygen.Day}}}, {Key: "a", Value: int64(1) << 60}}),
		Actions: []rule.ActionSpec{{Type: "WEBHOOK", Config: querygen.Marshal(bson.D{
			{Key: "url", Value: "https://u:hunter22@example.com/<a>"}, {Key: "secret", Value: "0123456789abcdef"},
		})}},
		CreatedAt: querygen.Day, UpdatedAt: querygen.Day.Add(time.Hour), CreatedBy: "somebody",
	}
}

func problems(r rule.Rule) []string {
	GinkgoHelper()
	err := r.Validate(builtin.Table())
	if err == nil {
		return nil
	}
	var e *rule.ValidationError
	Expect(errors.As(err, &e)).To(BeTrue())
	var pointers []string
	for _, p := range e.Problems {
		Expect(p.Message).NotTo(BeEmpty())
		Expect(err.Error()).To(ContainSubstring(p.Pointer + ": " + p.Message))
		pointers = append(pointers, p.Pointer)
	}
	return pointers
}

var _ = Describe("Validating a rule", func() {
	DescribeTable("names what is wrong", func(change func(*rule.Rule), pointers ...string) {
		r := valid()
		change(&r)
		Expect(problems(r)).To(ConsistOf(pointers))
	},
		Entry("nothing", func(*rule.Rule) {}),
		Entry("nothing without an id and actions", func(r *rule.Rule) { r.ID, r.Actions = "", nil }),
		Entry("the id", func(r *rule.Rule) { r.ID = "a b" }, "/rule_id"),
		Entry("a long id", func(r *rule.Rule) { r.ID = strings.Repeat("x", 129) }, "/rule_id"),
		Entry("no name", func(r *rule.Rule) { r.Name = "" }, "/name"),
		Entry("a blank name", func(r *rule.Rule) { r.Name = "  " }, "/name"),
		Entry("a name with a line break", func(r *rule.Rule) { r.Name = "a\nb" }, "/name"),
		Entry("the longest name", func(r *rule.Rule) { r.Name = strings.Repeat("é", 128) }),
		Entry("a longer name", func(r *rule.Rule) { r.Name = strings.Repeat("é", 129) }, "/name"),
		Entry("a long description", func(r *rule.Rule) { r.Description = strings.Repeat("x", 5000) }, "/description"),
		Entry("the priority", func(r *rule.Rule) { r.Priority = 0 }, "/priority"),
		Entry("the mode", func(r *rule.Rule) { r.Mode = "" }, "/mode"),
		Entry("no conditions", func(r *rule.Rule) { r.Conditions = nil }, "/conditions"),
		Entry("the conditions", func(r *rule.Rule) {
			r.Conditions = querygen.Marshal(bson.D{{Key: "a", Value: bson.D{{Key: "$x", Value: 1}}}, {Key: "$or", Value: bson.A{}}})
		}, "/conditions/a/$x", "/conditions/$or"),
		Entry("an unknown action", func(r *rule.Rule) { r.Actions[0].Type = "webhook" }, "/actions/0/type"),
		Entry("an action's configuration", func(r *rule.Rule) {
			r.Actions = append(r.Actions, rule.ActionSpec{Type: "WEBHOOK", Config: querygen.Marshal(bson.D{{Key: "url", Value: "x"}, {Key: "y", Value: 1}})})
		}, "/actions/1/config/url", "/actions/1/config/y"),
		Entry("an action without a configuration", func(r *rule.Rule) { r.Actions[0].Config = nil }, "/actions/0/config"),
		Entry("too many actions", func(r *rule.Rule) {
			for range 33 {
				r.Actions = append(r.Actions, r.Actions[0])
			}
		}, "/actions"),
		Entry("a throttle that is right", func(r *rule.Rule) {
			r.Throttle = &rule.Throttle{Per: []string{"user_id", "payload.items.0.sku"}, For: minute, Max: minute}
		}),
		Entry("a throttle", func(r *rule.Rule) {
			r.Throttle = &rule.Throttle{Per: []string{"a", "", "a", "b..c", "$d"}, Max: minute}
		}, "/throttle/per/1", "/throttle/per/2", "/throttle/per/3", "/throttle/per/4", "/throttle/for"),
		Entry("a throttle's bounds", func(r *rule.Rule) {
			r.Throttle = &rule.Throttle{Per: strings.Split("a b c d e f g h i j k", " "), For: 2 * minute, Max: minute}
		}, "/throttle/per", "/throttle/max"),
		Entry("a throttle of years", func(r *rule.Rule) {
			r.Throttle = &rule.Throttle{For: 365 * 24 * 60 * minute, Max: 366 * 24 * 60 * minute}
		}, "/throttle/for", "/throttle/max"),
		Entry("a group that is right", func(r *rule.Rule) {
			r.Group = &rule.Group{By: []string{"source"}, Interval: minute, Repeat: minute}
		}),
		Entry("a group", func(r *rule.Rule) {
			r.Group = &rule.Group{By: []string{"$a"}, Identity: []string{""}, Wait: 365 * 24 * 60 * minute, Interval: 5 * minute, Repeat: minute}
		}, "/group/by/0", "/group/identity/0", "/group/wait", "/group/repeat"),
		Entry("a group without lengths", func(r *rule.Rule) { r.Group = &rule.Group{} }, "/group/interval", "/group/repeat"),
		Entry("mutes", func(r *rule.Rule) {
			r.Mute = []rule.Mute{
				{From: "22:00", To: "06:00"},
				{Days: []string{"monday"}, From: "00:00", To: "24:00", TimeZone: "America/New_York"},
				{Days: []string{"mon", "friday"}, From: "24:00", To: "6:00", TimeZone: "Europe/Berlin "},
				{From: "08:00", To: "08:00", TimeZone: "Local"},
				{From: "-1:00", To: "12:60"},
			}
		}, "/mute/2/days/0", "/mute/2/from", "/mute/2/to", "/mute/2/time_zone", "/mute/3/to", "/mute/3/time_zone", "/mute/4/from", "/mute/4/to"),
		Entry("a bound on matches", func(r *rule.Rule) { r.MaxMatchesPerHour = 1_000_001 }, "/max_matches_per_hour"),
		Entry("everything", func(r *rule.Rule) { *r = rule.Rule{ID: "?"} }, "/rule_id", "/name", "/priority", "/mode", "/conditions"),
	)
	It("suggests the action type that was meant", func() {
		r := valid()
		r.Actions[0].Type = "WEBHOK"
		Expect(r.Validate(builtin.Table())).To(MatchError(ContainSubstring("did you mean WEBHOOK?")))
	})
})

var _ = Describe("A rule in JSON", func() {
	It("has the API's shape", func() {
		b, err := valid().JSON()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(b)).To(Equal(`{"rule_id":"r-1","name":"a rule",` +
			`"conditions":{"timestamp":{"$gt":{"$date":"2024-01-01T00:00:00Z"}},"a":1152921504606846976},` +
			`"actions":[{"type":"WEBHOOK","config":{"url":"https://u:hunter22@example.com/<a>","secret":"0123456789abcdef"}}],` +
			`"priority":1,"enabled":true,"mode":"live","version":2,` +
			`"created_at":"2024-01-01T00:00:00Z","updated_at":"2024-01-01T01:00:00Z","created_by":"somebody"}`))
	})
	It("is read as what was written", func() {
		b, err := valid().JSON()
		Expect(err).NotTo(HaveOccurred())
		Expect(rule.ParseJSON(b)).To(Equal(valid()))
	})
	It("is read as what was written, for conditions of all kinds", func() {
		g := querygen.New(5)
		for range 2000 {
			r := valid()
			r.Conditions = querygen.Marshal(g.Condition(2))
			b, err := r.JSON()
			Expect(err).NotTo(HaveOccurred())
			Expect(json.Valid(b)).To(BeTrue())
			again, err := rule.ParseJSON(b)
			Expect(err).NotTo(HaveOccurred(), "%s", b)
			one, err := rule.Compile(r.Conditions)
			Expect(err).NotTo(HaveOccurred())
			other, err := rule.Compile(again.Conditions)
			Expect(err).NotTo(HaveOccurred(), "%s", b)
			for range 20 {
				doc := querygen.Marshal(g.Document(3))
				Expect(other.Match(doc)).To(Equal(one.Match(doc)), "%s: %s", b, doc)
			}
		}
	})
	It("is the same document in the database and back", func() {
		stored, err := bson.Marshal(valid())
		Expect(err).NotTo(HaveOccurred())
		Expect(bson.Raw(stored).Lookup("_id").StringValue()).To(Equal("r-1"))
		var r rule.Rule
		Expect(bson.Unmarshal(stored, &r)).To(Succeed())
		r.CreatedAt, r.UpdatedAt = r.CreatedAt.UTC(), r.UpdatedAt.UTC()
		Expect(r).To(Equal(valid()))
	})
	It("is refused with all its mistakes", func() {
		_, err := rule.ParseJSON([]byte(`{"nam": "x", "conditions": {"a": {"$oid": 1}}, "priority": -1, "throttle": 5}`))
		var e *rule.ValidationError
		Expect(errors.As(err, &e)).To(BeTrue())
		Expect(err).To(MatchError(`/nam: there is no nam, did you mean name?; /conditions/a: $oid takes 24 hexadecimal digits; ` +
			`/priority: must be a whole number, 0 or more; /throttle: must be an object; /name: is missing`))
	})
	DescribeTable("is refused when it is none", func(text, want string) {
		_, err := rule.ParseJSON([]byte(text))
		Expect(err).To(MatchError(ContainSubstring(want)))
	},
		Entry(nil, ``, "there is nothing"),
		Entry(nil, `[]`, "a rule is an object"),
		Entry(nil, `{"name": "a", "conditions": {}} {}`, "more than one JSON value"),
		Entry(nil, `{"name": `, "ends in the middle"),
		Entry(nil, "\xff", "UTF-8"),
	)
})

var _ = Describe("A rule's secrets", func() {
	table := builtin.Table()
	It("are masked in a copy", func() {
		r := valid()
		b, err := r.Masked(table).JSON()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(b)).NotTo(ContainSubstring("hunter22"))
		Expect(string(b)).NotTo(ContainSubstring("0123456789abcdef"))
		Expect(r).To(Equal(valid()))
	})
	It("are not shown by a type that nobody knows", func() {
		r := valid()
		r.Actions[0].Type = "GONE"
		Expect(r.Masked(table).Actions[0].Config).To(Equal(querygen.Marshal(bson.D{})))
	})
	It("come back when what was read is written", func() {
		masked := valid().Masked(table)
		Expect(masked.Restored(valid(), table)).To(Equal(valid()))
		Expect(masked).NotTo(Equal(valid()))
	})
	It("come back when the actions changed places", func() {
		stored := valid()
		stored.Actions = append([]rule.ActionSpec{{Type: "LOG", Config: querygen.Marshal(bson.D{})}}, stored.Actions...)
		Expect(valid().Masked(table).Restored(stored, table)).To(Equal(valid()))
	})
	It("are still refused when there is nothing to restore them from", func() {
		masked := valid().Masked(table)
		r := masked.Restored(rule.Rule{}, table)
		Expect(problems(r)).To(ConsistOf("/actions/0/config/url", "/actions/0/config/secret"))
	})
})
