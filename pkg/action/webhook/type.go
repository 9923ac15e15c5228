package webhook

import (
	_ "embed"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/action/outgoing"
)

// Type is the entry for the table of action types.
type Type struct{}

// Name is WEBHOOK.
func (Type) Name() string { return "WEBHOOK" }

// Doc is one line for documentation.
func (Type) Doc() string {
	return "WEBHOOK {url, method?, headers?, format?, body?, secret?, timeout?, retry?, queue?}: an HTTP request, signed by Standard Webhooks when there is a secret, by each of two while it is replaced. body is a Go template; without it format says what is sent: event (default: the event with rule and notification ids), alertmanager (its webhook body, version 4) or cloudevents (structured). Values of headers may be templates. method is POST (default), PUT, PATCH, GET or DELETE; timeout is 100ms to 60s, retry the waits before further attempts, as [\"1s\", \"10m\"] (out of 1s, 10s, 1m, 10m, 1h, 6h)."
}

//go:embed schema.json
var schema []byte

// Schema is the configuration's JSON Schema.
func (Type) Schema() []byte { return schema }

// Check names everything that is wrong with a configuration.
func (Type) Check(config bson.Raw) []action.Problem {
	_, problems := Parse(config)
	return problems
}

// Queue is the configuration's, else the webhooks'.
func (Type) Queue(config bson.Raw, severity, priority int) string {
	return action.QueueOf(config, "webhooks", severity, priority)
}

// Mask hides what may be secret, see outgoing.Mask.
func (Type) Mask(config bson.Raw) bson.Raw { return outgoing.Mask(config) }

// Restore puts the stored secrets back, see outgoing.Restore.
func (Type) Restore(config, stored bson.Raw) bson.Raw { return outgoing.Restore(config, stored) }
