package aggregator_test

import (
	"context"
	"errors"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/services/aggregator"
)

// schedule answers as a list of changed windows would, and notes who asked.
type schedule struct {
	mu     sync.Mutex
	answer func(p string, call int) (int, error)
	calls  map[string]int
}

func (s *schedule) Materialise(_ context.Context, p metric.Period, _ int, _ time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[p.Name]++
	return s.answer(p.Name, s.calls[p.Name])
}

func (s *schedule) of(period string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[period]
}

func runMaterialiser(s *schedule) {
	s.calls = map[string]int{}
	m := &aggregator.Materialiser{Windows: s, Every: 5 * time.Millisecond, Log: zap.NewNop(),
		Metrics: aggregator.NewMetrics(prometheus.NewRegistry()), Now: time.Now}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); defer GinkgoRecover(); Expect(m.Run(ctx)).To(Succeed()) }()
	DeferCleanup(func() { stop(); Eventually(ended).Should(BeClosed()) })
}

var _ = Describe("the materialiser's schedule", func() {
	day, _ := metric.PeriodNamed("1d")
	hour, _ := metric.PeriodNamed("1h")

	It("lets a period rest the longer the dearer it is, within bounds", func() {
		Expect(aggregator.Rest(hour, 0)).To(BeZero())
		Expect(aggregator.Rest(hour, 10*time.Millisecond)).To(Equal(200 * time.Millisecond))
		Expect(aggregator.Rest(hour, time.Minute)).To(Equal(time.Minute))
		Expect(aggregator.Rest(day, time.Hour)).To(Equal(10 * time.Minute))
	})

	It("makes dear periods rarely while events are counted, and at once when it is quiet", func(ctx SpecContext) {
		var counting sync.Map
		counting.Store("now", true)
		s := &schedule{}
		s.answer = func(p string, _ int) (int, error) {
			if p == "1d" { // takes so long that it rests for seconds
				timer := time.NewTimer(100 * time.Millisecond)
				<-timer.C
			}
			if on, _ := counting.Load("now"); on.(bool) {
				return 1, nil
			}
			return 0, nil
		}
		runMaterialiser(s)
		Eventually(ctx, func() int { return s.of("1m") }).Should(BeNumerically(">", 20))
		Expect(s.of("1d")).To(Equal(1))
		counting.Store("now", false)
		Eventually(ctx, func() int { return s.of("1d") }).Should(BeNumerically(">", 1))
	}, SpecTimeout(10*time.Second))

	It("goes on while there is more than one list holds, and after an error", func(ctx SpecContext) {
		s := &schedule{}
		s.answer = func(p string, call int) (int, error) {
			switch {
			case p != "1m":
				return 0, nil
			case call <= 3:
				return 1000, nil
			case call == 4:
				return 0, errors.New("the database is away")
			default:
				return 0, nil
			}
		}
		runMaterialiser(s)
		Eventually(ctx, func() int { return s.of("1d") }).Should(BeNumerically(">", 0))
		Expect(s.of("1m")).To(BeNumerically(">=", 5))
	}, SpecTimeout(10*time.Second))
})
