package differential_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync/atomic"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
)

// made counts the collections of this process, for names.
var made atomic.Int64

// server is the database whose find is asked.
type server struct {
	client *mongo.Client
	db     *mongo.Database
}

func connect(ctx context.Context, uri string) (*server, error) {
	client, err := mongo.Connect(ctx, options.Client().ApplyURI(uri).SetAppName("differential"))
	if err != nil {
		return nil, err
	}
	return &server{client, client.Database(fmt.Sprintf("ea_differential_%d_%d", os.Getpid(), made.Add(1)))}, nil
}

func (s *server) close(ctx context.Context) error {
	return errors.Join(s.db.Drop(ctx), s.client.Disconnect(ctx))
}

// keep puts documents, numbered from 0, into a collection of their own.
func (s *server) keep(ctx context.Context, docs []bson.D) (*mongo.Collection, error) {
	c := s.db.Collection(fmt.Sprintf("c%d", made.Add(1)))
	all := make([]any, len(docs))
	for i, d := range docs {
		all[i] = append(bson.D{{Key: "_id", Value: i}}, d...)
	}
	_, err := c.InsertMany(ctx, all)
	return c, err
}

// answers are what a server says about documents, by their numbers: those that
// fulfil a condition, and those that it cannot judge.
type answers struct {
	matches map[int]bool
	fails   map[int]error
}

// ask asks about the documents from one number up to another. One of them can
// make the server fail, which tells nothing about the others: then both halves
// are asked.
func ask(ctx context.Context, c *mongo.Collection, condition bson.D, from, to int) (answers, error) {
	span := bson.D{{Key: "_id", Value: bson.D{{Key: "$gte", Value: from}, {Key: "$lt", Value: to}}}}
	found, err := find(ctx, c, append(span, condition...))
	var failed mongo.CommandError
	switch {
	case err == nil:
		return answers{matches: found}, nil
	case !errors.As(err, &failed) || failed.Name != "InternalError":
		return answers{}, err
	case to-from == 1:
		return answers{fails: map[int]error{from: err}}, nil
	}
	all := answers{matches: map[int]bool{}, fails: map[int]error{}}
	middle := (from + to) / 2
	for _, half := range [][2]int{{from, middle}, {middle, to}} {
		a, err := ask(ctx, c, condition, half[0], half[1])
		if err != nil {
			return answers{}, err
		}
		maps.Copy(all.matches, a.matches)
		maps.Copy(all.fails, a.fails)
	}
	return all, nil
}

// find are the numbers of the documents that fulfil a condition.
func find(ctx context.Context, c *mongo.Collection, condition bson.D) (map[int]bool, error) {
	cursor, err := c.Find(ctx, condition, options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}}))
	if err != nil {
		return nil, err
	}
	var found []struct {
		ID int `bson:"_id"`
	}
	if err := cursor.All(ctx, &found); err != nil {
		return nil, err
	}
	ids := make(map[int]bool, len(found))
	for _, f := range found {
		ids[f.ID] = true
	}
	return ids, nil
}
