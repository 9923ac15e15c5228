// Package chromium starts the browser that specs, benchmarks and screenshots
// look with.
package chromium

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"github.com/chromedp/chromedp"
)

// Start starts one without a window; its profile is in the folder, which the
// caller removes. Tabs are contexts of it (chromedp.NewContext), each with
// cookies of its own by chromedp.WithNewBrowserContext.
func Start(ctx context.Context, folder string) (browser context.Context, stop func(), err error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, nil, fmt.Errorf("%w (Debian: apt-get install chromium; `make test` does so as root)", err)
	}
	allocator, end := chromedp.NewExecAllocator(ctx,
		chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.UserDataDir(folder), chromedp.WSURLReadTimeout(time.Minute),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("lang", "en-US"))
	browser, leave := chromedp.NewContext(allocator)
	stop = func() {
		leave()
		end()
	}
	if err := chromedp.Do(browser); err != nil {
		stop()
		return nil, nil, fmt.Errorf("start chromium: %w", err)
	}
	return browser, stop, nil
}
