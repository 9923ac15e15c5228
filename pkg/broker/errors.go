package broker

import "fmt"

// outageError is RabbitMQ being away, or not answering in time.
type outageError struct {
	op    string
	cause error // what is wrong with the broker, may be nil
	ended error // why waiting ended, may be nil
}

func (e *outageError) Error() string {
	switch {
	case e.cause != nil && e.ended != nil:
		return fmt.Sprintf("%s: %v (%v)", e.op, e.cause, e.ended)
	case e.cause != nil:
		return fmt.Sprintf("%s: %v", e.op, e.cause)
	default:
		return fmt.Sprintf("%s: %v", e.op, e.ended)
	}
}

func (e *outageError) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.cause, e.ended} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// Outage makes IsOutage true.
func (*outageError) Outage() bool { return true }

// Class names the error for dead letters.
func (*outageError) Class() string { return "broker_unavailable" }

// UnroutableError is a mandatory message that no queue would take, or whose
// exchange does not exist.
type UnroutableError struct {
	Exchange, RoutingKey string
	Reason               string // the broker's words
}

func (e *UnroutableError) Error() string {
	return fmt.Sprintf("no queue takes key %q from exchange %q: %s", e.RoutingKey, e.Exchange, e.Reason)
}

// Class names the error for dead letters.
func (*UnroutableError) Class() string { return "unroutable" }

// RefusedError is a message that cannot be published as it is: the broker
// answered it by closing the channel, or AMQP has no encoding for it.
type RefusedError struct {
	Exchange, RoutingKey string
	Reason               string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("message with key %q for exchange %q cannot be published: %s", e.RoutingKey, e.Exchange, e.Reason)
}

// Class names the error for dead letters.
func (*RefusedError) Class() string { return "refused" }
