// Command aggregator counts events exactly once and materialises metrics.
package main

import (
	"os"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/services/aggregator"
)

func main() { os.Exit(app.Main("aggregator", aggregator.Wire, aggregator.Commands()...)) }
