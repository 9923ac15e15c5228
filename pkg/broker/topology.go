package broker

import "strings"

// Topology is what must exist on the broker, all of it durable.
type Topology struct {
	Exchanges []Exchange
	Queues    []Queue
	Bindings  []Binding
}

// Exchange is one durable exchange.
type Exchange struct{ Name, Kind string }

// Queue is one durable queue with its arguments.
type Queue struct {
	Name string
	Args map[string]any
}

// Binding leads a routing key of an exchange to a queue.
type Binding struct{ Exchange, Key, Queue string }

// Difference is one way in which a broker is not as the topology says.
type Difference struct {
	Object string // "queue ingester.events", "exchange events"
	Detail string // what differs, in the broker's words
	Advice string // what to do about it
}

func (d Difference) String() string { return d.Object + ": " + d.Detail + "; " + d.Advice }

// DifferenceError is a Declare that met objects declared differently before.
type DifferenceError struct{ Differences []Difference }

func (e *DifferenceError) Error() string {
	texts := make([]string, len(e.Differences))
	for i, d := range e.Differences {
		texts[i] = d.String()
	}
	return "topology differs from the broker's: " + strings.Join(texts, "; ")
}

// Advice by what was met.
const (
	adviceQueue = "arguments of a queue cannot be changed: stop the services, let the queue run empty or move its messages " +
		"(a shovel, or eactl dlq export), delete it, and start again; or use another EA_BROKER_PREFIX"
	adviceExchange = "delete the exchange (its bindings go with it) and start again, or use another EA_BROKER_PREFIX"
	adviceMissing  = "start any of the services, which declare what is missing, or import the definitions (eactl topology export)"
)
