package event

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// schemas are the JSON Schemas of event types that have one.
type schemas map[string]*jsonschema.Schema

// loadSchemas compiles <TYPE>.json of a directory; a directory that does not
// exist has none. The schemas may refer to each other and to other files by
// relative `$ref`; nothing is fetched from the network. Formats are asserted,
// which JSON Schema leaves to the application.
func loadSchemas(dir string) (schemas, error) {
	if dir == "" {
		return nil, nil
	}
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("schemas: %w", err)
	}
	found := schemas{}
	var bad []error
	for _, f := range files {
		name, isSchema := strings.CutSuffix(f.Name(), ".json")
		if !isSchema || f.IsDir() {
			continue
		}
		path := filepath.Join(dir, f.Name())
		if !isType([]byte(name)) {
			bad = append(bad, fmt.Errorf("schema %s: the file's name must be an event type in UPPER_SNAKE", path))
			continue
		}
		// A compiler of its own for each: one schema's fault must not hide
		// another's.
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		s, err := c.Compile(path)
		if err != nil {
			bad = append(bad, fmt.Errorf("schema %s: %w", path, err))
			continue
		}
		found[name] = s
	}
	return found, errors.Join(bad...)
}

func (s schemas) types() []string {
	names := make([]string, 0, len(s))
	for name := range s {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// judgeSchema judges the event by its type's schema, in the native shape with
// the defaults filled in, but without what the ingester adds to metadata.
func (w *work) judgeSchema(at time.Time) {
	schema, ok := w.decoder.schemas[string(w.draft.typ)]
	if !ok {
		return
	}
	var invalid *jsonschema.ValidationError
	if err := schema.Validate(w.instance(at)); errors.As(err, &invalid) {
		w.schemaViolations(invalid, message.NewPrinter(language.English))
	} else if err != nil {
		w.bad.add(ClassSchema, w.base, "%v", err)
	}
}

// schemaViolations records the innermost errors: those above only say that
// something below is wrong.
func (w *work) schemaViolations(e *jsonschema.ValidationError, p *message.Printer) {
	for _, cause := range e.Causes {
		w.schemaViolations(cause, p)
	}
	if len(e.Causes) > 0 {
		return
	}
	pointer := w.base
	for _, token := range e.InstanceLocation {
		pointer += "/" + pointerEscaper.Replace(token)
	}
	w.bad.add(ClassSchema, clip(pointer), "%s (schema %s)", e.ErrorKind.LocalizedString(p), w.draft.typ)
}

func (w *work) instance(at time.Time) map[string]any {
	d := &w.draft
	v := map[string]any{
		"event_id":  string(d.eventID[:]),
		"type":      string(d.typ),
		"source":    string(d.source),
		"severity":  d.severity,
		"timestamp": at.UTC().Format(time.RFC3339Nano),
	}
	for name, s := range map[string][]byte{"user_id": d.user, "session_id": d.session, "trace_id": d.trace} {
		if len(s) > 0 {
			v[name] = string(s)
		}
	}
	for name, doc := range map[string][]byte{"payload": w.payload.out, "metadata": w.metadata.out} {
		if len(doc) > 0 {
			v[name] = plainValue(bsoncore.Value{Type: typeObject, Data: doc})
		}
	}
	return v
}

// plainValue is a transcoded value as encoding/json would have it, but for
// integers, which keep their 64 bits.
func plainValue(v bsoncore.Value) any {
	switch v.Type {
	case typeObject:
		m := map[string]any{}
		eachElement(v.Data, func(key string, v bsoncore.Value) { m[key] = plainValue(v) })
		return m
	case typeArray:
		a := []any{}
		eachElement(v.Data, func(_ string, v bsoncore.Value) { a = append(a, plainValue(v)) })
		return a
	case typeString:
		s, _ := stringBytes(v)
		return string(s)
	case typeBool:
		b, _ := v.BooleanOK()
		return b
	case typeDouble:
		f, _ := v.DoubleOK()
		return f
	case typeInt32, typeInt64:
		n, _ := v.AsInt64OK()
		return n
	}
	return nil
}

func eachElement(doc []byte, visit func(key string, v bsoncore.Value)) {
	for rest := body(doc); len(rest) > 0; {
		e, next, ok := bsoncore.ReadElement(rest)
		if !ok {
			return
		}
		rest = next
		visit(e.Key(), e.Value())
	}
}
