// Command oncemore prints the flags with which go test runs again what failed, a
// line each, and names the failures, from one of Ginkgo's JSON reports. It fails
// when something other than specs failed.
//
//	oncemore FILE
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/onsi/ginkgo/v2/types"

	"github.com/events-aggregator/events-aggregator/scripts/oncemore/failed"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(files []string) error {
	if len(files) != 1 {
		return errors.New("usage: oncemore FILE")
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return fmt.Errorf("the specs did not come to their end: %w", err)
	}
	var suites []types.Report
	if err := json.Unmarshal(text, &suites); err != nil {
		return fmt.Errorf("%s: %w", files[0], err)
	}
	if len(suites) != 1 {
		return fmt.Errorf("%s: expected the report of one suite, got %d", files[0], len(suites))
	}
	for _, line := range failed.Lines(suites[0]) {
		fmt.Fprintln(os.Stderr, "FAILED", line)
	}
	flags, err := failed.Again(suites[0])
	if err != nil {
		return err
	}
	for _, flag := range flags {
		fmt.Println(flag)
	}
	return nil
}
