package ctl_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/services/ctl"
)

var _ = Describe("the sample traffic", func() {
	It("gives each of the sample rules something to do, and none of them most of it", func(ctx SpecContext) {
		const events = 20_000
		var traffic bytes.Buffer
		for range events {
			e, err := ctl.Simulated()
			Expect(err).NotTo(HaveOccurred())
			traffic.Write(append(e, '\n'))
		}
		file := filepath.Join(GinkgoT().TempDir(), "events.jsonl")
		Expect(os.WriteFile(file, traffic.Bytes(), 0o600)).To(Succeed())
		rules := filepath.Join("..", "..", "configs", "rules")

		matched := run(ctx, "rules", "match", "--rules", rules, "--events", file)
		Expect(matched.Code).To(BeZero(), matched.Err)
		counts := map[string]int{}
		for line := range strings.Lines(matched.Out) {
			var event struct {
				Rules []string `json:"rules"`
			}
			Expect(json.Unmarshal([]byte(line), &event)).To(Succeed())
			for _, r := range event.Rules {
				counts[r]++
			}
		}
		for _, name := range sampleRules(rules) {
			// The least frequent one expects forty.
			Expect(counts[name]).To(And(BeNumerically(">", 0), BeNumerically("<", events/10)), name)
		}
	})
})

func sampleRules(folder string) []string {
	GinkgoHelper()
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	Expect(err).NotTo(HaveOccurred())
	var names []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		Expect(err).NotTo(HaveOccurred())
		for line := range strings.Lines(string(text)) {
			if name, ok := strings.CutPrefix(line, "- name: "); ok {
				names = append(names, strings.TrimSpace(name))
			}
		}
	}
	Expect(names).NotTo(BeEmpty())
	return names
}
