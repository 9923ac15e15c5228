// Package attempts reads from Ginkgo's reports how often specs were tried.
package attempts

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/onsi/ginkgo/v2/types"
)

// Flaky says, a line each, which specs passed after they had failed, where, and
// what the failures said.
func Flaky(suite types.Report) []string {
	var out []string
	for _, s := range suite.SpecReports {
		if s.NumAttempts < 2 || !s.State.Is(types.SpecStatePassed) {
			continue
		}
		line := fmt.Sprintf("%s: %q passed at attempt %d", suite.SuiteDescription, s.FullText(), s.NumAttempts)
		for _, f := range s.AdditionalFailures {
			line += fmt.Sprintf("; before: %s:%d: %s", filepath.Base(f.Failure.Location.FileName), f.Failure.Location.LineNumber, oneLine(f.Failure.Message))
		}
		out = append(out, line)
	}
	return out
}

// oneLine is as much of a failure as tells it from others.
func oneLine(message string) string {
	const most = 300
	text := strings.Join(strings.Fields(message), " ")
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return text
}
