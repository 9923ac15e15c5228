// Command eactl operates Events Aggregator.
package main

import (
	"os"

	"github.com/events-aggregator/events-aggregator/services/ctl"
)

func main() { os.Exit(ctl.Main(os.Args[1:])) }
