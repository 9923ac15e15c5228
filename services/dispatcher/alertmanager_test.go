package dispatcher_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// v4 is Alertmanager's webhook message, version 4, as its documentation and its
// template.Data and webhook.Message have it. Pointers tell a field that is missing.
type v4 struct {
	Version           *string            `json:"version"`
	GroupKey          *string            `json:"groupKey"`
	TruncatedAlerts   *uint64            `json:"truncatedAlerts"`
	Status            *string            `json:"status"`
	Receiver          *string            `json:"receiver"`
	GroupLabels       *map[string]string `json:"groupLabels"`
	CommonLabels      *map[string]string `json:"commonLabels"`
	CommonAnnotations *map[string]string `json:"commonAnnotations"`
	ExternalURL       *string            `json:"externalURL"`
	Alerts            []v4Alert          `json:"alerts"`
}

type v4Alert struct {
	Status       *string            `json:"status"`
	Labels       *map[string]string `json:"labels"`
	Annotations  *map[string]string `json:"annotations"`
	StartsAt     *time.Time         `json:"startsAt"` // RFC 3339, as encoding/json demands
	EndsAt       *time.Time         `json:"endsAt"`
	GeneratorURL *string            `json:"generatorURL"`
	Fingerprint  *string            `json:"fingerprint"`
}

var (
	v4Fingerprint = regexp.MustCompile(`^[0-9a-f]{16}$`)
	v4Label       = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	v4GroupKey    = regexp.MustCompile(`^\{.*\}:\{.*\}$`)
)

// wrong says what a strict receiver objects to.
func (m v4) wrong() (flaws []error) {
	want := func(ok bool, format string, args ...any) {
		if !ok {
			flaws = append(flaws, fmt.Errorf(format, args...))
		}
	}
	want(m.TruncatedAlerts != nil && m.ExternalURL != nil && m.GroupLabels != nil && m.CommonLabels != nil && m.CommonAnnotations != nil, "a field is missing")
	want(m.Version != nil && *m.Version == "4", "version")
	want(m.GroupKey != nil && v4GroupKey.MatchString(*m.GroupKey), "groupKey")
	want(m.Status != nil && slices.Contains([]string{"firing", "resolved"}, *m.Status), "status")
	want(m.Receiver != nil && *m.Receiver != "", "receiver")
	want(len(m.Alerts) > 0, "no alerts")
	if len(flaws) > 0 {
		return flaws
	}
	within := func(part, whole map[string]string) bool {
		for name, value := range part {
			if whole[name] != value {
				return false
			}
		}
		return true
	}
	for _, a := range m.Alerts {
		if a.Status == nil || a.Labels == nil || a.Annotations == nil || a.StartsAt == nil || a.EndsAt == nil || a.GeneratorURL == nil || a.Fingerprint == nil {
			return append(flaws, errors.New("a field of an alert is missing"))
		}
		want(*a.Status == *m.Status, "status of an alert")
		want((*a.Labels)["alertname"] != "", "alertname")
		for name := range maps.Keys(*a.Labels) {
			want(v4Label.MatchString(name), "label name %q", name)
		}
		want(within(*m.GroupLabels, *a.Labels), "groupLabels that are not an alert's")
		want(within(*m.CommonLabels, *a.Labels) && within(*m.CommonAnnotations, *a.Annotations), "what is common is not an alert's")
		want(!a.StartsAt.IsZero() && a.StartsAt.Before(time.Now().Add(time.Second)), "startsAt %s", a.StartsAt)
		want(a.EndsAt.IsZero() == (*a.Status == "firing"), "endsAt %s", a.EndsAt)
		want(v4Fingerprint.MatchString(*a.Fingerprint), "fingerprint %q", *a.Fingerprint)
	}
	return flaws
}

var _ = Describe("A webhook in Alertmanager's format", func() {
	It("is what a receiver takes that knows its version 4 and nothing else: of an event, a window, a group", func(ctx SpecContext) {
		const dashboard = "https://events.example.com"
		f := fleet.New(ctx)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var m v4
			d := json.NewDecoder(r.Body)
			d.DisallowUnknownFields()
			err := d.Decode(&m)
			if err == nil {
				err = errors.Join(m.wrong()...)
			}
			if err == nil && (*m.ExternalURL != dashboard || !strings.HasPrefix((*m.Alerts[0].Annotations)["link"], dashboard+"/#/notifications/ntf_")) {
				err = errors.New("no link to the dashboard")
			}
			if r.Header.Get("Content-Type") != "application/json" {
				err = errors.Join(err, errors.New("content type"))
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
			}
		}))
		DeferCleanup(server.Close)
		start(ctx, f, func(c *config.Config) { c.API.PublicURL = dashboard })
		to := webhookTo(server.URL, bson.E{Key: "format", Value: "alertmanager"})
		owed := owe(ctx, f, "WEBHOOK", to, to, to)
		at := time.Now().UTC().Truncate(time.Millisecond)
		owed[1].Notification.Alert = &notification.Alert{Kind: "frequency", From: at.Add(-time.Minute), To: at, Text: "12 in 1m",
			Key: raw(bson.D{{Key: "payload.shop-no", Value: "s7"}, {Key: "7", Value: true}})}
		owed[2].Notification.Group = &notification.Group{ID: "g", Key: raw(bson.D{{Key: "source", Value: "spec"}}), Matches: 3, Samples: []string{owed[2].Notification.EventID}}
		owed[2].Notification.HeldBack = 5
		send(ctx, f, owed...)
		for _, m := range owed {
			Eventually(ctx, func() notification.Notification { return now(ctx, f, m) }).Should(HaveField("AttemptCount", 1))
			n := now(ctx, f, m)
			Expect(n.Status).To(Equal(notification.Delivered), "%+v", n.Attempts)
		}
	}, SpecTimeout(time.Minute))
})
