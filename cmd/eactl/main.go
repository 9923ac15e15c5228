// Command eactl operates Events Aggregator.
package main

import (
	"os"
	"runtime/debug"

	"github.com/events-aggregator/events-aggregator/services/ctl"
)

// garbage is how much a short-lived process may leave before it is collected, in
// percent of what is in use: a tenth of the processor time that a long queue takes.
const garbage = 400

func main() {
	debug.SetGCPercent(garbage)
	os.Exit(ctl.Main(os.Args[1:]))
}
