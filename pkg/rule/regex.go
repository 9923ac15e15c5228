package rule

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/bson"
)

// maxPattern bounds what a regular expression costs to compile and to run.
const maxPattern = 4096

// regex holds for text that the expression matches somewhere, and for a
// regular expression value that is the same.
type regex struct {
	pattern, options string
	re               *regexp.Regexp
	// prefixes: a match begins at the text's start with one of these. None: it
	// may begin with anything.
	prefixes []string
}

type regexKey struct{ pattern, options string }

func (p *regex) test(v value, m *meter) bool {
	switch v.t {
	case bson.TypeString, bson.TypeSymbol:
		return p.matches(v.text(), m)
	case bson.TypeRegex:
		pattern, options := v.regex()
		return string(pattern) == p.pattern && string(options) == p.options
	default:
		return false
	}
}

func (p *regex) matches(text []byte, m *meter) bool {
	if p.prefixes != nil && !slices.ContainsFunc(p.prefixes, func(s string) bool {
		return len(text) >= len(s) && string(text[:len(s)]) == s
	}) {
		return false
	}
	return m.take(len(text)) && p.re.Match(text)
}

// regexLeaf is the comparison with an expression, unless it was refused.
func (c *compiler) regexLeaf(p *path, r *regex, at *place) node {
	if r == nil {
		return nil
	}
	return c.leaf(p, r, at)
}

func (c *compiler) regexValue(v value, at *place) *regex {
	pattern, options := v.regex()
	return c.regex(string(pattern), string(options), at)
}

// regex compiles an expression once for all rules of a set. The result is nil
// when it was refused.
func (c *compiler) regex(pattern, options string, at *place) *regex {
	key := regexKey{pattern, options}
	if r, ok := c.regexes[key]; ok {
		return r
	}
	r, reason := compileRegex(pattern, options)
	if reason != "" {
		c.refuse(at, "the regular expression %q: %s", pattern, reason)
		return nil
	}
	c.regexes[key] = r
	return r
}

func compileRegex(pattern, options string) (r *regex, reason string) {
	switch {
	case len(pattern) > maxPattern:
		return nil, "is too long"
	case strings.IndexByte(pattern, 0) >= 0:
		return nil, "holds a NUL byte"
	case !utf8.ValidString(pattern):
		return nil, "is not UTF-8"
	}
	flags := syntax.Perl
	extended := false
	for _, o := range options {
		switch o {
		case 'i':
			flags |= syntax.FoldCase
		case 'm':
			flags &^= syntax.OneLine
		case 's':
			flags |= syntax.DotNL
		case 'x':
			extended = true
		case 'u': // text is always UTF-8
		default:
			return nil, "there is no option " + string(o) + ", only i, m, s and x"
		}
	}
	tree, err := syntax.Parse(translate(pattern, extended), flags)
	if err != nil {
		return nil, refusedBy(err, pattern)
	}
	r = &regex{pattern: pattern, options: options, prefixes: prefixes(tree)}
	if r.re, err = regexp.Compile(dollars(tree).String()); err != nil {
		return nil, refusedBy(err, pattern)
	}
	return r, ""
}

// dollars gives $ without m the meaning it has in PCRE: the end, or the line's
// end that is the text's last character.
func dollars(re *syntax.Regexp) *syntax.Regexp {
	for i, sub := range re.Sub {
		re.Sub[i] = dollars(sub)
	}
	if re.Op != syntax.OpEndText || re.Flags&syntax.WasDollar == 0 {
		return re
	}
	newline := &syntax.Regexp{Op: syntax.OpLiteral, Rune: []rune{'\n'}}
	return &syntax.Regexp{Op: syntax.OpConcat, Sub: []*syntax.Regexp{
		{Op: syntax.OpQuest, Sub: []*syntax.Regexp{newline}},
		{Op: syntax.OpEndText},
	}}
}

