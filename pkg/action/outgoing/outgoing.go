// Package outgoing is what all action types that call a URL have in common: the
// URL and the headers of their configuration, the time-out, and what of them is
// secret. It is pure; the dispatcher makes the calls.
package outgoing

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// Config is {url, headers?, timeout?}, checked.
type Config struct {
	URL     string
	Headers []Header      // in the configuration's order
	Timeout time.Duration // 0: the dispatcher's default
}

// Header is one header of a request. A value with {{ is a template.
type Header struct {
	Name, Value string
	template    *action.Template
}

// Render is the header's value for a notification. What an event brings must
// not break the request's framing, so such a value is an error.
func (h Header) Render(msg notification.Message) (string, error) {
	if h.template == nil {
		return h.Value, nil
	}
	out, err := h.template.Render(msg)
	if err != nil {
		return "", fmt.Errorf("header %s: %w", h.Name, err)
	}
	value := strings.TrimSpace(string(out))
	if len(value) > maxValue || !httpguts.ValidHeaderFieldValue(value) {
		return "", fmt.Errorf("header %s: the template gave what no header can hold: line breaks, control characters or more than %d bytes", h.Name, maxValue)
	}
	return value, nil
}

// Fill sets the configuration's own headers for a notification. An error is
// permanent.
func (c Config) Fill(h http.Header, msg notification.Message) error {
	for _, own := range c.Headers {
		value, err := own.Render(msg)
		if err != nil {
			return err
		}
		h.Set(own.Name, value)
	}
	return nil
}

// What a target may ask for.
const (
	minTimeout = 100 * time.Millisecond
	maxTimeout = 60 * time.Second
	maxURL     = 2048
	maxHeaders = 32
	maxValue   = 4096
)

// Read reads the common fields, and notes what is wrong with them.
func Read(r *action.Reader) Config {
	c := Config{URL: r.Text("url", ""), Timeout: r.Duration("timeout", minTimeout, maxTimeout)}
	checkURL(r, c.URL)
	c.Headers = headers(r)
	return c
}

// checkURL takes absolute http and https URLs. Which addresses may be called is
// decided when the call is made: a name can lead elsewhere by then.
func checkURL(r *action.Reader, text string) {
	const at = "/url"
	if text == "" {
		r.Refuse(at, "is missing")
		return
	}
	u, err := url.Parse(text)
	switch {
	case len(text) > maxURL || !utf8.ValidString(text):
		r.Refuse(at, "must be at most %d characters", maxURL)
	case err != nil: // its text would show the URL, and with it a password
		r.Refuse(at, "is no valid URL")
	case u.Scheme != "http" && u.Scheme != "https":
		r.Refuse(at, "must begin with http:// or https://")
	case u.Hostname() == "":
		r.Refuse(at, "names no host")
	case !validHost(u):
		r.Refuse(at, "has no valid host or port")
	case u.Fragment != "" || strings.Contains(text, "#"):
		r.Refuse(at, "has a fragment (#…), which is never sent")
	case u.User != nil && !validUser(u.User):
		r.Refuse(at, "has a user name or password with control characters, or a user name with a colon")
	case masked(u):
		r.Refuse(at, "is masked; give the secret itself")
	}
}

func masked(u *url.URL) bool {
	password, _ := u.User.Password()
	if strings.Contains(password, action.Masked) {
		return true
	}
	for _, values := range u.Query() {
		if slices.Contains(values, action.Masked) {
			return true
		}
	}
	return false
}

func validHost(u *url.URL) bool {
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return false
		}
	}
	host := u.Hostname()
	if net.ParseIP(strings.SplitN(host, "%", 2)[0]) != nil {
		return true
	}
	return len(host) <= 253 && httpguts.ValidHostHeader(host) && !strings.ContainsAny(host, " %\"'()*,/;<=>?@[\\]{}`|~^!$&+")
}

// validUser refuses what a Basic authorization cannot carry.
func validUser(user *url.Userinfo) bool {
	password, _ := user.Password()
	return !strings.Contains(user.Username(), ":") && !strings.ContainsFunc(user.Username()+password, isControl)
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// reserved headers are the connection's own.
var reserved = []string{
	"Connection", "Content-Length", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect",
}

func headers(r *action.Reader) []Header {
	v, there := r.Get("headers")
	if !there {
		return nil
	}
	doc, ok := v.DocumentOK()
	if !ok {
		r.Refuse("/headers", "must be an object, name to value")
		return nil
	}
	elements, err := doc.Elements()
	if err != nil || len(elements) > maxHeaders {
		r.Refuse("/headers", "must be at most %d", maxHeaders)
		return nil
	}
	var all []Header
	for _, e := range elements {
		name := e.Key()
		at := "/headers/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		value, ok := e.Value().StringValueOK()
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			r.Refuse(at, "is no valid header name")
		case slices.Contains(reserved, canonical):
			r.Refuse(at, "is the connection's own")
		case strings.HasPrefix(canonical, "Webhook-"):
			r.Refuse(at, "is the signature's own")
		case slices.ContainsFunc(all, func(h Header) bool { return strings.EqualFold(h.Name, name) }):
			r.Refuse(at, "is there twice")
		case !ok:
			r.Refuse(at, "must be text")
		case len(value) > maxValue || !httpguts.ValidHeaderFieldValue(value):
			r.Refuse(at, "must be at most %d characters without line breaks", maxValue)
		case canonical == "Host" && !httpguts.ValidHostHeader(value):
			r.Refuse(at, "is no valid host")
		case value == action.Masked:
			r.Refuse(at, "is masked; give the value itself")
		case canonical == "Host" && strings.Contains(value, "{{"):
			r.Refuse(at, "must be the same for every event")
		default:
			h := Header{Name: canonical, Value: value}
			if strings.Contains(value, "{{") {
				var err error
				if h.template, err = action.ParseTemplate(value); err != nil {
					r.Refuse(at, "is no valid template: %v", err)
				}
			}
			all = append(all, h)
		}
	}
	return all
}

// Target is whom a URL calls, as limits, lines and filters know it: its host in
// lower case, with the port unless it is the scheme's own.
func Target(u *url.URL) string {
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if port == "" || u.Scheme == "http" && port == "80" || u.Scheme == "https" && port == "443" {
		return host
	}
	return net.JoinHostPort(host, port)
}

// TargetOf is Target of a URL as a text, "" when it is none.
func TargetOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return Target(u)
}
