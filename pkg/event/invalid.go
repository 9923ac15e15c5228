package event

import "strings"

// Violation is one broken rule of one message.
type Violation struct {
	Pointer string // JSON pointer (RFC 6901) into the message; empty for the message as a whole
	Message string // what was expected and what was found
}

func (v Violation) String() string {
	if v.Pointer == "" {
		return v.Message
	}
	return v.Pointer + ": " + v.Message
}

// The classes of refused messages; they become x-ea-error-class of a dead
// letter, so operators group and filter by them.
const (
	ClassTooLarge     = "too_large"                // the body exceeds the limit; it was not read
	ClassContentType  = "unsupported_content_type" // neither JSON nor a CloudEvent
	ClassInvalidJSON  = "invalid_json"             // not JSON text, or JSON that cannot be stored faithfully
	ClassInvalidEvent = "invalid_event"            // JSON, but not an event
	ClassSchema       = "schema_violation"         // an event, but not as its type's schema asks
)

// Invalid is the error of Decode: every violation of the message together.
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

// Class is the closed-set name of what is wrong, one of the Class constants.
func (e *Invalid) Class() string { return e.class }
