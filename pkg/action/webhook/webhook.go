// Package webhook is the action type WEBHOOK: a signed HTTP request. The
// package is pure; the dispatcher makes the call.
package webhook

import (
	"net/http"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// Config is a checked configuration.
type Config struct {
	URL     string
	Method  string
	Headers []Header      // in the configuration's order
	Secrets []string      // signing secrets, the newest first; none: unsigned
	Timeout time.Duration // 0: the dispatcher's default
}

// Header is one header of the request.
type Header struct{ Name, Value string }

// Parse reads a configuration and names everything that is wrong with it.
func Parse(config bson.Raw) (Config, []action.Problem) { return Config{}, nil }

// Body is the request's body: the template's output, or DefaultBody.
func (c Config) Body(msg notification.Message) ([]byte, error) { return DefaultBody(msg) }

// DefaultBody is {"event": …, "rule": {id, name, version}, "notification_id": …,
// "attempt": …}.
func DefaultBody(msg notification.Message) ([]byte, error) { return nil, nil }

// Header are all headers of the request, with the signature by Standard
// Webhooks over the body when there is a secret.
func (c Config) Header(id string, now time.Time, body []byte) (http.Header, error) { return nil, nil }

// Verdict judges a response by its status: what it came to, how long the
// receiver asked to wait (0: it did not), and the error class ("" for success).
func Verdict(status int, header http.Header, now time.Time) (outcome notification.Outcome, retryAfter time.Duration, class string) {
	return notification.OutcomeRetry, 0, ""
}
