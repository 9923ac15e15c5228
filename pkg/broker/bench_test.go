package broker_test

import (
	"context"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/broker/brokertest"
)

// bench is one quorum queue, its exchange, and two connections.
type bench struct {
	q         broker.WorkQueue
	exchange  string
	conn      *broker.Connection
	publisher *broker.Publisher
}

func newBench(b *testing.B) *bench {
	b.Helper()
	url := os.Getenv("EA_AMQP_URL")
	if url == "" {
		b.Fatal("EA_AMQP_URL must name a RabbitMQ for this benchmark")
	}
	prefix := brokertest.Prefix()
	q := broker.WorkQueue{Name: prefix + "q", RetryExchange: prefix + "retry", DeadExchange: prefix + "dead"}
	t := broker.Topology{
		Exchanges: []broker.Exchange{{Name: prefix + "in", Kind: "topic"}, {Name: q.DeadExchange, Kind: "topic"}},
		Queues:    []broker.Queue{{Name: q.Name, Args: quorum(1000, q.DeadExchange, q.Name)}},
		Bindings:  []broker.Binding{{Exchange: prefix + "in", Key: "events.#", Queue: q.Name}},
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	conn := broker.NewConnection("bench-consume", url, nil, nil)
	publish := broker.NewConnection("bench-publish", url, nil, nil)
	for _, c := range []*broker.Connection{conn, publish} {
		running.Go(func() { _ = c.Run(ctx) })
	}
	if err := conn.Declare(ctx, t); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = conn.Remove(ctx, t)
		cancel()
		running.Wait()
	})
	return &bench{q: q, exchange: prefix + "in", conn: conn, publisher: broker.NewPublisher(publish, broker.PublisherOptions{})}
}

// bodies of 600 bytes, an event's size.
func (r *bench) messages(n int) []broker.Message {
	body := make([]byte, 600)
	for i := range body {
		body[i] = byte('a' + rand.IntN(26))
	}
	msgs := make([]broker.Message, n)
	for i := range msgs {
		msgs[i] = broker.Message{Exchange: r.exchange, RoutingKey: "events.domain.what", ContentType: "application/json", Body: body}
	}
	return msgs
}

func (r *bench) fill(b *testing.B, n int) {
	b.Helper()
	if err := r.publisher.Publish(b.Context(), r.messages(n)...); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPublish: one call after the other of so many messages each, by two
// callers; ns/op is for one message.
func BenchmarkPublish(b *testing.B) {
	for _, size := range []struct {
		name  string
		calls int
	}{{"calls-of-1", 1}, {"calls-of-500", 500}} {
		b.Run(size.name, func(b *testing.B) {
			r := newBench(b)
			r.fill(b, 1000)
			callers := 2
			if size.calls == 1 {
				callers = 500
			}
			msgs := r.messages(size.calls)
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					for left.Add(-int64(size.calls)) > -int64(size.calls) {
						if err := r.publisher.Publish(b.Context(), msgs...); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// BenchmarkConsume: a full queue, handlers that do nothing.
func BenchmarkConsume(b *testing.B) {
	for _, shape := range []struct {
		name string
		loop func(done func(int)) broker.Loop
	}{
		{"each-8", func(done func(int)) broker.Loop {
			return broker.Each(8, func(context.Context, *broker.Delivery) error { done(1); return nil })
		}},
		{"batches-500", func(done func(int)) broker.Loop {
			return broker.Batches(broker.BatchOptions{}, func(_ context.Context, batch []*broker.Delivery) error { done(len(batch)); return nil })
		}},
	} {
		b.Run(shape.name, func(b *testing.B) {
			r := newBench(b)
			r.fill(b, b.N)
			var handled atomic.Int64
			all := make(chan struct{})
			var once sync.Once
			ctx, cancel := context.WithCancel(b.Context())
			c := broker.NewConsumer(r.conn, r.publisher, r.q, broker.ConsumerOptions{Prefetch: 1000})
			b.ResetTimer()
			ended := make(chan error, 1)
			go func() {
				ended <- c.Run(ctx, shape.loop(func(n int) {
					if handled.Add(int64(n)) >= int64(b.N) {
						once.Do(func() { close(all) })
					}
				}))
			}()
			select {
			case <-all:
			case <-time.After(time.Minute):
				b.Error("not all were consumed in time")
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			cancel()
			if err := <-ended; err != nil {
				b.Error(err)
			}
		})
	}
}
