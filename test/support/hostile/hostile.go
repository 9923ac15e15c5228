// Package hostile makes messages that a producer should never send, mixed with
// odd ones that are valid and must be stored.
package hostile

// Message is one message for the exchange `events`, and what must become of it.
type Message struct {
	Body        []byte
	Headers     map[string]any
	ContentType string
	MessageID   string
	Why         string // what is wrong, or odd, about it
	Valid       bool   // true: stored; false: dead once
}

// Messages returns n messages; the same seed gives the same messages.
func Messages(seed int64, n int) []Message { return nil }
