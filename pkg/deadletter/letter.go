// Package deadletter looks after dead letters: it says what is in them, selects,
// groups, replays and purges them. The messages live in RabbitMQ, which is all
// that it needs; what became of them reaches MongoDB's records by a message of
// its own, so nothing of that is forgotten while MongoDB is away.
package deadletter

import (
	"strings"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// Record is what is kept of a dead letter in MongoDB, and how it is shown.
type Record = store.DeadLetterRecord

// Letter is one dead letter with what can be told about it.
type Letter struct {
	Record

	message  *broker.DeadLetter
	document bson.Raw // the whole body with its secrets, nil when it is none
	shown    []byte   // the body without secrets, nil when they cannot be told
}

const (
	maxRecordBody = 64 << 10
	maxRecordText = 1024 // of any text in a record, as of x-ea-error
)

// Read says what it can about a dead letter. prefix is the topology's; now
// stands for the time of death where nothing tells it. It never fails: what
// cannot be told is left out.
func Read(d *broker.DeadLetter, prefix string, now time.Time) *Letter {
	l := bare(d, prefix, now, nil)
	l.readRest()
	return l
}

// readRest looks at the body and the producer's headers, too.
func (l *Letter) readRest() {
	d := l.message
	var c content // of a body that is not what it says, nothing
	if body, err := topology.Plain(d.Message); err == nil {
		c, l.BodySize = readBody(d.ContentType, body), len(body)
	}
	l.document, l.shown = c.document, c.shown
	l.EventID, l.NotificationID, l.RuleID, l.Target = clean(c.eventID), clean(c.notificationID), clean(c.ruleID), clean(c.target)
	for _, t := range c.eventTypes {
		l.EventTypes = append(l.EventTypes, clean(t))
	}
	l.Headers = plainHeaders(d.Headers)
	l.Body = c.shown[:min(len(c.shown), maxRecordBody)]
}

// Bare is Read without a look at the body and the producer's headers: it holds
// nothing that a database could refuse.
func Bare(d *broker.DeadLetter, prefix string, now time.Time) *Letter {
	return bare(d, prefix, now, nil)
}

func bare(d *broker.DeadLetter, prefix string, now time.Time, known *causes) *Letter {
	r := Record{
		ID: clean(d.ID), Queue: strings.TrimPrefix(clean(d.Queue), prefix),
		Reason: clean(d.Reason), ErrorClass: clean(d.ErrorClass), Error: clean(d.Error),
		Exchange: clean(d.Exchange), RoutingKey: clean(d.RoutingKey), MessageID: clean(d.MessageID), ContentType: clean(d.ContentType),
		DeadAt: millis(d.DeadAt), Attempts: d.Attempts, ByBroker: d.ByBroker, BodySize: len(d.Body),
	}
	if r.DeadAt.IsZero() {
		r.DeadAt = millis(now)
	}
	if !d.FirstFailedAt.IsZero() {
		first := millis(d.FirstFailedAt)
		r.FirstFailedAt = &first
	}
	of := known.of(r.ErrorClass, r.Error)
	r.Cause, r.Fingerprint = of.cause, of.fingerprint
	return &Letter{Record: r, message: d}
}

// millis is a time as MongoDB keeps it.
func millis(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// clean makes a text that comes from anywhere one that can be stored and
// printed: valid UTF-8, without NUL, and of bounded length.
func clean(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) <= maxRecordText {
		return s
	}
	n := maxRecordText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
