package differential_test

import (
	"context"
	"os"
	"testing"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/test/support/querygen"
)

// FuzzFind: whatever the generator makes, matcher and server agree.
func FuzzFind(f *testing.F) {
	uri := os.Getenv("EA_MONGO_URI")
	if uri == "" {
		f.Fatal("EA_MONGO_URI must name a server: scripts/infra up and eval \"$(scripts/infra env)\"")
	}
	for seed := range uint64(3) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		ctx := t.Context()
		s, err := connect(ctx, uri)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.close(context.Background()) })
		trial, err := newTrial(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		g := querygen.New(seed)
		different, err := trial.round(ctx,
			distinct(20, func() bson.D { return g.Condition(2) }),
			distinct(50, func() bson.D { return g.Document(3) }))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range different {
			t.Error(d)
		}
	})
}
