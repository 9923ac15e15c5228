package ctl

import (
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
