package action

import (
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"reflect"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// Template is a Go text or HTML template over one notification:
//
//	{{.Event.payload.amount}} {{.Rule.Name}} {{.Notification}} {{.Attempt}} {{.Link}}
//	{{.Alert.Text}} {{.Alert.Kind}} {{.Alert.Value}} {{.Alert.Reference}} {{.Alert.From}} {{.Alert.To}} {{.Alert.Key}}
//
//	{{.Group.Matches}} {{.Group.Samples}} {{.Group.FirstAt}} {{.Group.LastAt}} {{.Group.Key}} {{.HeldBack}}
//
// The second line is for the alerts of window rules, the third for rules that
// group; others have none. HeldBack is how many matches a throttle held back
// since the notification before. Link is the dashboard's page of the notification,
// nothing unless api.public_url is set.
// What an event does not have prints as nothing. Its functions are those of
// text/template and of the table functions.
type Template struct{ t executable }

// executable is a template of text/template or html/template.
type executable interface {
	Execute(w io.Writer, data any) error
}

// What a template may cost: events are made by others, so neither a long list
// nor a great number in one may hold up a worker.
const (
	maxTemplate = 64 << 10
	maxOutput   = 256 << 10
	maxSteps    = 10_000
	maxDepth    = 64
)

// templateData is what a template sees.
type templateData struct {
	Event        map[string]any
	Rule         templateRule
	Alert, Group map[string]any
	HeldBack     int
	Notification string
	Link         string
	Attempt      int
	steps        *int // of all loops of one rendering
}

type templateRule struct {
	ID, Name string
	Version  int
}

// templateTime prints as RFC 3339.
type templateTime struct{ time.Time }

func (t templateTime) String() string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// ParseTemplate checks and prepares a template.
func ParseTemplate(text string) (*Template, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("a template has at most %d bytes", maxTemplate)
	}
	t, err := template.New("template").Funcs(functions).Parse(text)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	if len(t.Templates()) > 1 {
		return nil, errors.New("define and block are not available: a template is one piece")
	}
	if t.Tree != nil {
		if err := bound(t.Root, 0); err != nil {
			return nil, err
		}
	}
	return &Template{t: t}, nil
}

// ParseHTML is ParseTemplate for a template that gives HTML: what it fills in is
// escaped for the place where it stands, so an event brings no markup.
func ParseHTML(text string) (*Template, error) {
	// The same rules, and the same messages.
	if _, err := ParseTemplate(text); err != nil {
		return nil, err
	}
	t, err := htmltemplate.New("template").Funcs(functions).Parse(text)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "html/template: "))
	}
	if t.Tree != nil {
		if err := bound(t.Tree.Root, 0); err != nil {
			return nil, err
		}
	}
	// The escaper looks at a template when it is executed first, and finds then
	// where it cannot tell what would be safe. Nothing is filled in yet, so any
	// other error only says that a rule's event is missing.
	var unsafe *htmltemplate.Error
	steps := 0
	if err := t.Execute(io.Discard, templateData{Event: map[string]any{}, steps: &steps}); errors.As(err, &unsafe) {
		return nil, errors.New(strings.TrimPrefix(unsafe.Error(), "html/template:"))
	}
	return &Template{t: t}, nil
}

// Render fills the template in. An error is the template's: the same message
// gives it again.
func (t *Template) Render(msg notification.Message) ([]byte, error) {
	n := msg.Notification
	steps := 0
	out := limited{}
	err := t.t.Execute(&out, templateData{
		Event:        object(msg.Event, 0),
		Rule:         templateRule{ID: n.RuleID, Name: n.RuleName, Version: n.RuleVersion},
		Alert:        alert(n.Alert),
		Group:        group(n.Group),
		HeldBack:     n.HeldBack,
		Notification: n.ID,
		Link:         msg.Link(),
		Attempt:      msg.Attempt,
		steps:        &steps,
	})
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	return []byte(noValue.Replace(string(out.b))), nil
}

// noValue takes out what the template packages print for what is not there.
var noValue = strings.NewReplacer("<no value>", "", "&lt;no value&gt;", "")

