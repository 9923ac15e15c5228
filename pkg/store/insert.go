package store

import (
	"context"
	"errors"
	"strconv"
	"sync"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"
)

// insertRaw inserts documents that are encoded already, in order, in one
// command. InsertMany would decode and encode every field of each once more,
// and a third time for the command monitor, which is a fifth of the ingester's
// processor time. The documents must have an _id and together fit into one
// command (16 MiB). Errors are those of InsertMany.
func insertRaw(ctx context.Context, c *mongo.Collection, docs []bson.Raw) error {
	buf, _ := commands.Get().(*[]byte)
	*buf = appendInsert((*buf)[:0], c.Name(), docs)
	err := c.Database().RunCommand(ctx, bson.Raw(*buf)).Err() // copies the command
	if cap(*buf) <= keptCommand {
		commands.Put(buf)
	}
	var written mongo.WriteException
	if errors.As(err, &written) && len(written.WriteErrors) > 0 {
		bulk := mongo.BulkWriteException{Labels: written.Labels}
		for _, w := range written.WriteErrors {
			bulk.WriteErrors = append(bulk.WriteErrors, mongo.BulkWriteError{WriteError: w})
		}
		return bulk
	}
	return err
}

// keptCommand bounds the buffers that are kept for the next command.
const keptCommand = 4 << 20

var commands = sync.Pool{New: func() any { return new([]byte) }}

func appendInsert(dst []byte, collection string, docs []bson.Raw) []byte {
	at, dst := bsoncore.AppendDocumentStart(dst)
	dst = bsoncore.AppendStringElement(dst, "insert", collection)
	list, dst := bsoncore.AppendArrayElementStart(dst, "documents")
	for i, d := range docs {
		dst = append(dst, byte(bson.TypeEmbeddedDocument))
		dst = append(strconv.AppendInt(dst, int64(i), 10), 0)
		dst = append(dst, d...)
	}
	dst, _ = bsoncore.AppendArrayEnd(dst, list)
	dst, _ = bsoncore.AppendDocumentEnd(dst, at)
	return dst
}
