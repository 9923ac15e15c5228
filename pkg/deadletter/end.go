package deadletter

import (
	"fmt"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

const (
	typeEnd  = "dead-letter-end"
	typeBSON = "application/bson"
)

// end is the message that tells the recorder that a dead letter was replayed or
// purged. It goes by the retry exchange, whose keys lead to one queue each, and
// carries the whole record: the recorder may not have seen the dead letter yet.
// Nobody has to listen: a replay must not fail for want of a record.
func (q *Queue) end(r Record) broker.Message {
	recorder := q.table.Work(topology.DeadLetters)
	body, err := bson.Marshal(r)
	if err != nil { // not by anything that Read leaves in a record
		r.Headers = nil
		body, _ = bson.Marshal(r)
	}
	return broker.Message{
		Exchange: recorder.RetryExchange, RoutingKey: recorder.Name, Optional: true,
		ContentType: typeBSON, Type: typeEnd, MessageID: r.ID, Body: body,
	}
}

// End reads the message of a dead letter's end.
func End(m broker.Message) (r Record, err error) {
	if m.Type != typeEnd || m.ContentType != typeBSON {
		return r, fmt.Errorf("message %q of type %q is neither a dead letter nor the end of one", m.MessageID, m.Type)
	}
	if err := bson.Unmarshal(m.Body, &r); err != nil {
		return r, fmt.Errorf("decode the end of dead letter %q: %w", m.MessageID, err)
	}
	return r, nil
}
