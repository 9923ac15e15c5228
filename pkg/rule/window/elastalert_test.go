package window_test

import (
	"cmp"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// What ElastAlert 2 documents of its rules, as rules of ours over events of which
// each is a line: when, for which key, with which value. The spike rule's worked
// examples are in spike_test.go.
var _ = Describe("a rule that comes from ElastAlert 2", func() {
	type line struct {
		at         time.Duration
		n          int
		key, value string
	}
	DescribeTable("fires where its documentation says",
		func(ctx SpecContext, spec window.Spec, until time.Duration, lines []line, want ...string) {
			Expect(spec.Check()).To(BeEmpty())
			s := &series{}
			for _, l := range lines {
				s.add(l.at, l.n, l.key, func(o *window.Observation) {
					if l.value != "" {
						o.Value, o.Matched = doc(cmp.Or(spec.Field, "status"), l.value), l.value == "200"
					}
				})
			}
			var got []string
			for _, a := range evaluate(ctx, spec, s, 0, until) {
				got = append(got, fmt.Sprintf("%s %s: %s", a.To.Format("15:04"), a.Key, a.Text))
			}
			Expect(got).To(Equal(want))
		},
		Entry("frequency: num_events within timeframe, which may lie anywhere",
			window.Spec{Kind: "frequency", NumEvents: 50, Timeframe: for_(4 * time.Hour)}, 24*time.Hour,
			[]line{{at: 1 * time.Hour, n: 49}, {at: 6 * time.Hour, n: 25}, {at: 9 * time.Hour, n: 25}, {at: 20 * time.Hour, n: 49}},
			"09:00 : 50 events in 4h; 50 are enough"),
		Entry("frequency with query_key: the same address is refused by ssh again and again",
			window.Spec{Kind: "frequency", NumEvents: 20, Timeframe: for_(time.Minute), GroupBy: []string{"ip"}}, time.Hour,
			[]line{{at: 30 * time.Second, n: 19, key: doc("ip", "a")}, {at: 40 * time.Second, n: 20, key: doc("ip", "b")}, {at: 95 * time.Second, n: 1, key: doc("ip", "a")}},
			`00:00 {"ip": "b"}: 20 events in 1m; 20 are enough`),
		Entry("flatline: fewer than threshold in timeframe",
			window.Spec{Kind: "flatline", Threshold: 2, Timeframe: for_(30 * time.Minute)}, 2*time.Hour,
			[]line{{at: 5 * time.Minute, n: 2}, {at: 50 * time.Minute, n: 1}, {at: 70 * time.Minute, n: 3}},
			"01:00 : 1 event in 30m; at least 2 are expected", "02:00 : 0 events in 30m; at least 2 are expected"),
		Entry("flatline with query_key: of a key that was seen, from a timeframe later on; forget_keys: once",
			window.Spec{Kind: "flatline", Threshold: 1, Timeframe: for_(30 * time.Minute), GroupBy: []string{"host"}, ForgetKeys: true}, 3*time.Hour,
			[]line{{at: 5 * time.Minute, n: 1, key: doc("host", "a")}, {at: 35 * time.Minute, n: 1, key: doc("host", "a")}, {at: 95 * time.Minute, n: 1, key: doc("host", "b")}},
			`01:30 {"host": "a"}: 0 events in 30m; at least 1 are expected`, `02:30 {"host": "b"}: 0 events in 30m; at least 1 are expected`),
		Entry("cardinality: more than max_cardinality values, which grow old",
			window.Spec{Kind: "cardinality", Field: "user", Max: pointer(4.), Timeframe: for_(10 * time.Minute)}, time.Hour,
			[]line{{at: 1 * time.Minute, n: 1, value: "a"}, {at: 2 * time.Minute, n: 1, value: "b"}, {at: 3 * time.Minute, n: 2, value: "c"}, {at: 4 * time.Minute, n: 1, value: "d"},
				{at: 12 * time.Minute, n: 1, value: "e"}, {at: 21 * time.Minute, n: 1, value: "a"}, {at: 22 * time.Minute, n: 1, value: "b"}, {at: 23 * time.Minute, n: 1, value: "c"},
				{at: 24 * time.Minute, n: 1, value: "d"}, {at: 25 * time.Minute, n: 1, value: "f"}},
			"00:25 : 5 different values of user in 10m; at most 4 are expected"),
		Entry("cardinality: fewer than min_cardinality values",
			window.Spec{Kind: "cardinality", Field: "user", Min: pointer(2.), Timeframe: for_(10 * time.Minute)}, 20*time.Minute,
			[]line{{at: 1 * time.Minute, n: 1, value: "a"}, {at: 2 * time.Minute, n: 1, value: "b"}, {at: 13 * time.Minute, n: 2, value: "a"}},
			"00:20 : 1 value of user in 10m; at least 2 are expected"),
		Entry("new_term: a value that was not there in terms_window",
			window.Spec{Kind: "new_term", Field: "agent", TermsWindow: for_(24 * time.Hour)}, 72*time.Hour,
			[]line{{at: time.Hour, n: 1, value: "curl"}, {at: 5 * time.Hour, n: 1, value: "curl"}, {at: 6 * time.Hour, n: 1}, {at: 28 * time.Hour, n: 1, value: "curl"}, {at: 53 * time.Hour, n: 1, value: "curl"}},
			`01:00 {"agent": "curl"}: agent is "curl", which was not seen in 1d before`, `05:00 {"agent": "curl"}: agent is "curl", which was not seen in 1d before`),
		Entry("percentage_match: 95 % of the requests of a host should succeed; few requests say nothing",
			window.Spec{Kind: "percentage", Match: bson.Raw(doc("status", "200")), Min: pointer(95.), MinDenominator: 10, Timeframe: for_(5 * time.Minute), GroupBy: []string{"host"}}, 15*time.Minute,
			[]line{{at: 1 * time.Minute, n: 95, key: doc("host", "a"), value: "200"}, {at: 2 * time.Minute, n: 5, key: doc("host", "a"), value: "500"},
				{at: 6 * time.Minute, n: 94, key: doc("host", "a"), value: "200"}, {at: 7 * time.Minute, n: 6, key: doc("host", "a"), value: "500"}, {at: 8 * time.Minute, n: 9, key: doc("host", "b"), value: "500"}},
			`00:10 {"host": "a"}: 94 % of 100 events in 5m; at least 95 % are expected`),
	)
})
