package rule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
)

// Bounds of what holds notifications back. A key is read from every match, and
// a length of time beyond a quarter of a year is a mistake in writing it.
const (
	maxKeyPaths  = 10
	shortestHold = interval.Duration(time.Second)
	longestHold  = interval.Duration(90 * 24 * time.Hour)
	mostMatches  = 1_000_000
	maxMutes     = 50
)

// validateNoise checks what holds the rule's notifications back.
func (r *Rule) validateNoise(refuse func(pointer, format string, args ...any)) {
	if t := r.Throttle; t != nil {
		validateKey("/throttle/per", t.Per, refuse)
		validateLength("/throttle/for", t.For, shortestHold, refuse)
		if t.Max != 0 && t.Max < t.For {
			refuse("/throttle/max", "%s is shorter than for, %s", t.Max, t.For)
		} else if t.Max > longestHold {
			refuse("/throttle/max", "must be at most %s", longestHold)
		}
	}
	if g := r.Group; g != nil {
		validateKey("/group/by", g.By, refuse)
		validateKey("/group/identity", g.Identity, refuse)
		validateLength("/group/wait", g.Wait, 0, refuse)
		validateLength("/group/interval", g.Interval, shortestHold, refuse)
		validateLength("/group/repeat", g.Repeat, shortestHold, refuse)
		if g.Repeat < g.Interval {
			refuse("/group/repeat", "%s is shorter than interval, %s", g.Repeat, g.Interval)
		}
	}
	if len(r.Mute) > maxMutes {
		refuse("/mute", "must be at most %d", maxMutes)
	}
	for i, m := range r.Mute {
		for _, p := range m.check(func(muteTime) {}) {
			refuse("/mute/"+strconv.Itoa(i)+p.Pointer, "%s", p.Message)
		}
	}
	if r.MaxMatchesPerHour > mostMatches {
		refuse("/max_matches_per_hour", "must be at most %d; 0 is no bound", mostMatches)
	}
}

func validateLength(at string, d, least interval.Duration, refuse func(pointer, format string, args ...any)) {
	if d < least || d > longestHold {
		refuse(at, "must be from %s to %s", least, longestHold)
	}
}

func validateKey(at string, paths []string, refuse func(pointer, format string, args ...any)) {
	if len(paths) > maxKeyPaths {
		refuse(at, "must be at most %d paths", maxKeyPaths)
	}
	for i, p := range paths {
		switch here := fmt.Sprintf("%s/%d", at, i); {
		case !isPath(p):
			refuse(here, "%q is no path of an event, such as user_id or payload.shop", p)
		case slices.Contains(paths[:i], p):
			refuse(here, "%q is there twice", p)
		}
	}
}

// isPath says whether a field of an event can have that path.
func isPath(p string) bool {
	for s := range strings.SplitSeq(p, ".") {
		if s == "" || s[0] == '$' || strings.ContainsRune(s, 0) {
			return false
		}
	}
	return len(p) <= 512
}
