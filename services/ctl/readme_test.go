package ctl_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var (
	readmeCall = regexp.MustCompile("(?m)`(eactl [^`]+)`|^(eactl .+)$")
	word       = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)
)

// calls are the calls of eactl in a document, as arguments; `a|b` is two.
func calls(text string) [][]string {
	var out [][]string
	for _, m := range readmeCall.FindAllStringSubmatch(text, -1) {
		code, _, _ := strings.Cut(m[1]+m[2], " #")
		call := []string{}
		for _, w := range word.FindAllString(code, -1)[1:] {
			if slices.Contains([]string{">", "&&", "|"}, w) {
				break
			}
			call = append(call, strings.Trim(w, `'"`))
		}
		if len(call) > 1 && strings.Contains(call[1], "|") {
			for _, name := range strings.Split(call[1], "|") {
				out = append(out, append([]string{call[0], name}, call[2:]...))
			}
			continue
		}
		out = append(out, call)
	}
	return out
}

var _ = Describe("the README", func() {
	It("calls commands that there are, with flags that they have", func(ctx SpecContext) {
		text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
		Expect(err).NotTo(HaveOccurred())
		all := calls(string(text))
		Expect(len(all)).To(BeNumerically(">", 20))
		for _, call := range all {
			// Help comes after the flags were read, and before anything is done.
			s := run(ctx, append(slices.Clone(call), "--help")...)
			Expect(s.Code).To(BeZero(), "eactl %v: %s", call, s.Err)
			Expect(s.Out).To(And(ContainSubstring("Usage:\n  eactl "+call[0]), Not(ContainSubstring("[command]"))), "eactl %v", call)
		}
	})
})
