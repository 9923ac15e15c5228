package hostile

import (
	"fmt"
	"strconv"
	"strings"
)

// randomMax leaves a random event room below the limit of 256 KiB.
const randomMax = 200 << 10

// random is a valid event with a payload and metadata of random shape.
func (m *maker) random() Message {
	for {
		if msg := m.randomEvent(); len(msg.Body) <= randomMax {
			return msg
		}
	}
}

func (m *maker) randomEvent() Message {
	id := m.id()
	var b strings.Builder
	fmt.Fprintf(&b, `{"event_id":%q,"type":"RANDOM_%d","source":"source-%d","severity":%d,"payload":`,
		id, m.r.Intn(50), m.r.Intn(20), 1+m.r.Intn(10))
	size := 1 + m.r.Intn(60)
	if m.r.Intn(40) == 0 {
		size = 4000 // thousands of keys
	}
	m.object(&b, "", 2, &size)
	b.WriteString(`,"metadata":`)
	size = m.r.Intn(10)
	m.object(&b, "m", 2, &size)
	b.WriteByte('}')
	msg := Message{
		Body: []byte(b.String()), Why: "a random event", Valid: true, EventIDs: []string{id},
		ContentType: []string{"", "application/json"}[m.r.Intn(2)],
	}
	if m.r.Intn(5) == 0 {
		msg.Headers = m.forged(nil)
	}
	return msg
}

// depthMax keeps random values within the limit of 32.
const depthMax = 30

// object writes an object of members that differ by their number, so that no key
// is there twice.
func (m *maker) object(b *strings.Builder, prefix string, depth int, size *int) {
	b.WriteByte('{')
	for i := 0; *size > 0 && (i == 0 || m.r.Intn(8) > 0 || depth <= 2); i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		key := prefix + strconv.Itoa(i)
		if m.r.Intn(2) == 0 {
			key += m.text()
		}
		b.WriteString(quote(key))
		b.WriteByte(':')
		m.value(b, depth, size)
	}
	b.WriteByte('}')
}

func (m *maker) value(b *strings.Builder, depth int, size *int) {
	*size--
	kind := m.r.Intn(12)
	if depth >= depthMax && kind < 3 {
		kind = 5
	}
	switch kind {
	case 0, 1:
		m.object(b, "", depth+1, size)
	case 2:
		b.WriteByte('[')
		for i := range m.r.Intn(6) {
			if i > 0 {
				b.WriteByte(',')
			}
			m.value(b, depth+1, size)
		}
		b.WriteByte(']')
	case 3, 4:
		b.WriteString(numbers[m.r.Intn(len(numbers))])
	case 5:
		fmt.Fprint(b, m.r.Int63()-m.r.Int63())
	case 6:
		b.WriteString(strconv.FormatFloat(m.r.NormFloat64()*float64(m.r.Int63()), 'g', -1, 64))
	case 7:
		b.WriteString([]string{"true", "false", "null"}[m.r.Intn(3)])
	case 8:
		if m.r.Intn(20) == 0 {
			b.WriteString(quote(strings.Repeat(m.text(), m.r.Intn(500))))
			return
		}
		fallthrough
	default:
		b.WriteString(quote(m.text()))
	}
}

var numbers = []string{
	"0", "-0", "-0.0", "1", "-1", "2147483647", "2147483648", "-2147483648", "-2147483649", "9007199254740993",
	"9223372036854775807", "-9223372036854775808", "0.1", "1e308", "-1e-308", "5e-324", "1E5", "1e+2", "123456789.123456789",
}

//nolint:gosmopolitan // scripts from all over are what these are for
var texts = []string{
	"", "a", "error", "Connection Refused", "x.y", "x$y", "<script>alert(1)</script>", "'; DROP TABLE events; --", "{\"$gt\": \"\"}",
	"../../etc/passwd", "%s%n%x", "\\", "\"", "/", "\n\r\t\b\f", "\u0001\u001f\u007f", "\u2028\u2029", "\ufeff", "\ufffd", "ÄÖÜß", "İıŞ",
	"日本語", "🤷🏽‍♀️", "e\u0301", "\u202egnirts", strings.Repeat("long ", 40), "null", "NaN", "2025-06-15T14:34:10Z", "0x10", "1e5", "True",
}

func (m *maker) text() string { return texts[m.r.Intn(len(texts))] }

// quote writes a JSON string; strconv.Quote has escapes that JSON does not know.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
