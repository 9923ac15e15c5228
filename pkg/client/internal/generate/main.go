// Command generate writes the client's types and operations from the API's
// OpenAPI document; `go generate` runs it.
//
// It knows what our document uses and stops at what it does not know, so that
// nothing of the document is silently left out. Four extensions tell what
// OpenAPI cannot: x-role of an operation, x-patch of a body whose fields may be
// left as they are, changed or removed, x-partial of an answer that may lack
// any of its fields, and x-retry-after of one whose header Retry-After matters.
package main

import (
	"fmt"
	"go/format"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

func main() {
	if err := generate(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// generate writes types.go and operations.go beside the caller.
func generate(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	d := &document{root: doc.Content[0], declared: map[string]bool{}, used: map[string]string{}, enums: map[string]bool{}}
	operations := ""
	for _, o := range d.operations() {
		operations += o.text()
	}
	for name, schema := range pairs(d.at("components", "schemas")) {
		d.declare(name, schema) // those that only extensions name
	}
	if len(d.unknown) > 0 {
		return fmt.Errorf("%s has what the generator does not know:\n%s", path, strings.Join(d.unknown, "\n"))
	}
	for _, file := range []struct{ name, body string }{{"types.go", strings.Join(d.types, "")}, {"operations.go", operations}} {
		source := fmt.Appendf(nil, "// Code generated from services/api/openapi.yaml; DO NOT EDIT.\n\npackage client\n\nimport (\n%s)\n%s", imports(file.body), file.body)
		formatted, err := format.Source(source)
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", file.name, err, source)
		}
		if err := os.WriteFile(file.name, formatted, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// imports are those of the packages that a file names.
func imports(body string) string {
	var lines string
	for _, path := range []string{"bytes", "context", "encoding/json", "iter", "net/http", "net/url", "time"} {
		name := path[strings.LastIndex(path, "/")+1:]
		if regexp.MustCompile(`\b` + name + `\.[A-Z]`).MatchString(body) { // a comment may end in "at a time."
			lines += fmt.Sprintf("%q\n", path)
		}
	}
	return lines
}
