package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Has says whether an operation says something.
func (o *Operation) Has(what string) bool {
	switch said := o.node[what].(type) {
	case string:
		return said != ""
	case []any:
		return len(said) > 0
	}
	return false
}

// Codes are the problem codes that an operation may answer with a status.
func (d *Document) Codes(o Operation, status string) []any {
	responses, _ := o.node["responses"].(map[string]any)
	response, _ := d.resolve(responses[status], "")
	codes, _ := response["x-codes"].([]any)
	return codes
}

// Examples says what is wrong with an operation's examples: each body has one,
// and its schema agrees.
func (d *Document) Examples(o Operation) []string {
	var wrong []string
	flaw := func(at, format string, args ...any) {
		wrong = append(wrong, o.ID+" "+at+": "+fmt.Sprintf(format, args...))
	}
	d.media(o.Body, o.BodyAt, flaw)
	responses, _ := o.node["responses"].(map[string]any)
	for _, status := range slices.Sorted(maps.Keys(responses)) {
		response, at := d.resolve(responses[status], o.at+"/responses/"+status)
		if response == nil {
			flaw(status, "leads nowhere")
			continue
		}
		d.media(response, at, flaw)
	}
	return wrong
}

// media looks at each media type of a body.
func (d *Document) media(body map[string]any, at string, flaw func(at, format string, args ...any)) {
	content, _ := body["content"].(map[string]any)
	for kind, media := range content {
		media, _ := media.(map[string]any)
		here := at + "/content/" + escape(kind)
		var shown []any
		if one, is := media["example"]; is {
			shown = append(shown, one)
		}
		several, _ := media["examples"].(map[string]any)
		for _, one := range several {
			one, _ := one.(map[string]any)
			shown = append(shown, one["value"])
		}
		if len(shown) == 0 {
			flaw(here, "no example")
		}
		for _, value := range shown {
			if err := d.Check(here+"/schema", value); err != nil {
				flaw(here, "%v", err)
			}
		}
	}
}

// Takes says whether an operation has a parameter of the name.
func (o *Operation) Takes(name string) bool {
	return slices.ContainsFunc(o.Parameters, func(p Parameter) bool { return p.Name == name })
}

// Answer is what an operation may answer, as an example has it.
type Answer struct {
	Status  int
	Kind    string // media type, "" of none
	Text    []byte
	Headers []string
}

// Answers are the examples of all that an operation may answer, problems
// included.
func (d *Document) Answers(o Operation) []Answer {
	var all []Answer
	responses, _ := o.node["responses"].(map[string]any)
	for _, status := range slices.Sorted(maps.Keys(responses)) {
		response, _ := d.resolve(responses[status], "")
		headers, _ := response["headers"].(map[string]any)
		code, _ := strconv.Atoi(status)
		one := Answer{Status: code, Headers: slices.Sorted(maps.Keys(headers))}
		content, _ := response["content"].(map[string]any)
		if len(content) == 0 {
			all = append(all, one)
		}
		for kind, media := range content {
			media, _ := media.(map[string]any)
			examples := []any{media["example"]}
			if several, _ := media["examples"].(map[string]any); len(several) > 0 {
				examples = nil
				for _, e := range several {
					e, _ := e.(map[string]any)
					examples = append(examples, e["value"])
				}
			}
			for _, value := range examples {
				one.Kind = kind
				if text, is := value.(string); is {
					one.Text = []byte(text)
				} else {
					one.Text, _ = json.Marshal(value)
				}
				all = append(all, one)
			}
		}
	}
	return all
}
