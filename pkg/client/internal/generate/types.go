package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// declare writes a named type of a schema, once.
func (d *document) declare(name string, schema *yaml.Node) {
	if d.declared[name] {
		return
	}
	d.declared[name] = true
	place := len(d.types)
	d.types = append(d.types, "") // before those that it is made of
	description := text(schema, "description")
	if description == "" {
		description = "What " + d.used[name] + "."
	}
	said := "\n" + comment("", about(name, description))
	if has(schema, "enum") && text(schema, "description") != "" {
		said = "\n" + comment("", name+": "+description)
	}
	fields, choices := d.fields(schema), d.choices(schema)
	switch {
	case has(schema, "enum"):
		d.types[place] = said + enum(name, schema)
	case choices != nil:
		d.types[place] = said + d.choice(name, choices)
	case fields != nil:
		var b strings.Builder
		for _, f := range fields {
			b.WriteString(d.field(name, f, schema))
		}
		if text(schema, "x-partial") == "true" {
			b.WriteString("\n\tread json.RawMessage\n")
		}
		if text(schema, "x-retry-after") == "true" {
			b.WriteString("\n\t// How long to wait before the same request, 0 when nothing was said.\n\tRetryAfter time.Duration `json:\"-\"`\n")
		}
		d.types[place] = said + "type " + name + " struct {\n" + b.String() + "}\n"
		if text(schema, "x-partial") == "true" {
			d.types[place] += strings.ReplaceAll(asRead, "NAME", name)
		}
	default:
		d.types[place] = fmt.Sprintf("%stype %s = %s\n", said, name, d.goType(name, schema))
	}
}

// asRead are the methods of what may lack anything, x-partial: what is absent
// and what is empty cannot be told from its fields.
const asRead = `
// UnmarshalJSON reads what there is.
func (v *NAME) UnmarshalJSON(b []byte) error {
	type plain NAME
	if err := json.Unmarshal(b, (*plain)(v)); err != nil {
		return err
	}
	v.read = bytes.Clone(b)
	return nil
}

// MarshalJSON writes it as it was read, whatever was changed since.
func (v NAME) MarshalJSON() ([]byte, error) {
	if v.read != nil {
		return v.read, nil
	}
	type plain NAME
	return json.Marshal(plain(v))
}
`

// enum is a type of texts, and their names.
func enum(name string, schema *yaml.Node) string {
	var b strings.Builder
	fmt.Fprintf(&b, "type %s string\n\n// What %s may be.\nconst (\n", name, name)
	for _, value := range values(get(schema, "enum")) {
		fmt.Fprintf(&b, "%s%s %s = %q\n", name, goName(value), name, value)
	}
	return b.String() + ")\n"
}

// choices are the objects of which a value is one.
func (d *document) choices(schema *yaml.Node) []*yaml.Node {
	return slices.DeleteFunc(slices.Collect(each(get(schema, "oneOf"))), func(n *yaml.Node) bool { return d.fields(n) == nil })
}

// choice is a type with a pointer for each object that it may be. What the
// object must have tells which it is.
func (d *document) choice(name string, choices []*yaml.Node) string {
	var fields, read, write strings.Builder
	for _, c := range choices {
		kind := d.goType(name, c)
		fmt.Fprintf(&fields, "%s *%s\n", kind, kind)
		fmt.Fprintf(&read, "choice{&a.%s, %#v}, ", kind, values(get(d.resolve(c), "required")))
		fmt.Fprintf(&write, "if a.%s != nil {\nreturn json.Marshal(a.%s)\n}\n", kind, kind)
	}
	return fmt.Sprintf(`type %[1]s struct {
%[2]s}

// UnmarshalJSON reads the one that it is.
func (a *%[1]s) UnmarshalJSON(b []byte) error { return choose(b, %[3]s) }

// MarshalJSON writes the one that there is.
func (a %[1]s) MarshalJSON() ([]byte, error) {
%[4]sreturn []byte("null"), nil
}
`, name, fields.String(), strings.TrimSuffix(read.String(), ", "), write.String())
}

type field struct {
	name     string
	schema   *yaml.Node
	required bool
}

// fields are an object's, those of all its parts with allOf; nil where it has
// none to name.
func (d *document) fields(schema *yaml.Node) []field {
	schema = d.resolve(schema)
	var all []field
	for part := range each(get(schema, "allOf")) {
		all = append(all, d.fields(part)...)
	}
	required := values(get(schema, "required"))
	for name, property := range pairs(get(schema, "properties")) {
		all = slices.DeleteFunc(all, func(f field) bool { return f.name == name })
		all = append(all, field{name, property, slices.Contains(required, name)})
	}
	return all
}

