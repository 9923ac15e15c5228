package event

import (
	"time"
	"unicode/utf8"
)

// field is a member of an event in the native shape.
type field uint16

const (
	fieldEventID field = 1 << iota
	fieldType
	fieldSource
	fieldSeverity
	fieldTimestamp
	fieldUserID
	fieldSessionID
	fieldTraceID
	fieldPayload
	fieldMetadata
	fieldUnknown field = 0
)

// What the rules of an event allow.
const (
	typeMax       = 64  // characters of `type`
	sourceMax     = 128 // characters of `source`; `metadata.region`, a dimension too
	referenceMax  = 256 // characters of `user_id`, `session_id`, `trace_id`: they are index keys
	severityUnset = 3
	severityMax   = 10
)

// members of the native shape, and those that only the ingester sets.
const (
	memberNames   = "event_id, type, source, severity, timestamp, user_id, session_id, trace_id, payload, metadata"
	unknownMember = "is no member of an event (" + memberNames + "); put it under payload or metadata"
	derivedMember = "is set when the event is stored; leave it out"
)

// fieldOf also returns the key as a constant, for pointers.
func fieldOf(key []byte) (field, string) {
	switch string(key) {
	case "event_id":
		return fieldEventID, "event_id"
	case "type":
		return fieldType, "type"
	case "source":
		return fieldSource, "source"
	case "severity":
		return fieldSeverity, "severity"
	case "timestamp":
		return fieldTimestamp, "timestamp"
	case "user_id":
		return fieldUserID, "user_id"
	case "session_id":
		return fieldSessionID, "session_id"
	case "trace_id":
		return fieldTraceID, "trace_id"
	case "payload":
		return fieldPayload, "payload"
	case "metadata":
		return fieldMetadata, "metadata"
	}
	return fieldUnknown, ""
}

// draft is what was read of one event. Its byte slices are views of the message
// or of scratch.
type draft struct {
	seen  field // members that are there, to find those that are twice
	given field // members that are there and not null, valid or not

	eventID       [uuidLength]byte
	typ, source   []byte
	user, session []byte
	trace         []byte
	timestamp     time.Time
	severity      int

	cloudEvent                  bool
	cloudID                     []byte
	attributes, attributesGiven attribute // as seen and given
}

// members reads the object at pos and calls visit at the value of each member.
func (t *transcoder) members(visit func(key []byte) bool) bool {
	t.pos++
	t.space()
	if t.next('}') {
		return true
	}
	for {
		if t.pos >= len(t.in) || t.in[t.pos] != '"' {
			return t.unexpected("a key in double quotes")
		}
		t.member = ""
		key, ok := t.view()
		if !ok || !t.colon() || !visit(key) {
			return false
		}
		t.space()
		if t.next(',') {
			t.space()
			continue
		}
		t.member = ""
		return t.next('}') || t.unexpected("',' or '}'")
	}
}

// nativeMember reads one member. An optional member that is null counts as not
// given: serialisers write null for what is unset.
func (w *work) nativeMember(key []byte) bool {
	f, name := fieldOf(key)
	if f == fieldUnknown {
		return w.unknownMember(key)
	}
	w.member = name
	if w.draft.seen&f != 0 {
		w.refuse("the key is there twice")
		return w.skip(1)
	}
	w.draft.seen |= f
	if w.pos < len(w.in) && w.in[w.pos] == 'n' {
		return w.literal("null")
	}
	w.draft.given |= f
	switch f {
	case fieldEventID:
		return w.readEventID()
	case fieldType:
		return w.readType()
	case fieldSource:
		return w.readSource()
	case fieldSeverity:
		return w.readSeverity()
	case fieldTimestamp:
		return w.readTimestamp()
	case fieldUserID:
		return w.readReference(&w.draft.user)
	case fieldSessionID:
		return w.readReference(&w.draft.session)
	case fieldTraceID:
		return w.readReference(&w.draft.trace)
	case fieldPayload:
		return w.readObject(&w.payload)
	default:
		return w.readObject(&w.metadata)
	}
}

