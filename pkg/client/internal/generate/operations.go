package main

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// operation is one method of the client, or several: a body of its own, a
// stream, all pages.
type operation struct {
	d                  *document
	name, method, path string
	node, item         *yaml.Node

	arguments []argument
	params    string // fields of the parameters' type, "" for none
	query     string // code that fills it
	header    string
	address   string // code
	list      bool   // has pages

	body     string // its type, "" for none
	own      bool   // the body is the caller's own, since it is no JSON
	answer   string // its type, "" for none
	page     *yaml.Node
	statuses []string // of answers that are no success
	streams  []string // media types of an answer that is read as it comes
}

type argument struct{ name, kind string }

// operations reads all operations of the document.
func (d *document) operations() []*operation {
	var all []*operation
	for path, item := range pairs(d.at("paths")) {
		for method, node := range pairs(item) {
			if method == "parameters" {
				continue
			}
			o := &operation{d: d, name: goName(text(node, "operationId")), method: method, path: path, node: node, item: item}
			if o.name == "" {
				d.missing(method+" "+path, "no operationId")
			}
			o.use()
			all = append(all, o)
		}
	}
	return all
}

// use notes what the operation's types are for.
func (o *operation) use() {
	note := func(schema *yaml.Node, name, what string) {
		if ref := text(schema, "$ref"); ref != "" {
			name = ref[strings.LastIndex(ref, "/")+1:]
		}
		if o.d.used[name] == "" {
			o.d.used[name] = o.name + " " + what
		}
	}
	for _, response := range pairs(get(o.node, "responses")) {
		schema := get(get(get(o.d.resolve(response), "content"), "application/json"), "schema")
		note(schema, o.name+"Answer", "answers")
		for choice := range each(get(schema, "oneOf")) {
			note(choice, "", "answers")
		}
	}
	note(get(get(get(o.d.resolve(get(o.node, "requestBody")), "content"), "application/json"), "schema"), o.name+"Body", "is asked with")
}

// text is the operation's code.
func (o *operation) text() string {
	o.address = fmt.Sprintf("%q", o.path)
	seen := map[string]bool{}
	for _, list := range []*yaml.Node{get(o.item, "parameters"), get(o.node, "parameters")} {
		for p := range each(list) {
			p = o.d.resolve(p)
			if field := goName(text(p, "name")); !seen[field] { // browsers cannot set a header, so the same may be said in the query
				seen[field] = true
				o.parameter(field, p)
			}
		}
	}
	o.address = strings.TrimSuffix(o.address, ` + ""`)
	o.readBody()
	o.readAnswers()

	var b strings.Builder
	if o.params != "" {
		fmt.Fprintf(&b, "\n// %[1]sParams are what %[1]s may be asked with; zero values are not sent.\ntype %[1]sParams struct {\n%[2]s}\n", o.name, o.params)
		o.arguments = append(o.arguments, argument{"p", o.name + "Params"})
	}
	before := slices.Clone(o.arguments)
	if o.body != "" {
		o.arguments = append(o.arguments, argument{"body", o.body})
	}
	b.WriteString(o.said() + o.function())
	if o.body != "" && !o.own {
		raw := *o
		raw.arguments, raw.name = slices.Concat(before, []argument{{"body", "Body"}}), o.name+"With"
		fmt.Fprintf(&b, "\n// %s is %s with a body as the caller wrote it: whatever it holds reaches the API.\n%s", raw.name, o.name, raw.function())
	}
	if o.streams != nil && o.answer != "" {
		lines := *o
		lines.answer, lines.name = "", o.name+"Stream"
		fmt.Fprintf(&b, "\n// %s is %s answered as %s, as it comes; the caller closes its body.\n%s", lines.name, o.name, strings.Join(o.streams, " or "), lines.function())
	}
	if o.list {
		b.WriteString(o.all())
	}
	return b.String()
}

// said is the method's comment.
func (o *operation) said() string {
	said := o.name + ": " + text(o.node, "summary") + ".\n\n" + strings.ToUpper(o.method) + " " + o.path + ", for the role " + text(o.node, "x-role") + ".\n\n" + text(o.node, "description")
	if len(o.statuses) > 0 {
		said += "\n\nAn answer with status " + strings.Join(o.statuses, " or ") + " is no error here."
	}
	if o.streams != nil && o.answer == "" {
		said += "\n\nThe answer is " + strings.Join(o.streams, " or ") + ", to be read as it comes; the caller closes its body."
	}
	return "\n" + comment("", said)
}

