package alert

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/action/outgoing"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// Config is a checked configuration.
type Config struct {
	outgoing.Config
	ResolveAfter time.Duration
	labels       map[string]*action.Template
	annotations  map[string]*action.Template
}

const (
	// resolveDefault is Alertmanager's own resolve_timeout.
	resolveDefault = 5 * time.Minute
	minResolve     = 10 * time.Second
	maxResolve     = 30 * 24 * time.Hour
	maxTexts       = 32 // labels, and annotations
	// apiPath is where Alertmanager takes alerts.
	apiPath = "/api/v2/alerts"
)

// Parse reads {url, labels?, annotations?, resolve_after?, headers?, timeout?,
// retry?, queue?} and names everything that is wrong with it.
func Parse(config bson.Raw) (Config, []action.Problem) {
	r := action.NewReader(config)
	c := Config{Config: outgoing.Read(r), ResolveAfter: r.Duration("resolve_after", minResolve, maxResolve)}
	r.Queue()
	r.Schedule()
	if c.ResolveAfter == 0 {
		c.ResolveAfter = resolveDefault
	}
	c.labels = texts(r, "labels")
	c.annotations = texts(r, "annotations")
	if u, err := url.Parse(c.URL); err == nil && !strings.HasSuffix(u.Path, apiPath) {
		c.URL = u.JoinPath(apiPath).String()
	}
	return c, r.Problems()
}

// texts reads an object of templates whose keys are labels' names.
func texts(r *action.Reader, field string) map[string]*action.Template {
	v, there := r.Get(field)
	if !there {
		return nil
	}
	doc, ok := v.DocumentOK()
	if !ok {
		r.Refuse("/"+field, "must be an object, name to text")
		return nil
	}
	elements, err := doc.Elements()
	if err != nil || len(elements) > maxTexts {
		r.Refuse("/"+field, "must be at most %d", maxTexts)
		return nil
	}
	all := map[string]*action.Template{}
	for _, e := range elements {
		name := e.Key()
		at := "/" + field + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		text, ok := e.Value().StringValueOK()
		switch {
		case !labelShape.MatchString(name):
			r.Refuse(at, "is no valid name: letters, digits and _, not beginning with a digit")
		case all[name] != nil:
			r.Refuse(at, "is there twice")
		case !ok:
			r.Refuse(at, "must be text, a Go template")
		default:
			t, err := action.ParseTemplate(text)
			if err != nil {
				r.Refuse(at, "is no valid template: %v", err)
				continue
			}
			all[name] = t
		}
	}
	return all
}

// Body is a list of one alert, that ends ResolveAfter from now on: as
// Alertmanager resolves by itself what has ended, there is no second call that
// could be lost. A label that renders as nothing is left out. An error is
// permanent.
func (c Config) Body(msg notification.Message, now time.Time) ([]byte, error) {
	l, err := filled(labels(msg), c.labels, msg)
	if err != nil {
		return nil, err
	}
	a, err := filled(annotations(msg), c.annotations, msg)
	if err != nil {
		return nil, err
	}
	start := startOf(msg)
	if start.After(now) { // an event of the future
		start = now.UTC()
	}
	return json.Marshal([]Alert{{Labels: l, Annotations: a, StartsAt: start, EndsAt: now.Add(c.ResolveAfter).UTC(), GeneratorURL: msg.RuleLink()}})
}

func filled(all map[string]string, own map[string]*action.Template, msg notification.Message) (map[string]string, error) {
	for name, t := range own {
		text, err := t.Render(msg)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if all[name] = cut(string(text)); all[name] == "" {
			delete(all, name)
		}
	}
	return all, nil
}

// Type is the entry for the table of action types.
type Type struct{}

// Name is ALERT.
func (Type) Name() string { return "ALERT" }

// Doc is one line for documentation.
func (Type) Doc() string {
	return "ALERT {url, labels?, annotations?, resolve_after?, headers?, timeout?, retry?, queue?}: an alert for the Alertmanager at url (its API v2), resolved after resolve_after (5m; 10s to 720h) unless the rule matches again; labels and annotations are Go templates beside alertname (the rule), severity (info, warning, error, critical), source, event_type, and the key of a window or group."
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

// Queue is the configuration's, else the webhooks'.
func (Type) Queue(config bson.Raw, severity, priority int) string {
	return action.QueueOf(config, "webhooks", severity, priority)
}

// Mask hides what may be secret, see outgoing.Mask.
func (Type) Mask(config bson.Raw) bson.Raw { return outgoing.Mask(config) }

// Restore puts the stored secrets back, see outgoing.Restore.
func (Type) Restore(config, stored bson.Raw) bson.Raw { return outgoing.Restore(config, stored) }

// Header are all headers of the request. An error is permanent.
func (c Config) Header(msg notification.Message, _ time.Time, _ []byte) (http.Header, error) {
	h := make(http.Header, len(c.Headers)+1)
	h.Set("Content-Type", "application/json")
	return h, c.Fill(h, msg)
}
