package telemetry_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

const known = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

var _ = Describe("the trace context", func() {
	It("comes back as it was written", func() {
		t, ok := telemetry.ParseTraceparent(known)
		Expect(ok).To(BeTrue())
		Expect(t.ID()).To(Equal("4bf92f3577b34da6a3ce929d0e0e4736"))
		Expect(t.Traceparent()).To(Equal(known))
	})

	DescribeTable("refuses what the specification refuses", func(s string) {
		_, ok := telemetry.ParseTraceparent(s)
		Expect(ok).To(BeFalse())
	},
		Entry("nothing", ""),
		Entry("too short", known[:54]),
		Entry("version 00 with more behind it", known+"-00"),
		Entry("version ff", "ff"+known[2:]),
		Entry("upper case", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"),
		Entry("no hexadecimal", "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01"),
		Entry("trace id zero", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
		Entry("span id zero", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"),
		Entry("wrong separators", "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01"),
		Entry("a later version that goes on without a separator", "01"+known[2:]+"x"),
	)

	It("reads later versions as far as it knows them", func() {
		t, ok := telemetry.ParseTraceparent("01" + known[2:] + "-more")
		Expect(ok).To(BeTrue())
		Expect(t.Traceparent()).To(Equal(known))
	})

	It("travels in message headers with its state", func() {
		headers := map[string]any{"traceparent": known, "tracestate": "a=1", "x": 1}
		t, ok := telemetry.TraceFromHeaders(headers)
		Expect(ok).To(BeTrue())
		out := map[string]any{"tracestate": "stale"}
		t.Child().WriteHeaders(out)
		Expect(out).To(HaveKeyWithValue("tracestate", "a=1"))
		next, ok := telemetry.TraceFromHeaders(out)
		Expect(ok).To(BeTrue())
		Expect(next.ID()).To(Equal(t.ID()))
		Expect(next.SpanID).NotTo(Equal(t.SpanID))
		telemetry.NewTrace().WriteHeaders(out)
		Expect(out).NotTo(HaveKey("tracestate"), "another trace's state")
	})

	It("ignores headers of other types", func() {
		_, ok := telemetry.TraceFromHeaders(map[string]any{"traceparent": 5})
		Expect(ok).To(BeFalse())
	})

	It("begins a trace that is valid", func() {
		_, ok := telemetry.ParseTraceparent(telemetry.NewTrace().Traceparent())
		Expect(ok).To(BeTrue())
	})
})

func FuzzParseTraceparent(f *testing.F) {
	f.Add(known)
	f.Add("01" + known[2:] + "-x")
	f.Fuzz(func(t *testing.T, s string) {
		trace, ok := telemetry.ParseTraceparent(s)
		if !ok {
			return
		}
		again, ok := telemetry.ParseTraceparent(trace.Traceparent())
		if !ok || again.TraceID != trace.TraceID || again.SpanID != trace.SpanID {
			t.Fatalf("%q became %q", s, trace.Traceparent())
		}
	})
}
