package arch_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// documents are what people read first; what they name must be there.
var documents = []string{"README.md", "CONTRIBUTING.md"}

var (
	quoted     = regexp.MustCompile("`([^`\n]+)`")
	ownPath    = regexp.MustCompile(`^(\./)?(\.ci|cmd|configs|deploy|pkg|scripts|services|test)/[\w./-]+$|^[\w-]+\.(md|yml|yaml|mod)$`)
	makeTarget = regexp.MustCompile(`\bmake ([a-z][a-z-]+)`)
)

var _ = Describe("the documents", func() {
	read := func(name string) string {
		GinkgoHelper()
		text, err := os.ReadFile(filepath.Join(root, name))
		Expect(err).NotTo(HaveOccurred())
		return string(text)
	}

	It("name files and folders that are there", func() {
		checked := 0
		for _, name := range documents {
			for _, m := range quoted.FindAllStringSubmatch(read(name), -1) {
				if ownPath.MatchString(m[1]) {
					checked++
					Expect(filepath.Join(root, strings.TrimSuffix(m[1], "/..."))).To(BeAnExistingFile(), name)
				}
			}
		}
		Expect(checked).To(BeNumerically(">", 20))
	})

	It("link to what is there", func() {
		for _, name := range documents {
			for _, m := range regexp.MustCompile(`\]\(([^):]+)\)`).FindAllStringSubmatch(read(name), -1) {
				Expect(filepath.Join(root, m[1])).To(BeAnExistingFile(), name)
			}
		}
	})

	It("list every operator and every kind of window", func() {
		readme := read("README.md")
		operators := regexp.MustCompile("(?m)(^\\| `\\$\\w+` \\|.*\n)+").FindString(read("pkg/rule/CONDITIONS.md"))
		names := regexp.MustCompile("(?m)^\\| `(\\$\\w+)`").FindAllStringSubmatch(operators, -1)
		Expect(len(names)).To(BeNumerically(">", 20))
		for _, m := range names {
			Expect(readme).To(MatchRegexp(regexp.QuoteMeta(m[1])+`[ `+"`"+`\n]`), m[1])
		}
		for _, k := range window.Kinds() {
			Expect(readme).To(ContainSubstring("\n| `"+k.Name()+"` |"), k.Name())
		}
	})

	It("call targets that the Makefile has", func() {
		makefile := read("Makefile")
		for _, name := range documents {
			var code strings.Builder // quoted, or a block
			for _, m := range quoted.FindAllStringSubmatch(read(name), -1) {
				code.WriteString(m[1] + "\n")
			}
			for line := range strings.Lines(read(name)) {
				if strings.HasPrefix(line, "    ") {
					code.WriteString(line)
				}
			}
			for _, m := range makeTarget.FindAllStringSubmatch(code.String(), -1) {
				Expect(makefile).To(ContainSubstring("\n"+m[1]+":"), "%s says make %s", name, m[1])
			}
		}
	})
})