// translate writes what PCRE and RE2 spell or mean differently in RE2's way,
// and takes out what x ignores. Whatever RE2 does not know it refuses.
func translate(pattern string, extended bool) string {
	if !extended && !strings.Contains(pattern, `\`) && !strings.Contains(pattern, "(?#") {
		return pattern
	}
	t := translator{in: pattern, extended: extended}
	for t.at < len(t.in) {
		t.step()
	}
	return t.out.String()
}

type translator struct {
	in       string
	at       int
	out      strings.Builder
	extended bool
	class    bool // within [ ]
}

func (t *translator) step() {
	rest := t.in[t.at:]
	switch b := rest[0]; {
	case b == '\\':
		t.escape(rest)
	case t.class:
		t.inClass(rest)
	case b == '[':
		t.class = true
		n := 1
		if strings.HasPrefix(rest, "[^") {
			n = 2
		}
		if strings.HasPrefix(rest[n:], "]") { // first in a class it stands for itself
			n++
		}
		t.copy(n)
	case strings.HasPrefix(rest, "(?#"):
		t.skipPast(")")
	case t.extended && b == '#':
		t.skipPast("\n")
	case t.extended && strings.IndexByte(" \t\n\v\f\r", b) >= 0:
		t.at++
	default:
		t.copy(1)
	}
}

func (t *translator) inClass(rest string) {
	if strings.HasPrefix(rest, "[:") {
		if end := strings.Index(rest, ":]"); end > 0 {
			t.copy(end + 2)
			return
		}
	}
	t.class = rest[0] != ']'
	t.copy(1)
}

// escapes are the escapes that differ: outside a class and within one.
var escapes = map[byte][2]string{
	's': {`[\t-\r ]`, ` \t-\r`}, // RE2 leaves out the vertical tab
	'S': {`[^\t-\r ]`, `\x00-\x08\x0e-\x1f!-\x{10ffff}`},
	'h': {`[` + horizontal + `]`, horizontal},
	'v': {`[` + vertical + `]`, vertical}, // RE2: the vertical tab alone
	'N': {`[^\n]`, ""},
	'R': {`(?:\r\n|[` + vertical + `])`, ""},
	'Z': {`(?:\n?\z)`, ""},
	'e': {`\x1b`, `\x1b`},
	'b': {"", `\x08`}, // in a class the backspace
}

const (
	horizontal = `\t \xa0\x{1680}\x{180e}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}`
	vertical   = `\n-\r\x85\x{2028}\x{2029}`
)

func (t *translator) escape(rest string) {
	switch {
	case len(rest) == 1:
		t.copy(1)
	case rest[1] == 'Q' && !t.class:
		end := strings.Index(rest, `\E`)
		if end < 0 {
			end = len(rest)
		}
		t.out.WriteString(regexp.QuoteMeta(rest[2:end]))
		t.at += min(end+2, len(rest))
	case strings.HasPrefix(rest, `\N{`): // a code point by number; RE2 refuses it
		t.copy(2)
	case rest[1] == '#' || rest[1] == ' ':
		t.out.WriteString(regexp.QuoteMeta(rest[1:2]))
		t.at += 2
	default:
		with := escapes[rest[1]][b2i(t.class)]
		if with == "" {
			t.copy(2)
			return
		}
		t.out.WriteString(with)
		t.at += 2
	}
}

func (t *translator) copy(n int) {
	t.out.WriteString(t.in[t.at : t.at+n])
	t.at += n
}

func (t *translator) skipPast(end string) {
	i := strings.Index(t.in[t.at:], end)
	if i < 0 {
		t.at = len(t.in)
		return
	}
	t.at += i + len(end)
}

// maxPrefixes is how many beginnings of a match are told apart.
const maxPrefixes = 16

// prefixes are the texts that a match at the text's start can begin with; nil
// when the expression may match elsewhere or begin with too many.
func prefixes(re *syntax.Regexp) []string {
	if re.Op == syntax.OpCapture {
		return prefixes(re.Sub[0])
	}
	if re.Op == syntax.OpAlternate {
		var all []string
		for _, sub := range re.Sub {
			p := prefixes(sub)
			if p == nil || len(all)+len(p) > maxPrefixes {
				return nil
			}
			all = append(all, p...)
		}
		return distinctPrefixes(all)
	}
	if re.Op != syntax.OpConcat || re.Sub[0].Op != syntax.OpBeginText {
		return nil
	}
	all, _ := beginnings(&syntax.Regexp{Op: syntax.OpConcat, Sub: re.Sub[1:]})
	return distinctPrefixes(all)
}

// distinctPrefixes leaves out those that begin with another.
func distinctPrefixes(all []string) []string {
	slices.Sort(all)
	var out []string
	for _, p := range all {
		if p == "" {
			return nil
		}
		if len(out) == 0 || !strings.HasPrefix(p, out[len(out)-1]) {
			out = append(out, p)
		}
	}
	return out
}

// beginnings are the texts that what re matches can begin with; whole says that
// they are all of it, so that what follows can be appended.
func beginnings(re *syntax.Regexp) (texts []string, whole bool) {
	unknown := []string{""}
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginText:
		return unknown, true
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			return unknown, false
		}
		return []string{string(re.Rune)}, true
	case syntax.OpCharClass:
		return classTexts(re.Rune)
	case syntax.OpCapture:
		return beginnings(re.Sub[0])
	case syntax.OpPlus:
		texts, _ = beginnings(re.Sub[0])
		return texts, false
	case syntax.OpAlternate:
		whole = true
		for _, sub := range re.Sub {
			t, w := beginnings(sub)
			texts, whole = append(texts, t...), whole && w
		}
		if len(texts) > maxPrefixes {
			return unknown, false
		}
		return texts, whole
	case syntax.OpConcat:
		texts = unknown
		for _, sub := range re.Sub {
			t, w := beginnings(sub)
			if len(texts)*len(t) > maxPrefixes {
				return texts, false
			}
			texts = product(texts, t)
			if !w {
				return texts, false
			}
		}
		return texts, true
	default:
		return unknown, false
	}
}

func classTexts(ranges []rune) (texts []string, whole bool) {
	for i := 0; i+1 < len(ranges); i += 2 {
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			if len(texts) == maxPrefixes/2 {
				return []string{""}, false
			}
			texts = append(texts, string(r))
		}
	}
	return texts, true
}

func product(a, b []string) []string {
	out := make([]string, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			out = append(out, x+y)
		}
	}
	return out
}
