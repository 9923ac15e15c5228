package rule

import (
	"regexp/syntax"
	"strings"
)

// RefusedConstruct is something that regular expressions have in MongoDB
// (PCRE) and not here (RE2), which runs in linear time.
type RefusedConstruct struct {
	Name    string // "look-ahead"
	Example string // an expression that has it
	// Instead is how the same is said otherwise, "" where it cannot be.
	Instead string

	begins []string // how what the parser complains of begins
	ends   string   // or ends
}

// RefusedConstructs are all that are told apart by name.
func RefusedConstructs() []RefusedConstruct {
	const groups = "spell the group out"
	return []RefusedConstruct{
		{Name: "look-ahead", Example: `a(?=b)`, begins: []string{"(?=", "(?!"}, Instead: "two clauses joined by $and, the negative one in $not"},
		{Name: "look-behind", Example: `(?<=a)b`, begins: []string{"(?<=", "(?<!"}, Instead: "two clauses joined by $and, the negative one in $not"},
		{Name: "atomic group", Example: `(?>a)b`, begins: []string{"(?>"}, Instead: "a plain group (?:…): nothing is ever tried twice"},
		{Name: "possessive quantifier", Example: `a++b`, ends: "+", Instead: "a plain quantifier: nothing is ever tried twice"},
		{Name: "back-reference", Example: `(a)\1`, begins: []string{`\1`, `\2`, `\3`, `\4`, `\5`, `\6`, `\7`, `\8`, `\9`, `\k`, `\g`, "(?P="}},
		{Name: "conditional group", Example: `(a)?(?(1)b|c)`, begins: []string{"(?("}, Instead: "alternatives, each in full"},
		{Name: "recursion", Example: `(a)(?1)`, begins: []string{"(?R", "(?0", "(?1", "(?2", "(?3", "(?4", "(?5", "(?6", "(?7", "(?8", "(?9", "(?+", "(?&", "(?P>"}, Instead: groups},
		{Name: "branch reset group", Example: `(?|a|b)`, begins: []string{"(?|"}, Instead: "a plain group (?:…)"},
		{Name: "group name in quotes", Example: `(?'n'a)`, begins: []string{"(?'"}, Instead: "(?<n>a)"},
		{Name: "call-out", Example: `a(?C1)b`, begins: []string{"(?C"}},
		{Name: "option x within the expression", Example: `(?x)a b`, begins: []string{"(?x", "(?ix", "(?mx", "(?sx"}, Instead: `{"$options": "x"}`},
		{Name: "start of the match \\K", Example: `a\Kb`, begins: []string{`\K`}, Instead: "the same without it: only whether it matches counts"},
		{Name: "end of the last match \\G", Example: `\Ga`, begins: []string{`\G`}, Instead: `\A`},
		{Name: "grapheme \\X", Example: `\X`, begins: []string{`\X`}},
		{Name: "single byte \\C", Example: `\C`, begins: []string{`\C`}},
		{Name: "control character \\c", Example: `\cA`, begins: []string{`\c`}, Instead: `\x01`},
		{Name: "verb in (*…)", Example: `(*SKIP)a`},
		{Name: "more than 1000 repetitions", Example: `a{1001}`},
	}
}

// refusedBy says in the user's words what RE2 does not have.
func refusedBy(err error, pattern string) string {
	const because = " is not available; expressions run in linear time (RE2), so that no event can hold up the others"
	bad, ok := err.(*syntax.Error) //nolint:errorlint // the parser returns exactly this type
	if !ok {
		return err.Error()
	}
	switch {
	case bad.Code == syntax.ErrInvalidRepeatSize:
		return "more than 1000 repetitions, " + bad.Expr + "," + because
	case bad.Code == syntax.ErrMissingRepeatArgument && strings.Contains(pattern, "(*"):
		return "a verb in (*…)" + because
	}
	for _, c := range RefusedConstructs() {
		if !c.is(bad) {
			continue
		}
		text := c.Name + ", " + shown(bad.Expr) + "," + because
		if c.Instead != "" {
			text += "; use " + c.Instead
		}
		return text
	}
	return bad.Code.String() + ": " + bad.Expr
}

func (c *RefusedConstruct) is(bad *syntax.Error) bool {
	if c.ends != "" && bad.Code == syntax.ErrInvalidRepeatOp && strings.HasSuffix(bad.Expr, c.ends) {
		return true
	}
	for _, b := range c.begins {
		if strings.HasPrefix(bad.Expr, b) {
			return true
		}
	}
	return false
}

// shown is a construct without what follows it.
func shown(expr string) string {
	const most = 12
	if len(expr) > most {
		return expr[:most] + "…"
	}
	return expr
}
