package rule

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yamlReader reads one document of a YAML text after another.
type yamlReader struct {
	*notes
	dec   *yaml.Decoder
	nodes int
}

func newYAMLReader(text []byte, n *notes) *yamlReader {
	return &yamlReader{notes: n, dec: yaml.NewDecoder(bytes.NewReader(text))}
}

// next is the next document, io.EOF at the end, or errSyntax, which is noted;
// nothing can be read behind it.
func (r *yamlReader) next() (*tree, error) {
	var doc yaml.Node
	err := r.dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	if err != nil {
		r.syntax(err)
		return nil, errSyntax
	}
	if t := r.value(&doc, nil); t != nil {
		return t, nil
	}
	return &tree{line: doc.Line}, nil
}

func (r *yamlReader) resume() bool { return false }

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func (r *yamlReader) syntax(err error) {
	message := err.Error()
	line := 1
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
		message = message[len(m[0]):]
	}
	r.add(line, nil, "is not valid YAML: %s", message)
}

// value is nil when the node was refused.
func (r *yamlReader) value(n *yaml.Node, at *place) *tree {
	// An alias stands for a copy, so a few lines can mean a billion values.
	if r.nodes++; r.nodes > maxTreeNodes/10 || at != nil && at.depth > maxTreeDepth {
		if r.nodes <= maxTreeNodes/10+1 {
			r.add(n.Line, at, "is nested deeper than %d levels, or too long with its aliases", maxTreeDepth)
		}
		return nil
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return r.value(n.Content[0], at)
	case yaml.AliasNode:
		return r.value(n.Alias, at)
	case yaml.MappingNode:
		return r.mapping(n, at)
	case yaml.SequenceNode:
		t := &tree{kind: treeList, line: n.Line}
		for i, item := range n.Content {
			if kid := r.value(item, at.at(i)); kid != nil {
				t.kids = append(t.kids, kid)
			}
		}
		return t
	default:
		return r.scalar(n, at)
	}
}

func (r *yamlReader) mapping(n *yaml.Node, at *place) *tree {
	t := &tree{kind: treeObject, line: n.Line}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" {
			r.add(key.Line, at, "a name must be plain text; merge keys (<<) are not supported")
			continue
		}
		if kid := r.value(n.Content[i+1], at.in(key.Value)); kid != nil {
			r.put(t, key.Value, kid, key.Line, at)
		}
	}
	return t
}

func (r *yamlReader) scalar(n *yaml.Node, at *place) *tree {
	t := &tree{line: n.Line, text: n.Value}
	var err error
	switch n.ShortTag() {
	case "!!str":
		t.kind = treeText
	case "!!null":
		t.kind = treeNull
	case "!!bool":
		t.kind = treeBool
		err = n.Decode(&t.yes)
	case "!!int":
		t.kind = treeNumber
		if t.whole = n.Decode(&t.i) == nil; !t.whole {
			err = n.Decode(&t.f)
		}
	case "!!float":
		t.kind = treeNumber
		err = n.Decode(&t.f)
	case "!!timestamp":
		r.add(n.Line, at, `%s could be a date or text: write {"$date": %q} for a date, or put it in quotes`, n.Value, n.Value)
		return nil
	default:
		r.add(n.Line, at, "the YAML tag %s is not supported", n.ShortTag())
		return nil
	}
	if err != nil {
		r.add(n.Line, at, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return nil
	}
	return t
}
