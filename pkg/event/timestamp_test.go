package event_test

import (
	"math"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/event"
)

func negativeZero() float64 { return math.Copysign(0, -1) }
func infinity() float64     { return math.Inf(1) }

// timeOf is what FromJSON makes of a top-level timestamp; false when it stays a
// string.
func timeOf(text string) (time.Time, bool) {
	doc, err := event.FromJSON([]byte(`{"timestamp":"` + text + `"}`))
	if err != nil {
		return time.Time{}, false
	}
	return doc.Lookup("timestamp").TimeOK()
}

var _ = Describe("a timestamp", func() {
	It("is what the standard library reads, where both read it", func() {
		for _, layout := range []string{
			"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05.0Z07:00", "2006-01-02T15:04:05.000Z07:00",
			"2006-01-02T15:04:05.000000Z07:00", "2006-01-02T15:04:05.000000000Z07:00",
		} {
			for _, zone := range []int{0, 3600, -5 * 3600, 5*3600 + 1800, 23*3600 + 59*60, -23*3600 - 59*60} {
				at := time.Date(1900, 1, 1, 0, 0, 0, 123_456_789, time.FixedZone("", zone))
				for ; at.Year() < 2110; at = at.Add(1237*time.Hour + 61*time.Second) {
					text := at.Format(layout)
					want, err := time.Parse(time.RFC3339Nano, text)
					Expect(err).NotTo(HaveOccurred())
					got, ok := timeOf(text)
					Expect(ok).To(BeTrue(), text)
					Expect(got).To(BeTemporally("==", time.UnixMilli(want.UnixMilli())), text)
				}
			}
		}
	})

	DescribeTable("may be", func(text, want string) {
		got, ok := timeOf(text)
		Expect(ok).To(BeTrue())
		Expect(got.UTC().Format(time.RFC3339Nano)).To(Equal(want))
	},
		Entry("in lower case", "2026-03-04t05:06:07z", "2026-03-04T05:06:07Z"),
		Entry("a leap second", "2016-12-31T23:59:60.25Z", "2017-01-01T00:00:00.25Z"),
		Entry("a leap second elsewhere", "2017-01-01T05:29:60+05:30", "2017-01-01T00:00:00Z"),
		Entry("the 29th of February of a leap year", "2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z"),
		Entry("the first moment", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
		Entry("the last", "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999Z"),
		Entry("of an unknown offset", "2026-03-04T05:06:07-00:00", "2026-03-04T05:06:07Z"),
	)

	DescribeTable("may not be", func(text string) {
		_, ok := timeOf(text)
		Expect(ok).To(BeFalse())
	},
		Entry("empty", ""), Entry("a word", "now"), Entry("a date", "2026-03-04"),
		Entry("without a zone", "2026-03-04T05:06:07.000"), Entry("without seconds", "2026-03-04T05:06Z"),
		Entry("of a short offset", "2026-03-04T05:06:07+01"), Entry("of an offset of 24 hours", "2026-03-04T05:06:07+24:00"),
		Entry("of an offset of 60 minutes", "2026-03-04T05:06:07+01:60"), Entry("of month 0", "2026-00-04T05:06:07Z"),
		Entry("of day 0", "2026-01-00T05:06:07Z"), Entry("of the 31st of April", "2026-04-31T05:06:07Z"),
		Entry("of the 29th of February 2100", "2100-02-29T05:06:07Z"), Entry("of minute 60", "2026-03-04T05:60:07Z"),
		Entry("of second 61", "2026-03-04T05:06:61Z"), Entry("of second 60 at another time", "2026-03-04T05:06:60Z"),
		Entry("with a comma", "2026-03-04T05:06:07,5Z"), Entry("with a letter for a digit", "2O26-03-04T05:06:07Z"),
		Entry("with a blank", "2026-03-04 05:06:07Z"), Entry("with more behind it", "2026-03-04T05:06:07ZZ"),
		Entry("before the year 1 in UTC", "0001-01-01T00:00:00+00:01"), Entry("after 9999 in UTC", "9999-12-31T23:59:59-00:01"),
		Entry("of signed digits", "2026-+3-04T05:06:07Z"),
	)
})
