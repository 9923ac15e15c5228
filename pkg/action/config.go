package action

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
)

// Reader reads a configuration and collects what is wrong with it; each type's
// Parse goes through it field by field.
type Reader struct {
	config   bson.Raw
	known    map[string]bool
	problems []Problem
}

// NewReader begins to read a configuration.
func NewReader(config bson.Raw) *Reader {
	r := &Reader{config: config, known: map[string]bool{}}
	if len(config) > 0 && config.Validate() != nil {
		r.Refuse("", "must be an object")
		r.config = nil
	}
	return r
}

// Refuse notes a mistake at a JSON pointer into the configuration. The first
// one of a field is its cause.
func (r *Reader) Refuse(pointer, format string, args ...any) {
	if slices.ContainsFunc(r.problems, func(p Problem) bool { return p.Pointer == pointer }) {
		return
	}
	r.problems = append(r.problems, Problem{Pointer: pointer, Message: fmt.Sprintf(format, args...)})
}

// Get is the field's value; there says whether it has one that is not null.
func (r *Reader) Get(key string) (v bson.RawValue, there bool) {
	r.known[key] = true
	if len(r.config) == 0 {
		return v, false
	}
	v, err := r.config.LookupErr(key)
	return v, err == nil && v.Type != bson.TypeNull
}

// Text is the field's text, or instead when it is absent.
func (r *Reader) Text(key, instead string) string {
	v, there := r.Get(key)
	if !there {
		return instead
	}
	s, ok := v.StringValueOK()
	if !ok {
		r.Refuse("/"+key, "must be text")
	}
	return s
}

// OneOf is the field's text, which must be one of a few.
func (r *Reader) OneOf(key, instead string, allowed ...string) string {
	s := r.Text(key, instead)
	for _, a := range allowed {
		if s == a {
			return s
		}
	}
	r.Refuse("/"+key, "must be one of %s", strings.Join(allowed, ", "))
	return instead
}

// Duration is the field's time span as Go writes it (1.5s), 0 when absent.
func (r *Reader) Duration(key string, least, most time.Duration) time.Duration {
	v, there := r.Get(key)
	if !there {
		return 0
	}
	s, _ := v.StringValueOK()
	d, err := time.ParseDuration(s)
	if err != nil || d < least || d > most {
		r.Refuse("/"+key, "must be a time span from %s to %s, such as \"10s\"", least, most)
		return 0
	}
	return d
}

// Template is the field's template, nil when it is absent or broken.
func (r *Reader) Template(key string) *Template {
	v, there := r.Get(key)
	if !there {
		return nil
	}
	s, ok := v.StringValueOK()
	if !ok {
		r.Refuse("/"+key, "must be text, a Go template")
		return nil
	}
	t, err := ParseTemplate(s)
	if err != nil {
		r.Refuse("/"+key, "is no valid template: %v", err)
		return nil
	}
	return t
}

// Problems are all mistakes, those about unknown and repeated fields included.
func (r *Reader) Problems() []Problem {
	if len(r.config) == 0 {
		return r.problems
	}
	elements, err := r.config.Elements()
	if err != nil {
		return r.problems
	}
	seen := map[string]bool{}
	for _, e := range elements {
		key := e.Key()
		pointer := "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
		switch {
		case !r.known[key]:
			r.Refuse(pointer, "is not known here")
		case seen[key]:
			r.Refuse(pointer, "is there twice")
		}
		seen[key] = true
	}
	return r.problems
}
