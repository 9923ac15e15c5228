package differential_test

import (
	"fmt"
	"os"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/querygen"
)

const (
	// pairsVariable asks for more pairs than a run of all specs has time for.
	pairsVariable = "EA_DIFFERENTIAL_PAIRS"
	pairsDefault  = 100_000
	// seedVariable asks for other pairs than those that everybody's run asks:
	// a run of all specs is to say what a change broke, FuzzFind looks for more.
	seedVariable = "EA_DIFFERENTIAL_SEED"
	seedDefault  = 1
	// A round is one collection. Many conditions ask about each document, since
	// conditions are what has many forms.
	roundDocuments  = 250
	roundConditions = 400
	// mostAside bounds what the server's own faults may explain: they come to
	// two in ten thousand.
	mostAside = 0.002
)

func setting(variable string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		return n
	}
	return otherwise
}

var _ = Describe("The matcher and the database's find", func() {
	It("agree on every condition and document", func(ctx SpecContext) {
		uri, _ := fleet.Servers()
		s, err := connect(ctx, uri)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(s.close)
		t, err := newTrial(ctx, s)
		Expect(err).NotTo(HaveOccurred())
		seed := uint64(setting(seedVariable, seedDefault)) << 16
		want := setting(pairsVariable, pairsDefault)
		for round := uint64(0); len(t.seen) < want; round++ {
			g := querygen.New(seed + round)
			docs := distinct(roundDocuments, func() bson.D { return g.Document(3) })
			conditions := distinct(roundConditions, func() bson.D { return g.Condition(2) })
			different, err := t.round(ctx, conditions, docs)
			Expect(err).NotTo(HaveOccurred())
			Expect(different).To(BeEmpty(), "seed %d", seed+round)
		}
		report := fmt.Sprintf("%d distinct pairs, %d of them matches; set aside for faults of the server: %d %v; conditions asked in other words: %v",
			len(t.seen), t.matched, t.setAside(), t.aside, t.reworded)
		AddReportEntry("differential", report)
		fmt.Fprintln(GinkgoWriter, report)
		Expect(t.matched).To(BeNumerically(">", len(t.seen)/20), "the generator makes too little that matches")
		Expect(float64(t.setAside())).To(BeNumerically("<=", mostAside*float64(len(t.seen))), report)
	}, NodeTimeout(time.Hour))

	for _, f := range faults {
		It("knows what MongoDB documents: "+f.name, func() {
			compiled, err := rule.Compile(querygen.Marshal(parsed(f.condition)))
			Expect(err).NotTo(HaveOccurred())
			Expect(compiled.Match(querygen.Marshal(parsed(f.document)))).To(Equal(f.matches), f.documented)
			switch {
			case f.shape != nil:
				Expect(f.shape(parsed(f.condition), parsed(f.document))).To(BeTrue(), "its own shape")
			case f.fails != nil:
				Expect(f.fails(parsed(f.condition), parsed(f.document))).To(BeTrue(), "its own shape")
			default:
				_, changed := f.reword(parsed(f.condition))
				Expect(changed).To(BeTrue(), "its own words")
			}
		})
	}
})

// distinct makes documents until there are so many different ones.
func distinct(n int, generate func() bson.D) []bson.D {
	seen := map[string]bool{}
	out := make([]bson.D, 0, n)
	for len(out) < n {
		d := generate()
		if key := string(querygen.Marshal(d)); !seen[key] {
			seen[key] = true
			out = append(out, d)
		}
	}
	return out
}
