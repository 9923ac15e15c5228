//go:build faultpoints

package fault

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// stopTakes is how soon a signal is at work, on a busy machine. A process that
// stands still for as long does not wait for it when it wakes.
const stopTakes = 2 * time.Second

// passes counts how often the armed point was reached in this process.
var passes atomic.Int64

// At kills or pauses this process when EA_FAULT asks for it here:
// "<point>:kill" or "<point>:stop", optionally ":<n>" for the n-th pass
// (1 = first, the default). The signal is sent once.
func At(p Point) {
	parts := strings.Split(os.Getenv("EA_FAULT"), ":")
	if len(parts) < 2 || parts[0] != string(p) {
		return
	}
	nth := int64(1)
	if len(parts) > 2 {
		if n, err := strconv.ParseInt(parts[2], 10, 64); err == nil {
			nth = n
		}
	}
	if passes.Add(1) != nth {
		return
	}
	signal := syscall.SIGKILL
	if parts[1] == "stop" {
		signal = syscall.SIGSTOP
	}
	_ = syscall.Kill(os.Getpid(), signal)
	// A stop reaches this thread a moment after another has taken the signal.
	<-time.After(stopTakes)
}
