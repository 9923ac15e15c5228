// Package decision is what the rules say about stored batches: which events
// matched, and which notifications are now owed. It is what a rule-worker
// commits in one transaction.
package decision

import (
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// Batch is the decision about one batch. Batches are decided once each, and
// may be committed several at a time.
type Batch struct {
	event.Batch

	RulesStamp int64 // of the rules that decided
	Matches    []event.Match
	Owed       []Owed
	Excesses   []Excess
}

// Owed is one notification with the event that its delivery carries, and the
// rule that may still hold it back.
type Owed struct {
	notification.Notification

	Event bson.Raw
	Rule  *rule.Rule
	Due   string // the due slot that the alert was found in; empty: none
	Place int    // of the action in the rule
}

// Messages are the delivery orders of what is pending.
func Messages(batches []Batch) []notification.Message {
	var messages []notification.Message
	for _, b := range batches {
		messages = appendMessages(messages, b.Owed)
	}
	return messages
}

// MessagesOf are the delivery orders of what is pending.
func MessagesOf(owed []Owed) []notification.Message { return appendMessages(nil, owed) }

func appendMessages(messages []notification.Message, owed []Owed) []notification.Message {
	for _, o := range owed {
		if o.Status == notification.Pending {
			messages = append(messages, notification.Message{Notification: o.Notification, Event: o.Event, Attempt: 1})
		}
	}
	return messages
}
