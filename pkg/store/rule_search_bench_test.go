package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/backtest"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// BenchmarkBacktest tests rules over a day of EA_BENCH_EVENTS (100,000) stored events,
// in a database of its own: `go test ./pkg/store -run none -bench Backtest`.
func BenchmarkBacktest(b *testing.B) {
	gomega.RegisterTestingT(b)
	uri := os.Getenv("EA_MONGO_URI")
	if uri == "" {
		b.Fatal("EA_MONGO_URI names no server")
	}
	n, err := strconv.Atoi(os.Getenv("EA_BENCH_EVENTS"))
	if err != nil {
		n = 100_000
	}
	ctx := b.Context()
	s, err := store.Open(ctx, store.Options{URI: uri, Database: fmt.Sprintf("ea_bench_backtest_%d", os.Getpid())})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx := context.WithoutCancel(ctx) // the benchmark's own has ended by now
		if err := errors.Join(s.DropDatabase(ctx), s.Close(ctx)); err != nil {
			b.Error(err)
		}
	})
	if err := s.EnsureIndexes(ctx); err != nil {
		b.Fatal(err)
	}
	from := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	to := from.Add(24 * time.Hour)
	const batch = 500
	for at := 0; at < n; at += batch {
		events := testBatch(min(batch, n-at), func(i int, d bson.D) bson.D {
			k := at + i
			for j := range d {
				switch d[j].Key {
				case "type":
					d[j].Value = fmt.Sprintf("TYPE_%02d", k%20)
				case "source":
					d[j].Value = fmt.Sprintf("service-%d", k%7)
				case "timestamp":
					d[j].Value = from.Add(time.Duration(k) * (24 * time.Hour / time.Duration(n)))
				case "payload":
					d[j].Value = bson.D{{Key: "amount", Value: int32(k * 7919 % 1000)}, {Key: "user", Value: fmt.Sprintf("u%d", k%5000)}}
				}
			}
			return d
		})
		if err := s.SaveBatch(ctx, events, "bench"); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []struct {
		name       string
		conditions bson.D
	}{
		{"type", bson.D{{Key: "type", Value: "TYPE_03"}}},
		{"type and threshold", bson.D{{Key: "type", Value: "TYPE_03"}, {Key: "payload.amount", Value: bson.D{{Key: "$gte", Value: 990}}}}},
		{"threshold alone", bson.D{{Key: "payload.amount", Value: bson.D{{Key: "$gte", Value: 990}}}}},
	} {
		conditions, err := bson.Marshal(c.conditions)
		if err != nil {
			b.Fatal(err)
		}
		r := rule.Rule{Name: c.name, Conditions: conditions, Enabled: true, Mode: rule.Live}
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				report, err := backtest.Run(ctx, store.Stored{Store: s}, backtest.Request{Rule: r, From: from, To: to, Now: to}, nil)
				if err != nil || report.Cut != "" {
					b.Fatal(err, report.Cut)
				}
				b.ReportMetric(float64(report.Matches), "matches")
			}
		})
	}
}
