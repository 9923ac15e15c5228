package contract

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Target is an operation's path with these values of its parameters; others, and
// required parameters of the query, have their examples, or a text that stands
// for nothing.
func (o *Operation) Target(values map[string]string) string {
	path, query := o.Path, url.Values{}
	for _, p := range o.Parameters {
		value, given := values[p.Name]
		switch {
		case p.In == "path":
			if !given {
				value = p.sample()
			}
			path = strings.Replace(path, "{"+p.Name+"}", url.PathEscape(value), 1)
		case p.In == "query" && given:
			query.Set(p.Name, value)
		case p.In == "query" && p.Required:
			query.Set(p.Name, p.sample())
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

// sample is a value that the schema takes, and that names nothing that is there.
func (p Parameter) sample() string {
	if p.Schema["type"] == "integer" {
		return "7"
	}
	return "none-such"
}

// Sample is the first example of an operation's body, nil when it takes none.
func (o *Operation) Sample() []byte {
	content, _ := o.Body["content"].(map[string]any)
	media, _ := content["application/json"].(map[string]any)
	value, there := media["example"]
	if several, _ := media["examples"].(map[string]any); !there && len(several) > 0 {
		first, _ := several[slices.Min(slices.Collect(maps.Keys(several)))].(map[string]any)
		value, there = first["value"], true
	}
	if !there {
		return nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil
	}
	return text
}

// Mutants are copies of a JSON text, each with one of its values, or the whole,
// replaced by the text of another.
func Mutants(text []byte, by string) [][]byte {
	var all [][]byte
	var replacement any
	root, err := Value(text)
	if err != nil || json.Unmarshal([]byte(by), &replacement) != nil {
		return nil
	}
	emit := func() {
		if changed, err := json.Marshal(root); err == nil && !bytes.Equal(changed, text) {
			all = append(all, changed)
		}
	}
	var walk func(node any)
	walk = func(node any) {
		switch node := node.(type) {
		case map[string]any:
			for key, old := range node {
				node[key] = replacement
				emit()
				node[key] = old
				walk(old)
			}
		case []any:
			for i, old := range node {
				node[i] = replacement
				emit()
				node[i] = old
				walk(old)
			}
		}
	}
	walk(root)
	return append(all, []byte(by))
}
