package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/letter"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

// channel carries letters to people. Its URL is the operator's, not a rule's, so
// the guard of outgoing calls does not apply: a mail server is often inside.
type channel interface {
	// personal says that every recipient has an address of their own here. In any
	// other channel one letter reaches all who read it.
	personal() bool
	// send sends each of the envelopes, and says in their order what became of
	// it. An error that is *undeliverableLetter will not go away.
	send(ctx context.Context, envelopes []envelope) []error
}

// envelope is one letter on its way.
type envelope struct {
	letter.Letter
	to  string // the address in a personal channel
	id  string // the same for each repeat
	msg notification.Message
}

// undeliverableLetter is a refusal that trying again does not change.
type undeliverableLetter struct{ err error }

func (e *undeliverableLetter) Error() string { return e.err.Error() }
func (e *undeliverableLetter) Unwrap() error { return e.err }

// newChannels makes the channels of the configuration; its error names all that
// cannot be made, without their secrets.
func newChannels(c config.Channels, log *zap.Logger) (map[string]channel, error) {
	all := map[string]channel{config.LogChannel: logChannel{log.Named("audit")}}
	var wrong []error
	for name, text := range c.URLs {
		made, err := newChannel(text, c.Kind(name), log)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("channels.urls: %s: %w", name, err))
			continue
		}
		all[name] = made
	}
	return all, errors.Join(wrong...)
}

func newChannel(text, kind string, log *zap.Logger) (channel, error) {
	switch kind {
	case "smtp", "smtps":
		u, err := url.Parse(text)
		if err != nil { // its text would show the password
			return nil, errors.New("is no valid URL; in user name and password write %40 for @ and so on")
		}
		return newMailChannel(u)
	case config.LogChannel:
		return logChannel{log.Named("audit")}, nil
	default:
		return newShoutChannel(text, kind)
	}
}

// logChannel writes a letter's subject and text to the audit log.
type logChannel struct{ log *zap.Logger }

func (logChannel) personal() bool { return false }

func (c logChannel) send(_ context.Context, envelopes []envelope) []error {
	for _, e := range envelopes {
		n := e.msg.Notification
		c.log.Info("notification", zap.String("subject", e.Subject), zap.String("text", e.Text),
			zap.String(telemetry.FieldNotification, n.ID), zap.String(telemetry.FieldEvent, n.EventID),
			zap.String(telemetry.FieldRule, n.RuleID), zap.String("rule_name", n.RuleName))
	}
	return make([]error, len(envelopes))
}

// secretsOf is what takes a URL's secrets out of texts: in a channel's URL every
// part may be one.
func secretsOf(text string) *strings.Replacer {
	var secrets []string
	hide := func(s string) {
		if len(s) >= minSecret {
			secrets = append(secrets, s)
		}
	}
	hide(text)
	if u, err := url.Parse(text); err == nil {
		password, _ := u.User.Password()
		for _, s := range []string{password, u.User.Username()} {
			hide(s)
			for part := range strings.SplitSeq(s, "-") { // of Slack, which are parts of a path later
				hide(part)
			}
		}
		for part := range strings.SplitSeq(u.EscapedPath(), "/") {
			hide(part)
		}
		for _, values := range u.Query() {
			for _, v := range values {
				hide(v)
			}
		}
		if u.Scheme != "generic" && !strings.HasPrefix(u.Scheme, "smtp") {
			hide(u.Host) // of most services a token
		}
	}
	return hiding(secrets)
}

// left is the time that a call has.
func left(ctx context.Context) time.Duration {
	if at, ok := ctx.Deadline(); ok {
		return time.Until(at)
	}
	return time.Minute
}
