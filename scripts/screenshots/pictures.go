package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/events-aggregator/events-aggregator/test/support/chromium"
)

const (
	patience = time.Minute
	// pictureMost is what a picture of README.md may have: a clone holds them for ever.
	pictureMost = 200 << 10
)

// page is what pictures are taken of.
type page struct{ tab context.Context } //nolint:containedctx // chromedp's tab is its context

// takePictures takes those of README.md, then all views.
func takePictures(ctx context.Context, p *product, s story, readme, all string) (err error) {
	profile, err := os.MkdirTemp("", "screenshots-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(profile)) }()
	browser, stop, err := chromium.Start(ctx, profile)
	if err != nil {
		return err
	}
	defer stop()
	tab, leave := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	defer leave()
	one := page{tab}
	return errors.Join(
		steps(func() error { return one.show("light", 1280, 900) },
			func() error { return chromedp.Do(tab, chromedp.Navigate(p.base+"#key="+p.key)) },
			func() error { return one.see("Most frequent errors") },
			func() error { return one.forReadme(s, readme) },
			func() error { return one.views(s, all) }))
}

func steps(all ...func() error) error {
	for _, step := range all {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// forReadme takes the three pictures that README.md shows.
func (p page) forReadme(s story, folder string) error {
	return steps(
		func() error { return p.look("overview?period=1h&compare=yes") },
		func() error { return p.keep(folder, "dashboard", pictureMost) },

		func() error { return p.show("dark", 1280, 900) },
		func() error { return p.look("live?source=payment-service") },
		func() error {
			return p.do(`[...document.querySelectorAll('tbody tr')].find((r) => r.textContent.includes('o-20417'))?.querySelector('button')`, "an order's payment in the live feed")
		},
		func() error { return p.see("WEBHOOK") },
		func() error { return p.see("+640 ms") },
		func() error {
			return p.eval("[...document.querySelectorAll('dialog h3')].find((h) => h.textContent === 'Payload').scrollIntoView()")
		},
		func() error { return p.keep(folder, "dashboard-event", pictureMost) },

		func() error { return p.show("light", 1280, 900) },
		func() error { return p.look("rules") },
		func() error {
			return p.do(`[...document.querySelectorAll('td a')].find((a) => a.textContent === 'payment-failed-provider')`, "a sample rule")
		},
		func() error { return p.fill("The event, or its id", s.id) },
		func() error { return p.press("Test") },
		func() error { return p.see("It matches.") },
		func() error { return p.press("Back-test") },
		func() error {
			return p.until(`!!document.querySelector('.chart canvas')`, "a picture of the back-test")
		},
		func() error { return p.eval("document.querySelector('main > .columns').scrollIntoView()") },
		func() error { return p.keep(folder, "dashboard-rule", pictureMost) },
	)
}

// views takes all of them, to be looked at.
func (p page) views(s story, folder string) error {
	if err := p.look("rules"); err != nil {
		return err
	}
	rule, err := p.address(`[...document.querySelectorAll('td a')].find((a) => a.textContent === 'payment-failed-provider')`)
	if err != nil {
		return err
	}
	if err := p.look("notifications"); err != nil {
		return err
	}
	notification, err := p.address(`document.querySelector('td a')`)
	if err != nil {
		return err
	}
	pages := []struct{ name, address string }{
		{"overview", "overview?period=6h"}, {"live", "live"}, {"events", "events?type=LOGIN_FAILED"}, {"event", "events/" + s.id}, {"rules", "rules"}, {"rules-new", "rules/new"},
		{"rule", rule}, {"rule-versions", rule + "?tab=versions"}, {"notifications", "notifications"}, {"notification", notification},
		{"targets", "targets"}, {"dead-letters", "dead-letters"}, {"silences", "silences"}, {"silences-new", "silences?new=yes"}, {"keys", "keys"}, {"users", "users"}, {"audit", "audit"},
	}
	for _, size := range []struct {
		name          string
		width, height int64
	}{{"", 1280, 900}, {"-narrow", 360, 760}} {
		for _, scheme := range []string{"light", "dark"} {
			if err := p.show(scheme, size.width, size.height); err != nil {
				return err
			}
			for _, one := range pages {
				if err := errors.Join(p.look(one.address), p.keep(folder, one.name+"-"+scheme+size.name, 0)); err != nil {
					return err
				}
			}
			if err := steps(
				func() error { return p.press("Critical events") },
				func() error { return p.keep(folder, "critical-"+scheme+size.name, 0) },
				func() error { return p.press("Close") }); err != nil {
				return err
			}
		}
	}
	return nil
}

// show sets the colours and the size of the window.
func (p page) show(scheme string, width, height int64) error {
	_, err := chromedp.Call(p.tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
	})
	return errors.Join(err, chromedp.Do(p.tab, chromedp.EmulateViewport(width, height)))
}

// look goes to a view and waits until it has what it asked for.
func (p page) look(view string) error {
	return steps(
		func() error { return p.eval("location.hash = " + quoted("#/"+view)) },
		func() error {
			return p.until("new Promise((done) => setTimeout(done, 300)).then(() => !document.querySelector('main .loading'))", view)
		})
}

func (p page) eval(script string) error {
	_, err := chromedp.Run(p.tab, chromedp.Evaluate[any](script+"; null", chromedp.EvalAwaitPromise))
	return err
}

// until waits until an expression is true.
func (p page) until(expression, what string) error {
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression, chromedp.EvalAwaitPromise))
		if err == nil && is {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			says, _ := chromedp.Run(p.tab, chromedp.Evaluate[string]("document.body.innerText.slice(0, 2000)")) // as far as it answers
			return errors.Join(err, fmt.Errorf("the page does not show %s; it says:\n%s", what, says))
		}
	}
}

func (p page) see(text string) error {
	return p.until("document.body.innerText.includes("+quoted(text)+")", text)
}

// do presses what an expression finds.
func (p page) do(expression, what string) error {
	return p.until("((e) => { e?.click(); return !!e; })("+expression+")", what)
}

func (p page) press(button string) error {
	return p.do("[...document.querySelectorAll('button')].find((b) => (b.getAttribute('aria-label') || b.textContent).startsWith("+quoted(button)+"))", button)
}

// fill types a text into a field.
func (p page) fill(label, text string) error {
	return p.until(`((e) => {
		if (!e) return false;
		Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set.call(e, `+quoted(text)+`);
		e.dispatchEvent(new Event('input', { bubbles: true }));
		return true;
	})([...document.querySelectorAll('textarea')].find((e) => e.labels[0]?.textContent === `+quoted(label)+`))`, label)
}

// address is the view that a link leads to.
func (p page) address(expression string) (string, error) {
	if err := p.until("!!("+expression+")", expression); err != nil {
		return "", err
	}
	hash, err := chromedp.Run(p.tab, chromedp.Evaluate[string]("("+expression+").hash"))
	return strings.TrimPrefix(hash, "#/"), err
}

// keep writes what is to be seen, of at most so many bytes (0: any).
func (p page) keep(folder, name string, most int) error {
	if err := p.eval("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"); err != nil {
		return err
	}
	raw, err := chromedp.Run(p.tab, chromedp.CaptureScreenshot())
	if err != nil {
		return err
	}
	picture, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	var small bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, picture); err != nil {
		return err
	}
	if small.Len() < len(raw) {
		raw = small.Bytes()
	}
	if most > 0 && len(raw) > most {
		return fmt.Errorf("%s has %d bytes, at most %d", name, len(raw), most)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, name+".png"), raw, 0o644)
}

func quoted(text string) string {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err) // a text can be encoded
	}
	return string(raw)
}
