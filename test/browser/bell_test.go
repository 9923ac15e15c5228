package browser_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// rings has events of all severities come while somebody looks at other things.
func rings(ctx context.Context, p *product, t *tab) {
	GinkgoHelper()
	t.press("Critical events")
	t.see("critical 9")
	t.accessible("the bell's list")
	t.press("Close")
	t.press("Targets")
	t.until("document.querySelector('.bell').getAttribute('aria-label') === 'Critical events'", "they were looked at")
	p.publish(ctx, "DISK_SLOW", "plant", 7, object{})
	id := p.publish(ctx, "DISK_FULL", "plant", 8, object{})
	t.until("document.querySelector('.bell').textContent === '1'", "the bell does not ring")
	t.until("document.title === '(1) Targets · Events Aggregator'", "nor does the title")
	t.press("Critical events, 1 new")
	t.see("DISK_FULL")
	t.press("DISK_FULL")
	t.until("location.hash.endsWith("+quoted(id)+")", "it does not lead to the event")
	t.until("document.querySelector('.bell').textContent === ''", "it rings still")
	Expect(t.eval("document.title")).To(Equal("Events · Events Aggregator"))

	p.storeLate(ctx, "DISK_LOST", "plant", 9, time.Minute)
	t.until("document.querySelector('.bell').textContent === '1'", "it does not ring for what an ingester took before, and stored now")
	t.press("Critical events, 1 new")
	t.see("DISK_LOST")
	t.visit("?again")
	t.press("Critical events")
	t.see("DISK_LOST")
	Expect(t.eval("[...document.querySelectorAll('dialog .badge')].some((e) => e.textContent === 'new')")).To(BeFalse(), "they were looked at")
	t.press("Close")
}
