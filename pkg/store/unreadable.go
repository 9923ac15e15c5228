package store

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
	"go.uber.org/zap"
)

// Documents that processes share are read one by one: one that nobody understands
// (changed by hand, or written by a newer release) is named, counted and left
// out. Read together with the others it would keep them all back, for every
// process and for ever, as if the database were away.

// errNotText: what is known by an id that is no text is found by no text.
var errNotText = errors.New("its _id is not a text")

// readable decodes what a query found, and hands over what it cannot decode.
func readable[T any](ctx context.Context, cur *mongo.Cursor, err error, bad func(id bson.RawValue, doc bson.Raw, err error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	var found []T
	for cur.Next(ctx) {
		var one T
		id := cur.Current.Lookup("_id")
		err := bson.Unmarshal(cur.Current, &one)
		if id.Type != bson.TypeString {
			err = errors.Join(errNotText, err)
		}
		if err == nil {
			found = append(found, one)
			continue
		}
		id.Value = append([]byte(nil), id.Value...) // the cursor goes on
		bad(id, cur.Current, &Unreadable{err})
	}
	return found, cur.Err()
}

// leavesOut says of each document that it is left out.
func (s *Store) leavesOut(c *mongo.Collection) func(bson.RawValue, bson.Raw, error) {
	return func(id bson.RawValue, _ bson.Raw, err error) { s.leftOut(c, id, err) }
}

// page reads the first limit documents of a query that can be read: the place of
// one that is left out goes to the next, so that a short page is the last one and
// spoilt documents take nobody's turn.
func page[T any](ctx context.Context, s *Store, c *mongo.Collection, q any, o *options.FindOptions, limit int) (found []T, err error) {
	for skip, missing := 0, limit; missing > 0; {
		if skip > 0 {
			o.SetSkip(int64(skip))
		}
		cur, err := c.Find(ctx, q, o.SetLimit(int64(missing)))
		skip, missing = skip+missing, 0
		some, err := readable[T](ctx, cur, err, func(id bson.RawValue, _ bson.Raw, err error) {
			s.leftOut(c, id, err)
			missing++
		})
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	return found, nil
}

// leftOut says that a document is left out, and where it is.
func (s *Store) leftOut(c *mongo.Collection, id bson.RawValue, err error) {
	s.log.Error("document left out: it cannot be read; mend it, or remove it",
		zap.String("collection", c.Name()), zap.String("id", idText(id)), zap.Error(err))
	s.toldSpoilt(c, id)
}

func (s *Store) toldSpoilt(c *mongo.Collection, id bson.RawValue) {
	if s.spoilt != nil {
		s.spoilt(c.Name(), idText(id))
	}
}

// idText is a document's _id for a reader; a text is as it is.
func idText(id bson.RawValue) string {
	if text, ok := id.StringValueOK(); ok {
		return text
	}
	return id.String()
}
