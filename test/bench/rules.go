package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// The product's rule index beside another and a library, on 10,000 rules. They
// need no server, and one program holds them all (matchers): a match takes
// microseconds.
const matchers = "matchers"

// ofRules begins the names of the figures that matchers prints.
const ofRules = "rules."

// loadVariable names a folder with another load than the one that is made.
const loadVariable = "EA_BENCH_LOAD"

func (b *bench) rules(ctx context.Context, f figures) error {
	cmd := exec.CommandContext(ctx, filepath.Join(b.bin, matchers))
	cmd.Env = append(cleanEnviron(), loadVariable+"="+os.Getenv(loadVariable))
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%s: %w: %s", matchers, err, exit.Stderr)
	}
	printed := map[string]float64{}
	if err == nil {
		err = json.Unmarshal(out, &printed)
	}
	if err != nil {
		return err
	}
	for name, value := range printed {
		f[ofRules+name] = value
	}
	b.say("rules: %.0f ns an event, plain index %.0f, quamina %.0f; %.0f matches an event", f[ofRules+"product_ns"], f[ofRules+"plain_ns"], f[ofRules+"quamina_ns"], f[ofRules+"matches"])
	return nil
}

// rulesRows are the goals of the rule index.
func rulesRows() []row {
	value := func(name string) func(figures) float64 { return func(f figures) float64 { return f[ofRules+name] } }
	product := value("product_ns")
	return []row{
		{part: "rules", name: "10,000 rules, ns an event, beside a plain index", value: product, bound: value("plain_ns"), goal: 2.5, most: true},
		{part: "rules", name: "the same, beside quamina (1/15)", value: product, bound: value("quamina_ns"), goal: 1. / 15, most: true, ratio: "%.4f"},
		{part: "rules", name: "9,000 of them match nothing, beside the others alone", value: value("cold_ns"), bound: value("cold_few_ns"), goal: 2, most: true},
		{part: "rules", name: "allocations an event, besides the result", value: value("allocs"), most: true, zero: true, format: "%g"},
		{part: "rules", name: "building the index, ms", value: value("build_ms"), goal: 100, most: true},
		{part: "rules", name: "p99 of a match while rules change, ns, beside quiet", value: value("changing_ns"), bound: value("quiet_ns"), goal: 2, most: true},
		{part: "rules", name: "events for which one of the three is wrong", value: value("wrong"), most: true, zero: true},
	}
}
