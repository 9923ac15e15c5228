// Package logaction is the action type LOG: a structured line in the
// dispatcher's audit log.
package logaction

import (
	_ "embed"
	"strings"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// Config is a checked configuration.
type Config struct {
	Level   string // debug, info, warn or error
	message *action.Template
}

// Parse reads {level?, message?, queue?} and names everything that is wrong with it.
func Parse(config bson.Raw) (Config, []action.Problem) {
	r := action.NewReader(config)
	c := Config{
		Level:   r.OneOf("level", "info", "debug", "info", "warn", "error"),
		message: r.Template("message"),
	}
	r.Queue()
	return c, r.Problems()
}

// Render is the line for one notification.
func (c Config) Render(msg notification.Message) (level, text string, err error) {
	if c.message == nil {
		return c.Level, msg.Notification.Summary(), nil
	}
	line, err := c.message.Render(msg)
	return c.Level, strings.TrimSpace(string(line)), err
}

// Type is the entry for the table of action types.
type Type struct{}

// Name is LOG.
func (Type) Name() string { return "LOG" }

// Doc is one line for documentation.
func (Type) Doc() string {
	return "LOG {level?, message?, queue?}: a structured line in the dispatcher's audit log; level is debug, info (default), warn or error, message a Go template."
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

// Queue is the configuration's, else the notifications'.
func (Type) Queue(config bson.Raw, severity, priority int) string {
	return action.QueueOf(config, "notifications", severity, priority)
}

// Mask returns the configuration as it is: it holds no secret.
func (Type) Mask(config bson.Raw) bson.Raw { return config }

// Restore returns the configuration as it is: nothing was masked.
func (Type) Restore(config, _ bson.Raw) bson.Raw { return config }
