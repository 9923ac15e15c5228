package arch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/fault"
)

// Longer files hide a second idea. Specs may be longer: their length is cases.
const (
	longestFile = 400
	longestSpec = 600
)

// long lists files that may be longer, each with its reason.
var long = map[string]string{}

var _ = Describe("files", func() {
	It("are short enough to be read at once", func() {
		var wrong []string
		for _, p := range packages() {
			for _, f := range p.Files {
				limit := longestFile
				if f.Test {
					limit = longestSpec
				}
				if f.Lines > limit && long[f.Path] == "" && !generated(f) {
					wrong = append(wrong, fmt.Sprintf("%s has %d lines, more than %d; what does it hide?", f.Path, f.Lines, limit))
				}
			}
		}
		Expect(wrong).To(BeEmpty())
	})

	It("live in packages that are named for what they are about", func() {
		for _, p := range packages() {
			name := p.Name[strings.LastIndexByte(p.Name, '/')+1:]
			Expect([]string{"util", "utils", "common", "helper", "helpers", "model", "models", "misc"}).NotTo(ContainElement(name), p.Name)
		}
	})
})

func generated(f *file) bool {
	return len(f.syntax.Comments) > 0 && strings.Contains(f.syntax.Comments[0].Text(), "DO NOT EDIT")
}

var _ = Describe("every table entry has its cases", func() {
	It("each fault point is passed and has a spec in test/process", func() {
		passed := production("services", "pkg")
		specs := sources("test/process")
		var wrong []string
		for _, point := range fault.Points {
			name := constantOf(point)
			if !strings.Contains(passed, "fault.At(fault."+name+")") {
				wrong = append(wrong, fmt.Sprintf("fault.%s: nothing passes it", name))
			}
			if !regexp.MustCompile(`\bfault\.`+name+`\b`).MatchString(specs) && !strings.Contains(specs, `"`+string(point)+`"`) {
				wrong = append(wrong, fmt.Sprintf("fault.%s: no spec in test/process names it", name))
			}
		}
		Expect(wrong).To(BeEmpty())
	})

	It("each fault point is in the list", func() {
		text, err := os.ReadFile(filepath.Join(root, "pkg/fault/fault.go"))
		Expect(err).NotTo(HaveOccurred())
		Expect(strings.Count(string(text), " Point = ")).To(Equal(len(fault.Points)))
	})

	It("each action type is listed, passes the conformance suite, and is carried out", func() {
		beside := []string{"builtin", "actiontest", "outgoing", "seal"} // the packages that are no type
		entries, err := os.ReadDir(filepath.Join(root, "pkg/action"))
		Expect(err).NotTo(HaveOccurred())
		list := sources("pkg/action/builtin")
		dispatcher := sources("services/dispatcher")
		var wrong []string
		for _, e := range entries {
			if !e.IsDir() || slices.Contains(beside, e.Name()) {
				continue
			}
			imported := `"` + module + "/pkg/action/" + e.Name() + `"`
			if !strings.Contains(list, imported) {
				wrong = append(wrong, "pkg/action/"+e.Name()+": pkg/action/builtin does not list it")
			}
			if !strings.Contains(sources("pkg/action/"+e.Name()), "actiontest.") {
				wrong = append(wrong, "pkg/action/"+e.Name()+": its specs do not run actiontest's conformance suite")
			}
			if !strings.Contains(dispatcher, imported) {
				wrong = append(wrong, "pkg/action/"+e.Name()+": services/dispatcher does not carry it out")
			}
		}
		Expect(wrong).To(BeEmpty())
	})

	It("each package with specs that measure is one whose measuring specs are run, and no other", func() {
		script, err := os.ReadFile(filepath.Join(root, "scripts/test"))
		Expect(err).NotTo(HaveOccurred())
		listed := regexp.MustCompile(`(?m)^\t(.*)\) measured\+=`).FindSubmatch(script)
		Expect(listed).NotTo(BeNil(), "scripts/test lists them")
		var labelled []string
		for _, p := range packages() {
			for _, f := range p.Files {
				if !f.Test || slices.Contains(labelled, "*/"+p.Name) {
					continue
				}
				text, err := os.ReadFile(filepath.Join(root, f.Path))
				Expect(err).NotTo(HaveOccurred())
				if regexp.MustCompile(`\bLabel\([^)]*"measures"`).Match(text) {
					labelled = append(labelled, "*/"+p.Name)
				}
			}
		}
		Expect(strings.Split(string(listed[1]), " | ")).To(ConsistOf(labelled))
	})

	It("each service has its command", func() {
		entries, err := os.ReadDir(filepath.Join(root, "services"))
		Expect(err).NotTo(HaveOccurred())
		commands := sources("cmd")
		for _, e := range entries {
			run := strings.Contains(commands, `"`+module+"/services/"+e.Name()+`"`)
			Expect(run).To(BeTrue(), "no command in cmd/ runs services/%s", e.Name())
		}
	})

	It("each command is a few lines", func() {
		for _, p := range packages() {
			if matches("cmd/...", p.Name) {
				for _, f := range p.production() {
					Expect(f.Lines).To(BeNumerically("<=", 20), f.Path)
				}
			}
		}
	})
})

// sources is the text of all Go files below a folder, "" when there is none.
func sources(folder string) string { return text(folder, func(string) bool { return true }) }

// production is the text of all Go files below some folders that are no specs.
func production(folders ...string) (all string) {
	for _, f := range folders {
		all += text(f, func(name string) bool { return !strings.HasSuffix(name, "_test.go") })
	}
	return all
}

func text(folder string, wanted func(name string) bool) string {
	var all strings.Builder
	_ = filepath.WalkDir(filepath.Join(root, folder), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".go") && wanted(d.Name()) {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all.Write(text)
		}
		return nil
	})
	return all.String()
}

// constantOf turns rule-worker.decided into RuleWorkerDecided.
func constantOf(p fault.Point) string {
	var name strings.Builder
	for word := range strings.FieldsFuncSeq(string(p), func(r rune) bool { return r == '.' || r == '-' }) {
		name.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return name.String()
}
