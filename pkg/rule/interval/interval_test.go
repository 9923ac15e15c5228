package interval_test

import (
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
)

func TestInterval(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "interval")
}

var _ = DescribeTable("A length of time", func(text, shown string, want time.Duration) {
	d, err := interval.Parse(text)
	Expect(err).NotTo(HaveOccurred())
	Expect(d.Std()).To(Equal(want))
	Expect(d.String()).To(Equal(shown))
	Expect(interval.Parse(d.String())).To(Equal(d))
},
	Entry(nil, "30s", "30s", 30*time.Second),
	Entry(nil, "90m", "1h30m", 90*time.Minute),
	Entry(nil, "1h30m", "1h30m", 90*time.Minute),
	Entry(nil, "2w", "14d", 14*24*time.Hour),
	Entry(nil, "1d1ms", "1d1ms", 24*time.Hour+time.Millisecond),
	Entry(nil, "0s", "0s", time.Duration(0)),
)

var _ = DescribeTable("What is no length of time", func(text string) {
	_, err := interval.Parse(text)
	Expect(err).To(MatchError(ContainSubstring("expected one as 30s")))
},
	Entry("nothing", ""), Entry("no unit", "5"), Entry("no number", "m"), Entry("a fraction", "1.5h"), Entry("negative", "-5m"),
	Entry("an unknown unit", "5y"), Entry("too long", "9999999999999d"), Entry("too long together", "106751d106751d"), Entry("words", "5m and a bit"),
)
