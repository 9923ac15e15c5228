package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// site is an installation of the product for one measurement: exchanges,
// queues and a database of its own, so that nothing is left of the one before.
type site struct {
	*bench
	prefix, database string
	bin              string // the binaries that are measured
	table            topology.Table
	store            *store.Store
	publisher        *broker.Publisher
	connection       *broker.Connection
	processes        []*process

	stop    context.CancelFunc
	running sync.WaitGroup
}

// cleanUp bounds what is done after a measurement.
const cleanUp = time.Minute

func (b *bench) newSite(ctx context.Context, name, bin string) (*site, error) {
	name = fmt.Sprintf("bench%d-%s", os.Getpid(), strings.ReplaceAll(name, ".", "-")) // a database has no dot in its name
	s := &site{bench: b, prefix: name + ".", database: name, bin: bin, table: topology.New(name + ".")}
	var err error
	if s.store, err = store.Open(ctx, store.Options{URI: b.mongoURI, Database: s.database, AppName: "bench"}); err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.connection = broker.NewConnection("bench", b.amqpURL, nil, nil)
	s.publisher = broker.NewPublisher(s.connection, broker.PublisherOptions{})
	s.running.Go(func() { _ = s.connection.Run(life) }) // ends by stop alone, and then without an error
	err = s.connection.Declare(ctx, s.table.Broker())
	if err == nil {
		err = s.store.EnsureIndexes(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.remove(ctx))
	}
	return s, nil
}

// dropTime bounds the removal of a database: of 1,000,000 events with all their indexes
// it takes longer than that of everything else.
const dropTime = 10 * time.Minute

// brokerRest is how long queues are left alone before they are deleted. RabbitMQ
// 3.10 cuts the log of a drained queue a little later, and where it is gone by then,
// all of its logs restart, and queues that keep dead letters work no more.
const brokerRest = 5 * time.Second

// remove stops the processes and removes what was made.
func (s *site) remove(ctx context.Context) error {
	for _, p := range s.processes {
		p.kill()
	}
	<-time.After(brokerRest)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	err := s.connection.Remove(ctx, s.table.Broker())
	s.stop()
	s.running.Wait()
	dropping, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTime)
	defer cancel()
	return errors.Join(err, s.store.DropDatabase(dropping), s.store.Close(dropping))
}

// callers is how many publish at the same time, and chunk how many messages
// each gives to the publisher at once.
const callers, chunk = 4, 500

// fill publishes the round's events and returns how fast.
func (s *site) fill(ctx context.Context) (perSecond float64, err error) {
	exchange := s.table.Exchange(topology.ExchangeEvents)
	run := s.nextRun()
	began := time.Now()
	ended := make(chan error, callers)
	for c := range callers {
		from, to := s.events*c/callers, s.events*(c+1)/callers
		go func() {
			for ; from < to; from += chunk {
				messages := make([]broker.Message, min(chunk, to-from))
				for i := range messages {
					key, body := s.load.Event(run, from+i, time.Now())
					messages[i] = broker.Message{Exchange: exchange, RoutingKey: key, ContentType: "application/json", Body: body}
				}
				if err := s.publisher.Publish(ctx, messages...); err != nil {
					ended <- err
					return
				}
			}
			ended <- nil
		}()
	}
	for range callers {
		err = errors.Join(err, <-ended)
	}
	return float64(s.events) / time.Since(began).Seconds(), err
}

// watcher asks for the depth of queues, on a connection of its own.
type watcher struct {
	connection *amqp.Connection
	channel    *amqp.Channel
}

func newWatcher(url string) (*watcher, error) {
	connection, err := amqp.Dial(url)
	if err != nil {
		return nil, fmt.Errorf("connect to RabbitMQ: %w", err)
	}
	channel, err := connection.Channel()
	if err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	return &watcher{connection, channel}, nil
}

// depth is how many messages are ready in a queue.
func (w *watcher) depth(queue string) (int, error) {
	q, err := w.channel.QueueDeclarePassive(queue, true, false, false, false, nil)
	return q.Messages, err
}

// remove deletes a queue of anchors and the exchange of its name.
func (w *watcher) remove(queue string) error {
	_, err := w.channel.QueueDelete(queue, false, false, false)
	return errors.Join(err, w.channel.ExchangeDelete(queue, false, false))
}

// await asks every so often until it is so, or the bound has passed.
func await(ctx context.Context, what string, every, bound time.Duration, so func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("%s: not within %s", what, bound))
	defer cancel()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if yes, err := so(); err != nil || yes {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
