package client_test

import (
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("the README", func() {
	It("shows the example that is compiled", func() {
		readme, err := os.ReadFile("../../README.md")
		Expect(err).NotTo(HaveOccurred())
		_, shown, found := strings.Cut(string(readme), "```go\n")
		Expect(found).To(BeTrue())
		shown, _, _ = strings.Cut(shown, "```")
		compiled, err := os.ReadFile("example_test.go")
		Expect(err).NotTo(HaveOccurred())
		Expect(string(compiled)).To(ContainSubstring("\t" + strings.ReplaceAll(strings.TrimSpace(shown), "\n", "\n\t") + "\n\treturn nil\n}"))
	})
})
