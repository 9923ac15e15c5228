package rule

import (
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
)

// Throttle lets one notification of a key through and holds the others back
// for a while.
type Throttle struct {
	// Per are the paths whose values make the key; none: the whole rule is one.
	Per []string `bson:"per,omitempty" json:"per,omitempty"`
	// For is how long others are held back after one was let through.
	For interval.Duration `bson:"for" json:"for"`
	// Max lets For double, up to it, while matches keep coming; zero does not.
	Max interval.Duration `bson:"max,omitempty" json:"max,omitempty"`
}

// Group makes one notification of many matches. The words mean what they mean
// in Alertmanager: group_by, group_wait, group_interval, repeat_interval.
type Group struct {
	// By are the paths whose values make the group; none: the whole rule is one.
	By []string `bson:"by,omitempty" json:"by,omitempty"`
	// Wait is from the first match of a new group to its notification.
	Wait interval.Duration `bson:"wait" json:"wait"`
	// Interval is from one notification to the next when something new came.
	Interval interval.Duration `bson:"interval" json:"interval"`
	// Repeat is the same when only more of what was notified came.
	Repeat interval.Duration `bson:"repeat" json:"repeat"`
	// Identity are the paths whose values tell something new from more of the
	// same; none: type and source.
	Identity []string `bson:"identity,omitempty" json:"identity,omitempty"`
}

// What a group that says nothing of them has, as in Alertmanager.
const (
	groupWait     = interval.Duration(30 * time.Second)
	groupInterval = interval.Duration(5 * time.Minute)
	groupRepeat   = interval.Duration(4 * time.Hour)
)

// Mute is a weekly time in which a rule's notifications are held back.
type Mute struct {
	Days     []string `bson:"days,omitempty" json:"days,omitempty"` // monday … sunday; none: every day
	From     string   `bson:"from" json:"from"`                     // 22:00
	To       string   `bson:"to" json:"to"`                         // exclusive; earlier than From: on the next day; 24:00 is midnight
	TimeZone string   `bson:"time_zone,omitempty" json:"time_zone,omitempty"`
}
