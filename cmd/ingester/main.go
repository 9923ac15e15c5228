// Command ingester stores events from RabbitMQ in MongoDB and passes them on in batches.
package main

import (
	"os"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/services/ingester"
)

func main() { os.Exit(app.Main("ingester", ingester.Wire)) }