// alert is what a template sees of an alert.
func alert(a *notification.Alert) map[string]any {
	if a == nil {
		return nil
	}
	return map[string]any{
		"Kind": a.Kind, "Text": a.Text, "Value": a.Value, "Reference": a.Reference,
		"From": templateTime{a.From}, "To": templateTime{a.To}, "Key": object(a.Key, 0),
	}
}

// group is what a template sees of a group.
func group(g *notification.Group) map[string]any {
	if g == nil {
		return nil
	}
	samples := make([]any, len(g.Samples))
	for i, id := range g.Samples {
		samples[i] = id
	}
	return map[string]any{
		"Matches": g.Matches, "Sequence": g.Sequence, "Samples": samples, "Key": object(g.Key, 0),
		"FirstAt": templateTime{g.FirstAt}, "LastAt": templateTime{g.LastAt},
	}
}

var errTooLong = fmt.Errorf("the output is longer than %d bytes", maxOutput)

// limited ends a rendering that grows too long.
type limited struct{ b []byte }

func (w *limited) Write(p []byte) (int, error) {
	if len(w.b)+len(p) > maxOutput {
		return 0, errTooLong
	}
	w.b = append(w.b, p...)
	return len(p), nil
}

// boundLoop is the function that bound puts in front of every loop.
const boundLoop = "_loop"

// bound makes every range count its steps, and refuses what cannot be counted.
func bound(n parse.Node, depth int) error {
	if depth > maxDepth {
		return errors.New("the template is nested too deep")
	}
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		for _, k := range n.Nodes {
			if err := bound(k, depth+1); err != nil {
				return err
			}
		}
	case *parse.IfNode:
		return bounds(depth, n.List, n.ElseList)
	case *parse.WithNode:
		return bounds(depth, n.List, n.ElseList)
	case *parse.RangeNode:
		n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{
			NodeType: parse.NodeCommand, Pos: n.Pos,
			Args: []parse.Node{
				parse.NewIdentifier(boundLoop).SetPos(n.Pos),
				&parse.VariableNode{NodeType: parse.NodeVariable, Pos: n.Pos, Ident: []string{"$"}},
			},
		})
		return bounds(depth, n.List, n.ElseList)
	case *parse.TemplateNode:
		return errors.New("template is not available: a template is one piece")
	}
	return nil
}

func bounds(depth int, lists ...*parse.ListNode) error {
	for _, l := range lists {
		if err := bound(l, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// countSteps lets a loop begin if all loops of the rendering together stay in
// bounds.
func countSteps(d templateData, over any) (any, error) {
	v := reflect.ValueOf(over)
	switch v.Kind() {
	case reflect.Invalid:
		return over, nil
	case reflect.Map, reflect.Slice, reflect.Array:
		if *d.steps += v.Len() + 1; *d.steps > maxSteps {
			return nil, fmt.Errorf("the loops take more than %d steps", maxSteps)
		}
		return over, nil
	default:
		return nil, fmt.Errorf("cannot loop over %T", over)
	}
}

// object is a document as templates see it.
func object(doc bson.Raw, depth int) map[string]any {
	elements, err := doc.Elements()
	if err != nil || depth > maxDepth {
		return nil
	}
	m := make(map[string]any, len(elements))
	for _, e := range elements {
		if v := plain(e.Value(), depth); v != nil { // null is as good as absent
			m[e.Key()] = v
		}
	}
	return m
}

func plain(v bson.RawValue, depth int) any {
	switch v.Type {
	case bson.TypeString:
		return v.StringValue()
	case bson.TypeInt32:
		return int64(v.Int32())
	case bson.TypeInt64:
		return v.Int64()
	case bson.TypeDouble:
		return v.Double()
	case bson.TypeBoolean:
		return v.Boolean()
	case bson.TypeDateTime:
		return templateTime{v.Time()}
	case bson.TypeEmbeddedDocument:
		return object(v.Document(), depth+1)
	case bson.TypeArray:
		values, err := v.Array().Values()
		if err != nil || depth > maxDepth {
			return nil
		}
		list := make([]any, len(values))
		for i, e := range values {
			list[i] = plain(e, depth+1)
		}
		return list
	case bson.TypeNull, bson.TypeUndefined:
		return nil
	case bson.TypeObjectID:
		return v.ObjectID().Hex()
	case bson.TypeDecimal128:
		return v.Decimal128().String()
	default:
		return v.String()
	}
}
