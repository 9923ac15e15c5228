// Command flakes names the specs that passed only when they were tried again,
// from Ginkgo's JSON reports: go test shows nothing of a package that passes.
//
//	flakes FILE…
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/onsi/ginkgo/v2/types"

	"github.com/events-aggregator/events-aggregator/scripts/flakes/attempts"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(files []string) error {
	n := 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		var suites []types.Report
		if err := json.Unmarshal(text, &suites); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, s := range suites {
			for _, f := range attempts.Flaky(s) {
				fmt.Println("FLAKY", f)
				n++
			}
		}
	}
	fmt.Printf("%d specs passed only when they were tried again (%d reports)\n", n, len(files))
	return nil
}
