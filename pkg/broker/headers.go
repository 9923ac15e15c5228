package broker

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// headerPrefix is ours. A producer's headers with it are forged: they are
// believed only on messages that came through the retry exchange, which the
// product alone publishes to, and never shown to a handler.
const headerPrefix = "x-ea-"

// What a message carries through a retry tier, in addition to its own headers.
const (
	headerAttempt       = "x-ea-attempt" // the attempt that the next delivery is
	headerFirstFailedAt = "x-ea-first-failed-at"
	headerHeldSince     = "x-ea-held-since" // on what comes back uncounted, until its next attempt
	headerExchange      = "x-ea-exchange"   // the producer's
	headerRoutingKey    = "x-ea-routing-key"
	headerCC            = "x-ea-cc" // the producer's CC header: it would route the repeat, too
	headerReplyTo       = "x-ea-reply-to"
	headerUserID        = "x-ea-user-id"
	headerDropped       = "x-ea-dropped-headers" // names of headers that did not fit
	headerRawHeaders    = "x-ea-raw-headers"     // headers that could not be read, as bytes
	headerReplayed      = "x-ea-replayed"        // on a replayed dead letter until its next attempt
	headerRedelivered   = "x-ea-redelivered"     // on what was given out before, until its next attempt
	headerReceipt       = "x-ea-receipt"         // where somebody waits for the ack, see AskReceipt
)

// What a dead letter carries in addition.
const (
	headerDeadID     = "x-ea-dead-id"
	headerReason     = "x-ea-reason"
	headerErrorClass = "x-ea-error-class"
	headerError      = "x-ea-error" // also on what is in a tier
	headerAttempts   = "x-ea-attempts"
	headerDeadAt     = "x-ea-dead-at"
)

// timeFormat of the x-ea-*-at headers: RFC 3339 with milliseconds, UTC.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

const (
	// maxHeaderBytes keeps a message's headers within one frame of 128 KiB, which
	// AMQP demands, with room for the other properties and for what the broker
	// adds (x-death, x-delivery-count).
	maxHeaderBytes = 120_000
	maxShortString = 255
)

// brokerHeader names headers that the broker itself writes or acts upon. They
// are no part of a producer's message, and published again they would lie, or
// route the message elsewhere.
func brokerHeader(name string) bool {
	switch name {
	case "x-death", "x-delivery-count", "x-acquired-count", "CC", "BCC":
		return true
	}
	return strings.HasPrefix(name, "x-first-death-") || strings.HasPrefix(name, "x-last-death-")
}

func ownHeader(name string) bool {
	return len(name) >= len(headerPrefix) && strings.EqualFold(name[:len(headerPrefix)], headerPrefix)
}

// fromTable gives a delivery's headers plain Go types: nested tables become
// map[string]any, so that nobody else needs the AMQP client.
func fromTable(t amqp.Table) map[string]any {
	m := make(map[string]any, len(t))
	for k, v := range t {
		m[k] = fromValue(v)
	}
	return m
}

func fromValue(v any) any {
	switch v := v.(type) {
	case amqp.Table:
		return fromTable(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = fromValue(v[i])
		}
		return list
	default:
		return v
	}
}

// toTable is fromTable's inverse; it accepts a few more Go types and refuses
// what AMQP cannot carry.
func toTable(m map[string]any) (amqp.Table, error) {
	if len(m) == 0 {
		return nil, nil
	}
	t := make(amqp.Table, len(m))
	for k, v := range m {
		if len(k) > maxShortString {
			return nil, fmt.Errorf("header name %.40q… is longer than 255 bytes", k)
		}
		converted, err := toValue(v)
		if err != nil {
			return nil, fmt.Errorf("header %q: %w", k, err)
		}
		t[k] = converted
	}
	return t, nil
}

func toValue(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		t, err := toTable(v)
		if t == nil && err == nil {
			t = amqp.Table{}
		}
		return t, err
	case []any:
		list := make([]any, len(v))
		for i := range v {
			var err error
			if list[i], err = toValue(v[i]); err != nil {
				return nil, err
			}
		}
		return list, nil
	case []string:
		list := make([]any, len(v))
		for i := range v {
			list[i] = v[i]
		}
		return list, nil
	case int: // the client would cut it to 32 bits
		return int64(v), nil
	case uint64:
		if v > math.MaxInt64 {
			return nil, fmt.Errorf("%d does not fit into 64 bits with sign", v)
		}
		return int64(v), nil
	case nil, amqp.Table, bool, byte, int8, int16, int32, int64, uint16, uint32, float32, float64, string, []byte, amqp.Decimal, time.Time:
		return v, nil
	default:
		return nil, fmt.Errorf("type %T has no AMQP form", v)
	}
}

// fitHeaders drops the largest of the headers that are not ours until the rest
// fits, and says which in a header.
func fitHeaders(t amqp.Table) {
	total := tableSize(t)
	if total <= maxHeaderBytes {
		return
	}
	var names []string
	for name := range t {
		if !ownHeader(name) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(valueSize(t[b]), valueSize(t[a])) })
	if raw, ok := t[headerRawHeaders].([]byte); ok && len(names) == 0 {
		t[headerRawHeaders] = raw[:min(len(raw), rawKept)]
		return
	}
	var dropped []string
	for _, name := range names {
		if total <= maxHeaderBytes-1024 { // room for headerDropped
			break
		}
		total -= len(name) + 1 + valueSize(t[name])
		delete(t, name)
		dropped = append(dropped, name)
	}
	t[headerDropped] = cut(strings.Join(dropped, ","), 900)
}

// tableSize is a table's size on the wire, without its own length.
func tableSize(t amqp.Table) int {
	n := 0
	for k, v := range t {
		n += 1 + len(k) + valueSize(v)
	}
	return n
}

func valueSize(v any) int {
	switch v := v.(type) {
	case string:
		return 5 + len(v)
	case []byte:
		return 5 + len(v)
	case amqp.Table:
		return 5 + tableSize(v)
	case []any:
		n := 5
		for i := range v {
			n += valueSize(v[i])
		}
		return n
	default:
		return 9
	}
}

// cut shortens s to at most n bytes, at a character's border.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

func headerString(h map[string]any, name string) string {
	switch v := h[name].(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

func headerInt(h map[string]any, name string) int {
	switch v := h[name].(type) {
	case int64:
		return int(v)
	case int32:
		return int(v)
	case int16:
		return int(v)
	case int8:
		return int(v)
	case byte:
		return int(v)
	case uint16:
		return int(v)
	case uint32:
		return int(v)
	case string:
		n, _ := strconv.Atoi(v)
		return n
	}
	return 0
}

func headerTime(h map[string]any, name string) time.Time {
	switch v := h[name].(type) {
	case time.Time:
		return v.UTC()
	case string:
		t, err := time.Parse(time.RFC3339Nano, v)
		if err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
