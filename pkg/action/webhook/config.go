// Package webhook is the action type WEBHOOK: a signed HTTP request. The
// package is pure; the dispatcher makes the call.
package webhook

import (
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/bson"
	"golang.org/x/net/http/httpguts"

	"github.com/events-aggregator/events-aggregator/pkg/action"
)

// Config is a checked configuration.
type Config struct {
	URL     string
	Method  string
	Headers []Header      // in the configuration's order
	Secrets []string      // signing secrets, the newest first; none: unsigned
	Timeout time.Duration // 0: the dispatcher's default
	body    *action.Template
}

// Header is one header of the request.
type Header struct{ Name, Value string }

// What a target may ask for.
const (
	minTimeout = 100 * time.Millisecond
	maxTimeout = 60 * time.Second
	maxURL     = 2048
	maxHeaders = 32
	maxValue   = 4096
	// maxSecrets is two: the new one and the old one while it is replaced.
	maxSecrets = 2
	// minSecret is 16 characters, or as many bytes in base64: a shorter key
	// could be found by trying.
	minSecret = 16
)

// secretPrefix marks a secret in base64 (Standard Webhooks).
const secretPrefix = "whsec_"

var methods = []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodGet, http.MethodDelete}

// Parse reads {url, method?, headers?, body?, secret?, timeout?} and names
// everything that is wrong with it.
func Parse(config bson.Raw) (Config, []action.Problem) {
	r := action.NewReader(config)
	c := Config{
		URL:     r.Text("url", ""),
		Method:  r.OneOf("method", http.MethodPost, methods...),
		Timeout: r.Duration("timeout", minTimeout, maxTimeout),
		body:    r.Template("body"),
	}
	checkURL(r, c.URL)
	c.Headers = headers(r)
	c.Secrets = secrets(r)
	if c.body != nil && !hasBody(c.Method) {
		r.Refuse("/body", "a %s request has none", c.Method)
	}
	return c, r.Problems()
}

func hasBody(method string) bool { return method != http.MethodGet && method != http.MethodDelete }

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

// reserved headers are the connection's, or the signature's.
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
		default:
			all = append(all, Header{Name: canonical, Value: value})
		}
	}
	return all
}

// secrets reads text, or a list of the new and the old secret.
func secrets(r *action.Reader) []string {
	v, there := r.Get("secret")
	if !there {
		return nil
	}
	values, pointers := []bson.RawValue{v}, []string{"/secret"}
	if v.Type == bson.TypeArray {
		list, err := v.Array().Values()
		if err != nil || len(list) < 1 || len(list) > maxSecrets {
			r.Refuse("/secret", "must be text, or a list of the new and the old secret")
			return nil
		}
		values, pointers = list, []string{"/secret/0", "/secret/1"}
	}
	var all []string
	for i, v := range values {
		s, ok := v.StringValueOK()
		switch {
		case !ok:
			r.Refuse(pointers[i], "must be text")
		case s == action.Masked:
			r.Refuse(pointers[i], "is masked; give the secret itself")
		case !validSecret(s):
			r.Refuse(pointers[i], "must be whsec_ and at least %d bytes in base64, or at least %d characters", minSecret, minSecret)
		default:
			all = append(all, s)
		}
	}
	return all
}

func validSecret(s string) bool {
	if encoded, ok := strings.CutPrefix(s, secretPrefix); ok {
		key, err := base64.StdEncoding.DecodeString(encoded)
		return err == nil && len(key) >= minSecret
	}
	return len(s) >= minSecret
}
