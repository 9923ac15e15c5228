package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// noteAlerts compares the alerts that were told with what the stored events
// give, found here by the plainest loops and by none of the product's code.
func (s *site) noteAlerts(ctx context.Context, f figures, build string, began time.Time) error {
	want, err := s.recount(ctx, began)
	if err != nil {
		return err
	}
	var found map[string]bool
	missing := 0
	// What was left to the timer comes later; what has not come by then is missing.
	deadline := time.Now().Add(alertsWithin)
	err = await(ctx, "alerts published", time.Second, longest, func() (bool, error) {
		waiting, err := s.store.UnpublishedNotifications(ctx, time.Now().Add(time.Hour), nil, 1)
		if err == nil {
			found, err = s.alerts(ctx)
		}
		missing = 0
		for alert := range want {
			if !found[alert] {
				missing++
			}
		}
		return len(waiting) == 0 && (missing == 0 || time.Now().After(deadline)), err
	})
	if err != nil {
		return err
	}
	// Nobody consumes the orders, so the queue says how many were given.
	orders, err := s.watcher.depth(s.table.Work(topology.NotificationsDefault).Name)
	if err != nil {
		return err
	}
	beyond := 0
	for alert := range found {
		if !want[alert] {
			beyond++
		}
	}
	f[build+windowsAlerts], f[build+windowsTwice] = float64(len(found)), float64(orders-len(found))
	f[build+windowsMissing], f[build+windowsBeyond] = float64(missing), float64(beyond)
	return nil
}

// alertsWithin is how long the timer may take for what was left to it.
const alertsWithin = 90 * time.Second

// alertName is an alert's identity: its rule, user and slot.
func alertName(kind, user string, slot int64) string { return fmt.Sprint(kind, " ", user, " ", slot) }

// alerts are those in the database.
func (s *site) alerts(ctx context.Context) (map[string]bool, error) {
	found := map[string]bool{}
	return found, s.eachAlert(ctx, func(n notification.Notification) {
		user, _ := n.Alert.Key.Lookup("user_id").StringValueOK()
		found[alertName(n.RuleID, user, n.Alert.Slot)] = true
	})
}

// told are those in the database, as a recount names them.
func (s *site) told(ctx context.Context) (map[string]notification.Notification, error) {
	found := map[string]notification.Notification{}
	return found, s.eachAlert(ctx, func(n notification.Notification) {
		found[fmt.Sprintf("%s %s@%d", n.RuleID, n.Alert.Key, n.Alert.Slot)] = n
	})
}

func (s *site) eachAlert(ctx context.Context, f func(notification.Notification)) error {
	const page = 1000
	var after *store.NotificationPosition
	for {
		some, err := s.store.FindNotifications(ctx, store.NotificationFilter{}, after, page)
		if err != nil {
			return err
		}
		for _, n := range some {
			f(n)
			after = &store.NotificationPosition{CreatedAt: n.CreatedAt, ID: n.ID}
		}
		if len(some) < page {
			return nil
		}
	}
}

// counted is what a recount looks at of an event.
type counted struct {
	at int64 // ms
	ip string
}

// recount finds all alerts in the stored events.
func (s *site) recount(ctx context.Context, began time.Time) (map[string]bool, error) {
	all, err := condition()
	if err != nil {
		return nil, err
	}
	events := map[string][]counted{} // by user
	n := 0
	err = s.store.RuleSearch(all).Events(ctx, began.Add(-time.Minute), time.Now(), false, 0, []string{"timestamp", "user_id", "payload.ip"}, func(doc bson.Raw) bool {
		at, _ := doc.Lookup("timestamp").TimeOK()
		user, _ := doc.Lookup("user_id").StringValueOK()
		ip, _ := doc.Lookup("payload", "ip").StringValueOK()
		events[user] = append(events[user], counted{at.UnixMilli(), ip})
		n++
		return true
	})
	if err == nil && n != s.events {
		err = fmt.Errorf("%d events to recount, %d were published", n, s.events)
	}
	want := map[string]bool{}
	for user, of := range events {
		for _, spec := range windowSpecs() {
			timeframe := spec.Timeframe.Std().Milliseconds()
			for _, end := range of {
				if fires(spec, of, end.at, timeframe) {
					want[alertName(spec.Kind, user, end.at/timeframe)] = true
				}
			}
		}
	}
	return want, err
}

// fires says whether a user's window that ends at that time fires.
func fires(spec window.Spec, all []counted, end, timeframe int64) bool {
	now, before, old := 0, 0, false
	var ips []string
	for _, e := range all {
		switch {
		case e.at > end:
		case e.at > end-timeframe:
			now++
			if !slices.Contains(ips, e.ip) {
				ips = append(ips, e.ip)
			}
		case e.at > end-2*timeframe:
			before++
		default:
			old = true
		}
	}
	switch spec.Kind {
	case "frequency":
		return now >= spec.NumEvents
	case "cardinality":
		return float64(len(ips)) > *spec.Max
	default: // a spike, with events before it to compare with
		return old && now >= spec.ThresholdCur && float64(now) >= spec.SpikeHeight*float64(before)
	}
}
