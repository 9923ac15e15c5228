// Package browser uses the dashboard as people do: in Chromium, against the five
// services and real servers.
package browser_test

import (
	"context"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	browsers "github.com/events-aggregator/events-aggregator/test/support/chromium"
)

func TestBrowser(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Browser")
}

// chromium is the one browser of all specs; each has a tab with cookies of its own.
var chromium context.Context

var _ = BeforeSuite(func() {
	browser, stop, err := browsers.Start(context.Background(), GinkgoT().TempDir())
	Expect(err).NotTo(HaveOccurred(), "the browser specs need Chromium")
	DeferCleanup(stop)
	chromium = browser //nolint:fatcontext // set once, for all specs
})
