package topology

import (
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// Outcome is the message of an outcome event: an ordinary event in the public
// exchange, as any producer sends one.
func (t Table) Outcome(o decision.Outcome) (broker.Message, error) {
	body, err := o.Body()
	if err != nil {
		return broker.Message{}, err
	}
	return broker.Message{
		Exchange: t.Exchange(ExchangeEvents), RoutingKey: KeyDelivery,
		ContentType: typeJSON, MessageID: o.EventID(), AppID: rule.DeliverySource, Type: rule.DeliveryType,
		Timestamp: o.At(), Headers: map[string]any{}, Body: body,
	}, nil
}
