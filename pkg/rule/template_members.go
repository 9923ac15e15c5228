package rule

import (
	"slices"
	"strings"
)

// textMembers are the members of a JSON object that hold a text, of which only
// the template is known: those at its top that it writes in so many words. Where
// the template cannot be followed, nothing is known.
func textMembers(template string) map[string]string {
	t := members{rest: template}
	known := map[string]string{}
	if !t.take('{') {
		return nil
	}
	if t.take('}') {
		return known
	}
	for {
		key, plain, ok := t.text()
		if !ok || !plain || !t.take(':') {
			return nil
		}
		delete(known, key) // of two members the last one counts
		if t.space(); strings.HasPrefix(t.rest, `"`) {
			value, plain, ok := t.text()
			if !ok {
				return nil
			}
			if plain {
				known[key] = value
			}
		} else if !t.skip() {
			return nil
		}
		switch {
		case t.take(','):
		case t.take('}'):
			return known
		default:
			return nil
		}
	}
}

// members reads a template from its beginning on.
type members struct{ rest string }

func (t *members) space() { t.rest = strings.TrimLeft(t.rest, " \t\r\n") }

func (t *members) take(c byte) bool {
	t.space()
	if t.rest == "" || t.rest[0] != c {
		return false
	}
	t.rest = t.rest[1:]
	return true
}

// text reads a JSON string; it is plain when it is what it says.
func (t *members) text() (s string, plain, ok bool) {
	if !t.take('"') {
		return "", false, false
	}
	whole := t.rest
	plain = true
	for t.rest != "" {
		switch {
		case t.rest[0] == '"':
			s = whole[:len(whole)-len(t.rest)]
			t.rest = t.rest[1:]
			return s, plain, true
		case t.rest[0] == '\\':
			plain = false
			t.rest = t.rest[min(2, len(t.rest)):]
		case strings.HasPrefix(t.rest, "{{"):
			plain = false
			t.action()
		default:
			t.rest = t.rest[1:]
		}
	}
	return "", false, false
}

// skip goes past a value that is no string, up to the comma or brace after it.
func (t *members) skip() bool {
	for depth := 0; t.rest != ""; {
		switch c := t.rest[0]; {
		case strings.HasPrefix(t.rest, "{{"):
			if branches(t.action()) { // whole members may be in its branches
				return false
			}
			continue
		case c == '"':
			if _, _, ok := t.text(); !ok {
				return false
			}
			continue
		case depth == 0 && (c == ',' || c == '}'):
			return true
		case c == '{', c == '[':
			depth++
		case c == '}', c == ']':
			depth--
		}
		t.rest = t.rest[1:]
	}
	return false
}

// action goes past {{…}} and gives what stands in it.
func (t *members) action() string {
	whole := t.rest[len("{{"):]
	for at := 0; at < len(whole); at++ {
		switch c := whole[at]; {
		case strings.HasPrefix(whole[at:], "}}"):
			t.rest = whole[at+len("}}"):]
			return whole[:at]
		case c == '"', c == '`':
			for at++; at < len(whole) && whole[at] != c; at++ {
				if c == '"' && whole[at] == '\\' {
					at++
				}
			}
		}
	}
	t.rest = ""
	return whole
}

// branches says whether an action decides about what stands after it, or may
// write anything.
func branches(action string) bool {
	words := strings.Fields(strings.TrimLeft(action, "- \t\r\n"))
	return len(words) > 0 && slices.Contains([]string{"if", "else", "end", "range", "with", "define", "block", "template", "break", "continue"}, words[0])
}
