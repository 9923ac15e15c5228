// Package contract compares what clients and the api say to each other with the
// api's document.
package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/events-aggregator/events-aggregator/services/api"
)

// Document is the api's document, its schemas ready to be asked.
type Document struct {
	Root       map[string]any
	Operations []Operation

	mu       sync.Mutex
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema
}

// Operation is one method of a path.
type Operation struct {
	ID, Method, Path, Role string
	Audit                  string // what the audit says of it, "" of what changes nothing
	Parameters             []Parameter
	Body                   map[string]any // nil when it takes none
	BodyAt                 string         // JSON pointer

	route *regexp.Regexp
	at    string // JSON pointer
	node  map[string]any
}

// Parameter is one that an operation takes.
type Parameter struct {
	Name, In string
	Required bool
	Empty    bool // allowEmptyValue
	Schema   map[string]any
	at       string
}

const resource = "https://contract.test/openapi.json"

// Load reads the document that the api serves. Objects in answers are taken to
// be complete: a field that the document does not name is a mistake, though
// clients must be ready for it.
func Load() (*Document, error) {
	text, err := api.Document()
	if err != nil {
		return nil, err
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("the document is no JSON: %w", err)
	}
	d := &Document{compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	d.Root, _ = parsed.(map[string]any)
	(&closer{root: d.Root}).walk(d.Root)
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource(resource, d.Root); err != nil {
		return nil, err
	}
	return d, d.readOperations()
}

var methods = []string{"get", "put", "post", "delete", "patch", "head", "options", "trace"}

func (d *Document) readOperations() error {
	paths, _ := d.Root["paths"].(map[string]any)
	for path, item := range paths {
		item, _ := item.(map[string]any)
		for _, method := range methods {
			node, ok := item[method].(map[string]any)
			if !ok {
				continue
			}
			at := "/paths/" + escape(path) + "/" + method
			o := Operation{Method: strings.ToUpper(method), Path: path, at: at, node: node, route: routeOf(path)}
			o.ID, _ = node["operationId"].(string)
			o.Role, _ = node["x-role"].(string)
			o.Audit, _ = node["x-audit"].(string)
			for _, from := range []struct {
				list any
				at   string
			}{{item["parameters"], "/paths/" + escape(path)}, {node["parameters"], at}} {
				list, _ := from.list.([]any)
				for i, p := range list {
					given, where := d.resolve(p, fmt.Sprintf("%s/parameters/%d", from.at, i))
					if given == nil {
						return fmt.Errorf("%s: parameter %d leads nowhere", o.ID, i)
					}
					one := Parameter{at: where + "/schema"}
					one.Name, _ = given["name"].(string)
					one.In, _ = given["in"].(string)
					one.Required, _ = given["required"].(bool)
					one.Empty, _ = given["allowEmptyValue"].(bool)
					one.Schema, _ = d.resolve(given["schema"], where+"/schema")
					o.Parameters = append(o.Parameters, one)
				}
			}
			o.Body, o.BodyAt = d.resolve(node["requestBody"], at+"/requestBody")
			d.Operations = append(d.Operations, o)
		}
	}
	slices.SortFunc(d.Operations, func(a, b Operation) int {
		if c := strings.Compare(a.Path, b.Path); c != 0 {
			return c
		}
		return strings.Compare(a.Method, b.Method)
	})
	return nil
}

var placeholder = regexp.MustCompile(`\\\{[^/]+?\\\}`)

func routeOf(path string) *regexp.Regexp {
	return regexp.MustCompile("^" + placeholder.ReplaceAllString(regexp.QuoteMeta(path), "([^/]+)") + "$")
}

// Find is the operation that a request is for; nil when the document has none.
// A path without parameters goes before one with.
func (d *Document) Find(method, path string) *Operation {
	var found *Operation
	for i := range d.Operations {
		o := &d.Operations[i]
		if o.Method == method && o.route.MatchString(path) && (found == nil || !strings.Contains(o.Path, "{")) {
			found = o
		}
	}
	return found
}

// resolve follows a reference; at is where it leads.
func (d *Document) resolve(node any, at string) (map[string]any, string) {
	object, _ := node.(map[string]any)
	for range 10 {
		ref, is := object["$ref"].(string)
		if !is {
			break
		}
		at = strings.TrimPrefix(ref, "#")
		object = d.Lookup(at)
	}
	return object, at
}

// Lookup is the object at a JSON pointer, nil when there is none.
func (d *Document) Lookup(pointer string) map[string]any {
	var node any = d.Root
	for name := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		object, _ := node.(map[string]any)
		node = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)]
	}
	object, _ := node.(map[string]any)
	return object
}

// Check says what is wrong with a value by the schema at a JSON pointer.
func (d *Document) Check(at string, value any) error {
	s, err := d.schema(at)
	if err != nil {
		return err
	}
	err = s.Validate(value)
	var invalid *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		return fmt.Errorf("%s", strings.ReplaceAll(invalid.Error(), resource, "openapi.json"))
	}
	return err
}

func (d *Document) schema(at string) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.schemas[at]; s != nil {
		return s, nil
	}
	fragment := (&url.URL{Path: at}).EscapedPath()
	s, err := d.compiler.Compile(resource + "#" + fragment)
	if err != nil {
		return nil, fmt.Errorf("schema at %s: %w", at, err)
	}
	d.schemas[at] = s
	return s, nil
}

// Value reads JSON as the schemas want it.
func Value(text []byte) (any, error) {
	if !json.Valid(text) {
		return nil, errors.New("it is no JSON")
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(text))
}

func escape(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }
