package telemetry

import (
	"regexp"
	"strings"
)

// reasons are what goes wrong with a server, in words that say what to do; the
// drivers' texts are long and change from one attempt to the next. The first
// mark that is found decides: a driver that was hung up on and then ran out of
// time says both.
var reasons = []struct{ mark, reason string }{
	{"AuthenticationFailed", "user name or password refused"},
	{"Authentication failed", "user name or password refused"},
	{"ACCESS_REFUSED", "user name, password or permission refused"},
	{"username or password not allowed", "user name or password refused"},
	{"no access to this vhost", "no such virtual host, or no permission for it"},
	{"vhost", "no such virtual host, or no permission for it"},
	{"connection refused", "connection refused: nothing listens there"},
	{"no such host", "no such host"},
	{"certificate", "TLS certificate not accepted"},
	{"network is unreachable", "network unreachable"},
	{"no route to host", "network unreachable"},
	{"connection reset", hungUp},
	{"broken pipe", hungUp},
	{"EOF", hungUp},
	{"use of closed network connection", hungUp},
	{"connection is not open", hungUp},
	{"i/o timeout", noAnswer},
	{"deadline exceeded", noAnswer},
	{"server selection timeout", noAnswer},
}

const (
	hungUp   = "connection lost: the server or something before it hung up"
	noAnswer = "no answer in time"
)

// ownPort is what differs between two attempts that fail alike.
var ownPort = regexp.MustCompile(`(read|write) tcp \S+->`)

// Reason says what is wrong with a server in a few words, the same for each
// attempt that fails for the same reason.
func Reason(err error) string {
	text := err.Error()
	for _, r := range reasons {
		if strings.Contains(text, r.mark) {
			return r.reason
		}
	}
	return ownPort.ReplaceAllString(text, "$1 tcp ")
}