// function is the method itself.
func (o *operation) function() string {
	arguments := "ctx context.Context"
	for _, a := range o.arguments {
		arguments += ", " + a.name + " " + a.kind
	}
	request := "request{method: http.Method" + goName(o.method) + ", path: " + o.address
	set := ""
	if o.query != "" {
		set += "query := url.Values{}\n" + o.query
		request += ", query: query"
	}
	if o.header != "" {
		set += "header := http.Header{}\n" + o.header
		request += ", header: header"
	}
	if o.body != "" {
		request += ", body: body"
	}
	if len(o.statuses) > 0 {
		request += ", also: []int{" + strings.Join(o.statuses, ", ") + "}"
	}
	begin := "func (c *Client) " + o.name + "(" + arguments + ") "
	switch {
	case o.answer == "" && o.streams != nil:
		if len(o.streams) == 1 { // else a parameter says which
			request += fmt.Sprintf(", accept: %q", o.streams[0])
		}
		return begin + "(*http.Response, error) {\n" + set + "return c.stream(ctx, " + request + "})\n}\n"
	case o.answer == "":
		return begin + "error {\n" + set + "return c.call(ctx, " + request + "}, nil)\n}\n"
	}
	return begin + "(" + o.answer + ", error) {\n" + set + "var answer " + o.answer + "\nerr := c.call(ctx, " + request + "}, &answer)\nreturn answer, err\n}\n"
}

// all is the method that goes through all pages.
func (o *operation) all() string {
	item := strings.TrimPrefix(o.d.goType("", get(get(o.page, "properties"), "items")), "[]")
	arguments := "ctx context.Context"
	passed := "ctx"
	for _, a := range o.arguments {
		arguments += ", " + a.name + " " + a.kind
		passed += ", " + a.name
	}
	return fmt.Sprintf(`
// All%[1]s goes through all pages of %[2]s; it ends with the first error.
func (c *Client) All%[1]s(%[3]s) iter.Seq2[%[4]s, error] {
	return pages(p.Cursor, func(cursor string) ([]%[4]s, string, error) {
		p.Cursor = cursor
		page, err := c.%[2]s(%[5]s)
		return page.Items, page.NextCursor, err
	})
}
`, strings.TrimPrefix(o.name, "List"), o.name, arguments, item, passed)
}

func (o *operation) parameter(field string, p *yaml.Node) {
	name, schema := text(p, "name"), get(p, "schema")
	kind := o.d.goType(o.name+field, schema)
	value := "p." + field
	if o.d.enum(schema) {
		value = "string(" + value + ")"
	}
	switch in := text(p, "in"); in {
	case "path":
		code := "url.PathEscape(" + lower(field) + ")"
		if kind == "int64" {
			code = "number(" + lower(field) + ")"
		}
		o.arguments = append(o.arguments, argument{lower(field), kind})
		o.address = strings.Replace(o.address, "{"+name+"}", `" + `+code+` + "`, 1)
		return
	case "query":
		o.list = o.list || name == "cursor" && strings.HasPrefix(o.name, "List")
		o.query += fmt.Sprintf("add(query, %q, %s)\n", name, value)
	case "header":
		o.header += fmt.Sprintf("add(header, %q, %s)\n", name, value)
	default:
		o.d.missing(o.name, "a parameter in "+in)
	}
	required := text(p, "required") == "true"
	if !required && (text(p, "allowEmptyValue") == "true" || kind == "bool" && text(schema, "default") != "false" || kind != "bool" && o.d.saysZero(kind, schema)) {
		kind = "*" + kind // false, 0 and empty say something that absence does not
	}
	said := text(p, "description")
	if choices := values(get(schema, "enum")); len(choices) > 0 {
		said += " One of " + strings.Join(choices, ", ") + "."
	}
	if required {
		said += " It is required."
	}
	o.params += comment("\t", said) + "\t" + field + " " + kind + "\n"
}

func (d *document) enum(schema *yaml.Node) bool {
	return text(schema, "$ref") != "" && has(d.resolve(schema), "enum")
}

func (o *operation) readBody() {
	given := o.d.resolve(get(o.node, "requestBody"))
	content := get(given, "content")
	if content == nothing {
		return
	}
	schema := get(get(content, "application/json"), "schema")
	if schema == nothing {
		o.body, o.own = "Body", true
		return
	}
	o.body = o.d.goType(o.name+"Body", schema)
	if text(given, "required") != "true" && !nilable(o.body) {
		o.body = "*" + o.body
	}
}

// readAnswers finds the type of all answers that are no problem.
func (o *operation) readAnswers() {
	kinds := map[string]bool{}
	schemas := &yaml.Node{Kind: yaml.SequenceNode}
	for status, response := range pairs(get(o.node, "responses")) {
		for mediaType, body := range pairs(get(o.d.resolve(response), "content")) {
			schema := get(body, "schema")
			switch {
			case mediaType == "application/problem+json":
			case mediaType != "application/json":
				o.streams = append(o.streams, mediaType)
			default:
				if !strings.HasPrefix(status, "2") {
					o.statuses = append(o.statuses, status)
				}
				if kind := o.d.goType(o.name+"Answer", schema); !kinds[kind] {
					kinds[kind] = true
					o.answer = kind
					o.page = o.d.resolve(schema)
					schemas.Content = append(schemas.Content, schema)
				}
			}
		}
	}
	if len(kinds) > 1 { // which one, the answer tells
		o.answer = o.name + "Answer"
		o.d.used[o.answer] = o.name + " answers"
		o.d.declare(o.answer, &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: "oneOf"}, schemas}})
	}
	if o.list {
		o.list = has(get(o.page, "properties"), "next_cursor")
	}
}
