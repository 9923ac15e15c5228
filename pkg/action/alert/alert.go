// Package alert is the action type ALERT: an alert for Alertmanager's API v2,
// which ends by itself. It also makes the body that Alertmanager's own webhooks
// have, for receivers that are made for those. The package is pure; the
// dispatcher makes the call.
package alert

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// Alert is one alert as Alertmanager's API v2 takes it, and as its webhooks
// carry it.
type Alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
}

// maxLabel bounds a label's value, in bytes: labels tell alerts apart, and
// Alertmanager keeps them in memory.
const maxLabel = 1024

// labels are what tells an alert from others: the rule and what its event or
// window is about. The same match gives the same labels, so a repeat is the
// same alert.
func labels(msg notification.Message) map[string]string {
	n := msg.Notification
	all := map[string]string{"alertname": n.RuleName, "rule_id": n.RuleID}
	set := func(name, value string) {
		if value != "" {
			all[name] = value
		}
	}
	set("event_type", event.Text(msg.Event, "type"))
	set("source", event.Text(msg.Event, "source"))
	if severity, ok := msg.Event.Lookup("severity").AsInt64OK(); ok {
		set("severity", event.Level(int(severity)))
	}
	if n.Alert != nil {
		set("window", n.Alert.Kind)
		setKey(all, n.Alert.Key)
	}
	if n.Group != nil {
		setKey(all, n.Group.Key)
	}
	for name, value := range all {
		all[name] = cut(value)
	}
	return all
}

// setKey adds a key's values, user_id for the path user_id, payload_shop for
// payload.shop; what stands there already is not replaced.
func setKey(all map[string]string, key bson.Raw) {
	elements, err := key.Elements()
	if err != nil {
		return
	}
	for _, e := range elements {
		name := LabelName(e.Key())
		if _, taken := all[name]; taken || e.Value().Type == bson.TypeNull {
			continue
		}
		if s, ok := e.Value().StringValueOK(); ok {
			all[name] = s
			continue
		}
		if text, err := event.ToJSON(wrapped(e)); err == nil {
			all[name] = strings.TrimSuffix(strings.TrimPrefix(string(text), `{"v":`), "}")
		}
	}
}

func wrapped(e bson.RawElement) bson.Raw {
	doc, err := bson.Marshal(bson.D{{Key: "v", Value: e.Value()}})
	if err != nil {
		return nil
	}
	return doc
}

var (
	notInLabel = regexp.MustCompile(`[^a-zA-Z0-9_]`)
	labelShape = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

// LabelName makes a path a label's name.
func LabelName(path string) string {
	name := notInLabel.ReplaceAllString(path, "_")
	if !labelShape.MatchString(name) {
		name = "_" + name
	}
	return name
}

// annotations are what a person reads.
func annotations(msg notification.Message) map[string]string {
	n := msg.Notification
	all := map[string]string{"summary": n.Summary(), "event_id": n.EventID, "notification_id": n.ID}
	if n.Group != nil {
		all["samples"] = strings.Join(n.Group.Samples, ", ")
	}
	if link := msg.Link(); link != "" {
		all["link"] = link
	}
	if n.HeldBack > 0 {
		all["held_back"] = fmt.Sprint(n.HeldBack)
	}
	return all
}

// startOf is when it began: the window's start, or the event's time.
func startOf(msg notification.Message) time.Time {
	if a := msg.Notification.Alert; a != nil {
		return a.From.UTC()
	}
	if at, ok := msg.Event.Lookup("timestamp").TimeOK(); ok {
		return at.UTC()
	}
	return msg.Notification.CreatedAt.UTC()
}

// webhook is the body of Alertmanager's webhooks, version 4.
type webhook struct {
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   int               `json:"truncatedAlerts"`
	Status            string            `json:"status"`
	Receiver          string            `json:"receiver"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Alerts            []webhookAlert    `json:"alerts"`
}

type webhookAlert struct {
	Status string `json:"status"`
	Alert
	Fingerprint string `json:"fingerprint"`
}

// WebhookBody is the body that an Alertmanager would send about the match:
// version 4, one firing alert. Its end is not known, which is Go's zero time
// there.
func WebhookBody(msg notification.Message) ([]byte, error) {
	l, a := labels(msg), annotations(msg)
	group := map[string]string{"alertname": l["alertname"]}
	body, err := json.Marshal(webhook{
		Version:  "4",
		GroupKey: fmt.Sprintf("{}:{alertname=%q}", l["alertname"]),
		Status:   "firing", Receiver: msg.Notification.RuleName, ExternalURL: msg.Dashboard,
		GroupLabels: group, CommonLabels: l, CommonAnnotations: a,
		Alerts: []webhookAlert{{
			Status: "firing", Fingerprint: fingerprint(l),
			Alert: Alert{Labels: l, Annotations: a, StartsAt: startOf(msg), GeneratorURL: msg.RuleLink()},
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("webhook body: %w", err)
	}
	return body, nil
}

// fingerprint is the FNV-1a hash of the sorted labels, as Prometheus makes it.
func fingerprint(labels map[string]string) string {
	h := fnv.New64a()
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		h.Write([]byte(name))
		h.Write([]byte{255})
		h.Write([]byte(labels[name]))
		h.Write([]byte{255})
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

func cut(s string) string {
	if len(s) <= maxLabel {
		return s
	}
	return strings.ToValidUTF8(s[:maxLabel], "")
}