// unknownMember refuses a top-level key that events do not have. Storing it
// would let producers take names that the product gives a meaning later, and
// dropping it would lose what somebody meant to keep; a misspelt `severty` would
// pass as severity 3.
func (w *work) unknownMember(key []byte) bool {
	w.member = string(key)
	switch w.member {
	case "_id", "processed", "matched_rules", "search_text", "batch_id", "created_at", "expires_at":
		w.refuse(derivedMember)
	case "": // no member is the whole message, and would be its pointer
		w.refuseAt("/", unknownMember)
	default:
		w.refuse(unknownMember)
	}
	return w.skip(1)
}

// textValue reads the string at pos; what else is there is refused and read past,
// and nil is returned.
func (w *work) textValue(want string) (s []byte, ok bool) {
	if w.pos < len(w.in) && w.in[w.pos] == '"' {
		return w.view()
	}
	w.refuse("expected %s, found %s", want, w.found())
	return nil, w.skip(1)
}

func (w *work) readEventID() bool {
	const want = "a UUID such as 7c9e6679-7425-40de-944b-e07fc1f90ae7, not the nil UUID"
	s, ok := w.textValue(want)
	if s != nil && !parseUUID(&w.draft.eventID, s) {
		w.refuse("expected %s, found %s", want, excerpt(s))
	}
	return ok
}

func (w *work) readType() bool {
	const want = "UPPER_SNAKE, 1 to 64 of A-Z, 0-9 and _, beginning with a letter"
	s, ok := w.textValue(want)
	if s != nil && !isType(s) {
		w.refuse("expected %s, found %s", want, excerpt(s))
	}
	w.draft.typ = s
	return ok
}

func isType(s []byte) bool {
	if len(s) == 0 || len(s) > typeMax || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for _, c := range s {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

func (w *work) readSource() bool {
	const want = "a string of 1 to 128 characters"
	s, ok := w.textValue(want)
	if s != nil && !sized(s, sourceMax) {
		w.refuse("expected %s, found %s", want, excerpt(s))
	}
	w.draft.source = s
	return ok
}

// sized says whether s has 1 to most characters.
func sized(s []byte, most int) bool {
	return len(s) > 0 && (len(s) <= most || utf8.RuneCount(s) <= most)
}

func (w *work) readReference(to *[]byte) bool {
	const want = "a string of at most 256 characters"
	s, ok := w.textValue(want)
	if len(s) > 0 && !sized(s, referenceMax) {
		w.refuse("expected %s, found %s", want, excerpt(s))
	}
	*to = s // empty: not given
	return ok
}

// readSeverity wants an integer literal: 5, not "5" and not 5.0.
func (w *work) readSeverity() bool {
	const want = "an integer from 1 to 10"
	from := w.pos
	if c := w.in[from:]; len(c) == 0 || c[0] != '-' && (c[0] < '0' || c[0] > '9') {
		w.refuse("expected %s, found %s", want, w.found())
		return w.skip(1)
	}
	n, ok := w.scanNumber()
	if !ok {
		return false
	}
	v, fits := n.int64()
	if n.float || !fits || v < 1 || v > severityMax {
		w.refuse("expected %s, found %s", want, bare(w.in[from:w.pos]))
	}
	w.draft.severity = int(v)
	return true
}

func (w *work) readTimestamp() bool {
	const want = "an RFC 3339 time such as 2006-01-02T15:04:05.999Z"
	s, ok := w.textValue(want)
	if s == nil {
		return ok
	}
	at, valid := parseTimestamp(s)
	if !valid {
		w.refuse("expected %s, found %s", want, excerpt(s))
		return ok
	}
	w.draft.timestamp = at
	return ok
}

// readObject transcodes payload or metadata.
func (w *work) readObject(p *part) bool {
	if w.pos >= len(w.in) || w.in[w.pos] != '{' {
		w.refuse("expected an object, found %s", w.found())
		return w.skip(1)
	}
	return w.within(p, func() bool { return w.object(2) })
}
