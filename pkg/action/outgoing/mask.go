package outgoing

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/event"
)

// harmless headers hold no secret.
var harmless = []string{"accept", "accept-language", "cache-control", "content-type", "host", "user-agent"}

// secretParameters are names of query parameters that hold one.
var secretParameters = []string{
	"access_token", "api_key", "api-key", "apikey", "auth", "code", "key", "password", "passwd", "pwd",
	"secret", "sig", "signature", "token",
}

// Mask hides the signing secret, header values, the URL's password and the
// parameters of its query that are called like one.
func Mask(config bson.Raw) bson.Raw {
	return rewrite(config, func(at place, text string) string {
		switch {
		case at.key == "secret":
			return action.Masked
		case at.key == "headers" && !slices.Contains(harmless, strings.ToLower(at.sub)):
			return action.Masked
		case at.key == "url":
			return maskURL(text)
		default:
			return text
		}
	})
}

// Restore puts the stored secrets back where config has a mask, if both call
// the same place: otherwise who may edit a rule, but not see its secrets, could
// have them sent to himself.
func Restore(config, stored bson.Raw) bson.Raw {
	had := map[place]string{}
	rewrite(stored, func(at place, text string) string {
		had[at] = text
		return text
	})
	was := had[place{key: "url"}]
	if !samePlace(event.Text(config, "url"), was) {
		return config
	}
	return rewrite(config, func(at place, text string) string {
		old, ok := had[at]
		switch {
		case ok && at.key == "url" && text == maskURL(old):
			return old
		case ok && at.key != "url" && text == action.Masked:
			return old
		default:
			return text
		}
	})
}

// maskURL hides what is secret in a URL. One that is no URL is hidden whole.
func maskURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return action.Masked
	}
	if _, ok := u.User.Password(); ok {
		u.User = url.UserPassword(u.User.Username(), action.Masked)
	} else if u.User != nil { // a key in the user's place
		u.User = url.User(action.Masked)
	}
	parameters := strings.Split(u.RawQuery, "&")
	for i, p := range parameters {
		name, value, _ := strings.Cut(p, "=")
		if value != "" && slices.Contains(secretParameters, strings.ToLower(name)) {
			parameters[i] = name + "=" + action.Masked
		}
	}
	u.RawQuery = strings.Join(parameters, "&")
	return strings.ReplaceAll(u.String(), url.QueryEscape(action.Masked), action.Masked)
}

func samePlace(a, b string) bool {
	x, errA := url.Parse(a)
	y, errB := url.Parse(b)
	return errA == nil && errB == nil && x.Scheme == y.Scheme && strings.EqualFold(x.Host, y.Host) && x.Host != ""
}

// place is where a text stands: a field, and the header or position within it.
type place struct{ key, sub string }

// rewrite copies a configuration and changes its texts.
func rewrite(config bson.Raw, change func(at place, text string) string) bson.Raw {
	elements, err := config.Elements()
	if err != nil {
		return config
	}
	start, out := bsoncore.AppendDocumentStart(nil)
	for _, e := range elements {
		out = rewriteValue(out, e.Key(), e.Value(), place{key: e.Key()}, change)
	}
	out, err = bsoncore.AppendDocumentEnd(out, start)
	if err != nil {
		return config
	}
	return out
}

func rewriteValue(out []byte, key string, v bson.RawValue, at place, change func(at place, text string) string) []byte {
	if s, ok := v.StringValueOK(); ok {
		return bsoncore.AppendStringElement(out, key, change(at, s))
	}
	if (v.Type != bson.TypeEmbeddedDocument && v.Type != bson.TypeArray) || at.sub != "" {
		return bsoncore.AppendValueElement(out, key, bsoncore.Value{Type: v.Type, Data: v.Value})
	}
	elements, err := bson.Raw(v.Value).Elements()
	if err != nil {
		return bsoncore.AppendNullElement(out, key)
	}
	out = bsoncore.AppendHeader(out, v.Type, key)
	start, out := bsoncore.AppendDocumentStart(out)
	for i, e := range elements {
		sub := e.Key()
		if v.Type == bson.TypeArray {
			sub = strconv.Itoa(i)
		}
		out = rewriteValue(out, e.Key(), e.Value(), place{key: key, sub: sub}, change)
	}
	out, _ = bsoncore.AppendDocumentEnd(out, start)
	return out
}