func (d *document) field(of string, f field, in *yaml.Node) string {
	name := goName(f.name)
	d.used[of+name] = "stands in " + of + "." + name
	kind := d.goType(of+name, f.schema)
	tag := f.name
	if !f.required {
		tag += ",omitzero"
	}
	switch {
	case text(in, "x-partial") == "true":
	case text(in, "x-patch") == "true":
		kind = "Change[" + kind + "]"
	case f.required && d.nullable(f.schema) && !nilable(kind), !f.required && d.saysZero(kind, f.schema):
		kind = "*" + kind
	}
	said := text(f.schema, "description")
	if choices := values(get(f.schema, "enum")); len(choices) > 0 {
		said = strings.TrimSpace(said + " One of " + strings.Join(choices, ", ") + ".")
	}
	return comment("\t", said) + fmt.Sprintf("\t%s %s `json:\"%s\"`\n", name, kind, tag)
}

// saysZero says whether the zero value of an optional field means something that
// its absence does not.
func (d *document) saysZero(kind string, schema *yaml.Node) bool {
	resolved := d.resolve(schema)
	switch kind {
	case "int64", "float64":
		low := text(resolved, "minimum")
		return low == "" || strings.HasPrefix(low, "-") || low == "0" && text(resolved, "default") != "0"
	case "bool":
		return text(resolved, "default") == "true"
	}
	return d.fields(schema) != nil && !nilable(kind)
}

// nullable says whether a value may be null.
func (d *document) nullable(schema *yaml.Node) bool {
	return slices.Contains(values(get(schema, "type")), "null")
}

// nilable says whether nil stands for null already.
func nilable(kind string) bool {
	return strings.HasPrefix(kind, "[]") || strings.HasPrefix(kind, "map[") || kind == "json.RawMessage" || kind == "Strings"
}

// scalars are Go's types of the simple ones.
var scalars = map[string]string{"string": "string", "integer": "int64", "number": "float64", "boolean": "bool"}

// goType is the type of a schema; name is what a new one is called.
func (d *document) goType(name string, schema *yaml.Node) string {
	if ref := text(schema, "$ref"); ref != "" {
		target := ref[strings.LastIndex(ref, "/")+1:]
		d.used[target] = cmp.Or(d.used[target], d.used[name])
		d.declare(target, d.resolve(schema))
		return target
	}
	if all := slices.Collect(each(get(schema, "anyOf"))); len(all) == 2 && text(all[1], "type") == "null" {
		return d.goType(name, all[0])
	}
	if all := slices.Collect(each(get(schema, "oneOf"))); len(all) == 2 && text(all[0], "$ref") != "" && text(get(all[1], "items"), "$ref") == text(all[0], "$ref") {
		return d.goType(name, all[1]) // one, or a list: the list says both
	}
	if has(schema, "oneOf") && len(d.choices(schema)) == len(get(schema, "oneOf").Content) {
		d.declare(name, schema)
		return name
	}
	if has(schema, "oneOf") || has(schema, "anyOf") {
		d.missing(name, "a choice of other things than objects")
	}
	if parts := slices.Collect(each(get(schema, "allOf"))); len(parts) == 1 && !has(schema, "properties") {
		return d.goType(name, parts[0]) // with a description or a default of its own
	}
	if has(schema, "allOf") {
		d.declare(name, schema)
		return name
	}
	kinds := slices.DeleteFunc(values(get(schema, "type")), func(k string) bool { return k == "null" })
	switch {
	case slices.Equal(kinds, []string{"array", "object"}) && has(schema, "items"):
		return "[]" + d.goType(one(name), get(schema, "items")) // one, or a list: the list says both
	case slices.Equal(kinds, []string{"array", "string"}):
		return "Strings" // one text stands for a list of one
	case has(schema, "const"):
		return "string"
	case len(kinds) != 1:
		return "json.RawMessage" // anything may stand there
	}
	switch kind := kinds[0]; kind {
	case "array":
		d.used[one(name)] = d.used[name]
		return "[]" + d.goType(one(name), get(schema, "items"))
	case "object":
		if has(schema, "properties") {
			d.declare(name, schema)
			return name
		}
		if each := get(schema, "additionalProperties"); each.Kind == yaml.MappingNode {
			return "map[string]" + d.goType(name+"Value", each)
		}
		return "json.RawMessage" // its order is kept
	case "string":
		if text(schema, "format") == "date-time" {
			return "Time"
		}
		return "string"
	default:
		goType, ok := scalars[kind]
		if !ok {
			d.missing(name, "type "+kind)
		}
		return goType
	}
}
