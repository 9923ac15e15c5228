package event

import (
	"fmt"
	"strconv"
	"strings"
)

// Violation is one broken rule of one message.
type Violation struct {
	Pointer string // JSON pointer (RFC 6901) into the message; empty for the message as a whole
	Message string // what was expected and what was found
}

// String escapes what does not print: the pointer is made of the message's own
// keys, and the text goes to terminals and logs.
func (v Violation) String() string {
	if v.Pointer == "" {
		return v.Message
	}
	pointer := v.Pointer
	if strings.ContainsFunc(pointer, func(r rune) bool { return !strconv.IsPrint(r) }) {
		pointer = strconv.Quote(pointer)
	}
	return pointer + ": " + v.Message
}

// The classes of refused messages, a closed set: they become the error class
// of a dead letter, by which operators group and filter.
const (
	ClassTooLarge     = "too_large"                // the body exceeds the limit; it was not read
	ClassContentType  = "unsupported_content_type" // neither JSON nor a CloudEvent
	ClassInvalidJSON  = "invalid_json"             // not JSON text in UTF-8
	ClassInvalidEvent = "invalid_event"            // JSON, but not an event that can be stored
	ClassSchema       = "schema_violation"         // an event, but not as its type's schema asks
)

// Invalid is the error of Decode and FromJSON: every violation of the message
// together, so that a producer mends it in one go.
type Invalid struct {
	Violations []Violation
	class      string
}

// Error names all violations.
func (e *Invalid) Error() string {
	var b strings.Builder
	for i, v := range e.Violations {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(v.String())
	}
	return b.String()
}

// Class is one of the Class constants, the gravest of the message.
func (e *Invalid) Class() string { return e.class }

const (
	// violationsMax bounds what one message can make us write: a body of
	// 256 KiB has room for tens of thousands of bad keys. Nobody reads more.
	violationsMax = 64
	// excerptMax bounds what a violation quotes from the message, in bytes.
	excerptMax = 64
	// pointerMax bounds a violation's pointer, in bytes: keys may be long.
	pointerMax = 256
)

// violations collects what is wrong with one message.
type violations struct {
	list  []Violation
	more  int // beyond violationsMax
	class string
}

func (v *violations) none() bool { return len(v.list) == 0 }

func (v *violations) add(class, pointer, format string, args ...any) {
	if v.class == "" || class == ClassInvalidJSON {
		v.class = class
	}
	if len(v.list) >= violationsMax {
		v.more++
		return
	}
	v.list = append(v.list, Violation{Pointer: pointer, Message: fmt.Sprintf(format, args...)})
}

// err is nil when nothing is wrong.
func (v *violations) err() error {
	if v.none() {
		return nil
	}
	if v.more > 0 {
		v.list = append(v.list, Violation{Message: fmt.Sprintf("and %d more violations", v.more)})
	}
	return &Invalid{Violations: v.list, class: v.class}
}

// refused is an Invalid with one violation.
func refused(class, pointer, format string, args ...any) *Invalid {
	return &Invalid{class: class, Violations: []Violation{{Pointer: pointer, Message: fmt.Sprintf(format, args...)}}}
}

// excerpt quotes at most excerptMax bytes of what the message holds; invalid
// UTF-8 and control characters come out escaped.
func excerpt(b []byte) string {
	if len(b) > excerptMax {
		return fmt.Sprintf("%q…", b[:excerptMax])
	}
	return fmt.Sprintf("%q", b)
}

// bare is excerpt without quotes, for what is no string.
func bare(b []byte) string { return strings.Trim(excerpt(b), `"`) }

// pointerEscaper is RFC 6901 §3.
var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// clip cuts a pointer to pointerMax bytes of valid UTF-8.
func clip(pointer string) string {
	if len(pointer) > pointerMax {
		pointer = pointer[:pointerMax] + "…"
	}
	return strings.ToValidUTF8(pointer, "\uFFFD")
}
