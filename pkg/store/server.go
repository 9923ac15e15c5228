package store

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
)

// Server is what the server says of itself.
type Server struct {
	Version    string
	ReplicaSet string        // empty: a single server, which has no transactions
	Ahead      time.Duration // its clock against this machine's, as exact as one round trip
}

// noteServer finds out how the server takes the name of an index in a query.
// MongoDB reads by that index, and other servers need the name to find one at all;
// secantusd-rs reads the whole collection then, and finds indexes by itself; the
// wheel knows no geo index by its name.
func (s *Store) noteServer(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var build struct {
		Secantus    string `bson:"secantusVersion"`
		Environment struct {
			Compiler string `bson:"cc"`
		} `bson:"buildEnvironment"`
	}
	if err := s.db.RunCommand(ctx, bson.D{field("buildInfo", 1)}).Decode(&build); err != nil {
		return classify("ask MongoDB what it is", err)
	}
	rust := build.Environment.Compiler == "rustc"
	s.byHintReadsAll.Store(build.Secantus != "" && rust)
	s.projectsSlowly.Store(build.Secantus != "" && rust)
	s.noGeoHint.Store(build.Secantus != "" && !rust)
	s.noted.Store(true)
	return nil
}

// knowServer has noteServer done where nothing did so yet: commands make no indexes.
// A server that does not answer is asked again by the next query; within a
// transaction it may not be asked.
func (s *Store) knowServer(ctx context.Context) {
	if !s.noted.Load() && mongo.SessionFromContext(ctx) == nil {
		_ = s.noteServer(ctx) // the query itself says what is wrong
	}
}

// findBy is a find that names its index, unless it is "" or the server is better
// off without.
func (s *Store) findBy(ctx context.Context, index string) *options.FindOptions {
	s.knowServer(ctx)
	o := options.Find()
	switch {
	case index == "":
	case index == "location": // none of those that secantusd-rs reads whole
		if !s.noGeoHint.Load() {
			o.SetHint(index)
		}
	case !s.byHintReadsAll.Load():
		o.SetHint(index)
	}
	return o
}

// reading has a query of many documents read no more than some of their fields; but
// secantusd-rs needs four times as long to leave the others out as to send them.
func (s *Store) reading(o *options.FindOptions, fields bson.D) *options.FindOptions {
	if s.projectsSlowly.Load() {
		return o
	}
	return o.SetProjection(fields)
}

// aggregateBy is an aggregation that names its index: some planners read the
// whole collection otherwise, and all of them may be wrong about how many events a
// source or type has.
func (s *Store) aggregateBy(ctx context.Context, index string) *options.AggregateOptions {
	s.knowServer(ctx)
	o := options.Aggregate()
	if !s.byHintReadsAll.Load() {
		o.SetHint(index)
	}
	return o
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
