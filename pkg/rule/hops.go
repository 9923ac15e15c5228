package rule

import (
	"fmt"

	"go.mongodb.org/mongo-driver/bson"
)

// MaxHops is where the chain event → action → event ends: an event with as many
// hops is stored and not matched.
const MaxHops = 8

// DeliveryType is the type of the events about delivery outcomes. They match
// only rules whose condition requires that type: a rule that matches everything
// would otherwise react to its own notifications for ever.
const DeliveryType = "NOTIFICATION_DELIVERY"

// What else is the same in all events about delivery outcomes. A delivery is
// news, a dead notification is an error and counts in the error rate.
const (
	DeliverySource    = "action-dispatcher"
	DeliveredSeverity = 2
	DeadSeverity      = 7
)

// Hops is how many actions stand between the event and a real cause
// (metadata.hops), 0 when it does not say.
func Hops(doc bson.Raw) int {
	metadata := field(doc, "metadata")
	if metadata.t != bson.TypeEmbeddedDocument {
		return 0
	}
	return hops(field(metadata.b, "hops"))
}

func hops(v value) int {
	if v.class() != classNumber {
		return 0
	}
	f, ok := exactFloat(v)
	switch {
	case !ok || f < 1:
		return 0
	case f > MaxHops:
		return MaxHops
	default:
		return int(f)
	}
}

// Guarded says why the loop guard keeps an event from the rule, whatever the
// condition says of it; "" when it does not.
func (c *Condition) Guarded(doc bson.Raw) string {
	t := field(doc, "type")
	switch {
	case Hops(doc) >= MaxHops:
		return fmt.Sprintf("metadata.hops says that %d actions stand between this event and its cause; from there on nothing is matched", MaxHops)
	case t.class() == classString && string(t.text()) == DeliveryType && !namesDelivery(c.root):
		return DeliveryType + " events match only rules whose conditions require that type"
	default:
		return ""
	}
}

// namesDelivery says whether a condition can only hold for events of
// DeliveryType, or of a list of types that has it.
func namesDelivery(n node) bool {
	switch n := n.(type) {
	case *leaf:
		return n.path.name == "type" && asksForDelivery(n.pred)
	case allOf:
		for _, k := range n {
			if namesDelivery(k) {
				return true
			}
		}
		return false
	case anyOf:
		for _, k := range n {
			if !namesDelivery(k) {
				return false
			}
		}
		return len(n) > 0
	default:
		return false
	}
}

func asksForDelivery(p predicate) bool {
	switch p := p.(type) {
	case *equal:
		return p.class == classString && string(p.operand.text()) == DeliveryType
	case *member:
		return p.holdsText([]byte(DeliveryType))
	default:
		return false
	}
}
