// Package webhook is the action type WEBHOOK: a signed HTTP request. The
// package is pure; the dispatcher makes the call.
package webhook

import (
	"encoding/base64"
	"net/http"
	"strings"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/action/outgoing"
)

// Config is a checked configuration.
type Config struct {
	outgoing.Config
	Method  string
	Secrets []string // signing secrets, the newest first; none: unsigned
	format  string
	body    *action.Template
}

const (
	// maxSecrets is two: the new one and the old one while it is replaced.
	maxSecrets = 2
	// minSecret is 16 characters, or as many bytes in base64: a shorter key
	// could be found by trying.
	minSecret = 16
)

// secretPrefix marks a secret in base64 (Standard Webhooks).
const secretPrefix = "whsec_"

var methods = []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodGet, http.MethodDelete}

// Parse reads {url, queue?, method?, headers?, format?, body?, secret?,
// timeout?, retry?} and names everything that is wrong with it.
func Parse(config bson.Raw) (Config, []action.Problem) {
	r := action.NewReader(config)
	c := Config{
		Config: outgoing.Read(r),
		Method: r.OneOf("method", http.MethodPost, methods...),
		format: r.OneOf("format", FormatEvent, formatNames()...),
		body:   r.Template("body"),
	}
	r.Queue()
	r.Schedule()
	c.Secrets = secrets(r)
	switch _, formatted := r.Get("format"); {
	case c.body != nil && !hasBody(c.Method):
		r.Refuse("/body", "a %s request has none", c.Method)
	case formatted && !hasBody(c.Method):
		r.Refuse("/format", "a %s request has no body", c.Method)
	case formatted && c.body != nil:
		r.Refuse("/format", "cannot be together with body: one of them makes the request's body")
	}
	return c, r.Problems()
}

func hasBody(method string) bool { return method != http.MethodGet && method != http.MethodDelete }

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
