package seal_test

import (
	"testing"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action/builtin"
	"github.com/events-aggregator/events-aggregator/pkg/action/seal"
)

// BenchmarkOpen is what a delivery pays: two secrets in a configuration, and a
// configuration without any.
func BenchmarkOpen(b *testing.B) {
	k, err := seal.New("the-key-of-the-benchmark")
	if err != nil {
		b.Fatal(err)
	}
	t, _ := builtin.Table().Lookup("WEBHOOK")
	plain, err := bson.Marshal(bson.D{
		{Key: "url", Value: "https://example.com/hook"}, {Key: "secret", Value: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
		{Key: "headers", Value: bson.D{{Key: "Authorization", Value: "Bearer 0123456789abcdef"}}},
	})
	if err != nil {
		b.Fatal(err)
	}
	sealed, err := k.Seal(t, plain)
	if err != nil {
		b.Fatal(err)
	}
	for name, config := range map[string]bson.Raw{"sealed": sealed, "plain": plain} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Open(config); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
