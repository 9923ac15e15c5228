package store_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

var _ = Describe("the stream of stored events", func() {
	It("continues after any token, also in the middle of a batch, without loss or repeat", func(ctx SpecContext) {
		s := fresh(ctx)
		stream, err := s.WatchEvents(ctx, nil)
		Expect(err).NotTo(HaveOccurred())
		b := testBatch(10)
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		seen := []string{}
		var last store.Change
		for range 4 {
			last, err = stream.Next(ctx)
			Expect(err).NotTo(HaveOccurred())
			seen = append(seen, last.Event.Lookup("event_id").StringValue())
		}
		Expect(stream.Close(ctx)).To(Succeed())
		stream, err = s.WatchEvents(ctx, last.Token)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx context.Context) { Expect(stream.Close(ctx)).To(Succeed()) })
		for range 6 {
			change, err := stream.Next(ctx)
			Expect(err).NotTo(HaveOccurred())
			seen = append(seen, change.Event.Lookup("event_id").StringValue())
		}
		want := []string{}
		for _, e := range b.Events {
			want = append(want, e.Lookup("event_id").StringValue())
		}
		Expect(seen).To(Equal(want))
	}, SpecTimeout(30*time.Second))
})
