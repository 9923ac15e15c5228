package e2e_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"regexp"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/services/api"
)

var _ = Describe("the API's document", func() {
	It("is there for anybody, once, and as a page that asks nobody else", func(ctx SpecContext) {
		p := start(ctx)
		get := func(ctx context.Context, path string, header ...string) (*http.Response, []byte) {
			GinkgoHelper()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+path, nil)
			Expect(err).NotTo(HaveOccurred())
			r.Header.Set("Accept-Encoding", "identity")
			for i := 0; i < len(header); i += 2 {
				r.Header.Set(header[i], header[i+1])
			}
			answer, err := http.DefaultClient.Do(r)
			Expect(err).NotTo(HaveOccurred())
			defer func() { _ = answer.Body.Close() }()
			body, err := io.ReadAll(answer.Body)
			Expect(err).NotTo(HaveOccurred())
			return answer, body
		}
		answer, body := get(ctx, "/openapi.json")
		Expect(answer.StatusCode).To(Equal(http.StatusOK))
		document, err := api.Document()
		Expect(err).NotTo(HaveOccurred())
		Expect(body).To(Equal(document))
		answer, body = get(ctx, "/openapi.json", "If-None-Match", answer.Header.Get("ETag"))
		Expect(answer.StatusCode).To(Equal(http.StatusNotModified))
		Expect(body).To(BeEmpty())

		answer, page := get(ctx, "/docs")
		Expect(answer.StatusCode).To(Equal(http.StatusOK))
		Expect(answer.Header.Get("Content-Security-Policy")).To(ContainSubstring("script-src 'self';"))
		Expect(string(page)).NotTo(MatchRegexp(`<script>|\son\w+=|style=`), "the policy allows no scripts in the page")
		links := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(string(page), -1)
		Expect(len(links)).To(BeNumerically(">=", 5))
		for _, link := range links {
			Expect(link[1]).To(HavePrefix("/"), "another host")
			answer, plain := get(ctx, link[1])
			Expect(answer.StatusCode).To(Equal(http.StatusOK), link[1])
			answer, packed := get(ctx, link[1], "Accept-Encoding", "gzip")
			if answer.Header.Get("Content-Encoding") == "gzip" {
				unpacked, err := gzip.NewReader(bytes.NewReader(packed))
				Expect(err).NotTo(HaveOccurred())
				packed, err = io.ReadAll(unpacked)
				Expect(err).NotTo(HaveOccurred())
			}
			Expect(bytes.Equal(packed, plain)).To(BeTrue(), link[1])
		}
	}, SpecTimeout(time.Minute))
})
