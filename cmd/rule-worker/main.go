// Command rule-worker matches stored events against the rules and decides on notifications.
package main

import (
	"os"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
)

func main() { os.Exit(app.Main("rule-worker", ruleworker.Wire)) }
