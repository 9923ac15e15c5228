package process_test

import (
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/fault"
)

// armed are the faults that processes of these specs were started with, as
// "<point>:<kill or stop>".
var armed sync.Map

// arm notes a value of EA_FAULT, "" for none.
func arm(value string) {
	if parts := strings.Split(value, ":"); len(parts) > 1 {
		armed.Store(parts[0]+":"+parts[1], true)
	}
}

// A point that nobody dies at, or sleeps at, proves nothing.
var _ = ReportAfterSuite("every fault point has killed and has paused a process", func(report Report) {
	for _, spec := range report.SpecReports {
		if spec.LeafNodeType == types.NodeTypeIt && spec.State != types.SpecStatePassed && !slices.Contains(spec.Labels(), "measures") {
			return // not all have run, or one has failed
		}
	}
	var missing []string
	for _, point := range fault.Points {
		for _, what := range []string{":kill", ":stop"} {
			if _, ok := armed.Load(string(point) + what); !ok {
				missing = append(missing, string(point)+what)
			}
		}
	}
	Expect(missing).To(BeEmpty())
})
