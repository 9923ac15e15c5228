package decision

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// Group is a document of the collection `groups`: the matches of one version of
// a rule that have one key, and when they will be told. The words mean what they
// mean in Alertmanager.
//
// A new group is told Wait after its first match. From then on, something that
// was not told before (by the values at the paths Identity) is told Interval
// after the notification before, and more of the same Repeat after it; both not
// before Wait has passed since, so that what comes together is told together. A
// group in which nothing came for Repeat is forgotten.
type Group struct {
	ID          string   `bson:"_id"`
	RuleID      string   `bson:"rule_id"`
	RuleVersion int      `bson:"rule_version"`
	Key         bson.Raw `bson:"key"`
	// BornAt tells this group from one of the same key that was forgotten.
	BornAt time.Time `bson:"born_at"`

	// What came since the last notification.
	Matches int                  `bson:"matches"`
	Samples []string             `bson:"samples"`            // event ids, the newest last
	Alerts  []notification.Alert `bson:"alerts,omitempty"`   // of a rule with a window: those of the samples
	FirstAt *time.Time           `bson:"first_at,omitempty"` // of the events
	LastAt  *time.Time           `bson:"last_at,omitempty"`
	Fresh   []int64              `bson:"fresh,omitempty"` // identities that were not told
	FlushAt *time.Time           `bson:"flush_at,omitempty"`

	// What was told.
	Sequence   int        `bson:"sequence"` // of the last notification, 0: none yet
	Notified   []int64    `bson:"notified,omitempty"`
	NotifiedAt *time.Time `bson:"notified_at,omitempty"`

	ExpiresAt *time.Time `bson:"expires_at,omitempty"` // only while nothing waits
}

const (
	// samplesKept is how many events a group's notification names.
	samplesKept = 10
	// identitiesKept bounds what a group remembers: beyond it, everything that it
	// does not know is new each time, and told after Interval.
	identitiesKept = 1000
)

// defaultIdentity tells events apart when a rule does not say how.
var defaultIdentity = []string{"type", "source"}

func groupID(r *rule.Rule, key bson.Raw) string {
	h := sha256.New()
	fmt.Fprintf(h, "group\x00%s\x00%d\x00", r.ID, r.Version)
	h.Write(key)
	return "grp_" + hex.EncodeToString(h.Sum(nil)[:16])
}

func newGroup(r *rule.Rule, key bson.Raw, at time.Time) Group {
	return Group{ID: groupID(r, key), RuleID: r.ID, RuleVersion: r.Version, Key: key, BornAt: at, Samples: []string{}}
}

// identity tells something new from more of the same.
func identity(spec *rule.Group, event bson.Raw) int64 {
	paths := spec.Identity
	if len(paths) == 0 {
		paths = defaultIdentity
	}
	sum := sha256.Sum256(rule.Key(event, paths))
	return int64(binary.LittleEndian.Uint64(sum[:]))
}

// add takes a match in.
func (g Group) add(spec *rule.Group, o *Owed) Group {
	at := o.CreatedAt
	who := identity(spec, o.Event)
	fresh := !slices.Contains(g.Notified, who)
	if fresh && !slices.Contains(g.Fresh, who) && len(g.Notified)+len(g.Fresh) < identitiesKept {
		g.Fresh = append(slices.Clone(g.Fresh), who)
	}
	g.Matches++
	g.Samples = append(slices.Clone(g.Samples[max(0, len(g.Samples)+1-samplesKept):]), o.EventID)
	if o.Alert != nil {
		g.Alerts = append(slices.Clone(g.Alerts[max(0, len(g.Alerts)+1-samplesKept):]), *o.Alert)
	}
	when := at
	if t, ok := o.Event.Lookup("timestamp").TimeOK(); ok {
		when = t
	}
	if g.FirstAt == nil || when.Before(*g.FirstAt) {
		g.FirstAt = &when
	}
	if g.LastAt == nil || when.After(*g.LastAt) {
		g.LastAt = &when
	}
	due := at.Add(spec.Wait.Std())
	if g.NotifiedAt != nil {
		after := spec.Repeat.Std()
		if fresh {
			after = spec.Interval.Std()
		}
		if earliest := g.NotifiedAt.Add(after); earliest.After(due) {
			due = earliest
		}
	}
	if g.FlushAt == nil || due.Before(*g.FlushAt) {
		g.FlushAt = &due
	}
	g.ExpiresAt = nil
	return g
}

// Due says whether the group is to be told at that time.
func (g Group) Due(at time.Time) bool { return g.FlushAt != nil && !at.Before(*g.FlushAt) }

// Told is what the group's next notification says.
func (g Group) Told() notification.Group {
	told := notification.Group{ID: g.ID, Key: g.Key, BornAt: g.BornAt, Sequence: g.Sequence + 1, Matches: g.Matches, Samples: slices.Clone(g.Samples)}
	slices.Reverse(told.Samples)
	if g.FirstAt != nil && g.LastAt != nil {
		told.FirstAt, told.LastAt = *g.FirstAt, *g.LastAt
	}
	return told
}

// Sample is a match that a group's notification may speak of.
type Sample struct {
	EventID string
	Alert   *notification.Alert
}

// Newest are the samples, the newest first.
func (g Group) Newest() []Sample {
	all := make([]Sample, len(g.Samples))
	for i, id := range g.Samples {
		s := Sample{EventID: id}
		if i < len(g.Alerts) {
			s.Alert = &g.Alerts[i]
		}
		all[len(all)-1-i] = s
	}
	return all
}

// Flushed is the group after it was told by what it owed. If all of that was
// silenced or muted, nobody has heard of it: what comes next is as new as it was.
func (g Group) Flushed(spec *rule.Group, at time.Time, owed []Owed) Group {
	expires := at.Add(spec.Repeat.Std() + keptLonger)
	next := Group{ID: g.ID, RuleID: g.RuleID, RuleVersion: g.RuleVersion, Key: g.Key, BornAt: g.BornAt, Samples: []string{},
		Sequence: g.Sequence + 1, Notified: g.Notified, NotifiedAt: g.NotifiedAt, ExpiresAt: &expires}
	if len(owed) == 0 || slices.ContainsFunc(owed, heard) {
		next.Notified, next.NotifiedAt = slices.Concat(g.Notified, g.Fresh), &at
	}
	return next
}

// heard says whether somebody hears of what is owed, or would if its rule acted.
func heard(o Owed) bool {
	return o.Reason != notification.Silenced && o.Reason != notification.Muted
}

// GroupType is the type of the event that stands for a group of which no sample
// is stored any more.
const GroupType = "GROUP_OF_MATCHES"

// severityGroup is that of an ordinary warning: nobody knows the samples' own.
const severityGroup = 5

// GroupEvent stands for the samples of a group's notification when their
// retention is over, so that templates and webhooks see an event.
func GroupEvent(n notification.Notification) bson.Raw {
	payload := bson.D{{Key: "rule_id", Value: n.RuleID}}
	if n.Group.Key.Validate() == nil {
		payload = append(payload, bson.E{Key: "key", Value: n.Group.Key})
	}
	raw, err := bson.Marshal(bson.D{
		{Key: "event_id", Value: n.EventID}, {Key: "type", Value: GroupType}, {Key: "source", Value: Source},
		{Key: "severity", Value: int32(severityGroup)}, {Key: "timestamp", Value: n.Group.LastAt}, {Key: "payload", Value: payload},
	})
	if err != nil {
		panic("decision: an event of plain fields cannot be encoded: " + err.Error())
	}
	return raw
}
