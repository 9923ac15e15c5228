package browser_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// watches saves a rule as a shadow, which tells what it would have done, and deletes it.
func watches(ctx context.Context, p *product, t *tab) {
	GinkgoHelper()
	t.press("Rules")
	t.press("New rule")
	t.write("Name", "refunds, watched")
	t.write("Mode", "shadow")
	t.write("Condition", `{"type": "REFUND_HELD"}`)
	t.press("Save the rule")
	t.see("refunds, watched is saved as version 1")
	t.press("Rules")
	t.see("hold these rules")
	p.publish(ctx, "REFUND_HELD", "shop", 5, object{"amount": 1})
	t.view("notifications?status=suppressed&reason=shadow")
	t.see("refunds, watched")
	t.press("Rules")
	t.press("refunds, watched")
	t.see("To live")
	t.press("Delete")
	t.press("Delete refunds, watched")
	t.see("refunds, watched is deleted")
}

// stored waits until an event is.
func (t *tab) stored(ctx context.Context, id string) {
	GinkgoHelper()
	Eventually(ctx, func() any {
		return t.eval("fetch('/api/v1/events/" + id + "').then((a) => a.status)")
	}).WithTimeout(patience).Should(BeEquivalentTo(200), "the event is not stored")
}
