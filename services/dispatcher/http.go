package dispatcher

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/action/alert"
	"github.com/events-aggregator/events-aggregator/pkg/action/outgoing"
	"github.com/events-aggregator/events-aggregator/pkg/action/webhook"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

// httpExecutor carries out the actions that are one HTTP request.
type httpExecutor struct {
	parse     func(config bson.Raw) (request, []action.Problem)
	transport *http.Transport
	agent     string
	excerpt   int

	mu       sync.Mutex
	prepared map[string]*endpoint // by configuration
}

// request is how a type of action makes its request; an error of body or header
// is permanent.
type request struct {
	outgoing.Config
	method  string
	secrets []string
	body    func(msg notification.Message, now time.Time) ([]byte, error)
	header  func(msg notification.Message, now time.Time, body []byte) (http.Header, error)
}

func webhookRequest(config bson.Raw) (request, []action.Problem) {
	c, problems := webhook.Parse(config)
	return request{
		Config: c.Config, method: c.Method, secrets: c.Secrets, header: c.Header,
		body: func(msg notification.Message, _ time.Time) ([]byte, error) { return c.Body(msg) },
	}, problems
}

func alertRequest(config bson.Raw) (request, []action.Problem) {
	c, problems := alert.Parse(config)
	return request{Config: c.Config, method: http.MethodPost, body: c.Body, header: c.Header}, problems
}

// maxEndpoints bounds the configurations that are kept read; there is one for
// each version of each rule's action.
const maxEndpoints = 4096

func newHTTPExecutor(o Options, transport *http.Transport, parse func(bson.Raw) (request, []action.Problem)) *httpExecutor {
	return &httpExecutor{
		parse: parse, transport: transport,
		agent:    "events-aggregator/" + telemetry.Version(),
		excerpt:  o.ResponseExcerpt,
		prepared: map[string]*endpoint{},
	}
}

func (e *httpExecutor) closeIdle() { e.transport.CloseIdleConnections() }

// endpoint is one configuration, read once.
type endpoint struct {
	request
	url    *url.URL
	target string
	id     string
	hide   *strings.Replacer // takes secrets out of texts
}

func (e *httpExecutor) prepare(msg notification.Message) (call, error) {
	to, err := e.endpoint(msg.Notification.Action.Config)
	if err != nil {
		return call{}, err
	}
	return call{target: to.target, endpoint: to.id, timeout: to.Timeout, carryOut: func(ctx context.Context, msg notification.Message) result {
		return e.send(ctx, to, msg)
	}}, nil
}

func (e *httpExecutor) endpoint(config bson.Raw) (*endpoint, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if to, ok := e.prepared[string(config)]; ok {
		return to, nil
	}
	req, problems := e.parse(config)
	if err := problemsError(problems); err != nil {
		return nil, err
	}
	u, err := url.Parse(req.URL)
	if err != nil { // without the URL: its path may be a secret
		return nil, errors.New("action config: /url is no URL")
	}
	if len(e.prepared) >= maxEndpoints {
		clear(e.prepared)
	}
	to := &endpoint{request: req, url: u, target: outgoing.Target(u), id: endpointID(u), hide: hider(req, u)}
	e.prepared[string(config)] = to
	return to, nil
}

// endpointID tells a URL from others of its host, without its query.
func endpointID(u *url.URL) string {
	sum := sha256.Sum256([]byte(u.Scheme + "://" + outgoing.Target(u) + u.EscapedPath()))
	return "endpoint:" + hex.EncodeToString(sum[:12])
}

