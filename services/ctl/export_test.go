package ctl

import (
	"encoding/json"
	"io"

	"github.com/spf13/cobra"
)

// Commands is the tree of all commands.
func Commands() *cobra.Command {
	t := &tool{out: io.Discard, errOut: io.Discard}
	return t.root()
}

// YAML writes JSON as YAML.
var YAML = writeYAML

// Simulated is one event of the sample traffic, as JSON.
func Simulated() ([]byte, error) { return json.Marshal(simulated()) }

// Chart draws values where nobody looks.
func Chart(values []*float64) string { return chart(values, plainBars) }
