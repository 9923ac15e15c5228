package event

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson/primitive"
)

// counters is how many values an ObjectID's three-byte counter has.
const counters = 1 << 24

// NewIDBlock returns n consecutive ObjectIDs of one second: first, and at(i)
// for 0 ≤ i < n (at(0) is first). Their counters do not wrap, so the ids ascend
// and a batch is a range of `_id`. n is 1 or more; above 2²⁴ it panics, which no
// batch comes near.
//
// Each block draws the five random bytes of its ids afresh, where the driver
// draws them once a process. That needs no state, and two blocks of one second
// share an id with a probability below 10⁻¹⁵; the insert of the later one would
// then fail on `_id` and be repeated with another block.
func NewIDBlock(n int) (first primitive.ObjectID, at func(i int) primitive.ObjectID) {
	if n < 1 || n > counters {
		panic(fmt.Sprintf("event: a block of %d ids", n))
	}
	var random [9]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	binary.BigEndian.PutUint32(first[:4], uint32(time.Now().Unix()))
	copy(first[4:9], random[:5])
	start := binary.BigEndian.Uint32(random[5:]) % uint32(counters-n+1)
	first[9], first[10], first[11] = byte(start>>16), byte(start>>8), byte(start)
	return first, func(i int) primitive.ObjectID {
		id := first
		binary.BigEndian.PutUint64(id[4:], binary.BigEndian.Uint64(id[4:])+uint64(i))
		return id
	}
}
