package ctl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// writeYAML writes one JSON value as a YAML document. It goes by the tokens,
// since a map would lose the order of names and the digits of large numbers.
func writeYAML(w io.Writer, value []byte) error {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	n, err := yamlNode(d)
	if err != nil {
		return fmt.Errorf("the answer is no JSON: %w", err)
	}
	var b bytes.Buffer
	b.WriteString("---\n")
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(n); err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

func yamlNode(d *json.Decoder) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	scalar := func(tag, value string) (*yaml.Node, error) {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}, nil
	}
	switch v := token.(type) {
	case json.Delim:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		if v == '{' {
			n.Kind, n.Tag = yaml.MappingNode, "!!map"
		}
		for d.More() {
			kid, err := yamlNode(d) // of an object: a name, then its value
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, kid)
		}
		_, err := d.Token()
		return n, err
	case string:
		return scalar("!!str", v)
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return scalar("!!float", v.String())
		}
		return scalar("!!int", v.String())
	case bool:
		return scalar("!!bool", strconv.FormatBool(v))
	default:
		return scalar("!!null", "null")
	}
}

// valuesMost bounds what the aliases of one YAML text may be unfolded to.
const valuesMost = 1_000_000

// readYAML hands every document of a YAML text to f as JSON; of a list, every
// item.
func readYAML(r io.Reader, f func(value []byte) error) error {
	d := yaml.NewDecoder(r)
	for {
		var doc yaml.Node
		if err := d.Decode(&doc); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		root, items := doc.Content[0], doc.Content
		if root.Kind == yaml.SequenceNode {
			items = root.Content
		}
		for _, n := range items {
			if n.Tag == "!!null" { // an empty document
				continue
			}
			w := jsonWriter{left: valuesMost}
			if err := w.value(n); err != nil {
				return fmt.Errorf("line %d: %w", n.Line, err)
			}
			if err := f(w.out); err != nil {
				return err
			}
		}
	}
}

// jsonWriter writes YAML nodes as JSON, names in their order. What YAML takes
// for a date stays the text that it is in JSON.
type jsonWriter struct {
	out  []byte
	left int
}

var errUnfolds = errors.New("its aliases unfold to too many values")

func (w *jsonWriter) value(n *yaml.Node) error {
	if w.left--; w.left < 0 {
		return errUnfolds
	}
	switch n.Kind {
	case yaml.AliasNode:
		return w.value(n.Alias)
	case yaml.MappingNode:
		return w.several('{', '}', n, func(i int) byte { return ",:"[i%2] })
	case yaml.SequenceNode:
		return w.several('[', ']', n, func(int) byte { return ',' })
	default:
		return w.scalar(n)
	}
}

func (w *jsonWriter) several(open, end byte, n *yaml.Node, between func(i int) byte) error {
	w.out = append(w.out, open)
	for i, kid := range n.Content {
		if i > 0 {
			w.out = append(w.out, between(i))
		}
		var err error
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			err = w.text(kid.Value)
		} else {
			err = w.value(kid)
		}
		if err != nil {
			return err
		}
	}
	w.out = append(w.out, end)
	return nil
}

func (w *jsonWriter) text(s string) error {
	text, err := json.Marshal(s)
	w.out = append(w.out, text...)
	return err
}

func (w *jsonWriter) scalar(n *yaml.Node) error {
	var v any
	switch n.ShortTag() {
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) { // all digits are kept
			w.out = append(w.out, n.Value...)
			return nil
		}
		fallthrough
	case "!!bool", "!!null":
		if err := n.Decode(&v); err != nil {
			return err
		}
	default:
		v = n.Value
	}
	text, err := json.Marshal(v)
	w.out = append(w.out, text...)
	return err
}
