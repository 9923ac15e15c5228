package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/action/publish"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// publishExecutor sends PUBLISH actions' messages.
type publishExecutor struct {
	publisher Publisher
	topology  topology.Table
}

// Classes of failed publishes.
const (
	classUnroutable     = "unroutable"
	classRefusedMessage = "message_refused"
)

func (e publishExecutor) prepare(msg notification.Message) (call, error) {
	cfg, problems := publish.Parse(msg.Notification.Action.Config)
	if err := problemsError(problems); err != nil {
		return call{}, err
	}
	if slices.Contains(e.topology.InnerExchanges(), cfg.Exchange) {
		return call{}, fmt.Errorf("action config: /exchange %s is one of our own: it carries the pipeline's messages", cfg.Exchange)
	}
	if cfg.Exchange == e.topology.Exchange(topology.ExchangeEvents) {
		var err error
		if cfg, err = cfg.AsEvents(); err != nil {
			return call{}, fmt.Errorf("action config: %w", err)
		}
	}
	// The exchange is the target: one that is missing has a line of its own.
	return call{target: "exchange " + cfg.Exchange, carryOut: func(ctx context.Context, msg notification.Message) result {
		m, err := e.message(cfg, msg)
		if err != nil {
			return result{outcome: notification.OutcomePermanent, class: classTemplate, err: cut(err.Error(), maxErrorText)}
		}
		return published(e.publisher.Publish(ctx, m))
	}}, nil
}

// message carries the notification's id, so that a receiver knows a repeat.
func (e publishExecutor) message(cfg publish.Config, msg notification.Message) (broker.Message, error) {
	key, err := cfg.RoutingKey(msg)
	if err != nil {
		return broker.Message{}, err
	}
	hops := rule.Hops(msg.Event) + 1
	body, isJSON, err := cfg.Body(msg, hops)
	if err != nil {
		return broker.Message{}, err
	}
	n := msg.Notification
	m := broker.Message{
		Exchange: cfg.Exchange, RoutingKey: key, Optional: cfg.Optional,
		ContentType: "text/plain; charset=utf-8", MessageID: n.ID, AppID: Source, Timestamp: time.Now().UTC(), Body: body,
		Headers: map[string]any{"hops": int64(hops), "caused-by": n.EventID, "rule-id": n.RuleID},
	}
	if isJSON {
		m.ContentType = "application/json"
	}
	if cfg.Exchange == publish.PublicExchange {
		m.Exchange = e.topology.Exchange(topology.ExchangeEvents)
	}
	if trace, ok := traceOf(msg.Event); ok {
		trace.Child().WriteHeaders(m.Headers)
	}
	return m, nil
}

// published judges a publish: what has no queue may have one later, what AMQP
// cannot carry never goes.
func published(err error) result {
	var unroutable *broker.UnroutableError
	var refused *broker.RefusedError
	switch {
	case err == nil:
		return result{outcome: notification.OutcomeOK}
	case errors.As(err, &unroutable):
		return result{outcome: notification.OutcomeRetry, class: classUnroutable, err: cut(err.Error(), maxErrorText)}
	case errors.As(err, &refused):
		return result{outcome: notification.OutcomePermanent, class: classRefusedMessage, err: cut(err.Error(), maxErrorText)}
	default:
		return result{outcome: notification.OutcomeRetry, class: classConnection, err: cut(err.Error(), maxErrorText)}
	}
}
