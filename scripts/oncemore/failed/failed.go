// Package failed reads from Ginkgo's reports what failed, and how it runs again.
package failed

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/onsi/ginkgo/v2/types"
)

// states are those of a spec that may do better when it runs again.
const states = types.SpecStateFailed | types.SpecStatePanicked | types.SpecStateTimedout

// Lines says, a line each, what failed, where, and with which words.
func Lines(suite types.Report) []string {
	var out []string
	for _, s := range suite.SpecReports {
		if s.Failed() {
			at := s.Failure.Location
			out = append(out, fmt.Sprintf("%s: %q: %s:%d: %s", suite.SuiteDescription, name(s), filepath.Base(at.FileName), at.LineNumber, oneLine(s.Failure.Message)))
		}
	}
	return out
}

// Again is the flags of go test by which what failed runs again: whole files, since
// specs of a file may build upon each other, with the seed that they had.
func Again(suite types.Report) ([]string, error) {
	var files []string
	for _, s := range suite.SpecReports {
		switch {
		case !s.Failed():
			continue
		case s.LeafNodeType != types.NodeTypeIt || !s.State.Is(states):
			return nil, fmt.Errorf("%s: %q %s: it is no spec that could run again by itself", suite.SuiteDescription, name(s), s.State)
		}
		// A container may be written in another file than its specs.
		for _, at := range append(slices.Clone(s.ContainerHierarchyLocations), s.LeafNodeLocation) {
			files = append(files, filepath.Base(at.FileName))
		}
	}
	if len(suite.SpecialSuiteFailureReasons) > 0 {
		return nil, fmt.Errorf("%s: %s", suite.SuiteDescription, strings.Join(suite.SpecialSuiteFailureReasons, "; "))
	}
	if len(files) == 0 {
		return nil, errors.New(suite.SuiteDescription + ": no spec failed, so it is not known what to run again")
	}
	slices.Sort(files)
	flags := []string{fmt.Sprintf("-ginkgo.seed=%d", suite.SuiteConfig.RandomSeed)}
	for _, f := range slices.Compact(files) {
		flags = append(flags, "-ginkgo.focus-file="+regexp.QuoteMeta("/"+f)+"$")
	}
	return flags, nil
}

// name is the text of a spec, or what else failed.
func name(s types.SpecReport) string {
	if text := s.FullText(); text != "" {
		return text
	}
	return s.LeafNodeType.String()
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
