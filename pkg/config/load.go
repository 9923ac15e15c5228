package config

import (
	"fmt"
	"strings"

	"github.com/spf13/viper"
)

// Options say where values come from.
type Options struct {
	Process string   // decides the default of admin.addr
	File    string   // --config; empty: EA_CONFIG; neither: no file
	Environ []string // NAME=value, as os.Environ
	Set     []string // section.key=value, from flags; they win
	// Check adds what other packages know about values (may be nil).
	Check func(c Config, report func(key, message string))
}

// Load reads everything and returns the configuration, or an *Invalid with all
// mistakes.
func Load(o Options) (Config, error) {
	var c Config
	l := newLoader(c.keys())
	for _, k := range l.order {
		l.settings.SetDefault(k.name, k.preset)
	}
	env := environment(o.Environ)
	file := o.File
	if file == "" {
		file = env["EA_CONFIG"]
	}
	if file != "" {
		l.readFile(file)
	}
	l.readEnvironment(env)
	l.readFlags(o.Set)
	for _, k := range l.order {
		v, _ := l.settings.Get(k.name).(value)
		_ = k.set(v) // refused values were reported with their layer
	}
	c.settle(o.Process)
	l.checkCombinations(c, o)
	if len(l.problems) > 0 {
		return Config{}, &Invalid{l.problems}
	}
	return c, nil
}

// Sources says for every key that is set where its value comes from. Unset
// keys are missing.
func Sources(o Options) map[string]string {
	var c Config
	l := newLoader(c.keys())
	env := environment(o.Environ)
	if o.File == "" {
		o.File = env["EA_CONFIG"]
	}
	if o.File != "" {
		l.readFile(o.File)
	}
	l.readEnvironment(env)
	l.readFlags(o.Set)
	return l.sources
}

// loader merges the layers in viper and remembers where each value came from.
type loader struct {
	settings *viper.Viper
	order    []*key
	byName   map[string]*key
	sources  map[string]string
	bad      map[string]bool // sections with a refused value
	problems []Problem
}

func newLoader(keys []*key) *loader {
	l := &loader{
		settings: viper.New(), order: keys, byName: map[string]*key{},
		sources: map[string]string{}, bad: map[string]bool{},
	}
	for _, k := range keys {
		l.byName[k.name] = k
	}
	return l
}

// take checks one value of one layer. A mistake is reported even when a later
// layer covers it: it would surface when that layer goes away.
func (l *loader) take(name, source string, v value) bool {
	k, ok := l.byName[name]
	if !ok {
		l.problem(name, source, "unknown key"+l.suggestion(name))
		return false
	}
	if err := k.set(v); err != nil {
		l.bad[sectionOf(name)] = true
		got := v.String() + ": "
		if k.masked {
			got = "" // the value may hold a password, and so may every part of it
		}
		l.problem(name, source, got+err.Error())
		return false
	}
	l.sources[name] = source
	return true
}

func (l *loader) problem(key, source, message string) {
	l.problems = append(l.problems, Problem{Key: key, Source: source, Message: message})
}

func (l *loader) readFlags(set []string) {
	for _, s := range set {
		name, text, ok := strings.Cut(s, "=")
		if !ok {
			l.problem("--set", "", fmt.Sprintf("%q: expected section.key=value", s))
			continue
		}
		v := value{kind: scalar, text: text}
		if name = strings.TrimSpace(name); l.take(name, "--set", v) {
			l.settings.Set(name, v)
		}
	}
}

// checkCombinations leaves out sections with a refused value: their defaults
// stand in for it, and a complaint about those would mislead.
func (l *loader) checkCombinations(c Config, o Options) {
	report := func(key, message string) {
		if !l.bad[sectionOf(key)] {
			l.problem(key, l.sources[key], message)
		}
	}
	c.check(o.Process, report)
	if o.Check != nil {
		o.Check(c, report)
	}
}

func sectionOf(name string) string {
	section, _, _ := strings.Cut(name, ".")
	return section
}

// suggestion names the key, or the whole section, that was probably meant.
func (l *loader) suggestion(name string) string {
	best, distance := "", 1+len(name)/4
	for _, k := range l.order {
		for _, known := range []string{k.name, sectionOf(k.name)} {
			if d := editDistance(name, known); d <= distance && d < len(name) {
				best, distance = known, d-1
			}
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
