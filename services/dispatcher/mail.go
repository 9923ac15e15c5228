package dispatcher

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

// mailChannel sends mail through one server.
type mailChannel struct {
	host    string
	options []mail.Option
	from    string
	hide    *strings.Replacer
}

// mailTLS are the values of ?tls=, the strictest first.
var mailTLS = map[string]mail.TLSPolicy{
	"required": mail.TLSMandatory, "opportunistic": mail.TLSOpportunistic, "none": mail.NoTLS,
}

const (
	portSubmission = 587
	portSMTPS      = 465
)

// newMailChannel reads smtp://user:password@host:587/?from=a@example.com&tls=required
// (the default; or opportunistic, none) and smtps://…, which is TLS from the
// start.
func newMailChannel(u *url.URL) (*mailChannel, error) {
	q := u.Query()
	c := &mailChannel{host: u.Hostname(), from: q.Get("from"), hide: secretsOf(u.String())}
	var wrong []error
	for name := range q {
		if name != "from" && name != "tls" {
			wrong = append(wrong, fmt.Errorf("does not know ?%s=; there are from and tls", name))
		}
	}
	if c.host == "" {
		wrong = append(wrong, errors.New("names no host"))
	}
	if err := mail.NewMsg().From(c.from); err != nil {
		wrong = append(wrong, errors.New("needs ?from=, the address that mail comes from"))
	}
	port := portSubmission
	policy, known := mailTLS[q.Get("tls")]
	switch {
	case u.Scheme == "smtps":
		port = portSMTPS
		c.options = append(c.options, mail.WithSSL())
		if q.Has("tls") {
			wrong = append(wrong, errors.New("cannot have ?tls=: smtps is TLS from the start"))
		}
	case !q.Has("tls"):
		c.options = append(c.options, mail.WithTLSPolicy(mail.TLSMandatory))
	case !known:
		wrong = append(wrong, fmt.Errorf("has ?tls=%s; expected required, opportunistic or none", q.Get("tls")))
	default:
		c.options = append(c.options, mail.WithTLSPolicy(policy))
	}
	if text := u.Port(); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 65535 {
			wrong = append(wrong, errors.New("has no valid port"))
		}
		port = n
	}
	c.options = append(c.options, mail.WithPort(port), mail.WithTLSConfig(&tls.Config{ServerName: c.host, MinVersion: tls.VersionTLS12}))
	if u.User != nil {
		password, _ := u.User.Password()
		c.options = append(c.options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(u.User.Username()), mail.WithPassword(password))
	}
	return c, errors.Join(wrong...)
}

func (*mailChannel) personal() bool { return true }

// send sends all mails over one connection, each to one person: nobody sees who
// else is told, and one address that is refused is its own matter.
func (c *mailChannel) send(ctx context.Context, envelopes []envelope) []error {
	results := make([]error, len(envelopes))
	var messages []*mail.Msg
	var index []int
	for i, e := range envelopes {
		m, err := c.message(e)
		if err != nil {
			results[i] = &undeliverableLetter{err}
			continue
		}
		messages, index = append(messages, m), append(index, i)
	}
	if len(messages) == 0 {
		return results
	}
	client, err := mail.NewClient(c.host, append([]mail.Option{mail.WithTimeout(max(left(ctx), time.Second))}, c.options...)...)
	if err == nil {
		err = client.DialAndSendWithContext(ctx, messages...)
	}
	for k, m := range messages {
		switch {
		case m.HasSendError():
			results[index[k]] = c.judge(m.SendError())
		case !m.IsDelivered():
			results[index[k]] = c.hidden(err)
		}
	}
	return results
}

// judge tells a refusal for good (5xx) from what may pass.
func (c *mailChannel) judge(err error) error {
	var refused *mail.SendError
	if errors.As(err, &refused) && refused.ErrorCode() >= 500 {
		return &undeliverableLetter{c.hidden(err)}
	}
	return c.hidden(err)
}

func (c *mailChannel) hidden(err error) error {
	if err == nil {
		err = errors.New("not sent")
	}
	text := c.hide.Replace(err.Error())
	if ctxErr := context.DeadlineExceeded; errors.Is(err, ctxErr) {
		return fmt.Errorf("%s: %w", text, ctxErr)
	}
	return errors.New(text)
}

// message is a mail in text, and in HTML where the letter has it. Its id is the
// notification's and the recipient's, so that a repeat can be recognised; it
// says that a machine wrote it, so that no auto-reply comes back.
func (c *mailChannel) message(e envelope) (*mail.Msg, error) {
	m := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := m.From(c.from); err != nil {
		return nil, err
	}
	if err := m.To(e.to); err != nil {
		return nil, err
	}
	m.Subject(e.Subject)
	m.SetMessageIDWithValue(e.id + "@" + domainOf(c.from))
	m.SetDate()
	m.SetGenHeader(mail.HeaderUserAgent, "events-aggregator/"+telemetry.Version())
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetGenHeader("X-Auto-Response-Suppress", "All")
	m.SetBodyString(mail.TypeTextPlain, e.Text)
	if e.HTML != "" {
		m.AddAlternativeString(mail.TypeTextHTML, e.HTML)
	}
	return m, nil
}

func domainOf(address string) string {
	_, domain, _ := strings.Cut(strings.TrimSuffix(address, ">"), "@")
	return domain
}

// letterID is the id of a notification's letter to somebody.
func letterID(notificationID, receiver string) string {
	sum := sha256.Sum256([]byte(receiver))
	return notificationID + "." + hex.EncodeToString(sum[:6])
}
