package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/events-aggregator/events-aggregator/test/bench/anchors/load"
)

const (
	window   = 1000 // unconfirmed messages of one publisher
	prefetch = 1000
	idle     = 50 * time.Millisecond // a smaller batch waits no longer
)

var (
	errClosed = errors.New("the broker closed the channel")
	errNacked = errors.New("the broker did not take a message")
)

func dial() (*amqp.Connection, *amqp.Channel, error) {
	connection, err := amqp.DialConfig(os.Getenv("EA_AMQP_URL"), amqp.Config{Heartbeat: 30 * time.Second, FrameSize: 128 << 10})
	if err != nil {
		return nil, nil, fmt.Errorf("connect to RabbitMQ: %w", err)
	}
	channel, err := connection.Channel()
	if err != nil {
		return nil, nil, errors.Join(err, connection.Close())
	}
	return connection, channel, nil
}

// publish fills a queue that it makes, bound to a topic exchange of its name.
func (j job) publish(ctx context.Context, queue string) error {
	l, err := load.New()
	if err != nil {
		return err
	}
	connection, channel, err := dial()
	if err != nil {
		return err
	}
	defer connection.Close()
	if err := channel.ExchangeDeclare(queue, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		return err
	}
	if _, err := channel.QueueDeclare(queue, true, false, false, false, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum}); err != nil {
		return err
	}
	if err := channel.QueueBind(queue, "events.#", queue, false, nil); err != nil {
		return err
	}
	return timed(j.n, func() error {
		ended := make(chan error, writers)
		for w := range writers {
			from, to := j.n*w/writers, j.n*(w+1)/writers
			go func() { ended <- j.publishPart(ctx, l, queue, from, to) }()
		}
		var all error
		for range writers {
			all = errors.Join(all, <-ended)
		}
		return all
	})
}

// publishPart publishes events from…to by one connection.
func (j job) publishPart(ctx context.Context, l *load.Load, exchange string, from, to int) error {
	connection, channel, err := dial()
	if err != nil {
		return err
	}
	defer connection.Close()
	if err := channel.Confirm(false); err != nil {
		return err
	}
	confirms := channel.NotifyPublish(make(chan amqp.Confirmation, 2*window))
	slots := make(chan struct{}, window)
	confirmed := make(chan error, 1)
	go func() {
		for range to - from {
			if c, ok := <-confirms; !ok || !c.Ack {
				confirmed <- errNacked
				return
			}
			<-slots
		}
		confirmed <- nil
	}()
	for i := from; i < to; i++ {
		select {
		case slots <- struct{}{}:
		case err := <-confirmed:
			return err
		}
		key, body := l.Event(j.run, i, time.Now())
		if err := channel.PublishWithContext(ctx, exchange, key, false, false, amqp.Publishing{
			ContentType: "application/json", DeliveryMode: amqp.Persistent, Body: body,
		}); err != nil {
			return err
		}
	}
	return <-confirmed
}

// consume is the cheapest honest ingester without a database.
func consume(ctx context.Context, queue string) error {
	connection, channel, err := dial()
	if err != nil {
		return err
	}
	defer connection.Close()
	if err := channel.Qos(prefetch, 0, false); err != nil {
		return err
	}
	deliveries, err := channel.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	batch := make([]map[string]any, 0, batchSize)
	var last uint64
	ticker := time.NewTicker(idle)
	defer ticker.Stop()
	for {
		var due bool
		select {
		case d, ok := <-deliveries:
			if !ok {
				return errClosed
			}
			last = d.DeliveryTag
			batch = append(batch, accept(d.Body))
			due = len(batch) == batchSize
		case <-ticker.C:
			due = len(batch) > 0
		case <-ctx.Done():
			return nil
		}
		if due {
			if err := channel.Ack(last, true); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
}

// accept decodes an event, checks what every event must have, and stamps it;
// nil when it is none.
func accept(body []byte) map[string]any {
	var e map[string]any
	if json.Unmarshal(body, &e) != nil {
		return nil
	}
	typ, _ := e["type"].(string)
	source, _ := e["source"].(string)
	id, _ := e["event_id"].(string)
	severity, _ := e["severity"].(float64)
	if typ == "" || source == "" || len(id) != len(load.ID(0, 0)) || severity < 1 || severity > 10 || severity != float64(int(severity)) {
		return nil
	}
	now := time.Now()
	e["created_at"], e["expires_at"] = now, now.Add(720*time.Hour)
	return e
}
