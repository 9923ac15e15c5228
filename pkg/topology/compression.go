package topology

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/klauspost/compress/s2"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
)

const (
	encodingSnappy = "snappy" // Snappy's block format, which every language reads
	// compressFrom: one event alone hardly shrinks.
	compressFrom = 4 << 10
	// plainMax bounds what a message can claim to be: several times the largest
	// batch.
	plainMax = 64 << 20
)

// compress works in a buffer that is kept for the next: the worst case, which
// it must have room for, is four times the usual result.
func compress(body []byte) []byte {
	room, _ := rooms.Get().(*[]byte)
	*room = s2.EncodeSnappy((*room)[:cap(*room)], body)
	compressed := bytes.Clone(*room)
	rooms.Put(room)
	return compressed
}

var rooms = sync.Pool{New: func() any { return new([]byte) }}

// Plain is the message's body as it was before it was compressed, if it was.
// An error means that the bytes are not what the message says that they are.
func Plain(m broker.Message) ([]byte, error) {
	if m.ContentEncoding != encodingSnappy {
		return m.Body, nil
	}
	n, err := s2.DecodedLen(m.Body)
	switch {
	case err != nil:
		return nil, err
	case n > plainMax:
		return nil, fmt.Errorf("the body would be %d bytes, at most %d are taken", n, plainMax)
	}
	return s2.Decode(nil, m.Body)
}
