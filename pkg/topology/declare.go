package topology

import (
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
)

const (
	// workDeliveryLimit: every lost connection counts one for each prefetched
	// message; at 20, 21 flaps dead-letter everything that was prefetched.
	workDeliveryLimit = 1_000
	// deadDeliveryLimit: looking at dead letters is a delivery, too. Unset means
	// 20 on RabbitMQ 4, and −1 drops messages on 3.10.
	deadDeliveryLimit = 1_000_000_000
)

// Broker is the table as the broker package declares it.
func (t Table) Broker() broker.Topology {
	var b broker.Topology
	for _, name := range append([]string{ExchangeEvents}, innerExchanges...) {
		b.Exchanges = append(b.Exchanges, broker.Exchange{Name: t.prefix + name, Kind: "topic"})
	}
	for _, w := range t.work {
		q := t.Work(w.Name)
		b.Queues = append(b.Queues,
			broker.Queue{Name: q.Name, Args: quorum(workDeliveryLimit, q.DeadExchange, q.Name)},
			broker.Queue{Name: q.Dead(), Args: quorum(deadDeliveryLimit, "", "")})
		for _, key := range t.keys(w) {
			b.Bindings = append(b.Bindings, broker.Binding{Exchange: t.prefix + w.Exchange, Key: key, Queue: q.Name})
		}
		b.Bindings = append(b.Bindings,
			broker.Binding{Exchange: q.RetryExchange, Key: q.Name, Queue: q.Name},
			broker.Binding{Exchange: q.DeadExchange, Key: q.Name, Queue: q.Dead()})
		for _, delay := range q.Tiers {
			// A tier's own messages are never delivered to a consumer, so the
			// limit does not bind; it is set for the same reason as on Q.dead.
			args := quorum(deadDeliveryLimit, q.RetryExchange, q.Name)
			args["x-message-ttl"] = int64(delay / time.Millisecond)
			b.Queues = append(b.Queues, broker.Queue{Name: q.Tier(delay), Args: args})
			b.Bindings = append(b.Bindings, broker.Binding{Exchange: q.RetryExchange, Key: q.Tier(delay), Queue: q.Tier(delay)})
		}
	}
	return b
}

// quorum are the arguments of a queue that loses nothing: at-least-once
// dead-lettering needs reject-publish, and there is no maximum length, because a
// full target would be retried invisibly every three minutes.
func quorum(deliveryLimit int64, deadExchange, deadKey string) map[string]any {
	args := map[string]any{
		"x-queue-type":     "quorum",
		"x-overflow":       "reject-publish",
		"x-delivery-limit": deliveryLimit,
	}
	if deadExchange != "" {
		args["x-dead-letter-strategy"] = "at-least-once"
		args["x-dead-letter-exchange"] = deadExchange
		args["x-dead-letter-routing-key"] = deadKey
	}
	return args
}
