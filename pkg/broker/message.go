package broker

import "time"

// Message is one message as a producer gives it and a consumer sees it. A
// published message is always persistent. Body and Headers belong to the
// broker package from Publish on, also when Publish ended with ctx's error:
// do not write into them afterwards.
type Message struct {
	Exchange, RoutingKey string

	ContentType     string
	ContentEncoding string
	MessageID       string
	CorrelationID   string
	Type            string
	AppID           string
	ReplyTo         string // as the producer set it; never set on a message that is published again
	UserID          string // likewise: the broker refuses a user id that is not the connection's own
	Priority        uint8
	Timestamp       time.Time // whole seconds travel; zero when absent
	Headers         map[string]any
	Body            []byte

	// Optional publishes without the mandatory flag: no queue has to take it.
	Optional bool
}
