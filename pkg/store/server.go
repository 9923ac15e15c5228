package store

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/bson"
)

// Server is what the server says of itself.
type Server struct {
	Version    string
	ReplicaSet string        // empty: a single server, which has no transactions
	Ahead      time.Duration // its clock against this machine's, as exact as one round trip
}

// Server asks the server what it is.
func (s *Store) Server(ctx context.Context) (Server, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var build struct {
		Version string `bson:"version"`
	}
	if err := s.db.RunCommand(ctx, bson.D{field("buildInfo", 1)}).Decode(&build); err != nil {
		return Server{}, classify("ask MongoDB for its version", err)
	}
	var hello struct {
		SetName   string    `bson:"setName"`
		Msg       string    `bson:"msg"` // isdbgrid: a router of a sharded cluster, which has transactions
		LocalTime time.Time `bson:"localTime"`
	}
	asked := time.Now()
	if err := s.db.RunCommand(ctx, bson.D{field("hello", 1)}).Decode(&hello); err != nil {
		return Server{}, classify("ask MongoDB what it is", err)
	}
	middle := asked.Add(time.Since(asked) / 2)
	if hello.SetName == "" && hello.Msg == "isdbgrid" {
		hello.SetName = "sharded cluster"
	}
	return Server{Version: build.Version, ReplicaSet: hello.SetName, Ahead: hello.LocalTime.Sub(middle)}, nil
}
