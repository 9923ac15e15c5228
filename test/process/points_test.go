package process_test

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/fault"
)

// passed are the fault points at which a process of these specs has died or stood
// still, as "<point>:<kill or stop>".
var passed sync.Map

// passedPoint notes that a process with this environment has died (kill) or stands
// still (stop), if it was to do so at a point.
func passedPoint(env []string, what string) {
	for _, e := range env {
		if value, ok := strings.CutPrefix(e, "EA_FAULT="); ok {
			if parts := strings.Split(value, ":"); len(parts) > 1 && parts[1] == what {
				passed.Store(parts[0]+":"+what, true)
			}
		}
	}
}

// dies waits for a command that is to be killed at a point.
func dies(cmd *exec.Cmd) {
	GinkgoHelper()
	_ = cmd.Wait()
	Expect(cmd.ProcessState.Sys().(syscall.WaitStatus).Signal()).To(Equal(syscall.SIGKILL))
	passedPoint(cmd.Env, "kill")
}

// sleeps waits for a command that is to be paused at a point.
func sleeps(ctx context.Context, cmd *exec.Cmd) {
	GinkgoHelper()
	Eventually(ctx, func() string { return state(cmd.Process.Pid) }).
		WithTimeout(patience).WithPolling(10*time.Millisecond).Should(Equal("T"), cmd.Path)
	passedPoint(cmd.Env, "stop")
}

// A point that nobody dies at, or sleeps at, proves nothing.
var _ = ReportAfterSuite("every fault point has killed and has paused a process", func(report Report) {
	if report.SuiteConfig.DryRun || report.SuiteConfig.ParallelTotal > 1 {
		return // nothing has run, or elsewhere, too
	}
	for _, spec := range report.SpecReports {
		if spec.LeafNodeType == types.NodeTypeIt && spec.State != types.SpecStatePassed && !slices.Contains(spec.Labels(), "measures") {
			return // not all have run, or one has failed
		}
	}
	var missing []string
	for _, point := range fault.Points {
		for _, what := range []string{"kill", "stop"} {
			if _, ok := passed.Load(string(point) + ":" + what); !ok {
				missing = append(missing, string(point)+":"+what)
			}
		}
	}
	Expect(missing).To(BeEmpty())
})
