package event

import (
	"errors"
	"time"
)

// Input is one message as the transport delivered it.
type Input struct {
	Body        []byte
	ContentType string
	Exchange    string
	RoutingKey  string
	MessageID   string
	AppID       string
	Timestamp   time.Time // the AMQP timestamp; zero when absent
	Headers     map[string]any
	Now         time.Time // when the message is judged; becomes created_at
}

// Options of a Decoder. Zero values mean the defaults.
type Options struct {
	Retention       time.Duration            // created_at to expires_at; default 30 days
	RetentionByType map[string]time.Duration // overrides by event type
	Region          string                   // metadata.region of events that name none
	Ingester        string                   // metadata.ingested_by
	SchemaDir       string                   // JSON Schemas as <TYPE>.json; empty or absent: none
	MaxBody         int                      // bytes; default 256 KiB
	MaxDepth        int                      // nesting of the body; default 32
	MaxFuture       time.Duration            // how far ahead of Now a timestamp may be; default 10 minutes
}

// Decoder turns messages into documents. It is immutable and safe for
// concurrent use.
type Decoder struct{ o Options }

// NewDecoder compiles the schemas; the error names every one that is bad.
func NewDecoder(o Options) (*Decoder, error) { return &Decoder{o: o}, nil }

// Decode returns the message's events – one, or several for a CloudEvents
// batch – or an *Invalid that names all that is wrong with it.
func (d *Decoder) Decode(in Input) ([]*Document, error) {
	return nil, errors.New("event: not built yet")
}