// send makes the request. The signature's time is that of the call, so a retry
// is signed anew.
func (e *httpExecutor) send(ctx context.Context, to *endpoint, msg notification.Message) result {
	now := time.Now()
	body, err := to.body(msg, now)
	if err != nil {
		return to.failed(notification.OutcomePermanent, classTemplate, err)
	}
	header, err := to.header(msg, now, body)
	if err != nil {
		return to.failed(notification.OutcomePermanent, classTemplate, err)
	}
	e.complete(header, to, msg)
	req := (&http.Request{
		Method: to.method, URL: to.url, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: to.url.Host,
	}).WithContext(ctx)
	if host := header.Get("Host"); host != "" {
		req.Host = host
		header.Del("Host")
	}
	if len(body) > 0 {
		req.ContentLength = int64(len(body))
		req.Body = io.NopCloser(bytes.NewReader(body))
		// Lets the transport send again what a closed idle connection never took.
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	got, err := exchange(e.transport, req)
	if err != nil {
		class, permanent := failureClass(err)
		if permanent {
			return to.failed(notification.OutcomePermanent, class, err)
		}
		return to.failed(notification.OutcomeRetry, class, err)
	}
	outcome, retryAfter, class := webhook.Verdict(got.status, got.header, now)
	r := result{
		outcome: outcome, statusCode: got.status, class: class, retryAfter: retryAfter,
		excerpt: to.excerptOf(got.body, e.excerpt),
	}
	if outcome != notification.OutcomeOK {
		r.err = fmt.Sprintf("the receiver answered %d %s", got.status, http.StatusText(got.status))
	}
	return r
}

// excerptOf keeps the beginning of an answer.
func (to *endpoint) excerptOf(body []byte, n int) string {
	// What is looked through is longer than what is kept, so that a secret at
	// the cut is found whole.
	return cut(to.hide.Replace(cut(string(body), n+maxSecret)), n)
}

// maxSecret is longer than any header that receivers accept by default.
const maxSecret = 4096

// complete adds what is the dispatcher's to say, where the rule does not.
func (e *httpExecutor) complete(header http.Header, to *endpoint, msg notification.Message) {
	if header.Get("User-Agent") == "" {
		header.Set("User-Agent", e.agent)
	}
	if user := to.url.User; user != nil && header.Get("Authorization") == "" {
		header.Set("Authorization", basicAuth(user))
	}
	if header.Get(telemetry.HeaderTraceparent) == "" {
		if parent, ok := traceOf(msg.Event); ok {
			header.Set(telemetry.HeaderTraceparent, parent.Child().Traceparent())
		}
	}
}

// traceOf is the event's trace context.
func traceOf(event bson.Raw) (telemetry.Trace, bool) {
	v, err := event.LookupErr("metadata", telemetry.HeaderTraceparent)
	if err != nil {
		return telemetry.Trace{}, false
	}
	s, _ := v.StringValueOK()
	return telemetry.ParseTraceparent(s)
}

func basicAuth(user *url.Userinfo) string {
	password, _ := user.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password))
}

func (to *endpoint) failed(outcome notification.Outcome, class string, err error) result {
	text := err.Error()
	if class == classTimeout {
		text = "no answer in time: " + text
	}
	if refused, ok := isRefused(err); ok {
		text = refused.Error() // without what dialling puts before it
	}
	return result{outcome: outcome, class: class, err: cut(to.hide.Replace(text), maxErrorText)}
}

const (
	maxErrorText = 512
	// minSecret: a shorter value is found everywhere by chance.
	minSecret = 6
)

// hider takes everything that may be a secret out of what a receiver says: some
// echo the request. Every header of the rule counts, since nobody knows which
// of them a receiver takes as a key.
func hider(req request, u *url.URL) *strings.Replacer {
	var secrets []string
	hide := func(secret string) {
		if len(secret) >= minSecret {
			secrets = append(secrets, secret)
		}
	}
	for _, s := range req.secrets {
		hide(s)
		hide(strings.TrimPrefix(s, "whsec_"))
	}
	for _, h := range req.Headers {
		hide(h.Value)
		if _, token, ok := strings.Cut(h.Value, " "); ok { // "Bearer …"
			hide(token)
		}
	}
	if u.User != nil {
		password, _ := u.User.Password()
		hide(password)
		hide(u.User.Username()) // a key in the user's place
		hide(strings.TrimPrefix(basicAuth(u.User), "Basic "))
	}
	for _, values := range u.Query() {
		for _, v := range values {
			hide(v)
			hide(url.QueryEscape(v))
		}
	}
	return hiding(secrets)
}

// hiding masks secrets. The longest go first: of one that begins another the rest
// would be left to see.
func hiding(secrets []string) *strings.Replacer {
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(secrets))
	for _, s := range secrets {
		pairs = append(pairs, s, action.Masked)
	}
	return strings.NewReplacer(pairs...)
}

// cut shortens s to at most n bytes of valid UTF-8.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}
