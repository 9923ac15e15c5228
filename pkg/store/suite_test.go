package store_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

func TestStore(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Store")
}

// databases counts the databases of this process, so that each spec has its own.
var databases int

// mongoURI is where the specs' server is; a missing server fails the run.
func mongoURI() string {
	uri := os.Getenv("EA_MONGO_URI")
	Expect(uri).NotTo(BeEmpty(), "EA_MONGO_URI names no server; run the specs by `make test`, or `scripts/infra up` first")
	return uri
}

// emptyDatabase names a database of the spec's own, dropped afterwards.
func emptyDatabase(ctx context.Context) string {
	databases++
	name := fmt.Sprintf("ea_store_%d_%d_%d", os.Getpid(), GinkgoParallelProcess(), databases)
	DeferCleanup(func(ctx SpecContext) {
		s, err := store.Open(ctx, store.Options{URI: mongoURI(), Database: name})
		Expect(err).NotTo(HaveOccurred())
		Expect(s.DropDatabase(ctx)).To(Succeed())
		Expect(s.Close(ctx)).To(Succeed())
	}, NodeTimeout(30*time.Second))
	return name
}

// open is one client of the database, as one process has it.
func open(ctx context.Context, database string) *store.Store {
	s, err := store.Open(ctx, store.Options{URI: mongoURI(), Database: database, AppName: "store specs"})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) { Expect(s.Close(ctx)).To(Succeed()) }, NodeTimeout(10*time.Second))
	return s
}

// fresh is a client of an empty database with all indexes.
func fresh(ctx context.Context) *store.Store {
	s := open(ctx, emptyDatabase(ctx))
	Expect(s.EnsureIndexes(ctx)).To(Succeed())
	return s
}

// testBatch makes a batch of n minimal events; change may alter each before
// it is encoded.
func testBatch(n int, change ...func(i int, d bson.D) bson.D) event.Batch {
	now := time.Now().UTC().Truncate(time.Millisecond)
	first, at := event.NewIDBlock(n)
	b := event.Batch{ID: first.Hex(), FirstID: first, MaxSeverity: 3, StoredAt: now}
	for i := range n {
		id := at(i)
		b.LastID = id
		d := bson.D{
			{Key: "_id", Value: id}, {Key: "event_id", Value: "e-" + id.Hex()},
			{Key: "type", Value: "USER_LOGIN"}, {Key: "source", Value: "auth"}, {Key: "severity", Value: int32(3)},
			{Key: "timestamp", Value: now}, {Key: "payload", Value: bson.D{{Key: "n", Value: int32(i)}}},
			{Key: "processed", Value: false}, {Key: "batch_id", Value: b.ID}, {Key: "created_at", Value: now},
			{Key: "expires_at", Value: now.Add(time.Hour)},
		}
		for _, f := range change {
			d = f(i, d)
		}
		raw, err := bson.Marshal(d)
		Expect(err).NotTo(HaveOccurred())
		b.Events = append(b.Events, raw)
	}
	return b
}
