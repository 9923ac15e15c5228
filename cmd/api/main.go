// Command api serves REST, live streams and the dashboard.
package main

import (
	"os"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/services/api"
)

func main() { os.Exit(app.Main("api", api.Wire)) }
