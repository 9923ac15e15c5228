package rule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/events-aggregator/events-aggregator/pkg/action"
)

// Change is one difference between two versions of a rule: a JSON pointer and
// what stands there before and after, nil where nothing does. Secret changes
// show the mask on both sides.
type Change struct {
	Path   string          `json:"path"`
	Old    json.RawMessage `json:"old,omitempty"`
	New    json.RawMessage `json:"new,omitempty"`
	Secret bool            `json:"secret,omitempty"`
}

// Diff lists what a user would have to write to make one version the other:
// fields in the API's order, without id, version, times and author. Lists are
// compared from both ends, so that what was inserted or removed shows alone.
// masked is a rule without its secrets.
func Diff(from, to Rule, masked func(Rule) Rule) ([]Change, error) {
	old, err := from.diffable(masked)
	if err != nil {
		return nil, err
	}
	now, err := to.diffable(masked)
	if err != nil {
		return nil, err
	}
	var d differ
	d.compare(nil, old, now)
	return d.changes, nil
}

// diffable is a rule's content as a tree of values, each with what may be shown.
func (r Rule) diffable(mask func(Rule) Rule) (shownValue, error) {
	plain, err := r.content().JSON()
	if err != nil {
		return shownValue{}, err
	}
	masked, err := mask(r.content()).JSON()
	if err != nil {
		return shownValue{}, err
	}
	v, err := newShownValue(plain, masked)
	if err != nil {
		return shownValue{}, err
	}
	v.drop("rule_id", "version")
	return v, nil
}

// shownValue is a JSON value beside its masked form, taken apart.
type shownValue struct {
	is, shown json.RawMessage
	list      bool
	keys      []string // of an object
	kids      []shownValue
}

func newShownValue(is, shown json.RawMessage) (shownValue, error) {
	v := shownValue{is: is, shown: shown}
	keys, kids, err := takeApart(is)
	if err != nil || kids == nil {
		return v, err
	}
	shownKeys, shownKids, err := takeApart(shown)
	if err != nil {
		return v, err
	}
	v.list, v.keys = keys == nil, keys
	for i, kid := range kids {
		var masked json.RawMessage // nil: hidden with all that is in it
		if v.list && i < len(shownKids) {
			masked = shownKids[i]
		} else if at := slices.Index(shownKeys, keyAt(keys, i)); at >= 0 && !v.list {
			masked = shownKids[at]
		}
		one, err := newShownValue(kid, masked)
		if err != nil {
			return v, err
		}
		v.kids = append(v.kids, one)
	}
	return v, nil
}

func keyAt(keys []string, i int) string {
	if i < len(keys) {
		return keys[i]
	}
	return ""
}

// takeApart reads the parts of an object or a list; no kids for anything else,
// no keys for a list.
func takeApart(text json.RawMessage) (keys []string, kids []json.RawMessage, err error) {
	if len(text) == 0 || text[0] != '{' && text[0] != '[' {
		return nil, nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return nil, nil, fmt.Errorf("read a rendered rule: %w", err)
	}
	kids = []json.RawMessage{}
	if text[0] == '{' {
		keys = []string{}
	}
	for d.More() {
		if keys != nil {
			name, err := d.Token()
			if err != nil {
				return nil, nil, fmt.Errorf("read a rendered rule: %w", err)
			}
			keys = append(keys, fmt.Sprint(name))
		}
		var kid json.RawMessage
		if err := d.Decode(&kid); err != nil {
			return nil, nil, fmt.Errorf("read a rendered rule: %w", err)
		}
		kids = append(kids, kid)
	}
	return keys, kids, nil
}

func (v *shownValue) drop(names ...string) {
	for _, name := range names {
		if i := slices.Index(v.keys, name); i >= 0 {
			v.keys, v.kids = slices.Delete(v.keys, i, i+1), slices.Delete(v.kids, i, i+1)
		}
	}
}

// visible is what may be shown of a value that is there.
func (v *shownValue) visible() json.RawMessage {
	if v.shown == nil {
		return json.RawMessage(`"` + action.Masked + `"`)
	}
	return v.shown
}

type differ struct{ changes []Change }

func (d *differ) compare(at *place, old, now shownValue) {
	if bytes.Equal(old.is, now.is) {
		return
	}
	before := len(d.changes)
	switch {
	case old.keys != nil && now.keys != nil:
		d.objects(at, old, now)
	case old.list && now.list:
		d.lists(at, old, now)
	}
	if len(d.changes) == before { // no part explains it: other values, or the order of names
		d.note(at, &old, &now)
	}
}

func (d *differ) objects(at *place, old, now shownValue) {
	for i, key := range old.keys {
		if j := slices.Index(now.keys, key); j >= 0 {
			d.compare(at.in(key), old.kids[i], now.kids[j])
		} else {
			d.note(at.in(key), &old.kids[i], nil)
		}
	}
	for j, key := range now.keys {
		if !slices.Contains(old.keys, key) {
			d.note(at.in(key), nil, &now.kids[j])
		}
	}
}

// lists skips what is the same at both ends. Of the middle, places are compared
// with each other, and what the longer one has more is new or gone.
func (d *differ) lists(at *place, old, now shownValue) {
	first, a, b := 0, len(old.kids), len(now.kids)
	for first < min(a, b) && bytes.Equal(old.kids[first].is, now.kids[first].is) {
		first++
	}
	for a > first && b > first && bytes.Equal(old.kids[a-1].is, now.kids[b-1].is) {
		a, b = a-1, b-1
	}
	for i := first; i < max(a, b); i++ {
		here := at.in(strconv.Itoa(i))
		switch {
		case i >= a:
			d.note(here, nil, &now.kids[i])
		case i >= b:
			d.note(here, &old.kids[i], nil)
		default:
			d.compare(here, old.kids[i], now.kids[i])
		}
	}
}

func (d *differ) note(at *place, old, now *shownValue) {
	c := Change{Path: at.String()}
	if old != nil {
		c.Old = old.visible()
	}
	if now != nil {
		c.New = now.visible()
	}
	c.Secret = old != nil && now != nil && bytes.Equal(c.Old, c.New)
	d.changes = append(d.changes, c)
}
