package config

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"
)

// value is what a key was set to before it has a type: the same for a YAML
// node, an environment variable, a flag and a default, so that each key has
// one parser.
type value struct {
	kind  kind
	text  string   // scalar
	items []string // list
	pairs []pair   // mapping, in the order given
}

type kind int

const (
	scalar kind = iota
	list
	mapping
)

type pair struct{ name, text string }

func text(s string) value { return value{kind: scalar, text: s} }

func (v value) String() string {
	switch v.kind {
	case list:
		return "[" + strings.Join(v.items, ", ") + "]"
	case mapping:
		parts := make([]string, len(v.pairs))
		for i, p := range v.pairs {
			parts[i] = p.name + ": " + p.text
		}
		return "{" + strings.Join(parts, ", ") + "}"
	default:
		return strconv.Quote(v.text)
	}
}

// asText is the value of a key that is one thing.
func (v value) asText() (string, bool) { return v.text, v.kind == scalar }

// asList is the value of a key that is several things; as text they are
// separated by commas.
func (v value) asList() ([]string, bool) {
	switch v.kind {
	case list:
		return v.items, true
	case scalar:
		return splitList(v.text), true
	default:
		return nil, false
	}
}

// asPairs is the value of a key that maps names; as text it is a=1,b=2.
func (v value) asPairs() ([]pair, bool) {
	switch v.kind {
	case mapping:
		return v.pairs, true
	case list:
		return nil, len(v.items) == 0
	}
	var out []pair
	for _, item := range splitList(v.text) {
		name, rest, ok := strings.Cut(item, "=")
		if !ok {
			return nil, false
		}
		out = append(out, pair{strings.TrimSpace(name), strings.TrimSpace(rest)})
	}
	return out, true
}

func splitList(s string) []string {
	var out []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// formatDuration writes 720h instead of 720h0m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

var byteUnits = []struct {
	suffix string
	size   int
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// formatBytes writes the largest unit that leaves a whole number.
func formatBytes(n int) string {
	for _, u := range byteUnits {
		if n != 0 && n%u.size == 0 && u.size > 1 {
			return strconv.Itoa(n/u.size) + u.suffix
		}
	}
	return strconv.Itoa(n)
}

// parseBytes reads 1048576, 1MiB, 64KiB.
func parseBytes(s string) (int, error) {
	size := 1
	for _, u := range byteUnits {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			s, size = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, err
	}
	if n > 0 && n > (1<<62)/size {
		return 0, fmt.Errorf("%s is too large", s)
	}
	return n * size, nil
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
