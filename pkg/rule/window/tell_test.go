package window_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// field is an observation's value as the store makes it.
func field(v any) string {
	GinkgoHelper()
	raw, err := bson.Marshal(bson.D{{Key: "f", Value: v}})
	Expect(err).NotTo(HaveOccurred())
	return string(raw)
}

var _ = Describe("what a window makes of one event", func() {
	// The key {u: "k"} as the bytes that it is in observations.
	const key = "\x0e\x00\x00\x00\x02u\x00\x02\x00\x00\x00k\x00\x00"
	minute := for_(time.Minute)
	nothing := for_(0)
	two := 2.0
	// at is the event that is asked about, among the others.
	tell := func(ctx SpecContext, spec window.Spec, s *series, at time.Duration, value string, now time.Duration) window.Telling {
		GinkgoHelper()
		Expect(spec.Check()).To(BeEmpty())
		all, err := spec.Tell(ctx, s, key, time.UnixMilli(at.Milliseconds()), value, time.UnixMilli(now.Milliseconds()))
		Expect(err).NotTo(HaveOccurred())
		Expect(all).To(HaveLen(1))
		return all[0]
	}
	plain := func(at ...int) *series {
		s := &series{}
		for _, t := range at {
			s.add(time.Duration(t)*time.Second, 1, key)
		}
		s.add(time.Second, 9, "another key")
		return s
	}
	terms := func(v ...string) *series {
		s := &series{}
		for i, one := range v {
			s.add(time.Duration(i)*10*time.Second, 1, key, valued(one))
		}
		return s
	}

	DescribeTable("is the count, and how many are needed",
		func(ctx SpecContext, spec window.Spec, s *series, at int, value string, want string) {
			t := tell(ctx, spec, s, time.Duration(at)*time.Second, value, time.Hour)
			Expect(t.Text).To(Equal(want))
			Expect(t.Fired).To(BeFalse())
		},
		Entry("frequency", window.Spec{Kind: "frequency", Timeframe: minute, NumEvents: 5}, plain(0, 50, 100), 50, "",
			"2 events in the fullest 1m with it; 5 are needed"),
		Entry("a spike up", window.Spec{Kind: "spike", SpikeType: "up", SpikeHeight: 3, Timeframe: minute, Settle: &nothing}, plain(0, 10, 70, 80, 90), 90, "",
			"3 events in its window, 2 in the one before; 3 times as many are needed"),
		Entry("a spike up with nothing before", window.Spec{Kind: "spike", SpikeType: "up", SpikeHeight: 3, Timeframe: minute, Settle: &nothing}, plain(90), 90, "",
			"1 event in its window, 0 in the one before; 3 times as many are needed; with nothing before there is nothing to compare with"),
		Entry("a spike up of a key that is too new", window.Spec{Kind: "spike", SpikeType: "up", SpikeHeight: 3, Timeframe: minute, Settle: &nothing}, plain(70, 130, 140, 150), 150, "",
			"3 events in its window, 1 in the one before; 3 times as many are needed; but the first event of the key is less than two timeframes old"),
		Entry("a spike down", window.Spec{Kind: "spike", SpikeType: "down", SpikeHeight: 3, ThresholdRef: 4, Timeframe: minute, Settle: &nothing}, plain(0, 10, 70), 70, "",
			"1 event in its window, 2 in the one before; 3 times fewer are needed, and threshold_ref asks for 4 before"),
		Entry("flatline", window.Spec{Kind: "flatline", Threshold: 2, Timeframe: minute, Settle: &nothing, GroupBy: []string{"u"}}, plain(61, 62), 61, "",
			"2 events from 1970-01-01 00:01:00Z to 1970-01-01 00:02:00Z; fewer than 2 fire"),
		Entry("flatline of a new key", window.Spec{Kind: "flatline", Threshold: 2, Timeframe: minute, Settle: &nothing, GroupBy: []string{"u"}}, plain(61), 61, "",
			"1 event from 1970-01-01 00:01:00Z to 1970-01-01 00:02:00Z; few, but the key was not seen before that, so it is watched from the next window on"),
		Entry("too many values", window.Spec{Kind: "cardinality", Field: "f", Max: &two, Timeframe: minute}, terms(field("a"), field("b"), field("a")), 10, field("b"),
			"2 different values of f in the fullest 1m with it; more than 2 fire"),
		Entry("too few values", window.Spec{Kind: "cardinality", Field: "f", Min: &two, Timeframe: minute, Settle: &nothing}, terms(field("a"), field("b")), 10, field("b"),
			"2 different values of f from 1970-01-01 00:00:00Z to 1970-01-01 00:01:00Z; fewer than 2 fire"),
		Entry("a share", window.Spec{Kind: "percentage", Match: bson.Raw(field(1)), Max: &two, MinDenominator: 4, Timeframe: minute, Settle: &nothing}, plain(0, 1, 2), 1, "",
			"0 of 3 events fulfil match from 1970-01-01 00:00:00Z to 1970-01-01 00:01:00Z; min_denominator asks for 4 events"),
		Entry("a term that is known", window.Spec{Kind: "new_term", Field: "f"}, terms(field("a"), field("b"), field("a")), 20, field("a"),
			`f is "a", which was seen at 1970-01-01 00:00:00Z, within 30d before`),
		Entry("no term", window.Spec{Kind: "new_term", Field: "f"}, terms(field("a"), ""), 10, "",
			"the event has no f, so there is nothing new in it"),
		Entry("no change", window.Spec{Kind: "change", Field: "f"}, terms(field("a"), field("a")), 10, field("a"),
			`f is "a", as in the event before, of 1970-01-01 00:00:00Z`),
		Entry("nothing to differ from", window.Spec{Kind: "change", Field: "f"}, terms(field("a")), 0, field("a"),
			"there is no event before it to compare f with"),
	)

	DescribeTable("is the alert, when one of its windows fired",
		func(ctx SpecContext, spec window.Spec, s *series, at int, value string) {
			t := tell(ctx, spec, s, time.Duration(at)*time.Second, value, time.Hour)
			Expect(t.Fired).To(BeTrue(), t.Text)
			Expect(t.Alert.Text).To(Equal(t.Text))
			Expect(slots(evaluate(ctx, spec, s, 0, 10*time.Minute))).To(ContainElement(name(string(t.Alert.Key), t.Alert.Slot)))
		},
		Entry("frequency, completed by a later one", window.Spec{Kind: "frequency", Timeframe: minute, NumEvents: 3}, plain(0, 10, 20), 0, ""),
		Entry("a spike up", window.Spec{Kind: "spike", SpikeType: "up", SpikeHeight: 3, Timeframe: minute, Settle: &nothing}, plain(0, 70, 130, 140, 150), 150, ""),
		Entry("flatline", window.Spec{Kind: "flatline", Threshold: 2, Timeframe: minute, Settle: &nothing, GroupBy: []string{"u"}}, plain(0, 1, 61), 61, ""),
		Entry("too many values", window.Spec{Kind: "cardinality", Field: "f", Max: &two, Timeframe: minute}, terms(field("a"), field("b"), field("c")), 10, field("b")),
		Entry("a new term", window.Spec{Kind: "new_term", Field: "f"}, terms(field("a"), field("b")), 10, field("b")),
		Entry("a change", window.Spec{Kind: "change", Field: "f"}, terms(field("a"), field("b")), 10, field("b")),
	)

	It("is still open while events that come late can change it", func(ctx SpecContext) {
		spec := window.Spec{Kind: "flatline", Threshold: 2, Timeframe: minute, GroupBy: []string{"u"}}
		t := tell(ctx, spec, plain(0, 1, 61), 61*time.Second, "", 2*time.Minute)
		Expect(t.Fired).To(BeFalse())
		Expect(*t.Waits).To(Equal(time.UnixMilli(150_000).UTC()))
		Expect(t.Text).To(ContainSubstring("is decided at 1970-01-01 00:02:30Z, 30s after it ends"))
	})
})
