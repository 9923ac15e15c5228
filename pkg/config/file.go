package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readFile reads the YAML file into settings. The file is walked as nodes, not
// decoded, for the line numbers and because viper would lower-case the names
// in mappings (event types) and split those with dots (queues).
func (l *loader) readFile(path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		l.problem("config file", path, err.Error())
		return
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc yaml.Node
	if err := decoder.Decode(&doc); err != nil {
		if !errors.Is(err, io.EOF) { // an empty file sets nothing
			l.problem("config file", path, err.Error())
		}
		return
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		l.problem("config file", path, "expected one YAML document, found more")
	}
	f := &fileReader{loader: l, path: path, tree: map[string]any{}}
	f.walk("", doc.Content[0], f.tree)
	if err := l.settings.MergeConfigMap(f.tree); err != nil {
		l.problem("config file", path, err.Error())
	}
}

type fileReader struct {
	*loader
	path string
	tree map[string]any // what viper gets: sections of values
}

func (f *fileReader) at(n *yaml.Node) string { return fmt.Sprintf("%s:%d", f.path, n.Line) }

// walk takes a section (or the whole file, prefix empty) apart.
func (f *fileReader) walk(prefix string, n *yaml.Node, into map[string]any) {
	n = resolve(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		name := strings.TrimSuffix(prefix, ".")
		if name == "" {
			name = "config file"
		}
		f.problem(name, f.at(n), "expected a mapping")
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], resolve(n.Content[i+1])
		name := prefix + k.Value
		if line, twice := seen[k.Value]; twice {
			f.problem(name, f.at(k), fmt.Sprintf("given twice, first in line %d", line))
			continue
		}
		seen[k.Value] = k.Line
		switch {
		case f.isSection(name):
			section := map[string]any{}
			into[k.Value] = section
			f.walk(name+".", v, section)
		case isNull(v): // `key:` with nothing behind it leaves the default
			if f.byName[name] == nil {
				f.problem(name, f.at(k), "unknown key"+f.suggestion(name))
			}
		default:
			if got, ok := f.value(name, v); ok && f.take(name, f.at(k), got) {
				into[k.Value] = got
			}
		}
	}
}

func (f *fileReader) isSection(name string) bool {
	for known := range f.byName {
		if strings.HasPrefix(known, name+".") {
			return true
		}
	}
	return false
}

// value flattens a node; nothing that can be set is nested deeper than a list
// or mapping of scalars.
func (f *fileReader) value(name string, n *yaml.Node) (value, bool) {
	switch n.Kind {
	case yaml.ScalarNode:
		return text(n.Value), true
	case yaml.SequenceNode:
		v := value{kind: list}
		for _, item := range n.Content {
			if item = resolve(item); item.Kind != yaml.ScalarNode {
				f.nested(name, item)
				return value{}, false
			}
			v.items = append(v.items, item.Value)
		}
		return v, true
	case yaml.MappingNode:
		v := value{kind: mapping}
		for i := 0; i+1 < len(n.Content); i += 2 {
			item := resolve(n.Content[i+1])
			if item.Kind != yaml.ScalarNode && f.byName[name] != nil {
				f.nested(name, item)
				return value{}, false
			}
			v.pairs = append(v.pairs, pair{n.Content[i].Value, item.Value})
		}
		return v, true
	}
	return value{}, false
}

func (f *fileReader) nested(name string, n *yaml.Node) {
	k, ok := f.byName[name]
	if !ok {
		f.problem(name, f.at(n), "unknown key"+f.suggestion(name))
		return
	}
	f.bad[sectionOf(name)] = true
	f.problem(name, f.at(n), k.expected().Error())
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
