// Command action-dispatcher delivers notifications.
package main

import (
	"os"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/services/dispatcher"
)

func main() { os.Exit(app.Main("action-dispatcher", dispatcher.Wire)) }
