package ctl

import (
	"encoding/json"
	"io"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/store"
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

// Repeated goes through a collection that has these answers, one after the other, and
// in which each look finds something unreadable, until all or nothing more is changed.
func Repeated(dry, all bool, answers ...store.Renewed) (changed, looks, unreadable int, err error) {
	r, enough := rotation{DryRun: dry}, nothingFound
	if all {
		enough = allChanged
	}
	err = r.repeat(enough, &changed, "rules", func() (store.Renewed, error) {
		r.Unreadable++
		looks++
		return answers[looks-1], nil
	})
	return changed, looks, r.Unreadable, err
}
