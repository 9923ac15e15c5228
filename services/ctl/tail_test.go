package ctl_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/events-aggregator/events-aggregator/services/ctl"
)

var _ = Describe("tail", func() {
	It("comes back to an API that refuses when that has asked it to", func(ctx SpecContext) {
		var connections atomic.Int32
		asked := make(chan time.Time, 10)
		environ := answering(func(w http.ResponseWriter, r *http.Request) {
			asked <- time.Now()
			n := connections.Add(1)
			if n == 2 {
				w.Header().Set("Content-Type", "application/problem+json")
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusServiceUnavailable)
				fmt.Fprint(w, `{"type":"about:blank","title":"Service Unavailable","status":503,"code":"unavailable","detail":"the detail"}`)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "event: position\nid: here\n\n")
			if n == 3 {
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}
		})
		tailing, stop := context.WithCancel(ctx)
		defer stop()
		errOut, code := gbytes.NewBuffer(), make(chan int, 1)
		go func() { code <- ctl.Run(tailing, []string{"tail"}, environ, GinkgoWriter, errOut) }()
		var refused, again time.Time
		Eventually(ctx, asked).Should(Receive())
		Eventually(ctx, asked).Should(Receive(&refused))
		Eventually(ctx, asked).Should(Receive(&again))
		Expect(again.Sub(refused)).To(BeNumerically(">=", time.Second))
		Expect(errOut).To(gbytes.Say(`connection lost \(the detail\), trying again in 1s\n`))
		stop()
		Eventually(ctx, code).Should(Receive(Equal(0)))
	}, SpecTimeout(20*time.Second))

	It("says what may be missing when a connection was lost before it told where it was", func(ctx SpecContext) {
		var connections atomic.Int32
		environ := answering(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, ": alive\n\n")
			if connections.Add(1) > 1 { // each but the first
				fmt.Fprint(w, "event: position\nid: here\n\n")
			}
		})
		tailing, stop := context.WithCancel(ctx)
		defer stop()
		errOut, code := gbytes.NewBuffer(), make(chan int, 1)
		go func() { code <- ctl.Run(tailing, []string{"tail"}, environ, GinkgoWriter, errOut) }()
		Eventually(errOut).WithContext(ctx).Should(gbytes.Say(`connection lost .*\ngap: no connection since \S+Z told where it is; events that were stored since then may not be shown\n`))
		Eventually(ctx, connections.Load).Should(BeNumerically(">=", 4))
		stop()
		Eventually(ctx, code).Should(Receive(Equal(0)))
		Expect(strings.Count(string(errOut.Contents()), "gap")).To(Equal(1), "the next ones go on where it was")
	}, SpecTimeout(20*time.Second))
})
