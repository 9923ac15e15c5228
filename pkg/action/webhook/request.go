package webhook

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// Body is the request's body: the template's output, or the format's; nothing
// for a request that has none. An error is permanent.
func (c Config) Body(msg notification.Message) ([]byte, error) {
	switch {
	case !hasBody(c.Method):
		return nil, nil
	case c.body != nil:
		return c.body.Render(msg)
	default:
		return formatOf(c.format).body(msg)
	}
}

// DefaultBody is {"event": …, "rule": {"id", "name", "version"},
// "notification_id": …, "attempt": …}, and "alert": … for the alert of a window
// rule, "group": … for a rule that groups, "held_back": … when a throttle held
// matches back since the notification before.
func DefaultBody(msg notification.Message) ([]byte, error) {
	n := msg.Notification
	rule, err := json.Marshal(struct {
		ID      string `json:"id"`
		Name    string `json:"name"`
		Version int    `json:"version"`
	}{n.RuleID, n.RuleName, n.RuleVersion})
	if err != nil {
		return nil, fmt.Errorf("webhook body: %w", err)
	}
	id, err := json.Marshal(n.ID)
	if err != nil {
		return nil, fmt.Errorf("webhook body: %w", err)
	}
	b := make([]byte, 0, 2*len(msg.Event)+len(rule)+len(id)+64)
	b = append(b, `{"event":`...)
	if b, err = event.AppendJSON(b, msg.Event); err != nil {
		return nil, fmt.Errorf("webhook body: %w", err)
	}
	b = append(append(b, `,"rule":`...), rule...)
	b = append(append(b, `,"notification_id":`...), id...)
	b = strconv.AppendInt(append(b, `,"attempt":`...), int64(msg.Attempt), 10)
	if n.Alert != nil {
		alert, err := json.Marshal(n.Alert)
		if err != nil {
			return nil, fmt.Errorf("webhook body: %w", err)
		}
		b = append(append(b, `,"alert":`...), alert...)
	}
	if n.Group != nil {
		group, err := json.Marshal(n.Group)
		if err != nil {
			return nil, fmt.Errorf("webhook body: %w", err)
		}
		b = append(append(b, `,"group":`...), group...)
	}
	if n.HeldBack > 0 {
		b = strconv.AppendInt(append(b, `,"held_back":`...), int64(n.HeldBack), 10)
	}
	return append(b, '}'), nil
}

// Header are all headers of the request. webhook-id is the notification's id,
// so a receiver knows a repeat; with a secret the body is signed by Standard
// Webhooks, once by each secret.
func (c Config) Header(msg notification.Message, now time.Time, body []byte) (http.Header, error) {
	h := make(http.Header, len(c.Headers)+4)
	if len(body) > 0 {
		contentType := "application/json"
		if c.body == nil {
			contentType = formatOf(c.format).contentType
		}
		h.Set("Content-Type", contentType)
	}
	if err := c.Fill(h, msg); err != nil {
		return nil, err
	}
	id := msg.Notification.ID
	h.Set(standardwebhooks.HeaderWebhookID, id)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	if len(c.Secrets) == 0 {
		return h, nil
	}
	signatures := make([]string, 0, len(c.Secrets))
	for _, secret := range c.Secrets {
		s, err := sign(secret, id, now, body)
		if err != nil {
			return nil, err
		}
		signatures = append(signatures, s)
	}
	h.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return h, nil
}

// sign takes a secret in base64 behind its prefix, or any other text as the key
// itself. The error does not show it.
func sign(secret, id string, now time.Time, body []byte) (string, error) {
	var by *standardwebhooks.Webhook
	var err error
	if strings.HasPrefix(secret, secretPrefix) {
		by, err = standardwebhooks.NewWebhook(secret)
	} else {
		by, err = standardwebhooks.NewWebhookRaw([]byte(secret))
	}
	if err != nil {
		return "", fmt.Errorf("webhook secret: %w", err)
	}
	return by.Sign(id, now, body)
}
