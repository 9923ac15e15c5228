package api_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/services/api"
)

var _ = Describe("analyses of events", func() {
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

	It("keep a bounded number of causes of errors, of their texts and of users, and say so", func() {
		var all []store.ErrorEvent
		for i := range 60 { // of a, b and c, each with seven users
			all = append(all, store.ErrorEvent{Type: "T", Text: []string{"a", "b", "c"}[i%3], UserID: fmt.Sprint("u", i/3%7), At: noon.Add(time.Duration(i) * time.Second)})
		}
		type cause struct {
			text  string
			count int64
			users int
			more  bool
		}
		got := func(causes, text, usersOfOne, users int) (found []cause, truncated bool) {
			items, truncated := api.TopErrors(causes, text, usersOfOne, users, all...)
			for _, g := range items {
				found = append(found, cause{g.Error, g.Count, g.Users, g.MoreUsers})
			}
			slices.SortFunc(found, func(x, y cause) int { return int(x.text[0]) - int(y.text[0]) })
			return found, truncated
		}
		found, truncated := got(3, 9, 7, 21)
		Expect(found).To(Equal([]cause{{"a", 20, 7, false}, {"b", 20, 7, false}, {"c", 20, 7, false}}), "all has room")
		Expect(truncated).To(BeFalse())
		found, truncated = got(2, 9, 5, 21)
		Expect(found).To(Equal([]cause{{"a", 20, 5, true}, {"b", 20, 5, true}}))
		Expect(truncated).To(BeTrue())
		found, truncated = got(3, 8, 7, 8) // of text, c is one byte too much; users are given room as they come
		Expect(found).To(Equal([]cause{{"a", 20, 4, true}, {"b", 20, 4, true}}))
		Expect(truncated).To(BeTrue())
	})

	It("keep a bounded number of a user's sessions and types apart, those with the latest events, and say so", func() {
		var all []store.UserEvents
		for hour := 9; hour >= 0; hour-- { // as they are read
			for i := range 4 {
				at := noon.Add(time.Duration(hour)*time.Hour + time.Duration(i)*time.Minute)
				all = append(all, store.UserEvents{Slot: hour, Type: fmt.Sprint("T", i), Session: fmt.Sprint("s", hour/2), Count: int64(1 + i), Errors: int64(i % 2), First: at, Last: at.Add(time.Second)})
			}
		}
		whole := api.Activity(5, 4, 4, noon, noon.Add(10*time.Hour), all...)
		Expect(whole.Truncated).To(BeFalse())
		Expect(whole.Count).To(BeEquivalentTo(100))
		Expect(whole.ByType).To(HaveExactElements(HaveField("Value", "T3"), HaveField("Value", "T2"), HaveField("Value", "T1"), HaveField("Value", "T0")))
		Expect(whole.Sessions).To(And(HaveLen(5), HaveEach(And(HaveField("Count", BeEquivalentTo(20)), HaveField("Types", Equal([]string{"T0", "T1", "T2", "T3"}))))))
		Expect(whole.Sessions[0].ID).To(Equal("s4"))
		Expect(whole.Sessions[0].Started).To(Equal(noon.Add(8 * time.Hour)))
		Expect(whole.Sessions[0].Ended).To(Equal(noon.Add(9*time.Hour + 3*time.Minute + time.Second)))

		few := api.Activity(2, 2, 2, noon, noon.Add(10*time.Hour), all...)
		Expect(few.Truncated).To(BeTrue())
		Expect(few.SessionsN).To(Equal(2))
		Expect([]string{few.Sessions[0].ID, few.Sessions[1].ID}).To(Equal([]string{"s4", "s3"}))
		Expect(few.Sessions).To(HaveEach(And(HaveField("Count", BeEquivalentTo(20)), HaveField("Types", Equal([]string{"T0", "T1"})))))
		types := map[string]int64{}
		for _, t := range few.ByType {
			types[t.Value] = t.Count
		}
		Expect(types).To(Equal(map[string]int64{"T0": 10, "T1": 20, metric.Other: 70}))
		few.ByType, few.Sessions, few.SessionsN, few.Truncated = whole.ByType, whole.Sessions, whole.SessionsN, false
		Expect(few).To(Equal(whole), "everything else is of all events")
	})

	It("have places, of the process and of each key, and who finds none waits for one", func(ctx SpecContext) {
		p := api.NewPlaces(2, 1)
		over, cancel := context.WithCancel(ctx)
		cancel()
		first, err := p.Wait(over, "a")
		Expect(err).NotTo(HaveOccurred(), "there is one")
		_, err = p.Wait(over, "a")
		Expect(err).To(MatchError(context.Canceled), "the key has no other")
		second, err := p.Wait(ctx, "b")
		Expect(err).NotTo(HaveOccurred())
		_, err = p.Wait(over, "c")
		Expect(err).To(MatchError(context.Canceled), "the process has no other")

		third := make(chan func())
		go func() {
			defer GinkgoRecover()
			release, err := p.Wait(ctx, "a")
			Expect(err).NotTo(HaveOccurred())
			third <- release
		}()
		second()
		Consistently(third).ShouldNot(Receive(), "it is the key's that is missing")
		first()
		first()
		var release func()
		Eventually(ctx, third).Should(Receive(&release))
		Expect(p.Taken()).To(Equal(1), "what is given back twice is one")
		release()
		Expect(p.Taken()).To(BeZero())
	}, SpecTimeout(10*time.Second))
})
