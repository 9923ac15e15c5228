package rule

import (
	"errors"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/bson"
)

// ParseJSON reads one rule from JSON or extended JSON, as the API takes it. The
// error is a *ValidationError that names every mistake of its form; what the
// values mean is checked by Validate.
func ParseJSON(b []byte) (Rule, error) {
	var n notes
	t := oneValue(b, &n)
	if t == nil {
		return Rule{}, n.validationError()
	}
	r := n.rule(t, nil)
	return r, n.validationError()
}

// ParseCondition reads a query document from JSON or extended JSON, keeping the
// order of names and the types of numbers. The error is a *CompileError; whether
// the condition can be matched is for Compile to say.
func ParseCondition(b []byte) (bson.Raw, error) {
	var n notes
	var raw bson.Raw
	if t := oneValue(b, &n); t != nil {
		if t.kind == treeObject {
			raw = n.bsonDocument(t, nil)
		} else {
			n.add(t.line, nil, "a condition is a JSON object")
		}
	}
	if len(n.all) == 0 {
		return raw, nil
	}
	var all []*CompileError
	for _, m := range n.all {
		all = append(all, &CompileError{Path: m.at.String(), Reason: m.message})
	}
	all[0].More = all[1:]
	return nil, all[0]
}

// oneValue reads a text of one JSON value; nil when that was noted to fail.
func oneValue(b []byte, n *notes) *tree {
	if !utf8.Valid(b) {
		n.add(1, nil, "is not UTF-8")
		return nil
	}
	r := newJSONReader(b, n)
	t, err := r.next()
	switch {
	case errors.Is(err, io.EOF):
		n.add(1, nil, "there is nothing")
		return nil
	case err != nil:
		return nil
	}
	if _, err := r.next(); !errors.Is(err, io.EOF) {
		n.all = n.all[:0]
		n.add(r.line, nil, "there is more than one JSON value")
		return nil
	}
	return t
}

func (n *notes) validationError() error {
	if len(n.all) == 0 {
		return nil
	}
	e := &ValidationError{}
	for _, m := range n.all {
		e.Problems = append(e.Problems, Problem{Pointer: m.at.String(), Message: m.message})
	}
	return e
}

// ruleKeys are what a rule may have.
var ruleKeys = []string{
	"rule_id", "_id", "name", "description", "conditions", "actions", "priority", "enabled", "mode",
	"window", "throttle", "group", "mute", "max_matches_per_hour",
	"version", "created_at", "updated_at", "created_by", "warnings",
}

// rule reads a rule's form.
func (n *notes) rule(t *tree, at *place) Rule {
	r := Rule{Priority: DefaultPriority, Enabled: true, Mode: Live}
	if t.kind != treeObject {
		n.add(t.line, at, "a rule is an object")
		return r
	}
	for i, key := range t.keys {
		v, here := t.kids[i], at.in(key)
		switch key {
		case "rule_id", "_id":
			if r.ID != "" {
				n.add(v.line, here, "the id is there twice, as rule_id and _id")
			}
			n.text(v, here, &r.ID)
		case "name":
			n.text(v, here, &r.Name)
		case "description":
			n.text(v, here, &r.Description)
		case "conditions":
			r.Conditions = n.conditions(v, here)
		case "actions":
			r.Actions = n.actions(v, here)
		case "priority":
			n.whole(v, here, &r.Priority)
		case "enabled":
			n.truth(v, here, &r.Enabled)
		case "mode":
			n.mode(v, here, &r.Mode)
		case "window":
			r.Window = n.window(v, here)
		case "throttle":
			r.Throttle = n.throttle(v, here)
		case "group":
			r.Group = n.group(v, here)
		case "mute":
			r.Mute = n.mute(v, here)
		case "max_matches_per_hour":
			n.whole(v, here, &r.MaxMatchesPerHour)
		case "version":
			n.whole(v, here, &r.Version)
		case "created_at":
			n.time(v, here, &r.CreatedAt)
		case "updated_at":
			n.time(v, here, &r.UpdatedAt)
		case "created_by":
			n.text(v, here, &r.CreatedBy)
		case "warnings": // of the API's answer, which may be sent back as it is
		default:
			n.unknown(v.line, here, key, ruleKeys)
		}
	}
	if t.get("name") == nil {
		n.add(t.line, at.in("name"), "is missing")
	}
	if t.get("conditions") == nil {
		n.add(t.line, at.in("conditions"), "are missing; {} matches every event")
	}
	return r
}

