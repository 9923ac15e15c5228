package window_test

import (
	"context"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

func TestWindow(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Window rules")
}

// series are the observations of a spec; asked counts what was read of them.
type series struct {
	all   []window.Observation
	asked int
}

func (s *series) Observe(_ context.Context, q window.Query, f func(window.Observation) bool) error {
	found := slices.Clone(s.all)
	switch q.Order {
	case window.OldestFirst:
		slices.SortStableFunc(found, func(a, b window.Observation) int { return int(a.At - b.At) })
	case window.NewestFirst:
		slices.SortStableFunc(found, func(a, b window.Observation) int { return int(b.At - a.At) })
	case window.AnyOrder:
	}
	for _, o := range found {
		if o.At < q.From || o.At >= q.To || q.Keys != nil && !slices.Contains(q.Keys, o.Key) ||
			q.Value != "" && o.Value != q.Value || q.Present && o.Value == "" {
			continue
		}
		s.asked++
		if !f(o) {
			return nil
		}
	}
	return nil
}

// add appends n events of a key at a time after the epoch.
func (s *series) add(at time.Duration, n int, key string, change ...func(*window.Observation)) {
	for range n {
		var id primitive.ObjectID
		binary.BigEndian.PutUint32(id[8:], uint32(len(s.all)+1))
		o := window.Observation{At: at.Milliseconds(), ID: id, Key: key}
		for _, f := range change {
			f(&o)
		}
		s.all = append(s.all, o)
	}
}

func valued(v string) func(*window.Observation) {
	return func(o *window.Observation) { o.Value = v }
}

func for_(d time.Duration) interval.Duration { return interval.Duration(d) }

// evaluate finds all alerts between two times after the epoch.
func evaluate(ctx context.Context, spec window.Spec, s *series, from, to time.Duration) []window.Alert {
	GinkgoHelper()
	Expect(spec.Check()).To(BeEmpty())
	alerts, err := spec.Evaluate(ctx, s, time.UnixMilli(from.Milliseconds()), time.UnixMilli(to.Milliseconds()))
	Expect(err).NotTo(HaveOccurred())
	return alerts
}

// slots are the alerts' identities: key@slot.
func slots(alerts []window.Alert) []string {
	all := []string{}
	for _, a := range alerts {
		all = append(all, name(string(a.Key), a.Slot))
	}
	return all
}
