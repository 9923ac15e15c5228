package event_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
)

var _ = Describe("a text search", func() {
	DescribeTable("finds texts that have all its words",
		func(q, text string, found bool) {
			s, err := event.ParseSearch(q)
			Expect(err).NotTo(HaveOccurred())
			Expect(s.Score(text) > 0).To(Equal(found))
		},
		Entry(nil, "timeout", "timeout after 30 s", true),
		Entry(nil, "Timeout", "timeout", true),
		Entry(nil, "timeout", "timeouts", false),
		Entry(nil, "timeout", "provider_timeout", false),
		Entry(nil, "provider_timeout", "eur provider_timeout", true),
		Entry(nil, "eu-west", "region eu-west", true),
		Entry(nil, "eu-west", "west of eu", false),
		Entry(nil, "card timeout", "the card: timeout", true),
		Entry(nil, "card timeout", "the card", false),
		Entry(nil, `"card declined"`, "card declined by bank", true),
		Entry(nil, `"card declined"`, "card was declined", false),
		Entry(nil, `"card declined`, "card declined", true),
		Entry(nil, "card -bank", "card declined by bank", false),
		Entry(nil, "card -bank", "card declined by banks", true),
		Entry(nil, "-bank card", "card", true),
		Entry(nil, "größe", "die größe passt", true),
		Entry(nil, "GRÖSSE", "die größe", false),
		Entry(nil, "10.0.0.7", "no route to 10.0.0.7", true),
		Entry(nil, "10.0.0.7", "10.0.7.0", false),
		Entry(nil, "the", "the end", true),
		Entry(nil, "a", "", false),
	)

	DescribeTable("refuses what names no word",
		func(q, says string) {
			_, err := event.ParseSearch(q)
			Expect(err).To(MatchError(ContainSubstring(says)))
		},
		Entry(nil, "", "no word"),
		Entry(nil, "-card", "no word"),
		Entry(nil, `"" -- !`, "no word"),
		Entry(nil, `card -"by bank"`, "only single ones"),
		Entry(nil, "a b c d e f g h i j k l m n o p q", "more than 16"),
	)

	It("ranks by how often a word comes, and how short the text is", func() {
		s, err := event.ParseSearch("a")
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Score("a")).To(Equal(1.0))
		Expect(s.Score("a b")).To(Equal(0.75))
		Expect(s.Score("a b a b")).To(Equal(1.5 * 0.75))
		Expect(s.Score("a b c d")).To(BeNumerically("<", s.Score("a b")))
	})

	It("marks its words where they stand, in characters", func() {
		s, err := event.ParseSearch("größe declined")
		Expect(err).NotTo(HaveOccurred())
		doc, err := bson.Marshal(bson.D{
			{Key: "type", Value: "DECLINED"},
			{Key: "payload", Value: bson.D{{Key: "error", Value: "äö Größe, DECLINED."}, {Key: "n", Value: 1}, {Key: "list", Value: bson.A{"x", bson.D{{Key: "why", Value: "declined"}}}}}},
			{Key: "metadata", Value: bson.D{{Key: "region", Value: "eu"}}},
			{Key: "search_text", Value: "declined"},
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Highlights(doc)).To(Equal([]event.Highlight{
			{Path: "payload.error", Text: "äö Größe, DECLINED.", Marks: []event.Mark{{Start: 3, End: 8}, {Start: 10, End: 18}}},
			{Path: "payload.list.1.why", Text: "declined", Marks: []event.Mark{{Start: 0, End: 8}}},
		}))
	})

	It("shows of a long text the part that has the word", func() {
		long := ""
		for range 200 {
			long += "größer "
		}
		s, err := event.ParseSearch("needle")
		Expect(err).NotTo(HaveOccurred())
		doc, err := bson.Marshal(bson.D{{Key: "payload", Value: bson.D{{Key: "log", Value: long + "needle " + long}}}})
		Expect(err).NotTo(HaveOccurred())
		found := s.Highlights(doc)
		Expect(found).To(HaveLen(1))
		Expect(len(found[0].Text)).To(BeNumerically("<=", 300))
		Expect(found[0].Marks).To(HaveLen(1))
		Expect([]rune(found[0].Text)[found[0].Marks[0].Start:found[0].Marks[0].End]).To(Equal([]rune("needle")))
	})
})
