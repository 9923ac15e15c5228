// Command defaults writes configs/default.yaml; `go generate` runs it.
package main

import (
	"os"

	"github.com/events-aggregator/events-aggregator/pkg/config"
)

func main() {
	if err := os.WriteFile(os.Args[1], []byte(config.DefaultYAML()), 0o644); err != nil {
		panic(err)
	}
}
