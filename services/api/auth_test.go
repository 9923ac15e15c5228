package api_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/user"
	"github.com/events-aggregator/events-aggregator/services/api"
)

// answers is a look-up of keys that hands out one answer after the other, with
// something that happens before it arrives.
type answers struct {
	valid     []bool
	meanwhile func()
	asked     int
}

func (a *answers) UserByKeyHash(context.Context, string) (user.User, error) {
	valid := a.valid[a.asked]
	a.asked++
	if a.meanwhile != nil {
		a.meanwhile()
		a.meanwhile = nil
	}
	if !valid {
		return user.User{}, store.ErrNotFound
	}
	return user.User{ID: "somebody"}, nil
}

func (*answers) TouchKey(context.Context, string, time.Time, time.Duration) error { return nil }

var _ = Describe("The memory of keys", func() {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

	DescribeTable("asks again after what this process changed while it asked", func(ctx SpecContext, before, after bool) {
		users := &answers{valid: []bool{before, after}}
		auth := api.NewAuth(users, now)
		users.meanwhile = auth.Forget
		Expect(auth.Known(ctx, "hash")).To(Equal(before), "what was asked before the change holds for this once")
		Expect(auth.Known(ctx, "hash")).To(Equal(after))
		Expect(auth.Known(ctx, "hash")).To(Equal(after))
		Expect(users.asked).To(Equal(2), "what was asked after it is remembered")
	},
		Entry("a key is revoked", true, false),
		Entry("a key is made", false, true),
	)
})
