package decision

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// Throttle is a document of the collection `throttles`: how one key of a rule
// stands. It belongs to the rule in all its versions.
type Throttle struct {
	ID       string    `bson:"_id"`
	RuleID   string    `bson:"rule_id"`
	Key      bson.Raw  `bson:"key,omitempty"` // for readers
	PassedAt time.Time `bson:"passed_at"`     // when the last match was let through
	Until    time.Time `bson:"until"`         // others are held until then
	Level    int       `bson:"level"`         // how often the hold was doubled
	// Suppressed is how many matches were held since PassedAt. It is counted
	// after the commit that held them, so a worker that dies leaves it too low;
	// the notifications themselves are exact.
	Suppressed int       `bson:"suppressed"`
	ExpiresAt  time.Time `bson:"expires_at"`
}

// keyShown bounds the keys that are stored for readers; the identity has the
// whole key in it.
const keyShown = 1 << 10

func throttleID(ruleID string, key bson.Raw) string {
	h := sha256.New()
	fmt.Fprintf(h, "throttle\x00%s\x00", ruleID)
	h.Write(key)
	return "thr_" + hex.EncodeToString(h.Sum(nil)[:16])
}

// keptLonger is how long a document that means nothing any more stays for
// people who look.
const keptLonger = time.Hour

// pass lets a match through at a time that is not before Until, and says how
// long the next ones are held:
//
// Without Max always For. With it, a hold is For doubled Level times, Max at
// most. A match that comes sooner after the end of a hold than that hold was
// long raises the level; a quiet time lowers it, by one for each such length,
// always of the level it has come down to.
func (t Throttle) pass(spec *rule.Throttle, at time.Time) Throttle {
	if spec.Max > 0 && !t.Until.IsZero() {
		t.Level = levelAfter(spec, t.Level, at.Sub(t.Until))
	} else {
		t.Level = 0
	}
	t.PassedAt, t.Suppressed = at, 0
	t.Until = at.Add(hold(spec, t.Level))
	// By then even an exponential throttle has come down to level 0: the lengths
	// of all levels together are less than twice the longest.
	t.ExpiresAt = t.Until.Add(2*hold(spec, t.Level) + keptLonger)
	return t
}

func levelAfter(spec *rule.Throttle, level int, quiet time.Duration) int {
	if quiet < hold(spec, level) {
		if hold(spec, level) < spec.Max.Std() {
			level++
		}
		return level
	}
	for level > 0 && quiet >= hold(spec, level) {
		quiet -= hold(spec, level)
		level--
	}
	return level
}

// hold is how long a throttle of that level holds.
func hold(spec *rule.Throttle, level int) time.Duration {
	d := spec.For.Std()
	if spec.Max == 0 {
		return d
	}
	for range level {
		if d >= spec.Max.Std()/2 {
			return spec.Max.Std()
		}
		d *= 2
	}
	return min(d, spec.Max.Std())
}
