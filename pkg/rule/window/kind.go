package window

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
)

// Kind is one kind of window rule.
type Kind interface {
	// Name is what a rule writes.
	Name() string
	// Doc is one line for listings and the documentation.
	Doc() string
	// Settings are those that the kind takes besides kind and group_by.
	Settings() []Setting
	// check names what is wrong beyond missing and superfluous settings.
	check(s *Spec, refuse func(setting, format string, args ...any))
	// parts are what a rule of the kind looks for, one or two things.
	parts(s *Spec) []evaluator
	// looksUp says what a rule of the kind looks for by value, and how far back.
	looksUp(s *Spec) (paths []string, back time.Duration)
}

// Setting is one name of a kind's settings.
type Setting struct {
	Name     string
	Required bool
	Doc      string // what it means, with its default
}

// Kinds lists them in the order that documentation shows them.
func Kinds() []Kind {
	return []Kind{frequency{}, spike{}, flatline{}, newTerm{}, cardinality{}, percentage{}, change{}}
}

// KindOf finds a kind by its name, nil when there is none.
func KindOf(name string) Kind {
	for _, k := range Kinds() {
		if k.Name() == name {
			return k
		}
	}
	return nil
}

// Problem is one mistake in a window: where, as a JSON pointer relative to it,
// and what was expected.
type Problem struct{ Pointer, Message string }

// Bounds of settings. A window shorter than a second would have more windows
// than events; one longer than 90 days outlives the events of any retention
// that is used.
const (
	shortest = time.Second
	longest  = 90 * 24 * time.Hour
	// maxSettle: an alert a day late is of no use to anybody.
	maxSettle = 24 * time.Hour
	maxPaths  = 8
	maxPath   = 256
)

// SettleDefault is how long after its end a window that late events can change
// is decided.
const SettleDefault = 30 * time.Second

// Check names everything that is wrong with a window, but for the condition in
// match.
func (s *Spec) Check() []Problem {
	var found []Problem
	refuse := func(setting, format string, args ...any) {
		found = append(found, Problem{"/" + setting, fmt.Sprintf(format, args...)})
	}
	kind := KindOf(s.Kind)
	if kind == nil {
		names := make([]string, len(Kinds()))
		for i, k := range Kinds() {
			names[i] = k.Name()
		}
		refuse("kind", "must be one of %s", strings.Join(names, ", "))
		return found
	}
	settings := kind.Settings()
	for _, g := range s.given() {
		takes := slices.IndexFunc(settings, func(t Setting) bool { return t.Name == g.name })
		switch {
		case g.set && takes < 0:
			refuse(g.name, "a %s rule has no such setting", s.Kind)
		case !g.set && takes >= 0 && settings[takes].Required:
			refuse(g.name, "is missing; a %s rule needs it", s.Kind)
		}
	}
	s.checkShared(refuse)
	kind.check(s, refuse)
	return found
}

// checkShared checks the settings that mean the same in all kinds.
func (s *Spec) checkShared(refuse func(setting, format string, args ...any)) {
	if len(s.GroupBy) > maxPaths {
		refuse("group_by", "must be at most %d paths", maxPaths)
	}
	for i, p := range s.GroupBy {
		at := fmt.Sprintf("group_by/%d", i)
		if why := wrongPath(p); why != "" {
			refuse(at, "%s", why)
		} else if slices.Contains(s.GroupBy[:i], p) {
			refuse(at, "is there twice")
		}
	}
	if s.Field != "" {
		if why := wrongPath(s.Field); why != "" {
			refuse("field", "%s", why)
		}
	}
	for _, d := range []struct {
		name  string
		value interval.Duration
	}{{"timeframe", s.Timeframe}, {"terms_window", s.TermsWindow}} {
		if d.value != 0 && (d.value.Std() < shortest || d.value.Std() > longest) {
			refuse(d.name, "must be %s to %s", interval.Duration(shortest), interval.Duration(longest))
		}
	}
	if s.Settle != nil && (s.Settle.Std() < 0 || s.Settle.Std() > maxSettle) {
		refuse("settle", "must be 0s to %s", interval.Duration(maxSettle))
	}
}

// wrongPath says what is wrong with a field's path, "" when it is one.
func wrongPath(p string) string {
	if len(p) > maxPath {
		return fmt.Sprintf("must be at most %d characters", maxPath)
	}
	for part := range strings.SplitSeq(p, ".") {
		if part == "" || part[0] == '$' || strings.ContainsRune(part, 0) {
			return "must be the path of a field, such as user_id or payload.shop"
		}
	}
	return ""
}

type given struct {
	name string
	set  bool
}

// given says which settings the rule has; zero is as good as absent.
func (s *Spec) given() []given {
	return []given{
		{"timeframe", s.Timeframe != 0},
		{"settle", s.Settle != nil},
		{"num_events", s.NumEvents != 0},
		{"spike_height", s.SpikeHeight != 0},
		{"spike_type", s.SpikeType != ""},
		{"threshold_ref", s.ThresholdRef != 0},
		{"threshold_cur", s.ThresholdCur != 0},
		{"threshold", s.Threshold != 0},
		{"forget_keys", s.ForgetKeys},
		{"field", s.Field != ""},
		{"terms_window", s.TermsWindow != 0},
		{"ignore_null", s.IgnoreNull},
		{"match", len(s.Match) > 0},
		{"min", s.Min != nil},
		{"max", s.Max != nil},
		{"min_denominator", s.MinDenominator != 0},
	}
}

// LooksUp are the paths whose values a rule looks for among its condition's
// events, and how far back; none when it reads all events of its windows.
func (s *Spec) LooksUp() (paths []string, back time.Duration) {
	kind := KindOf(s.Kind)
	if kind == nil {
		return nil, 0
	}
	return kind.looksUp(s)
}

func (s *Spec) settle() time.Duration {
	if s.Settle == nil {
		return SettleDefault
	}
	return s.Settle.Std()
}

// Settings that several kinds share.
var (
	timeframeSetting = Setting{Name: "timeframe", Required: true, Doc: "length of a window"}
	settleSetting    = Setting{Name: "settle", Doc: "how long after its end a window is decided (30s)"}
)
