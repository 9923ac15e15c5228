package rule_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

var _ = Describe("Mute times", func() {
	moment := func(text string) time.Time {
		GinkgoHelper()
		at, err := time.Parse(time.RFC3339, text)
		Expect(err).NotTo(HaveOccurred())
		return at
	}
	night := rule.Mute{From: "22:00", To: "06:30", TimeZone: "Europe/Berlin"}
	weekend := rule.Mute{Days: []string{"saturday", "sunday"}, From: "00:00", To: "24:00", TimeZone: "Europe/Berlin"}
	friday := rule.Mute{Days: []string{"friday"}, From: "20:00", To: "02:00"}
	dst := rule.Mute{From: "01:30", To: "02:30", TimeZone: "Europe/Berlin"}
	island := rule.Mute{From: "01:00", To: "01:45", TimeZone: "Australia/Lord_Howe"} // its clock is moved by half an hour

	DescribeTable("go by the clock on the wall",
		func(m rule.Mute, at, until string) {
			times, err := rule.NewMuteTimes([]rule.Mute{m})
			Expect(err).NotTo(HaveOccurred())
			end, muted := times.Until(moment(at))
			Expect(muted).To(Equal(until != ""))
			if muted {
				Expect(end).To(BeTemporally("==", moment(until)), "%s", end)
			}
		},
		Entry("before the evening", night, "2026-01-14T21:59:59+01:00", ""),
		Entry("from the evening on", night, "2026-01-14T22:00:00+01:00", "2026-01-15T06:30:00+01:00"),
		Entry("after midnight", night, "2026-01-15T00:00:00+01:00", "2026-01-15T06:30:00+01:00"),
		Entry("the last moment", night, "2026-01-15T06:29:59.999+01:00", "2026-01-15T06:30:00+01:00"),
		Entry("in the morning", night, "2026-01-15T06:30:00+01:00", ""),
		Entry("told in UTC", night, "2026-01-14T21:00:00Z", "2026-01-15T05:30:00Z"),
		Entry("on Friday", weekend, "2026-01-16T23:59:59+01:00", ""),
		Entry("on Saturday", weekend, "2026-01-17T00:00:00+01:00", "2026-01-18T00:00:00+01:00"),
		Entry("on Sunday", weekend, "2026-01-18T23:59:59+01:00", "2026-01-19T00:00:00+01:00"),
		Entry("on Monday", weekend, "2026-01-19T00:00:00+01:00", ""),
		Entry("Friday's night reaches into Saturday", friday, "2026-01-17T01:59:00Z", "2026-01-17T02:00:00Z"),
		Entry("Thursday's does not reach into Friday", friday, "2026-01-16T01:00:00Z", ""),
		Entry("Saturday evening is not Friday's", friday, "2026-01-17T20:00:00Z", ""),
		Entry("a summer's night", night, "2026-07-01T22:00:00+02:00", "2026-07-02T06:30:00+02:00"),
		Entry("the night that is an hour shorter", night, "2026-03-28T23:00:00+01:00", "2026-03-29T06:30:00+02:00"),
		Entry("the night that is an hour longer", night, "2026-10-24T23:00:00+02:00", "2026-10-25T06:30:00+01:00"),
		Entry("the clock is put forward inside", dst, "2026-03-29T01:45:00+01:00", "2026-03-29T03:00:00+02:00"),
		Entry("after it was put forward", dst, "2026-03-29T03:15:00+02:00", ""),
		Entry("put back: its second pass is muted too", dst, "2026-10-25T02:10:00+01:00", "2026-10-25T02:30:00+01:00"),
		Entry("put back by half an hour", island, "2026-04-05T01:40:00+10:30", "2026-04-05T01:45:00+10:30"),
	)

	It("end with the last of those that hold", func() {
		times, err := rule.NewMuteTimes([]rule.Mute{{From: "08:00", To: "12:00"}, {From: "08:00", To: "18:00"}, {From: "20:00", To: "21:00"}})
		Expect(err).NotTo(HaveOccurred())
		end, muted := times.Until(moment("2026-01-14T09:00:00Z"))
		Expect(muted).To(BeTrue())
		Expect(end).To(Equal(moment("2026-01-14T18:00:00Z")))
	})

	It("that are none mute nothing", func() {
		_, muted := rule.MuteTimes{}.Until(time.Now())
		Expect(muted).To(BeFalse())
		_, err := rule.NewMuteTimes([]rule.Mute{{From: "08:00", To: "12:00", TimeZone: "Mars/Olympus"}})
		Expect(err).To(MatchError(ContainSubstring("time_zone")))
	})

	It("are the same for every moment of a year, asked minute by minute", func() {
		berlin, err := time.LoadLocation("Europe/Berlin")
		Expect(err).NotTo(HaveOccurred())
		times, err := rule.NewMuteTimes([]rule.Mute{night})
		Expect(err).NotTo(HaveOccurred())
		for at := moment("2026-01-01T00:00:00Z"); at.Year() == 2026; at = at.Add(13 * time.Minute) {
			local := at.In(berlin)
			clock := local.Format("15:04")
			end, muted := times.Until(at)
			if want := clock >= "22:00" || clock < "06:30"; muted != want {
				Fail(local.String())
			}
			if muted && (end.In(berlin).Format("15:04") != "06:30" || !end.After(at) || end.Sub(at) > 10*time.Hour) {
				Fail(local.String() + " until " + end.String())
			}
		}
	})
})
