package ctl_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/creack/pty"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/events-aggregator/events-aggregator/services/ctl"
)

// terminal is somebody who looks: what is written to tty is on screen.
type terminal struct {
	tty    *os.File
	screen *gbytes.Buffer
}

func newTerminal() terminal {
	GinkgoHelper()
	keyboard, tty, err := pty.Open()
	Expect(err).NotTo(HaveOccurred())
	Expect(pty.Setsize(keyboard, &pty.Winsize{Rows: 40, Cols: 120})).To(Succeed())
	t := terminal{tty, gbytes.NewBuffer()}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 4096)
		for {
			n, err := keyboard.Read(b)
			_, _ = t.screen.Write(b[:n])
			if err != nil { // the other side is closed
				return
			}
		}
	}()
	DeferCleanup(func() {
		_ = tty.Close()
		_ = keyboard.Close()
		<-ended
	})
	return t
}

// answering is an API that gives one answer to everything, and how to reach it.
func answering(h http.HandlerFunc) []string {
	server := httptest.NewServer(h)
	DeferCleanup(server.Close)
	return []string{"EA_API_URL=" + server.URL, "EA_API_KEY=k"}
}

const escape = "\x1b["

var _ = Describe("on a terminal", func() {
	const explained = `{"text":"did not fire: payload.amount is 50 (int), but must be >= 100","outcome":"not_fired","rule_name":"r","event_id":"e","rule_id":"r",
		"steps":[{"name":"condition","ok":false,"text":"the condition is not fulfilled"}],
		"condition":{"clauses":[{"matched":true,"text":"type is A"},{"matched":false,"text":"payload.amount is 50"}]}}`

	It("rules explain is coloured text; with NO_COLOR it is not, and elsewhere it is JSON", func(ctx SpecContext) {
		env := answering(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.ReplaceAll(explained, "\n", "")))
		})
		t := newTerminal()
		Expect(ctl.Run(ctx, []string{"rules", "explain", "r", "e"}, env, t.tty, t.tty)).To(BeZero())
		Eventually(t.screen).WithContext(ctx).Should(gbytes.Say(`\x1b\[31mdid not fire: payload.amount is 50 \(int\), but must be >= 100\x1b\[0m`))
		Eventually(t.screen).WithContext(ctx).Should(gbytes.Say(`\x1b\[32m✓\x1b\[0m type is A`))
		Eventually(t.screen).WithContext(ctx).Should(gbytes.Say(`\x1b\[31m✗\x1b\[0m payload.amount is 50`))

		plain := newTerminal()
		Expect(ctl.Run(ctx, []string{"rules", "explain", "r", "e"}, append(env, "NO_COLOR=1"), plain.tty, plain.tty)).To(BeZero())
		Eventually(plain.screen).WithContext(ctx).Should(gbytes.Say("✗ payload.amount is 50"))
		Expect(string(plain.screen.Contents())).NotTo(ContainSubstring(escape))

		var out, errOut bytes.Buffer
		Expect(ctl.Run(ctx, []string{"rules", "explain", "r", "e"}, env, &out, &errOut)).To(BeZero())
		Expect(out.String()).To(And(HavePrefix(`{"text":"did not fire`), Not(ContainSubstring(escape))))
	}, SpecTimeout(30*time.Second))

	// backtesting is an API whose back-test ends when it is told to.
	backtesting := func(ctx context.Context, end <-chan struct{}) []string {
		return answering(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				_, _ = w.Write([]byte(`{"rule_id":"r","name":"r"}`))
				return
			}
			_, _ = fmt.Fprintln(w, `{"progress":{"stage":"count","part":0.5,"matches":4812}}`)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-end:
			case <-ctx.Done():
			}
			_, _ = fmt.Fprintln(w, `{"result":{"name":"r","from":"2026-03-01T00:00:00Z","to":"2026-03-02T00:00:00Z","searched_until":"2026-03-02T00:00:00Z","matches":9000,"unit":"hour","counts":[],"samples":[],"actions":{"owed":9000,"left":9000,"notifications":9000}}}`)
		})
	}

	It("rules backtest shows how far it is, also where its result goes to a file", func(ctx SpecContext) {
		end := make(chan struct{})
		env := backtesting(ctx, end)
		t := newTerminal()
		file, err := os.Create(filepath.Join(GinkgoT().TempDir(), "result"))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(file.Close)
		code := make(chan int, 1)
		go func() { code <- ctl.Run(ctx, []string{"rules", "backtest", "r"}, env, file, t.tty) }()
		Eventually(t.screen).WithContext(ctx).WithTimeout(15 * time.Second).Should(gbytes.Say(`count +\[=+>-+\] +4812 matches`))
		close(end)
		Eventually(ctx, code).WithTimeout(15 * time.Second).Should(Receive(BeZero()))
		result, err := os.ReadFile(file.Name())
		Expect(err).NotTo(HaveOccurred())
		Expect(string(result)).To(And(ContainSubstring("9000 events match"), Not(ContainSubstring(escape))))
	}, SpecTimeout(time.Minute))

	It("and nowhere else", func(ctx SpecContext) {
		end := make(chan struct{})
		close(end)
		var out, errOut bytes.Buffer
		Expect(ctl.Run(ctx, []string{"rules", "backtest", "r"}, backtesting(ctx, end), &out, &errOut)).To(BeZero())
		Expect(errOut.String()).To(BeEmpty())
		Expect(out.String()).To(And(ContainSubstring("9000 events match"), Not(ContainSubstring(escape))))
	}, SpecTimeout(30*time.Second))

	It("warnings are yellow, on standard error alone", func(ctx SpecContext) {
		env := answering(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"created":1,"changed":0,"unchanged":0,"warnings":[{"rule":"large","pointer":"/0/conditions","message":"the rule can match its own"}]}`))
		})
		t := newTerminal()
		var out bytes.Buffer
		file := filepath.Join("testdata", "match", "rules.json")
		Expect(ctl.Run(ctx, []string{"rules", "apply", "-f", file}, env, &out, t.tty)).To(BeZero())
		Eventually(t.screen).WithContext(ctx).Should(gbytes.Say(`\x1b\[33mwarning: .*rules.json:\d+: rule "large": /conditions: the rule can match its own\x1b\[0m`))
		Expect(out.String()).To(Equal("1 created, 0 changed, 0 unchanged\n"))
	}, SpecTimeout(30*time.Second))
})
