package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// drawsPeriods looks at an hour in which calls took 400 ms, and at the one before, in
// which they took 100. Some notifications were delivered.
func drawsPeriods(ctx context.Context, p *product, t *tab) {
	GinkgoHelper()
	before := object{"timestamp": time.Now().UTC().Add(-90 * time.Minute).Format(time.RFC3339Nano)}
	for severity := range 6 {
		p.publish(ctx, "CALL_SERVED", "gateway", 1+severity, object{"response_time_ms": 400})
	}
	for range 3 {
		p.publish(ctx, "CALL_SERVED", "gateway", 2, object{"response_time_ms": 100}, before)
	}
	Eventually(ctx, func() any { // until they are counted: the overview asks every ten seconds
		return t.eval("fetch('/api/v1/analytics/summary?type=CALL_SERVED').then((a) => a.json()).then((s) => s.count)")
	}).WithTimeout(patience).Should(BeEquivalentTo(9), "events counted")

	t.view("overview")
	t.see("Most frequent errors")
	t.eval("performance.clearResourceTimings(); null")
	t.press("1h")
	t.tile("Response time, p95", `^(39[4-9]|40[0-6])\sms(9[89]|10[0-2])\sms before$`) // as far off as percentiles may be
	t.tile("Events", `^\d+\+[\d.]+\s% to the period before$`)
	t.tile("Error rate", `^[1-9][\d.]*\s%\+[1-9][\d.]*\spoints$`)
	t.tile("Critical", `^[1-9]\d*0 before$`)
	t.tile("Delivered", `^1notifications$`)
	for _, stage := range []string{"events", "rules", "actions", "counts"} {
		t.tile("Lag, "+stage, "up to date$")
	}
	lines := func(more ...string) string {
		charts := [][]string{{"info", "warning", "error", "critical"}, {"error rate"}, {"p95"}, {"delivered or suppressed", "dead"}}
		for i := range charts {
			charts[i] = append(charts[i], more...)
		}
		raw, err := json.Marshal(charts)
		Expect(err).NotTo(HaveOccurred())
		return `JSON.stringify([...document.querySelectorAll('.two .chart')].map((c) => [...c.querySelectorAll('.u-label')].slice(1).map((l) => l.textContent))) === ` + quoted(string(raw))
	}
	t.until(lines(), "not all lines of the period are drawn")
	t.eval(fmt.Sprintf("(%s)('input', 'Draw the 1h before, too').click(); null", named))
	t.until(lines("before"), "the period before is not drawn everywhere")
	t.picture("overview-compared")

	// Which hours were asked for: that which ends now, and the one before.
	Expect(t.eval(`(() => {
		const hour = 3600000;
		const asked = performance.getEntriesByType('resource').map((e) => new URL(e.name)).filter((u) => u.pathname.endsWith('/trends')).map((u) => u.searchParams);
		const hours = asked.filter((p) => Date.parse(p.get('to')) - Date.parse(p.get('from')) === hour);
		const ago = (p) => Math.floor((Date.now() + 60000 - Date.parse(p.get('to'))) / hour);
		return [0, 1].map((n) => new Set(hours.filter((p) => ago(p) === n).map((p) => p.get('metric_type') + p.get('type'))).size).join();
	})()`)).To(Equal("4,4"), "what was asked about this hour, and about the one before")
}

// tile waits until a figure of the overview, with the note below it, is like this.
func (t *tab) tile(name, pattern string) {
	GinkgoHelper()
	t.until(fmt.Sprintf(`[...document.querySelectorAll('.tile')].some((e) => e.querySelector('dt').textContent === %s && new RegExp(%s).test(e.querySelector('dd').textContent))`,
		quoted(name), quoted(pattern)), "the figure %q is not like %s", name, pattern)
}
