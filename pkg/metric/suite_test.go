package metric_test

import (
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

func TestMetric(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Metric")
}

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// stored is an event as the database has it; change may alter it.
func stored(at time.Time, severity int, change ...func(bson.M)) bson.Raw {
	d := bson.M{
		"event_id": "e", "type": "USER_LOGIN", "source": "auth", "severity": int32(severity),
		"timestamp": at, "payload": bson.M{}, "metadata": bson.M{"region": "eu"},
		"expires_at": at.Add(30 * 24 * time.Hour),
	}
	for _, f := range change {
		f(d)
	}
	raw, err := bson.Marshal(d)
	if err != nil {
		panic(err)
	}
	return raw
}

func sum(events ...bson.Raw) []metric.Increment {
	GinkgoHelper()
	counts, tooOld, err := metric.Sum(events, time.Time{})
	Expect(err).NotTo(HaveOccurred())
	Expect(tooOld).To(BeZero())
	return counts
}

// in is the histogram of one response time.
func in(us int64) metric.Histogram {
	return metric.Histogram{{Index: metric.BucketOf(us), N: 1}}
}
