package main

import (
	"iter"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is the OpenAPI document, in its own order, and the types that were
// made of it so far.
type document struct {
	root     *yaml.Node
	types    []string
	declared map[string]bool
	enums    map[string]bool   // types that are a choice of texts
	used     map[string]string // what a type is for, where its schema does not say
	unknown  []string          // places with what the generator does not know
}

// at is the node under these names.
func (d *document) at(names ...string) *yaml.Node {
	n := d.root
	for _, name := range names {
		n = get(n, name)
	}
	return n
}

// resolve follows a reference; what is none stays as it is.
func (d *document) resolve(n *yaml.Node) *yaml.Node {
	for {
		ref := text(n, "$ref")
		if ref == "" {
			return n
		}
		n = d.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
}

func (d *document) missing(place, what string) {
	d.unknown = append(d.unknown, place+": "+what)
}

var nothing = &yaml.Node{}

// get is a mapping's value, an empty node if there is none.
func get(n *yaml.Node, name string) *yaml.Node {
	for key, value := range pairs(n) {
		if key == name {
			return value
		}
	}
	return nothing
}

func has(n *yaml.Node, name string) bool { return get(n, name) != nothing }

// text is a mapping's value that is a text or a number.
func text(n *yaml.Node, name string) string { return get(n, name).Value }

// pairs goes through a mapping.
func pairs(n *yaml.Node) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		n := whole(n)
		if n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, whole(n.Content[i+1])) {
				return
			}
		}
	}
}

// each goes through a sequence.
func each(n *yaml.Node) iter.Seq[*yaml.Node] {
	return func(yield func(*yaml.Node) bool) {
		for _, item := range whole(n).Content {
			if !yield(whole(item)) {
				return
			}
		}
	}
}

func whole(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// values are the texts of a sequence, or the text itself.
func values(n *yaml.Node) []string {
	if n = whole(n); n.Kind == yaml.ScalarNode {
		return []string{n.Value}
	}
	var all []string
	for item := range each(n) {
		all = append(all, item.Value)
	}
	return all
}
