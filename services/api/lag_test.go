package api_test

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/services/api"
)

var _ = Describe("what all who ask at the same time share", func() {
	const clients = 100

	It("is read once for them, and not waited for one after the other when it fails", func(ctx SpecContext) {
		away, answer := errors.New("away"), make(chan struct{})
		var read atomic.Int32
		get := api.Recent(time.Minute, func() ([]byte, error) {
			read.Add(1)
			<-answer
			return nil, away
		})
		failed := make(chan error, clients)
		for range clients {
			go func() {
				_, err := get(ctx)
				failed <- err
			}()
		}
		Eventually(ctx, read.Load).Should(BeEquivalentTo(1))
		close(answer)
		for range clients {
			Eventually(ctx, failed).Should(Receive(MatchError(away)))
		}
		Expect(read.Load()).To(BeEquivalentTo(1))
	}, SpecTimeout(10*time.Second))

	It("is read again when it is no longer fresh", func(ctx SpecContext) {
		var read atomic.Int32
		get := api.Recent(time.Nanosecond, func() ([]byte, error) { return []byte{byte('0' + read.Add(1))}, nil })
		Expect(get(ctx)).To(BeEquivalentTo("1"))
		Eventually(ctx, func() ([]byte, error) { return get(ctx) }).ShouldNot(BeEquivalentTo("1"))
	}, SpecTimeout(10*time.Second))

	It("holds nobody who goes", func(ctx SpecContext) {
		answer := make(chan struct{})
		DeferCleanup(func() { close(answer) })
		get := api.Recent(time.Minute, func() ([]byte, error) {
			<-answer
			return nil, nil
		})
		going, leave := context.WithCancel(ctx)
		failed := make(chan error, 2)
		for _, one := range []context.Context{ctx, going} {
			go func() {
				_, err := get(one)
				failed <- err
			}()
		}
		leave()
		Eventually(ctx, failed).Should(Receive(MatchError(context.Canceled)))
		Expect(failed).NotTo(Receive())
	}, SpecTimeout(10*time.Second))
})