func (n *notes) unknown(line int, at *place, key string, known []string) {
	switch hint := closest(strings.ToLower(key), known); {
	case hint != "":
		n.add(line, at, "there is no %s, did you mean %s?", key, hint)
	default:
		n.add(line, at, "there is no %s; known are %s", key, strings.Join(known, ", "))
	}
}

func (n *notes) conditions(t *tree, at *place) bson.Raw {
	if t.kind != treeObject {
		n.add(t.line, at, "must be an object, a MongoDB query document")
		return nil
	}
	return n.bsonDocument(t, at)
}

func (n *notes) actions(t *tree, at *place) []ActionSpec {
	if t.kind != treeList {
		n.add(t.line, at, "must be a list")
		return nil
	}
	actions := make([]ActionSpec, 0, len(t.kids))
	for i, kid := range t.kids {
		actions = append(actions, n.action(kid, at.at(i)))
	}
	return actions
}

func (n *notes) action(t *tree, at *place) ActionSpec {
	a := ActionSpec{Config: emptyDocument()}
	if t.kind != treeObject {
		n.add(t.line, at, `an action is an object, {"type": …, "config": …}`)
		return a
	}
	for i, key := range t.keys {
		v, here := t.kids[i], at.in(key)
		switch {
		case key == "type":
			n.text(v, here, &a.Type)
		case key == "config" && v.kind == treeObject:
			a.Config = n.bsonDocument(v, here)
		case key == "config":
			n.add(v.line, here, "must be an object")
		default:
			n.unknown(v.line, here, key, []string{"type", "config"})
		}
	}
	if t.get("type") == nil {
		n.add(t.line, at.in("type"), "is missing")
	}
	return a
}

func emptyDocument() bson.Raw { return bson.Raw{5, 0, 0, 0, 0} }

func (n *notes) text(t *tree, at *place, to *string) {
	if t.kind != treeText {
		n.add(t.line, at, "must be text")
		return
	}
	*to = t.text
}

func (n *notes) truth(t *tree, at *place, to *bool) {
	if t.kind != treeBool {
		n.add(t.line, at, "must be true or false")
		return
	}
	*to = t.yes
}

func (n *notes) whole(t *tree, at *place, to *int) {
	if i, ok := wholeOf(t); ok && 0 <= i && i <= math.MaxInt32 {
		*to = int(i)
		return
	}
	n.add(t.line, at, "must be a whole number, 0 or more")
}

// wholeOf reads a whole number, also as extended JSON writes it.
func wholeOf(t *tree) (int64, bool) {
	if t.kind == treeNumber {
		return t.i, t.whole
	}
	if t.kind != treeObject || len(t.keys) != 1 {
		return 0, false
	}
	var n notes
	v, ok := n.extended(t, nil)
	if !ok || len(n.all) > 0 {
		return 0, false
	}
	return integer(value{t: v.Type, b: v.Data})
}

func (n *notes) mode(t *tree, at *place, to *Mode) {
	if t.kind != treeText || t.text != string(Live) && t.text != string(Shadow) {
		n.add(t.line, at, "must be live or shadow")
		return
	}
	*to = Mode(t.text)
}

func (n *notes) time(t *tree, at *place, to *time.Time) {
	arg := t
	if date := t.get("$date"); date != nil {
		arg = date
	}
	ms, ok := dateOf(arg)
	if !ok {
		n.add(t.line, at, `must be a time as "2006-01-02T15:04:05Z"`)
		return
	}
	*to = time.UnixMilli(ms).UTC()
}
