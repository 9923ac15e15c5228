// Package browser uses the dashboard as people do: in Chromium, against the five
// services and real servers.
package browser_test

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestBrowser(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Browser")
}

// chromium is the one browser of all specs; each has a tab with cookies of its own.
var chromium context.Context

var _ = BeforeSuite(func() {
	path, err := exec.LookPath("chromium")
	Expect(err).NotTo(HaveOccurred(), "the browser specs need Chromium (Debian: apt-get install chromium; `make test` does so as root)")
	allocator, stop := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.UserDataDir(GinkgoT().TempDir()), chromedp.WSURLReadTimeout(time.Minute),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("lang", "en-US"))
	DeferCleanup(stop)
	browser, end := chromedp.NewContext(allocator)
	DeferCleanup(end)
	Expect(chromedp.Do(browser)).To(Succeed())
	chromium = browser //nolint:fatcontext // set once, for all specs
})
