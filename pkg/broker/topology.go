package broker

import "strings"

// Topology is what must exist on the broker, all of it durable.
type Topology struct {
	Exchanges []Exchange `json:"exchanges"`
	Queues    []Queue    `json:"queues"`
	Bindings  []Binding  `json:"bindings"`
}

// Exchange is one durable exchange.
type Exchange struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
}

// Queue is one durable queue with its arguments.
type Queue struct {
	Name string         `json:"name"`
	Args map[string]any `json:"arguments"`
}

// Binding leads a routing key of an exchange to a queue.
type Binding struct {
	Exchange string `json:"exchange"`
	Key      string `json:"key"`
	Queue    string `json:"queue"`
}

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
