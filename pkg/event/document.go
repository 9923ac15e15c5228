package event

import (
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// Document is one accepted event before storage. Raw is the whole stored
// document; its `_id` and `batch_id` are placeholders of the final size until
// Stamp writes them in place. A Document owns its Raw.
type Document struct {
	Raw       bson.Raw
	EventID   string
	Type      string
	Source    string
	Region    string // empty when neither the event nor the configuration has one
	Severity  int
	Timestamp time.Time

	batchAt int // offset of batch_id's 24 characters in Raw
}

// idAt is where the ObjectID of `_id` begins: int32 length, type byte, "_id\0".
const idAt = 4 + 1 + 4

// BatchIDLength is the fixed length of a batch id: the hexadecimal digits of
// the batch's first ObjectID.
const BatchIDLength = 24

// Stamp writes the document's `_id` and its batch's id (24 characters) into
// Raw without encoding anything again. It may be called again with other ids,
// as when a batch is bisected.
func (d *Document) Stamp(id primitive.ObjectID, batchID string) {
	if len(batchID) != BatchIDLength {
		panic("event: a batch id has 24 characters, got " + batchID)
	}
	copy(d.Raw[idAt:idAt+len(id)], id[:])
	copy(d.Raw[d.batchAt:d.batchAt+BatchIDLength], batchID)
}
