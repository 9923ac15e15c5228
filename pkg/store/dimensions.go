package store

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

// dimensionRow is a document of `dimensions`: the values that one dimension
// counts by name, in the order of their admission.
type dimensionRow struct {
	ID     metric.Dimension `bson:"_id"`
	Values []string         `bson:"values"`
	Full   bool             `bson:"full"` // a value was refused once; nothing is admitted any more
}

func (r dimensionRow) named() metric.Named {
	n := metric.Named{Values: make(map[string]bool, len(r.Values)), Full: r.Full}
	for _, v := range r.Values {
		n.Values[v] = true
	}
	return n
}

// Admit gives the values a place in the dimension as long as it holds at most
// limit, and returns the dimension as it then is: values that are not in it
// count as metric.Other. It is one atomic update, and the first refusal closes
// the dimension for good (also to a raised limit), so that what a value counts
// as never changes: a recount maps it in the same way.
func (s *Store) Admit(ctx context.Context, d metric.Dimension, values []string, limit int) (metric.Named, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	have := bson.D{field("$ifNull", bson.A{"$values", bson.A{}})}
	wanted := bson.D{field("$concatArrays", bson.A{have,
		bson.D{field("$setDifference", bson.A{bson.D{field("$literal", values)}, have})}})}
	closed := bson.D{field("$eq", bson.A{"$full", true})}
	admit := bson.A{bson.D{field("$set", bson.D{
		field("values", bson.D{field("$cond", bson.A{closed, have,
			bson.D{field("$slice", bson.A{wanted, bson.D{field("$max", bson.A{limit, bson.D{field("$size", have)}})}})}})}),
		field("full", bson.D{field("$or", bson.A{closed,
			bson.D{field("$gt", bson.A{bson.D{field("$size", wanted)}, limit})}})}),
	})}}
	var row dimensionRow
	// Two first admissions at once: one of them loses the upsert, as a duplicate
	// key or (SecantusDB) without a document, and then finds the other's.
	err := backoff.Retry(func() error {
		err := s.dimensions.FindOneAndUpdate(ctx, bson.D{field("_id", d)}, admit,
			options.FindOneAndUpdate().SetUpsert(true).SetReturnDocument(options.After)).Decode(&row)
		if err != nil && !isDuplicateKey(err) && !errors.Is(err, mongo.ErrNoDocuments) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(backoff.WithMaxRetries(backoff.NewConstantBackOff(20*time.Millisecond), 50), ctx))
	return row.named(), classify("admit values of dimension "+string(d), err)
}

// Registry reads what all dimensions count by name.
func (s *Store) Registry(ctx context.Context) (metric.Registry, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.dimensions.Find(ctx, bson.D{})
	var rows []dimensionRow
	if err == nil {
		err = cur.All(ctx, &rows)
	}
	registry := metric.Registry{}
	for _, row := range rows {
		registry[row.ID] = row.named()
	}
	return registry, classify("read dimensions", err)
}
