// Package publish is the action type PUBLISH: a message back to RabbitMQ, for
// other services or as a new event of our own. The package is pure; the
// dispatcher publishes.
package publish

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/action/webhook"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// Config is a checked configuration.
type Config struct {
	Exchange string
	// Optional: it is no failure when no queue takes the message.
	Optional   bool
	routingKey *action.Template
	body       *action.Template
}

// PublicExchange is the one that events are published to; what goes there
// becomes an event.
const PublicExchange = "events"

// maxName is AMQP's bound of exchange names and routing keys, in bytes.
const maxName = 255

// Parse reads {exchange, routing_key, body?, mandatory?, retry?, queue?} and names
// everything that is wrong with it.
func Parse(config bson.Raw) (Config, []action.Problem) {
	r := action.NewReader(config)
	c := Config{Exchange: r.Text("exchange", ""), routingKey: r.Template("routing_key"), body: r.Template("body")}
	r.Queue()
	r.Schedule()
	checkExchange(r, c.Exchange)
	if v, there := r.Get("mandatory"); there {
		mandatory, ok := v.BooleanOK()
		if !ok {
			r.Refuse("/mandatory", "must be true or false")
		}
		c.Optional = !mandatory
	}
	if _, there := r.Get("routing_key"); !there {
		r.Refuse("/routing_key", "is missing")
	}
	if _, there := r.Get("body"); !there && c.Exchange == PublicExchange {
		r.Refuse("/body", noBody)
	}
	return c, r.Problems()
}

// AsEvents is the configuration when its exchange is the public one by its full
// name: the loop guard holds there as well. An error is permanent.
func (c Config) AsEvents() (Config, error) {
	if c.body == nil {
		return c, errors.New("body " + noBody)
	}
	c.Exchange = PublicExchange
	return c, nil
}

const noBody = "is missing: a new event, as {\"type\": \"…\", \"source\": \"…\"}; the one that matched is stored already"

// checkExchange refuses the product's own inner exchanges, where a foreign
// message would be a forgery (those with a prefix are a question to the
// configuration, see References), and the default exchange, whose keys are queues.
func checkExchange(r *action.Reader, name string) {
	const at = "/exchange"
	switch {
	case name == "":
		r.Refuse(at, "is missing: events for a new event, or the exchange of another service")
	case len(name) > maxName || strings.ContainsFunc(name, isControl):
		r.Refuse(at, "must be at most %d bytes without control characters", maxName)
	case strings.HasPrefix(name, "ea."):
		r.Refuse(at, "is one of our own: ea.… carries the pipeline's messages")
	}
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// RoutingKey is the message's key. An error is permanent.
func (c Config) RoutingKey(msg notification.Message) (string, error) {
	out, err := c.routingKey.Render(msg)
	if err != nil {
		return "", fmt.Errorf("routing_key: %w", err)
	}
	key := strings.TrimSpace(string(out))
	if len(key) > maxName || strings.ContainsFunc(key, isControl) {
		return "", fmt.Errorf("routing_key: the template gave more than %d bytes, or control characters", maxName)
	}
	return key, nil
}

// Body is the message's body, and whether it is JSON. An error is permanent.
// To the public exchange it is a new event: an object that carries hops and
// caused_by in its metadata, for the loop guard, and an event_id that a repeat
// has as well, so that it is a duplicate.
func (c Config) Body(msg notification.Message, hops int) (body []byte, isJSON bool, err error) {
	if c.body == nil {
		body, err = webhook.DefaultBody(msg)
		return body, true, err
	}
	if body, err = c.body.Render(msg); err != nil {
		return nil, false, fmt.Errorf("body: %w", err)
	}
	if c.Exchange != PublicExchange {
		return body, json.Valid(body), nil
	}
	body, err = asEvent(body, msg, hops)
	return body, true, err
}

// idNamespace makes the ids of published events distinct from all other UUIDv5s.
var idNamespace = uuid.MustParse("c1c1a3de-6a0b-5b63-8d4b-0d2f6f0d7a52")

func asEvent(body []byte, msg notification.Message, hops int) ([]byte, error) {
	var e map[string]json.RawMessage
	if err := json.Unmarshal(body, &e); err != nil || e == nil {
		return nil, errors.New("body: the template gave no JSON object, but what goes to events must be an event")
	}
	metadata := map[string]json.RawMessage{}
	if given, there := e["metadata"]; there {
		if err := json.Unmarshal(given, &metadata); err != nil || metadata == nil {
			return nil, errors.New("body: metadata must be an object")
		}
	}
	metadata["hops"] = json.RawMessage(strconv.Itoa(hops))
	var err error
	if metadata["caused_by"], err = json.Marshal(msg.Notification.EventID); err != nil {
		return nil, err
	}
	if e["metadata"], err = json.Marshal(metadata); err != nil {
		return nil, err
	}
	if _, there := e["event_id"]; !there {
		e["event_id"] = json.RawMessage(strconv.Quote(uuid.NewSHA1(idNamespace, []byte(msg.Notification.ID)).String()))
	}
	return json.Marshal(e)
}

// Type is the entry for the table of action types.
type Type struct{}

// Name is PUBLISH.
func (Type) Name() string { return "PUBLISH" }

// Doc is one line for documentation.
func (Type) Doc() string {
	return "PUBLISH {exchange, routing_key, body?, mandatory?, retry?, queue?}: a message to RabbitMQ. routing_key and body are Go templates; the body is by default what a webhook gets. To the exchange events it is a new event, marked as caused by this one (after 8 such hops it is no longer matched). An exchange that does not exist, or (unless mandatory is false) a message that no queue takes, is tried again."
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

// References is the exchange, which must be none of our own.
func (Type) References(config bson.Raw) []action.Reference {
	c, problems := Parse(config)
	if problems != nil {
		return nil
	}
	return []action.Reference{{Kind: action.KindInnerExchange, Name: c.Exchange, Pointer: "/exchange", Refused: true}}
}

// Queue is the configuration's, else the notifications'.
func (Type) Queue(config bson.Raw, severity, priority int) string {
	return action.QueueOf(config, "notifications", severity, priority)
}

// Mask returns the configuration as it is: it holds no secret.
func (Type) Mask(config bson.Raw) bson.Raw { return config }

// Restore returns the configuration as it is: nothing was masked.
func (Type) Restore(config, _ bson.Raw) bson.Raw { return config }
