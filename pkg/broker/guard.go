package broker

import (
	"encoding/binary"
	"io"
	"sync/atomic"
)

// guard keeps message headers that the client cannot parse away from it. One
// such message would close the connection each time it is delivered, and take
// everything that was prefetched with it, until the broker's delivery limit
// removes it to the dead letters, where it would do the same to their reader.
// Instead the message arrives with one header, named by marker (a name that no
// producer can know), that says why; the original bytes lie beside it.
type guard struct {
	marker   string
	maxFrame atomic.Int64 // as negotiated; 0 before

	buf        []byte // buf[start:end] was read and not yet given on
	start, end int
	pass       int    // so many bytes from start on are given on unseen
	replaced   []byte // given on before buf
}

// What amqp091-go can parse; see its read.go.
const (
	maxHeaderDepth   = 32
	maxHeaderEntries = 8192
)

const (
	frameHeaderLen = 7
	frameTypeHead  = 2       // content header: properties and headers of a message
	maxGuarded     = 8 << 20 // larger than any content header that a broker sends
	rawKept        = 48 << 10
	rawSuffix      = "-raw"
	guardBuffer    = 64 << 10
)

// read fills p with at least one byte from src.
func (g *guard) read(src io.Reader, p []byte) (int, error) {
	if g.buf == nil {
		g.buf = make([]byte, guardBuffer)
	}
	n := 0
	for n < len(p) {
		if len(g.replaced) > 0 {
			k := copy(p[n:], g.replaced)
			g.replaced, n = g.replaced[k:], n+k
			continue
		}
		if g.pass > 0 && g.start < g.end {
			k := copy(p[n:], g.buf[g.start:min(g.end, g.start+g.pass)])
			g.start, g.pass, n = g.start+k, g.pass-k, n+k
			continue
		}
		if g.pass == 0 {
			missing := g.nextFrame()
			if missing == 0 {
				continue
			}
			if n > 0 {
				return n, nil
			}
			if err := g.fill(src, missing); err != nil {
				return 0, err
			}
			continue
		}
		if n > 0 {
			return n, nil
		}
		if err := g.fill(src, 1); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// nextFrame decides about the frame at start: it sets pass or replaced and
// returns 0, or returns how many more bytes it must see for that.
func (g *guard) nextFrame() (missing int) {
	seen := g.buf[g.start:g.end]
	if len(seen) < frameHeaderLen {
		return frameHeaderLen - len(seen)
	}
	size := int(binary.BigEndian.Uint32(seen[3:7]))
	whole := frameHeaderLen + size + 1
	if seen[0] != frameTypeHead || size > maxGuarded {
		g.pass = whole
		return 0
	}
	if len(seen) < whole {
		return whole - len(seen)
	}
	from, to, reason := inspectHeaders(seen[frameHeaderLen : frameHeaderLen+size])
	if limit := int(g.maxFrame.Load()); reason == "" && limit > 0 && whole > limit {
		reason = "larger than a frame"
	}
	if reason == "" || to == 0 {
		g.pass = whole
		return 0
	}
	g.replaced = g.replace(seen[:whole], frameHeaderLen+from, frameHeaderLen+to, reason)
	g.start += whole
	return 0
}

// fill reads at least missing more bytes behind end.
func (g *guard) fill(src io.Reader, missing int) error {
	if g.start == g.end {
		g.start, g.end = 0, 0
	}
	if g.end+missing > len(g.buf) {
		held := g.end - g.start
		if held+missing > len(g.buf) {
			bigger := make([]byte, max(2*len(g.buf), held+missing))
			copy(bigger, g.buf[g.start:g.end])
			g.buf = bigger
		} else {
			copy(g.buf, g.buf[g.start:g.end])
		}
		g.start, g.end = 0, held
	}
	n, err := io.ReadAtLeast(src, g.buf[g.end:], missing)
	g.end += n
	if n >= missing {
		return nil // an error after enough bytes comes again with the next read
	}
	return err
}

// replace builds the frame again with a headers table of our own in the place
// of frame[from:to].
func (g *guard) replace(frame []byte, from, to int, reason string) []byte {
	raw := frame[from+4 : to]
	raw = raw[:min(len(raw), rawKept)]
	var table []byte
	table = append(table, byte(len(g.marker)))
	table = append(table, g.marker...)
	table = append(table, 'S')
	table = binary.BigEndian.AppendUint32(table, uint32(len(reason)))
	table = append(table, reason...)
	table = append(table, byte(len(g.marker)+len(rawSuffix)))
	table = append(table, g.marker...)
	table = append(table, rawSuffix...)
	table = append(table, 'x')
	table = binary.BigEndian.AppendUint32(table, uint32(len(raw)))
	table = append(table, raw...)

	out := make([]byte, 0, len(frame)+len(table))
	out = append(out, frame[:from]...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(table)))
	out = append(out, table...)
	out = append(out, frame[to:]...)
	binary.BigEndian.PutUint32(out[3:7], uint32(len(out)-frameHeaderLen-1))
	return out
}

// inspectHeaders finds the headers table in a content header frame's payload,
// its length included, and says why the client could not parse it. to is 0 when
// there is none.
func inspectHeaders(payload []byte) (from, to int, reason string) {
	const flagsAt, propertiesAt = 12, 14
	if len(payload) < propertiesAt {
		return 0, 0, ""
	}
	flags := binary.BigEndian.Uint16(payload[flagsAt:])
	if flags&0x2000 == 0 {
		return 0, 0, ""
	}
	at := propertiesAt
	for _, shortString := range []uint16{0x8000, 0x4000} { // content type, content encoding
		if flags&shortString == 0 {
			continue
		}
		if at >= len(payload) {
			return 0, 0, ""
		}
		at += 1 + int(payload[at])
	}
	if at+4 > len(payload) {
		return 0, 0, ""
	}
	end := at + 4 + int(binary.BigEndian.Uint32(payload[at:]))
	if end > len(payload) {
		return 0, 0, ""
	}
	return at, end, inspectTable(payload[at+4:end], 0)
}

// inspectTable walks a table's entries as the client would.
func inspectTable(b []byte, depth int) (reason string) {
	if depth > maxHeaderDepth {
		return reasonDepth
	}
	for entries := 0; len(b) > 0; entries++ {
		if entries >= maxHeaderEntries {
			return reasonEntries
		}
		name := 1 + int(b[0])
		if name >= len(b) {
			return reasonMalformed
		}
		size, reason := inspectField(b[name:], depth)
		if reason != "" {
			return reason
		}
		b = b[name+size:]
	}
	return ""
}

func inspectArray(b []byte, depth int) (reason string) {
	if depth > maxHeaderDepth {
		return reasonDepth
	}
	for entries := 0; len(b) > 0; entries++ {
		if entries >= maxHeaderEntries {
			return reasonEntries
		}
		size, reason := inspectField(b, depth)
		if reason != "" {
			return reason
		}
		b = b[size:]
	}
	return ""
}

const (
	reasonDepth     = "nested deeper than 32 levels"
	reasonEntries   = "more than 8192 entries in one table"
	reasonMalformed = "not a valid table"
)

// inspectField returns the length of the typed value at b's start.
func inspectField(b []byte, depth int) (size int, reason string) {
	if len(b) == 0 {
		return 0, reasonMalformed
	}
	switch b[0] {
	case 'V':
		size = 1
	case 't', 'B', 'b':
		size = 2
	case 's', 'u':
		size = 3
	case 'I', 'i', 'f':
		size = 5
	case 'D':
		size = 6
	case 'l', 'd', 'T':
		size = 9
	case 'S', 'x', 'A', 'F':
		if len(b) < 5 {
			return 0, reasonMalformed
		}
		size = 5 + int(binary.BigEndian.Uint32(b[1:]))
	default:
		return 0, reasonMalformed
	}
	if size > len(b) {
		return 0, reasonMalformed
	}
	switch b[0] {
	case 'A':
		reason = inspectArray(b[5:size], depth+1)
	case 'F':
		reason = inspectTable(b[5:size], depth+1)
	}
	return size, reason
}
