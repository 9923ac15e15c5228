package telemetry

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
)

// Header names of the W3C trace context, as in AMQP headers and HTTP.
const (
	HeaderTraceparent = "traceparent"
	HeaderTracestate  = "tracestate"
)

// Trace is one place in a distributed trace: W3C Trace Context, level 1.
type Trace struct {
	TraceID [16]byte
	SpanID  [8]byte
	Flags   byte
	State   string // tracestate, handed on untouched
}

// sampled is the only flag that the specification defines.
const sampled = 0x01

// NewTrace begins a trace.
func NewTrace() Trace {
	t := Trace{Flags: sampled}
	_, _ = rand.Read(t.TraceID[:]) // never fails
	_, _ = rand.Read(t.SpanID[:])
	return t
}

// Child is the next step within the trace.
func (t Trace) Child() Trace {
	_, _ = rand.Read(t.SpanID[:])
	return t
}

// ID is the trace id as events and log lines show it.
func (t Trace) ID() string { return hex.EncodeToString(t.TraceID[:]) }

// Traceparent is the header's value.
func (t Trace) Traceparent() string {
	return "00-" + t.ID() + "-" + hex.EncodeToString(t.SpanID[:]) + "-" + hex.EncodeToString([]byte{t.Flags})
}

// ParseTraceparent reads version 00, and later versions as far as 00 goes; it
// refuses all-zero ids and upper case, as the specification asks.
func ParseTraceparent(s string) (t Trace, ok bool) {
	const length = 2 + 1 + 32 + 1 + 16 + 1 + 2
	if len(s) < length || s[2] != '-' || s[35] != '-' || s[52] != '-' || s != strings.ToLower(s) {
		return Trace{}, false
	}
	version, err := hex.DecodeString(s[:2])
	if err != nil || version[0] == 0xff || version[0] == 0 && len(s) != length || len(s) > length && s[length] != '-' {
		return Trace{}, false
	}
	var flags [1]byte
	for _, part := range []struct {
		to   []byte
		text string
	}{{t.TraceID[:], s[3:35]}, {t.SpanID[:], s[36:52]}, {flags[:], s[53:55]}} {
		if _, err := hex.Decode(part.to, []byte(part.text)); err != nil {
			return Trace{}, false
		}
	}
	t.Flags = flags[0] & sampled
	if t.TraceID == ([16]byte{}) || t.SpanID == ([8]byte{}) {
		return Trace{}, false
	}
	return t, true
}

// TraceFromHeaders reads the context of a message; ok is false when it carries
// none that is valid.
func TraceFromHeaders(headers map[string]any) (t Trace, ok bool) {
	parent, _ := headers[HeaderTraceparent].(string)
	if t, ok = ParseTraceparent(parent); ok {
		t.State, _ = headers[HeaderTracestate].(string)
	}
	return t, ok
}

// WriteHeaders puts the context into a message's headers.
func (t Trace) WriteHeaders(headers map[string]any) {
	headers[HeaderTraceparent] = t.Traceparent()
	if t.State != "" {
		headers[HeaderTracestate] = t.State
	} else {
		delete(headers, HeaderTracestate)
	}
}
