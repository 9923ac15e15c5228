package ctl_test

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/events-aggregator/events-aggregator/services/ctl"
)

var _ = Describe("small charts", func() {
	some := func(values ...float64) []*float64 {
		out := make([]*float64, len(values))
		for i := range values {
			if values[i] >= 0 {
				out[i] = &values[i]
			}
		}
		return out
	}
	const gap = -1
	DescribeTable("are drawn from zero up, and what is not nothing shows", func(values []*float64, want string) {
		Expect(ctl.Chart(values)).To(Equal(want))
	},
		Entry("of nothing", nil, ""),
		Entry("of zeros", some(0, 0, 0), "___"),
		Entry("of a rise", some(0, 1, 50, 100), "_.=#"),
		Entry("with a gap", some(5, gap, 5), "# #"),
		Entry("of gaps", some(gap, gap), ""),
	)

	It("show the largest of several values where there is no room for all", func() {
		values := make([]float64, 6000)
		values[3000] = 7
		drawn := ctl.Chart(some(values...))
		Expect(drawn).To(HaveLen(60))
		Expect(strings.Count(drawn, "#")).To(Equal(1))
	})

	It("have blocks and colour on a terminal alone", func(ctx SpecContext) {
		env := answering(func(w http.ResponseWriter, r *http.Request) {
			Expect(r.URL.Path).To(Equal("/api/v1/analytics/trends"))
			Expect(r.URL.Query().Get("by")).To(Equal("type"))
			_, _ = w.Write([]byte(`{"from":"2026-05-04T10:00:00Z","to":"2026-05-04T12:00:00Z","period":"1h","metric_type":"EVENTS_COUNT","by":"type",
				"total":{"name":"","count":9,"points":[{"value":0},{"value":9}]},"series":[{"name":"A","count":9,"points":[{"value":null},{"value":9}]}]}`))
		})
		var out, errOut bytes.Buffer
		Expect(ctl.Run(ctx, []string{"analytics", "trends", "--by", "type"}, env, &out, &errOut)).To(BeZero(), errOut.String())
		Expect(out.String()).To(And(ContainSubstring("_#"), Not(ContainSubstring("█")), Not(ContainSubstring(escape))))
		t := newTerminal()
		Expect(ctl.Run(ctx, []string{"analytics", "trends", "--by", "type"}, env, t.tty, t.tty)).To(BeZero())
		Eventually(t.screen).WithContext(ctx).Should(gbytes.Say("▁█"))
	}, SpecTimeout(30*time.Second))
})
