package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// tab is one page that somebody looks at. What its console says of errors fails
// the spec.
type tab struct {
	ctx  context.Context //nolint:containedctx // chromedp's tab is its context
	base string

	mu    sync.Mutex
	wrong []string
}

// patience bounds each wait: a slow server and a busy machine are no mistakes.
const patience = 30 * time.Second

func open(base string) *tab {
	GinkgoHelper()
	t := &tab{base: base}
	ctx, end := chromedp.NewContext(chromium, chromedp.WithNewBrowserContext(), chromedp.WithListener(t.listen))
	DeferCleanup(end)
	t.ctx = ctx
	DeferCleanup(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		Expect(t.wrong).To(BeEmpty(), "the console")
	})
	t.wide()
	return t
}

func (t *tab) listen(ev any) {
	switch e := ev.(type) {
	case *runtime.EventExceptionThrown:
		t.note(strings.TrimSpace(e.ExceptionDetails.Text + " " + descriptionOf(e.ExceptionDetails.Exception)))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			for _, a := range e.Args {
				t.note(string(a.Value))
			}
		}
	case *log.EventEntryAdded:
		// What the browser itself says: of the Content-Security-Policy, of what is
		// outdated. That a request was refused, or nobody there, is no error of the
		// page: specs ask for both.
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork && !strings.HasPrefix(e.Entry.Text, "WebSocket connection to") {
			t.note(e.Entry.Text)
		}
	}
}

// descriptionOf is where an exception comes from, as far as it says that.
func descriptionOf(thrown *runtime.RemoteObject) string {
	if thrown == nil {
		return ""
	}
	return thrown.Description
}

func (t *tab) note(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wrong = append(t.wrong, text)
}

func (t *tab) wide()   { t.size(1280, 900) }
func (t *tab) narrow() { t.size(360, 760) }

func (t *tab) size(width, height int64) {
	GinkgoHelper()
	Expect(chromedp.Do(t.ctx, chromedp.EmulateViewport(width, height))).To(Succeed())
}

// colours are changed at once: what is half-way from light to dark has no contrast.
func (t *tab) colours(scheme string) {
	GinkgoHelper()
	_, err := chromedp.Call(t.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
	})
	Expect(err).NotTo(HaveOccurred())
}

// before has each document begin with a script.
func (t *tab) before(script string) {
	GinkgoHelper()
	_, err := chromedp.Call(t.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
	Expect(err).NotTo(HaveOccurred())
}

func (t *tab) visit(address string) {
	GinkgoHelper()
	Expect(chromedp.Do(t.ctx, chromedp.Navigate(t.base+address))).To(Succeed())
}

// view goes to a view by its address, as a link does.
func (t *tab) view(name string) {
	GinkgoHelper()
	t.eval("location.hash = '#/" + name + "'")
}

func (t *tab) eval(script string) any {
	GinkgoHelper()
	value, err := chromedp.Run(t.ctx, chromedp.Evaluate[any](script, chromedp.EvalAwaitPromise))
	Expect(err).NotTo(HaveOccurred(), script)
	return value
}

// named finds what people know by a name: buttons and links by their text or
// label, fields by their label. A dialog hides what is behind it.
const named = `(kind, name) => {
	const within = document.querySelector('dialog[open]') || document;
	const say = (e) => (e.getAttribute('aria-label') || (e.labels && e.labels[0] && e.labels[0].textContent) || e.textContent).trim();
	const all = [...within.querySelectorAll(kind)].filter((e) => e.checkVisibility() && !e.disabled);
	return all.find((e) => say(e) === name) || all.find((e) => say(e).startsWith(name));
}`

func quoted(text string) string {
	raw, err := json.Marshal(text)
	Expect(err).NotTo(HaveOccurred())
	return string(raw)
}

// press clicks a button or link.
func (t *tab) press(name string) {
	GinkgoHelper()
	t.until(fmt.Sprintf(`(() => { const e = (%s)('button, a, summary', %s); if (!e) return false; e.click(); return true; })()`, named, quoted(name)), "there is no %q to press", name)
}

// write puts a text into a field, as typing does.
func (t *tab) write(label, text string) {
	GinkgoHelper()
	t.until(fmt.Sprintf(`(() => {
		const e = (%s)('input, textarea, select', %s);
		if (!e) return false;
		const kind = { INPUT: HTMLInputElement, TEXTAREA: HTMLTextAreaElement, SELECT: HTMLSelectElement }[e.tagName];
		Object.getOwnPropertyDescriptor(kind.prototype, 'value').set.call(e, %s);
		e.dispatchEvent(new Event(e.tagName === 'SELECT' ? 'change' : 'input', { bubbles: true }));
		return true;
	})()`, named, quoted(label), quoted(text)), "there is no field %q", label)
}

// keys types, wherever the focus is.
func (t *tab) keys(text string) {
	GinkgoHelper()
	Expect(chromedp.Do(t.ctx, chromedp.KeyEvent(text))).To(Succeed())
}

// see waits until the page says something.
func (t *tab) see(text string) {
	GinkgoHelper()
	t.until(`document.body.innerText.includes(`+quoted(text)+`)`, "the page does not say %q", text)
}

func (t *tab) seeNot(text string) {
	GinkgoHelper()
	t.until(`!document.body.innerText.includes(`+quoted(text)+`)`, "the page still says %q", text)
}

// follows waits until the live feed says that it is live.
func (t *tab) follows() {
	GinkgoHelper()
	t.until(`[...document.querySelectorAll('main [role=status]')].some((e) => e.textContent === 'Live')`, "it is not live")
}

// until waits for what an expression says.
func (t *tab) until(expression, complaint string, about ...any) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		value, err := chromedp.Run(t.ctx, chromedp.Evaluate[any]("!!("+expression+")"))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(value).To(BeTrue())
	}).WithTimeout(patience).WithPolling(100*time.Millisecond).Should(Succeed(), func() string {
		return fmt.Sprintf(complaint, about...) + "; it says:\n" + fmt.Sprint(t.eval("document.body.innerText.slice(0, 3000)"))
	})
}

// picture keeps what the page looks like, when somebody wants to look
// (EA_SCREENSHOTS names a folder).
func (t *tab) picture(name string) {
	GinkgoHelper()
	folder := os.Getenv("EA_SCREENSHOTS")
	if folder == "" {
		return
	}
	picture, err := chromedp.Run(t.ctx, chromedp.CaptureScreenshot())
	Expect(err).NotTo(HaveOccurred())
	Expect(os.MkdirAll(folder, 0o755)).To(Succeed())
	Expect(os.WriteFile(filepath.Join(folder, strings.NewReplacer("/", "-", "?new=yes", "-new").Replace(name)+".png"), picture, 0o600)).To(Succeed())
}

// accessible has axe-core look at the page; serious violations fail the spec.
func (t *tab) accessible(what string) {
	GinkgoHelper()
	script, err := os.ReadFile("testdata/axe.min.js")
	Expect(err).NotTo(HaveOccurred())
	if t.eval("typeof axe") == "undefined" {
		t.eval(string(script) + "\n;true")
	}
	found := t.eval(`axe.run(document, { resultTypes: ['violations'] }).then((r) => JSON.stringify(r.violations
		.filter((v) => v.impact === 'serious' || v.impact === 'critical')
		.map((v) => v.id + ': ' + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200) + ' ' + n.failureSummary).join(' | '))))`)
	Expect(found).To(Equal("[]"), what)
}
