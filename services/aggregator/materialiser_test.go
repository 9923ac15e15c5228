package aggregator_test

import (
	"context"
	"errors"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/services/aggregator"
)

// list is a list of changed windows as the database has it, without counters.
type list struct {
	mu      sync.Mutex
	changed map[string]metric.Window // by id
	made    map[string]int           // by period
	busy    map[string]bool          // periods whose window changes at every look
	fail    int                      // so many looks fail
	took    time.Duration            // of one making
	now     time.Time
}

func newList() *list {
	return &list{changed: map[string]metric.Window{}, made: map[string]int{}, busy: map[string]bool{}, now: time.Now()}
}

// touch changes the period's one window.
func (l *list) touch(p metric.Period) {
	start := p.Start(l.now)
	l.changed[p.Name] = metric.Window{ID: p.WindowID(start), Period: p.Name, Start: start, Token: primitive.NewObjectID()}
}

func (l *list) ChangedWindows(_ context.Context, p metric.Period, _ int) ([]metric.Window, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail > 0 {
		l.fail--
		return nil, errors.New("the database is away")
	}
	if l.busy[p.Name] {
		l.touch(p)
	}
	if w, is := l.changed[p.Name]; is {
		return []metric.Window{w}, nil
	}
	return nil, nil
}

func (l *list) Materialise(_ context.Context, p metric.Period, windows []metric.Window, _ time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now.Add(l.took)
	l.made[p.Name] += len(windows)
	delete(l.changed, p.Name)
	return nil
}

// clock advances by a second between two looks and by what making takes.
func (l *list) clock() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// looks lets the materialiser look so many times, once a second.
func (l *list) looks(ctx context.Context, m *aggregator.Materialiser, n int) {
	GinkgoHelper()
	for range n {
		Expect(m.Look(ctx)).To(Succeed())
		l.mu.Lock()
		l.now = l.now.Add(time.Second)
		l.mu.Unlock()
	}
}

func materialiser(l *list, every time.Duration, now func() time.Time) *aggregator.Materialiser {
	return &aggregator.Materialiser{Windows: l, Every: every, Log: zap.NewNop(),
		Metrics: aggregator.NewMetrics(prometheus.NewRegistry()), Now: now}
}

var _ = Describe("the materialiser", func() {
	minute, _ := metric.PeriodNamed("1m")
	hour, _ := metric.PeriodNamed("1h")
	day, _ := metric.PeriodNamed("1d")

	It("makes a window that stands still at the second look", func(ctx SpecContext) {
		l := newList()
		l.touch(minute)
		l.touch(day)
		l.looks(ctx, materialiser(l, time.Second, l.clock), 2)
		Expect(l.made).To(Equal(map[string]int{"1m": 1, "1d": 1}))
	})

	It("makes windows that change all the time as often as their period says", func(ctx SpecContext) {
		l := newList()
		l.busy = map[string]bool{"1m": true, "1h": true, "1d": true}
		l.looks(ctx, materialiser(l, time.Second, l.clock), 300)
		Expect(l.made["1m"]).To(BeNumerically(">=", 290), "all but the first look at each minute")
		Expect(l.made["1h"]).To(BeNumerically("~", 4, 1))
		Expect(l.made["1d"]).To(BeZero(), "ten minutes have not passed")
	})

	It("makes dear windows rarely while they change, and at once when they stand still", func(ctx SpecContext) {
		l := newList()
		l.busy["1m"], l.took = true, 3*time.Second
		m := materialiser(l, time.Second, l.clock)
		l.looks(ctx, m, 100)
		Expect(l.made["1m"]).To(BeNumerically("<", 8))
		made := l.made["1m"]
		l.busy["1m"] = false
		l.touch(minute) // the last look may have made what there was
		l.looks(ctx, m, 2)
		Expect(l.made["1m"]).To(Equal(made + 1))
	})

	It("has bounds for its patience", func() {
		Expect(aggregator.Patience(hour, 0)).To(Equal(time.Minute))
		Expect(aggregator.Patience(hour, 10*time.Second)).To(Equal(100 * time.Second))
		Expect(aggregator.Patience(day, 0)).To(Equal(10 * time.Minute))
		Expect(aggregator.Patience(minute, time.Hour)).To(Equal(10 * time.Minute))
	})

	It("goes on after an error, until it is stopped", func(ctx SpecContext) {
		l := newList()
		l.fail = 3
		l.touch(hour)
		m := materialiser(l, 5*time.Millisecond, time.Now)
		run, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- m.Run(run) }()
		Eventually(ctx, func() int { l.mu.Lock(); defer l.mu.Unlock(); return l.made["1h"] }).Should(Equal(1))
		stop()
		Eventually(ctx, ended).Should(Receive(BeNil()))
	}, SpecTimeout(10*time.Second))
})
