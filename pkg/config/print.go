package config

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

const lineWidth = 100

const header = `# Events Aggregator: every setting with its default.
#
# Give a file with --config or EA_CONFIG; it may hold any part of this one.
# The environment goes before the file: ingester.batch_events is
# EA_INGESTER_BATCH_EVENTS. Flags go before both: --set ingester.batch_events=200.
# Lists are separated by commas there, mappings are written a=1,b=2.
# Secrets can come from files: EA_MONGO_URI_FILE, EA_AMQP_URL_FILE,
# EA_SECRET_KEY_FILE, EA_SECRET_KEY_OLD_FILE, EA_API_BOOTSTRAP_ADMIN_KEY_FILE.
`

// DefaultYAML is the content of configs/default.yaml.
func DefaultYAML() string {
	var c Config
	for _, k := range c.keys() {
		_ = k.set(k.preset)
	}
	return header + c.render(func(*key) string { return "" })
}

// Print renders c as a YAML file with secrets masked; sources (see Sources) are
// noted beside the keys that were set.
func Print(c Config, sources map[string]string) string {
	return c.render(func(k *key) string {
		if s := sources[k.name]; s != "" {
			return "  # " + s
		}
		return ""
	})
}

// Keys lists every key's name with its environment variable, in the order of
// default.yaml.
func Keys() [][2]string {
	var c Config
	var out [][2]string
	for _, k := range c.keys() {
		out = append(out, [2]string{k.name, k.env()})
	}
	return out
}

func (c *Config) render(note func(*key) string) string {
	var b strings.Builder
	section := ""
	for _, k := range c.keys() {
		name, indent := k.name, ""
		if s, rest, ok := strings.Cut(k.name, "."); ok {
			name, indent = rest, "  "
			if s != section {
				section = s
				b.WriteString("\n")
				comment(&b, "", k.section)
				fmt.Fprintf(&b, "%s:\n", s)
			}
		} else {
			b.WriteString("\n")
		}
		doc := k.doc
		if k.limits != "" {
			doc = strings.TrimSuffix(doc, ".") + " (" + k.limits + ")."
		}
		comment(&b, indent, doc)
		writeValue(&b, indent, name, k.show(k.get()), note(k))
	}
	return b.String()
}

func writeValue(b *strings.Builder, indent, name string, v value, note string) {
	switch {
	case v.kind == list:
		quoted := make([]string, len(v.items))
		for i, item := range v.items {
			quoted[i] = quote(item)
		}
		fmt.Fprintf(b, "%s%s: [%s]%s\n", indent, name, strings.Join(quoted, ", "), note)
	case v.kind == mapping && len(v.pairs) == 0:
		fmt.Fprintf(b, "%s%s: {}%s\n", indent, name, note)
	case v.kind == mapping:
		fmt.Fprintf(b, "%s%s:%s\n", indent, name, note)
		for _, p := range v.pairs {
			fmt.Fprintf(b, "%s  %s: %s\n", indent, quote(p.name), quote(p.text))
		}
	default:
		fmt.Fprintf(b, "%s%s: %s%s\n", indent, name, quote(v.text), note)
	}
}

// quote writes a scalar so that it is read back as the same text, in a list,
// too; plain when that is possible.
func quote(s string) string {
	var n yaml.Node
	if yaml.Unmarshal([]byte("["+s+"]"), &n) == nil && len(n.Content) == 1 && len(n.Content[0].Content) == 1 {
		item := n.Content[0].Content[0]
		if item.Kind == yaml.ScalarNode && item.Style == 0 && item.Value == s && !isNull(item) {
			return s
		}
	}
	if s == "" {
		return `""`
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// comment writes text as YAML comment lines.
func comment(b *strings.Builder, indent, s string) {
	line := indent + "#"
	for word := range strings.FieldsSeq(s) {
		if len(line)+1+len(word) > lineWidth && line != indent+"#" {
			b.WriteString(line + "\n")
			line = indent + "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

// Changed names the keys in which two configurations differ.
func Changed(a, b Config) []string {
	var names []string
	before, after := a.keys(), b.keys()
	for i, k := range before {
		if k.get().String() != after[i].get().String() {
			names = append(names, k.name)
		}
	}
	return names
}
