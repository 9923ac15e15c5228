package sink_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

var secret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("a secret of twenty-four b"))

func must[T any](v T, err error) T {
	GinkgoHelper()
	Expect(err).NotTo(HaveOccurred())
	return v
}

var _ = Describe("The webhook sink", func() {
	var (
		receiver *sink.Sink
		url      string
	)

	serve := func(secret string) {
		var err error
		receiver, err = sink.New(secret)
		Expect(err).NotTo(HaveOccurred())
		server := httptest.NewUnstartedServer(nil)
		server.Config = receiver.Server()
		server.Start()
		DeferCleanup(server.Close)
		DeferCleanup(func() { receiver.SetFaults(sink.Faults{}) })
		url = server.URL
	}

	call := func(ctx context.Context, id string, sign func(body []byte) string) (int, error) {
		body := []byte(`{"n":1}`)
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/hook", bytes.NewReader(body))
		Expect(err).NotTo(HaveOccurred())
		if id != "" {
			req.Header.Set("webhook-id", id)
		}
		req.Header.Set("webhook-timestamp", strconv.FormatInt(time.Now().Unix(), 10))
		if sign != nil {
			req.Header.Set("webhook-signature", sign(body))
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, res.Body) // of an answer that breaks off
		Expect(res.Body.Close()).To(Succeed())
		return res.StatusCode, err
	}

	It("counts distinct and repeated ids", func(ctx SpecContext) {
		serve("")
		for _, id := range []string{"a", "b", "a"} {
			Expect(call(ctx, id, nil)).To(Equal(http.StatusOK))
		}
		Expect(call(ctx, "", nil)).To(Equal(http.StatusBadRequest))

		stats := receiver.Stats()
		Expect(stats.Calls).To(Equal(4))
		Expect(stats.Distinct).To(Equal(2))
		Expect(stats.Repeated).To(Equal(1))
		Expect(stats.Accepted).To(Equal(2))
		Expect(stats.AcceptedAgain).To(Equal(1))
		Expect(stats.Unidentified).To(Equal(1))
		Expect(receiver.IDs()).To(Equal([]string{"a", "b"}))
	}, NodeTimeout(10*time.Second))

	It("refuses what is not signed with its secret", func(ctx SpecContext) {
		serve(secret)
		signer, err := standardwebhooks.NewWebhook(secret)
		Expect(err).NotTo(HaveOccurred())
		sign := func(body []byte) string {
			signature, err := signer.Sign("a", time.Now(), body)
			Expect(err).NotTo(HaveOccurred())
			return signature
		}
		Expect(call(ctx, "a", sign)).To(Equal(http.StatusOK))
		Expect(call(ctx, "other", sign)).To(Equal(http.StatusUnauthorized))
		Expect(call(ctx, "b", nil)).To(Equal(http.StatusUnauthorized))
		Expect(receiver.Stats().BadSignatures).To(Equal(2))
		Expect(receiver.IDs()).To(Equal([]string{"a"}))
	}, NodeTimeout(10*time.Second))

	It("fails the first calls of each id when told to", func(ctx SpecContext) {
		serve("")
		receiver.SetFaults(sink.Faults{Status: http.StatusServiceUnavailable, First: 1})
		Expect(call(ctx, "a", nil)).To(Equal(http.StatusServiceUnavailable))
		Expect(call(ctx, "a", nil)).To(Equal(http.StatusOK))
		Expect(call(ctx, "b", nil)).To(Equal(http.StatusServiceUnavailable))
		Expect(receiver.IDs()).To(Equal([]string{"a"}))
	}, NodeTimeout(10*time.Second))

	It("resets the connection, and accepts nothing by it", func(ctx SpecContext) {
		serve("")
		receiver.SetFaults(sink.Faults{Reset: true})
		_, err := call(ctx, "a", nil)
		Expect(err).To(MatchError(ContainSubstring("reset")))
		Expect(receiver.IDs()).To(BeEmpty())
	}, NodeTimeout(10*time.Second))

	It("hangs until the faults change", func(ctx SpecContext) {
		serve("")
		receiver.SetFaults(sink.Faults{Hang: true})
		result := make(chan error, 1)
		go func() {
			defer GinkgoRecover()
			_, err := call(ctx, "a", nil)
			result <- err
		}()
		Eventually(ctx, func() int { return receiver.Stats().Calls }).Should(Equal(1))
		Consistently(ctx, result, 100*time.Millisecond).ShouldNot(Receive())
		receiver.SetFaults(sink.Faults{})
		Eventually(ctx, result).Should(Receive(HaveOccurred()))
		Expect(call(ctx, "a", nil)).To(Equal(http.StatusOK))
	}, NodeTimeout(10*time.Second))

	It("counts effects that no caller heard of, and those of an id that had one", func(ctx SpecContext) {
		serve("")
		receiver.SetFaults(sink.Faults{Mix: []sink.Faults{{CutOff: true, First: 1}, {Reset: true, First: 1}}})
		_, err := call(ctx, "a", nil)
		Expect(err).To(HaveOccurred())
		Expect(call(ctx, "a", nil)).To(Equal(http.StatusOK))
		receiver.SetFaults(sink.Faults{Mix: []sink.Faults{{Status: http.StatusTooManyRequests, RetryAfter: "7"}}})
		Expect(call(ctx, "b", nil)).To(Equal(http.StatusTooManyRequests))
		receiver.SetFaults(sink.Faults{LatencyMS: 60_000})
		leaving, leave := context.WithTimeout(ctx, 50*time.Millisecond)
		defer leave()
		_, err = http.DefaultClient.Do(must(http.NewRequestWithContext(leaving, http.MethodPost, url, http.NoBody)))
		Expect(err).To(HaveOccurred())
		Eventually(ctx, func() int { return receiver.Stats().Unheard }).Should(Equal(2))
		stats := receiver.Stats()
		Expect(stats.Effects).To(Equal(3))
		Expect(stats.EffectsAgain).To(Equal(1))
		calls, effects := receiver.Of("a")
		Expect([]int{calls, effects}).To(Equal([]int{2, 2}))
		calls, effects = receiver.Of("b")
		Expect([]int{calls, effects}).To(Equal([]int{1, 0}))
	}, NodeTimeout(10*time.Second))

	It("takes faults over HTTP and names a misspelt one", func(ctx SpecContext) {
		serve("")
		post := func(body string) int {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/faults", bytes.NewBufferString(body))
			Expect(err).NotTo(HaveOccurred())
			res, err := http.DefaultClient.Do(req)
			Expect(err).NotTo(HaveOccurred())
			Expect(res.Body.Close()).To(Succeed())
			return res.StatusCode
		}
		Expect(post(`{"status":500,"retry_after":"1"}`)).To(Equal(http.StatusNoContent))
		Expect(call(ctx, "a", nil)).To(Equal(http.StatusInternalServerError))
		Expect(post(`{"statsu":500}`)).To(Equal(http.StatusBadRequest))
	}, NodeTimeout(10*time.Second))
})
