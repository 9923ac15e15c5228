package replay_test

import (
	"encoding/json"
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/replay"
)

var _ = Describe("The JSON of a replay", func() {
	It("leaves alone what was delivered, and goes to now, when nothing else is said", func() {
		j, err := replay.ParseJSON([]byte(`{"from":"2026-03-04T10:00:00.123456Z"}`), now)
		Expect(err).NotTo(HaveOccurred())
		Expect(j).To(And(HaveField("SkipDelivered", true), HaveField("DryRun", false), HaveField("To", now), HaveField("Rules", BeEmpty()),
			HaveField("From", time.Date(2026, 3, 4, 10, 0, 0, 123_000_000, time.UTC))))
		Expect(j.Condition.String()).To(Equal("{}"))
	})

	It("is shown as it was asked for, with how far it is", func() {
		j, err := replay.ParseJSON([]byte(`{"from":"2026-03-04T10:00:00Z","to":"2026-03-04T11:00:00Z","condition":{"severity":{"$gte":7}},"rules":["r"],"rate":2.5,"dry_run":true,"skip_delivered":false}`), now)
		Expect(err).NotTo(HaveOccurred())
		j = j.Begin("j1", "admin", now)
		j.Position.Timestamp = j.From.Add(15 * time.Minute)
		raw, err := j.JSON()
		Expect(err).NotTo(HaveOccurred())
		var shown map[string]any
		Expect(json.Unmarshal(raw, &shown)).To(Succeed())
		Expect(shown).To(And(HaveKeyWithValue("replay_id", "j1"), HaveKeyWithValue("state", "waiting"), HaveKeyWithValue("rate", 2.5), HaveKeyWithValue("dry_run", true),
			HaveKeyWithValue("skip_delivered", false), HaveKeyWithValue("rules", []any{"r"}), HaveKeyWithValue("part", 0.25), HaveKeyWithValue("created_by", "admin"),
			HaveKeyWithValue("condition", map[string]any{"severity": map[string]any{"$gte": 7.0}})))
		Expect(shown["progress"]).To(And(HaveKeyWithValue("made", 0.0), HaveKeyWithValue("events", 0.0), HaveKeyWithValue("rules", []any{})))
	})

	DescribeTable("is refused with every mistake at its place", func(body string, pointers ...string) {
		_, err := replay.ParseJSON([]byte(body), now)
		var wrong *replay.Invalid
		Expect(errors.As(err, &wrong)).To(BeTrue(), "%v", err)
		var got []string
		for _, p := range wrong.Problems {
			got = append(got, p.Pointer)
		}
		Expect(got).To(ConsistOf(pointers), "%s", wrong)
	},
		Entry("no time", `{}`, "/from"),
		Entry("an empty time", `{"from":"2026-03-04T10:00:00Z","to":"2026-03-04T10:00:00Z"}`, "/from"),
		Entry("a time that is not over", `{"from":"2026-03-04T10:00:00Z","to":"2026-03-05T10:00:00Z"}`, "/to"),
		Entry("years", `{"from":"2020-03-04T10:00:00Z"}`, "/from"),
		Entry("several", `{"from":"2026-03-04T10:00:00Z","rate":-1,"condition":{"a":{"$where":1},"b":{"$gt":1,"$x":2}}}`, "/rate", "/condition/a/$where", "/condition/b/$x"),
		Entry("a misspelt field", `{"form":"2026-03-04T10:00:00Z"}`, "/form"),
		Entry("a rule that is no list", `{"from":"2026-03-04T10:00:00Z","rules":"r"}`, "/rules"),
		Entry("two objects", `{"from":"2026-03-04T10:00:00Z"}{}`, ""),
		Entry("no object", `[]`, ""),
	)
})
