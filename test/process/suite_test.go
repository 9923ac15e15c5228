// Package process runs the built binaries: signals, sudden death, restarts.
package process_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestProcess(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Processes")
}

// measures labels the specs that compare times or rates: scripts/test runs them
// when nothing else runs. The others only wait.
var measures = Label("measures")

// bin holds the binaries, built with the fault points armed by EA_FAULT.
var bin string

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	bin, err = os.MkdirTemp("", "ea-process-*")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = os.RemoveAll(bin) })
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "faultpoints", "-o", bin+"/", "./cmd/...")
	build.Dir = filepath.Join("..", "..")
	out, err := build.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
}, NodeTimeout(5*time.Minute))
