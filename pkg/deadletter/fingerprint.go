package deadletter

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

const maxFingerprint = 256

// variable is what differs from one message to the next of the same cause. The
// first alternative that fits decides.
var variable = regexp.MustCompile(`(?i)` + strings.Join([]string{
	`(?P<value>\bfound (?:the \w+ )?"(?:[^"\\]|\\.)*"…?)`, // what a producer sent
	`(?P<time>\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?)`,
	`(?P<id>\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b[a-z]{1,8}_[0-9a-f]{16,}\b)`,
	`(?P<address>\[[0-9a-f:.]*:[0-9a-f:.]*(?:%\w+)?\](?::\d+)?|\b(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{1,4}\b|\b\d{1,3}(?:\.\d{1,3}){3}\b(?::\d+)?|[\w.+-]+@[\w-]+(?:\.[\w-]+)+)`,
	`(?P<hex>\b0x[0-9a-f]+\b|\b[0-9a-f]{8,}\b)`,
	`(?P<number>\b\d+(?:[.,]\d+)*(?:(?:[a-zµ]{1,3}\d+(?:\.\d+)?)*[a-zµ]{1,3})?\b)`, // with a unit, as 250ms, 1h30m
}, "|"))

// Fingerprint is an error's text without what differs from message to message:
// numbers, times, ids, hexadecimal digits, addresses and quoted input. Equal
// fingerprints are one cause.
func Fingerprint(text string) string {
	var b strings.Builder
	end := 0
	for _, at := range variable.FindAllStringSubmatchIndex(text, -1) {
		b.WriteString(text[end:at[0]])
		b.WriteString(placeholder(text[at[0]:at[1]], at))
		end = at[1]
	}
	b.WriteString(text[end:])
	short := strings.Join(strings.Fields(b.String()), " ")
	if len(short) > maxFingerprint {
		short = strings.ToValidUTF8(short[:maxFingerprint], "")
	}
	return short
}

// placeholder stands for what one of variable's groups has found.
func placeholder(found string, at []int) string {
	for i, name := range variable.SubexpNames() {
		if name == "" || at[2*i] < 0 {
			continue
		}
		switch {
		case name == "value":
			quote := strings.IndexByte(found, '"')
			return found[:quote] + "<value>"
		case name == "hex" && !strings.ContainsAny(found, "0123456789"):
			return found // a word such as "defaced"
		case name == "hex" && strings.Trim(found, "0123456789") == "":
			return "<number>"
		}
		return "<" + name + ">"
	}
	return found
}

// cause is a short name for what has the same error class and fingerprint.
func cause(class, fingerprint string) string {
	sum := sha256.Sum256([]byte(class + "\x00" + fingerprint))
	return hex.EncodeToString(sum[:6])
}

// maxCauses bounds what a causes remembers: texts may differ in each message.
const maxCauses = 1000

// causes remembers what the texts of errors came to: of one queue's dead letters
// most have the same. The zero value is empty; nil remembers nothing.
type causes struct{ known map[causeKey]causeOf }

type (
	causeKey struct{ class, text string }
	causeOf  struct{ cause, fingerprint string }
)

func (c *causes) of(class, text string) causeOf {
	key := causeKey{class, text}
	if c != nil {
		if known, is := c.known[key]; is {
			return known
		}
	}
	fingerprint := Fingerprint(text)
	found := causeOf{cause(class, fingerprint), fingerprint}
	if c != nil && len(c.known) < maxCauses {
		if c.known == nil {
			c.known = map[causeKey]causeOf{}
		}
		c.known[key] = found
	}
	return found
}
