package backtest_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/backtest"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
)

var _ = Describe("what would be held back", func() {
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	every := func(d time.Duration) interval.Duration { return interval.Duration(d) }
	grouped := func(most int) backtest.Noise {
		n, err := backtest.NewNoise(rule.Rule{ID: "r", Actions: make([]rule.ActionSpec, 1), Group: &rule.Group{
			By: []string{"user_id"}, Wait: every(time.Minute), Interval: every(5 * time.Minute), Repeat: every(time.Hour)}}, most)
		Expect(err).NotTo(HaveOccurred())
		return n
	}
	i := 0
	event := func(user string) (string, bson.Raw) {
		i++
		id := fmt.Sprint("e", i)
		raw, err := bson.Marshal(bson.D{{Key: "event_id", Value: id}, {Key: "type", Value: "A"}, {Key: "source", Value: "s"}, {Key: "user_id", Value: user}})
		Expect(err).NotTo(HaveOccurred())
		return id, raw
	}
	take := func(n backtest.Noise, at time.Time, user string) error {
		id, raw := event(user)
		_, err := n.Take(at, id, raw)
		return err
	}

	It("tells each group when it is due, and more of the same after repeat", func() {
		n := grouped(10)
		for _, m := range []struct {
			after time.Duration
			user  string
		}{{0, "a"}, {30 * time.Second, "b"}, {40 * time.Second, "a"}, {2 * time.Minute, "a"}, {3 * time.Minute, "c"}, {10 * time.Minute, "a"}, {90 * time.Minute, "b"}, {100 * time.Minute, "b"}} {
			Expect(take(n, noon.Add(m.after), m.user)).To(Succeed())
		}
		// a, b and c a minute after their first; a again an hour after it was told; b a minute after it came again, and at the end.
		Expect(n.Finish()).To(Equal(backtest.Actions{Owed: 8, Left: 6, Notifications: 6, Held: map[string]int64{"grouped": 8}}))
	})

	It("counts no group as told that is due while its rule is muted", func() {
		n, err := backtest.NewNoise(rule.Rule{ID: "r", Actions: make([]rule.ActionSpec, 1),
			Group: &rule.Group{By: []string{"user_id"}, Wait: every(time.Minute), Interval: every(5 * time.Minute), Repeat: every(time.Hour)},
			Mute:  []rule.Mute{{From: "12:01", To: "12:10"}}}, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(take(n, noon.Add(30*time.Second), "a")).To(Succeed()) // due at 12:01:30, muted
		Expect(take(n, noon.Add(10*time.Minute), "a")).To(Succeed()) // as new as before: due at 12:11
		Expect(take(n, noon.Add(20*time.Minute), "a")).To(Succeed()) // more of the same: due at 13:11
		Expect(n.Finish()).To(Equal(backtest.Actions{Owed: 3, Left: 2, Notifications: 2, Held: map[string]int64{"grouped": 3, "muted": 1}}))
	})

	DescribeTable("is found with the keys that mean something at the time, however many there were", func(n func(most int) backtest.Noise) {
		const keys, at = 3000, time.Minute
		some := n(400) // those of three hours are 180
		for k := range keys {
			Expect(take(some, noon.Add(time.Duration(k)*at), fmt.Sprint("u", k))).To(Succeed())
			Expect(some.Remembered()).To(BeNumerically("<", 1000))
		}
		Expect(some.Finish().Left).To(BeEquivalentTo(keys))

		few := n(50)
		var err error
		for k := 0; err == nil && k < keys; k++ {
			err = take(few, noon.Add(time.Duration(k)*at), fmt.Sprint("u", k))
		}
		Expect(err).To(MatchError(ContainSubstring("keys at once")))
	},
		Entry("groups", grouped),
		Entry("throttles", func(most int) backtest.Noise {
			n, err := backtest.NewNoise(rule.Rule{ID: "r", Throttle: &rule.Throttle{Per: []string{"user_id"}, For: every(30 * time.Minute)}}, most)
			Expect(err).NotTo(HaveOccurred())
			return n
		}))
})
