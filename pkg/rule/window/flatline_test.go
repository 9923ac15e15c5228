package window_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// minutes puts n events of a key into each minute, from the first one on.
func (s *series) minutes(key string, counts ...int) {
	for minute, n := range counts {
		for i := range n {
			s.add(time.Duration(minute)*time.Minute+time.Duration(i)*time.Second, 1, key)
		}
	}
}

var _ = Describe("flatline", func() {
	spec := window.Spec{Kind: "flatline", Timeframe: for_(time.Minute), Threshold: 3, GroupBy: []string{"user_id"}}
	forgetting := spec
	forgetting.ForgetKeys = true
	whole := spec
	whole.GroupBy = nil

	DescribeTable("fires for each slot with too few events, once a key was seen before it",
		func(ctx SpecContext, spec window.Spec, minutes []int, want ...string) {
			s := &series{}
			key := "k"
			if spec.GroupBy == nil {
				key = ""
			}
			s.minutes(key, minutes...)
			Expect(slots(evaluate(ctx, spec, s, 0, time.Duration(len(minutes))*time.Minute))).To(Equal(append([]string{}, want...)))
		},
		Entry("never seen", spec, []int{0, 0, 0}),
		Entry("too few where it is seen first: a timeframe has not passed yet", spec, []int{0, 1}),
		Entry("enough", spec, []int{3, 3, 4}),
		Entry("too few, none, enough", spec, []int{3, 2, 0, 3}, "k@1", "k@2"),
		Entry("as long as it is silent", spec, []int{1, 0, 0, 0, 0}, "k@1", "k@2", "k@3", "k@4"),
		Entry("forgotten after an alert, until it is seen again", forgetting, []int{3, 0, 0, 0, 1, 0, 0}, "k@1", "k@5"),
		Entry("forgotten, and seen by too few again and again", forgetting, []int{3, 1, 1, 1, 1}, "k@1", "k@3"),
		Entry("forgotten, then there are enough", forgetting, []int{3, 0, 3, 3, 2, 3, 2}, "k@1", "k@4", "k@6"),
		Entry("without keys, always", whole, []int{0, 1, 3, 0}, "@0", "@1", "@3"),
	)

	It("forgets a key that is silent for ten timeframes and a day", func(ctx SpecContext) {
		hourly := spec
		hourly.Timeframe = for_(time.Hour)
		s := &series{}
		s.add(time.Minute, 5, "k")
		alerts := evaluate(ctx, hourly, s, 0, 100*time.Hour)
		Expect(alerts).To(HaveLen(24))
		Expect(alerts[23].Slot).To(BeEquivalentTo(24))

		slow := spec
		slow.Timeframe = for_(24 * time.Hour)
		Expect(evaluate(ctx, slow, s, 0, 100*24*time.Hour)).To(HaveLen(10))
	})

	// pieces are the alerts of a range that is evaluated piece by piece, with a
	// bound of what is held in memory.
	pieces := func(ctx SpecContext, spec window.Spec, s *series, limit int, ends ...int64) ([]string, error) {
		GinkgoHelper()
		p, past := spec.Parts()[0], &window.Past{}
		var all []window.Alert
		for i, end := range ends[1:] {
			found, err := p.Evaluate(ctx, s, window.Ask{From: ends[i] * p.Length(), To: end * p.Length(), Limit: limit, Past: past})
			if err != nil {
				return nil, err
			}
			all = append(all, found.Alerts...)
		}
		return slots(all), nil
	}

	It("finds the same for all keys, in pieces and with little memory, as for keys that it looks up", func(ctx SpecContext) {
		g := rand.New(rand.NewPCG(7, 1))
		some := 0
		for range 60 {
			spec := window.Spec{Kind: "flatline", Timeframe: for_(4 * time.Hour), Threshold: 1 + g.IntN(3), ForgetKeys: g.IntN(2) == 0, GroupBy: []string{"user_id"}}
			s := &series{}
			keys := []string{"a", "b", "c"}
			for _, key := range keys {
				often := g.IntN(4) // of four slots so many have events
				for slot := range 60 {
					if g.IntN(4) <= often && (slot/20+len(key)+often)%3 > 0 {
						s.add(time.Duration(slot)*4*time.Hour+time.Duration(g.IntN(4))*time.Hour, 1+g.IntN(3)*g.IntN(2), key)
					}
				}
			}
			p := spec.Parts()[0]
			var want []window.Alert
			for slot := int64(25); slot < 60; slot++ {
				found, err := p.Evaluate(ctx, s, window.Ask{Keys: keys, From: slot * p.Length(), To: (slot + 1) * p.Length()})
				Expect(err).NotTo(HaveOccurred())
				want = append(want, found.Alerts...)
			}
			some += len(want)
			Expect(pieces(ctx, spec, s, 3, 25, 25+int64(g.IntN(5)), 31, 33, 60)).To(Equal(slots(want)))
			Expect(pieces(ctx, spec, s, 3, 25, 31, 50, 60)).To(Equal(slots(want)))
		}
		Expect(some).To(BeNumerically(">", 500))
	})

	It("reads a long range once, and what is remembered before it once, however many events there are", func(ctx SpecContext) {
		s := &series{}
		for minute := range 48 * 60 {
			s.add(time.Duration(minute)*time.Minute, 3, []string{"k", "l"}[minute%2])
		}
		day := int64(24 * 60)
		ends := []int64{day}
		for end := day + 60; end <= 2*day; end += 60 {
			ends = append(ends, end)
		}
		all := len(s.all) // a day of range and the day before it
		found, err := pieces(ctx, spec, s, 2000, ends...)
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(HaveLen(int(day)))
		Expect(s.asked).To(Equal(all))

		s.asked = 0
		ungrouped := &series{}
		ungrouped.minutes("", slices.Repeat([]int{5}, 48*60)...)
		Expect(pieces(ctx, whole, ungrouped, 100, ends...)).To(BeEmpty())
		Expect(ungrouped.asked).To(Equal(len(ungrouped.all)/2), "nothing before the range")
	})

	It("says so when more keys are watched than can be remembered", func(ctx SpecContext) {
		s := &series{}
		for i := range 12 {
			s.add(time.Duration(i)*time.Minute, 1, fmt.Sprint("k", i))
		}
		_, err := pieces(ctx, spec, s, 10, 0, 20)
		Expect(err).To(MatchError(window.ErrTooManyKeys))
	})

	It("says what it found, without an event", func(ctx SpecContext) {
		s := &series{}
		s.minutes("k", 3, 1)
		alerts := evaluate(ctx, spec, s, 0, 2*time.Minute)
		Expect(alerts).To(HaveLen(1))
		Expect(alerts[0].Event.IsZero()).To(BeTrue())
		Expect(alerts[0].From).To(Equal(time.UnixMilli(60_000).UTC()))
		Expect(alerts[0].To).To(Equal(time.UnixMilli(120_000).UTC()))
		Expect(alerts[0].Text).To(Equal("1 event in 1m; at least 3 are expected"))
	})

	DescribeTable("is refused",
		func(spec window.Spec, want ...window.Problem) { Expect(spec.Check()).To(ConsistOf(want)) },
		Entry("to forget keys without any", window.Spec{Kind: "flatline", Timeframe: for_(time.Minute), Threshold: 1, ForgetKeys: true},
			window.Problem{Pointer: "/forget_keys", Message: "needs group_by: without it there are no keys"}),
		Entry("without a threshold", window.Spec{Kind: "flatline", Timeframe: for_(time.Minute)},
			window.Problem{Pointer: "/threshold", Message: "is missing; a flatline rule needs it"}),
	)
})
