package event

import (
	"strconv"
	"time"

	"github.com/google/uuid"
)

// The namespaces of derived ids (UUIDv5). They are derived from names, not
// drawn, so that a producer can compute the id of its event beforehand.
var (
	// messageIDs: the name is source, NUL, message-id or CloudEvents id.
	messageIDs = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/events-aggregator/events-aggregator#message-id"))
	// bodyIDs: the name is the body, then NUL and the AMQP timestamp in seconds
	// where the body has no timestamp.
	bodyIDs = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/events-aggregator/events-aggregator#body"))
)

// DeriveID is the event_id of an event that comes without one, from its source
// and the sender's own id for it: the AMQP message-id or the CloudEvents id. A
// redelivered or repeated message has the same.
func DeriveID(source, id string) string {
	return uuid.NewSHA1(messageIDs, []byte(source+"\x00"+id)).String()
}

// bodyID identifies a message by its content. It needs a time, in the body or
// beside it: without one two identical logins would be one.
func bodyID(body []byte, beside time.Time) string {
	if !beside.IsZero() {
		body = append(body[:len(body):len(body)], 0)
		body = strconv.AppendInt(body, beside.Unix(), 10)
	}
	return uuid.NewSHA1(bodyIDs, body).String()
}

// uuidLength is the length of the canonical text form, the only one accepted:
// braces, urn: and bare digits name the same UUID, and queries would miss it.
const uuidLength = 36

// parseUUID lower-cases a UUID into dst. The nil UUID is none: it is what a
// forgotten assignment sends, and all such events would count as one.
func parseUUID(dst *[uuidLength]byte, s []byte) bool {
	if len(s) != uuidLength {
		return false
	}
	zeros := 0
	for i, c := range s {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c == '0':
			zeros++
		case c >= '1' && c <= '9', c >= 'a' && c <= 'f':
		case c >= 'A' && c <= 'F':
			c += 'a' - 'A'
		default:
			return false
		}
		dst[i] = c
	}
	return zeros < 32
}
