package window_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// hours puts the events of each hour at its end, as the worked examples count
// them, and one at the very beginning, two timeframes after which a rule is
// active; that one lies in no window of an hour in which it is.
func hours(counts ...int) *series {
	s := &series{}
	s.add(0, 1, "")
	for hour, n := range counts {
		s.add(time.Duration(hour+1)*time.Hour, n, "")
	}
	return s
}

var _ = Describe("spike", func() {
	// The worked examples of ElastAlert 2's documentation of the spike rule.
	DescribeTable("fires in the hours in which ElastAlert 2's examples do",
		func(ctx SpecContext, height float64, ref, cur int, counts []int, want ...int) {
			spec := window.Spec{Kind: "spike", Timeframe: for_(2 * time.Hour), SpikeHeight: height, SpikeType: "up", ThresholdRef: ref, ThresholdCur: cur}
			s := hours(counts...)
			fired := []int{}
			for hour := range counts {
				end := time.Duration(hour+1) * time.Hour
				if len(evaluate(ctx, spec, s, end, end+time.Minute)) > 0 {
					fired = append(fired, hour+1)
				}
			}
			Expect(fired).To(Equal(append([]int{}, want...)))
		},
		Entry("at least 15, less than a quarter before: hour 4", 4., 0, 15, []int{5, 5, 10, 35}, 4),
		Entry("at least 15, less than a quarter before: never", 4., 0, 15, []int{20, 21, 19, 23}),
		Entry("at least 15, less than a quarter before: hour 5", 4., 0, 15, []int{10, 0, 0, 30, 5}, 5),
		Entry("at least 5 before, twice as many: never", 2., 5, 0, []int{20, 100, 100, 100}),
		Entry("at least 5 before, twice as many: hour 4", 2., 5, 0, []int{0, 20, 100, 100}, 4),
		Entry("at least 5 before, twice as many: too few before", 2., 5, 0, []int{1, 2, 2, 1000, 2, 4}),
		Entry("at least 5 before, twice as many: hour 7", 2., 5, 0, []int{1000, 0, 0, 0, 1000, 1050, 1075}, 7),
		Entry("at least 100, less than a fifth before: too soon", 5., 0, 100, []int{1000}),
		Entry("at least 100, less than a fifth before: hour 4", 5., 0, 100, []int{2, 1, 20, 81}, 4),
		Entry("at least 100, less than a fifth before: never", 5., 0, 100, []int{10, 20, 40, 80, 200}),
	)

	It("tells a rise and a fall of the same time apart", func(ctx SpecContext) {
		spec := window.Spec{Kind: "spike", Timeframe: for_(time.Minute), SpikeHeight: 3, SpikeType: "both"}
		s := &series{}
		s.minutes("k", 4, 4, 12, 4, 1, 0)
		alerts := evaluate(ctx, spec, s, 0, 6*time.Minute)
		Expect(slots(alerts)).To(Equal([]string{"k@4", "k@6", "k@7", "k@9", "k@11"}), "twice the slot, and one more for a fall")
		Expect(alerts[0].Text).To(Equal("12 events in 1m, 4 in the 1m before; the ratio that counts is 3"))
		Expect(alerts[0].Event).To(Equal(s.all[19].ID), "the event with which it was enough")
		Expect(alerts[3].Text).To(Equal("1 event in 1m, 4 in the 1m before; the ratio that counts is 3"))
		Expect(alerts[4].Event.IsZero()).To(BeTrue(), "nothing came")
		Expect(alerts[4].Reference).To(BeEquivalentTo(1))
	})

	DescribeTable("downwards asks for a baseline and for its thresholds",
		func(ctx SpecContext, ref, cur int, minutes []int, want ...string) {
			spec := window.Spec{Kind: "spike", Timeframe: for_(time.Minute), SpikeHeight: 2, SpikeType: "down", ThresholdRef: ref, ThresholdCur: cur}
			s := &series{}
			s.minutes("k", minutes...)
			Expect(slots(evaluate(ctx, spec, s, 0, time.Duration(len(minutes))*time.Minute))).To(Equal(append([]string{}, want...)))
		},
		Entry("the first event begins the window before", 0, 0, []int{4, 2}, "k@1"),
		Entry("less than half as few", 0, 0, []int{4, 4, 3, 2}),
		Entry("nothing after something, and nothing after nothing", 0, 0, []int{4, 4, 0, 0}, "k@2"),
		Entry("too few before", 5, 0, []int{4, 4, 1}),
		Entry("too few now", 0, 2, []int{8, 8, 4, 1}, "k@2"),
	)

	It("upwards is settled only if a late event can come into the window before", func() {
		spec := window.Spec{Kind: "spike", Timeframe: for_(20 * time.Second), SpikeHeight: 2, SpikeType: "up"}
		Expect(spec.Parts()[0].Settled()).To(BeTrue(), "30s is the default")
		spec.Timeframe = for_(30 * time.Second)
		Expect(spec.Parts()[0].Settled()).To(BeFalse())
	})

	DescribeTable("is refused",
		func(spec window.Spec, want ...string) {
			spec.Kind = "spike"
			var got []string
			for _, p := range spec.Check() {
				got = append(got, fmt.Sprint(p.Pointer, " ", p.Message))
			}
			Expect(got).To(ConsistOf(want))
		},
		Entry("without its settings", window.Spec{}, "/timeframe is missing; a spike rule needs it",
			"/spike_height is missing; a spike rule needs it", "/spike_type is missing; a spike rule needs it"),
		Entry("that cannot spike", window.Spec{Timeframe: for_(time.Minute), SpikeHeight: 1, SpikeType: "upwards", ThresholdRef: -1},
			"/spike_height must be more than 1, and at most 1000000", "/spike_type must be up, down or both", "/threshold_ref must be 0 or more"),
	)
})
