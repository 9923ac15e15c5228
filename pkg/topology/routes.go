package topology

import (
	"encoding/json"
	"fmt"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// Route is one kind of message between processes: producer and consumer share
// its exchange, key, identity and encoding.
type Route[T any] struct {
	Exchange    string // with prefix
	ContentType string
	Key         func(T) string
	ID          func(T) string // MessageID: the same for every repeat
	Optional    bool           // nobody has to listen
	Compressed  bool           // large bodies travel compressed

	marshal   func(T) ([]byte, error)
	unmarshal func([]byte) (T, error)
}

// Encode makes the message that carries v.
func (r Route[T]) Encode(v T) (broker.Message, error) {
	body, err := r.marshal(v)
	if err != nil {
		return broker.Message{}, fmt.Errorf("encode message %s for %s: %w", r.ID(v), r.Exchange, err)
	}
	m := broker.Message{
		Exchange: r.Exchange, RoutingKey: r.Key(v), ContentType: r.ContentType,
		MessageID: r.ID(v), Body: body, Optional: r.Optional,
	}
	if r.Compressed && len(body) >= compressFrom {
		m.Body, m.ContentEncoding = compress(body), encodingSnappy
	}
	return m, nil
}

// Decode is Encode's inverse. An error is permanent: the bytes do not change.
func (r Route[T]) Decode(m broker.Message) (T, error) {
	if m.ContentType != r.ContentType {
		var none T
		return none, broker.Permanent(&Malformed{fmt.Errorf("message %q in %s has content type %q, not %s", m.MessageID, r.Exchange, m.ContentType, r.ContentType)})
	}
	var v T
	body, err := Plain(m)
	if err == nil {
		v, err = r.unmarshal(body)
	}
	if err != nil {
		return v, broker.Permanent(&Malformed{fmt.Errorf("decode message %q of %s: %w", m.MessageID, r.Exchange, err)})
	}
	return v, nil
}

// Malformed is why a message cannot be what its route carries: no process of
// ours has sent it.
type Malformed struct{ Err error }

func (e *Malformed) Error() string { return e.Err.Error() }
func (e *Malformed) Unwrap() error { return e.Err }

// Class names the error for dead letters.
func (*Malformed) Class() string { return "malformed_message" }

const (
	typeBSON = "application/bson"
	typeJSON = "application/json"
)

// Stored carries a stored batch, documents included.
func (t Table) Stored() Route[event.Batch] {
	return Route[event.Batch]{
		Exchange: t.prefix + ExchangeStored, ContentType: typeBSON,
		Key: func(b event.Batch) string {
			if b.Critical() {
				return KeyStoredCritical
			}
			return KeyStoredNormal
		},
		ID:         func(b event.Batch) string { return b.ID },
		Compressed: true,
		marshal:    event.Batch.MarshalBSON,
		unmarshal: func(body []byte) (b event.Batch, err error) {
			err = b.UnmarshalBSON(body)
			return b, err
		},
	}
}

// Actions carries one delivery order to the dispatcher's queue that it names.
func (t Table) Actions() Route[notification.Message] {
	return Route[notification.Message]{
		Exchange: t.prefix + ExchangeActions, ContentType: typeBSON,
		Key:     func(m notification.Message) string { return m.Notification.Queue },
		ID:      func(m notification.Message) string { return m.Notification.ID },
		marshal: marshalBSON[notification.Message], unmarshal: unmarshalBSON[notification.Message],
	}
}

// Control is a hint to all processes: something of that kind changed.
type Control struct {
	Kind string `json:"kind"` // the routing key, e.g. KeyRulesChanged
	ID   string `json:"id,omitempty"`
}

// Control carries hints; a process that does not listen misses nothing that it
// would not find by itself.
func (t Table) Control() Route[Control] {
	return Route[Control]{
		Exchange: t.prefix + ExchangeControl, ContentType: typeJSON, Optional: true,
		Key:       func(c Control) string { return c.Kind },
		ID:        func(c Control) string { return c.ID },
		marshal:   func(c Control) ([]byte, error) { return json.Marshal(c) },
		unmarshal: func(b []byte) (c Control, err error) { return c, json.Unmarshal(b, &c) },
	}
}

func marshalBSON[T any](v T) ([]byte, error) { return bson.Marshal(v) }

func unmarshalBSON[T any](b []byte) (v T, err error) {
	err = bson.Unmarshal(b, &v)
	return v, err
}
