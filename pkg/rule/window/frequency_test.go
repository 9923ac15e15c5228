package window_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

func name(key string, slot int64) string { return fmt.Sprintf("%s@%d", key, slot) }

var _ = Describe("frequency", func() {
	spec := window.Spec{Kind: "frequency", Timeframe: for_(time.Minute), NumEvents: 3}

	DescribeTable("fires when enough events lie within timeframe",
		func(ctx SpecContext, at []time.Duration, want ...string) {
			s := &series{}
			for _, t := range at {
				s.add(t, 1, "k")
			}
			Expect(slots(evaluate(ctx, spec, s, 0, time.Hour))).To(ConsistOf(want))
		},
		Entry("too few", []time.Duration{0, time.Second}),
		Entry("enough", []time.Duration{0, 1 * time.Second, 2 * time.Second}, "k@0"),
		Entry("enough at the same instant", []time.Duration{5, 5, 5}, "k@0"),
		Entry("the first is a whole timeframe before the last", []time.Duration{0, time.Second, time.Minute}),
		Entry("the first is less than a timeframe before the last", []time.Duration{time.Millisecond, time.Second, time.Minute}, "k@1"),
		Entry("the window that is full ends in the next slot", []time.Duration{50 * time.Second, 55 * time.Second, 65 * time.Second}, "k@1"),
		Entry("one alert a slot", []time.Duration{0, 1e9, 2e9, 3e9, 4e9, 30e9, 61e9, 62e9, 125e9}, "k@0", "k@1"),
	)

	It("counts each key for itself", func(ctx SpecContext) {
		s := &series{}
		s.add(time.Second, 2, "a")
		s.add(2*time.Second, 3, "b")
		s.add(3*time.Second, 2, "c")
		Expect(slots(evaluate(ctx, spec, s, 0, time.Hour))).To(Equal([]string{"b@0"}))
	})

	It("says what it found", func(ctx SpecContext) {
		s := &series{}
		for t := range 5 {
			s.add(time.Duration(t)*time.Second, 1, "")
		}
		alerts := evaluate(ctx, spec, s, 0, time.Hour)
		Expect(alerts).To(HaveLen(1))
		a := alerts[0]
		Expect(a.Kind).To(Equal("frequency"))
		Expect(a.Key).To(BeNil())
		Expect(a.Event).To(Equal(s.all[2].ID), "the event that completed it")
		Expect(a.To).To(Equal(time.UnixMilli(2000).UTC()))
		Expect(a.To.Sub(a.From)).To(Equal(time.Minute))
		Expect(a.Value).To(BeEquivalentTo(3))
		Expect(a.Text).To(Equal("3 events in 1m; 3 are enough"))
	})

	It("reads at most twice num_events for each slot of a key in a flood", func(ctx SpecContext) {
		s := &series{}
		for i := range 5000 {
			s.add(time.Duration(i)*20*time.Millisecond, 1, "k")
		}
		part := spec.Parts()[0]
		at := (70 * time.Second).Milliseconds()
		got, err := part.Evaluate(ctx, s, window.Ask{Keys: []string{"k"}, From: at, To: at + part.Length()})
		Expect(err).NotTo(HaveOccurred())
		Expect(slots(got.Alerts)).To(Equal([]string{"k@1"}))
		Expect(s.asked).To(BeNumerically("<=", 1001+2*2*spec.NumEvents))
	})

	DescribeTable("is refused",
		func(spec window.Spec, want ...window.Problem) { Expect(spec.Check()).To(ConsistOf(want)) },
		Entry("without its settings", window.Spec{Kind: "frequency"},
			window.Problem{Pointer: "/num_events", Message: "is missing; a frequency rule needs it"},
			window.Problem{Pointer: "/timeframe", Message: "is missing; a frequency rule needs it"}),
		Entry("with settings of other kinds", window.Spec{Kind: "frequency", Timeframe: for_(time.Minute), NumEvents: 3, Threshold: 3, Field: "a"},
			window.Problem{Pointer: "/threshold", Message: "a frequency rule has no such setting"},
			window.Problem{Pointer: "/field", Message: "a frequency rule has no such setting"}),
		Entry("with values out of bounds", window.Spec{Kind: "frequency", Timeframe: for_(time.Millisecond), NumEvents: -1, GroupBy: []string{"a", "", "a", "$x"}},
			window.Problem{Pointer: "/timeframe", Message: "must be 1s to 90d"},
			window.Problem{Pointer: "/num_events", Message: "must be 1 to 125000"},
			window.Problem{Pointer: "/group_by/1", Message: "must be the path of a field, such as user_id or payload.shop"},
			window.Problem{Pointer: "/group_by/2", Message: "is there twice"},
			window.Problem{Pointer: "/group_by/3", Message: "must be the path of a field, such as user_id or payload.shop"}),
	)
})
