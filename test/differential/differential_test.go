package differential_test

import (
	"context"
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
	// pairsVariable asks for more new pairs than a run of all specs has time for.
	pairsVariable = "EA_DIFFERENTIAL_PAIRS"
	pairsDefault  = newDocuments * roundConditions
	// seedVariable asks for the pairs of a run before. Otherwise they are new ones
	// each time, by the seed of Ginkgo, which stays the same when a spec that failed
	// runs once more.
	seedVariable = "EA_DIFFERENTIAL_SEED"
	// The corpus is the same in everybody's run: it says what a change broke.
	corpusSeed      = 1
	corpusDocuments = 50
	// A round is one collection. Many conditions ask about each document, since
	// conditions are what has many forms.
	newDocuments    = 200
	roundConditions = 400
	// mostAside bounds the conditions for which the server's own faults may explain
	// anything: they come to two in a hundred. Conditions, not pairs: a single one can
	// be misunderstood for every document.
	mostAside = 0.1
)

func setting(variable string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		return n
	}
	return otherwise
}

var _ = Describe("The matcher, the index and the database's find", func() {
	agree := func(ctx context.Context, seed, want, documents int) {
		GinkgoHelper()
		uri, _ := fleet.Servers()
		s, err := connect(ctx, uri)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(s.close)
		t, err := newTrial(ctx, s)
		Expect(err).NotTo(HaveOccurred())
		for round := uint64(0); len(t.seen) < want; round++ {
			g := querygen.New(uint64(seed)<<16 + round)
			docs := distinct(documents, func() bson.D { return g.Document(3) })
			conditions := distinct(roundConditions, func() bson.D { return g.Condition(2) })
			different, err := t.round(ctx, conditions, docs)
			Expect(err).NotTo(HaveOccurred(), "round %d of seed %d, which %s asks again", round, seed, seedVariable)
			Expect(different).To(BeEmpty(), "round %d of seed %d, which %s asks again", round, seed, seedVariable)
		}
		report := fmt.Sprintf("seed %d: %d distinct pairs, %d of them matches; set aside for faults of the server: %d %v, of %d of %d conditions; conditions asked in other words: %v",
			seed, len(t.seen), t.matched, t.setAside(), t.aside, t.excused, t.asked, t.reworded)
		AddReportEntry("differential", report)
		fmt.Fprintln(GinkgoWriter, report)
		Expect(t.matched).To(BeNumerically(">", len(t.seen)/50), "the generator makes too little that matches")
		Expect(float64(t.excused)).To(BeNumerically("<=", mostAside*float64(t.asked)), report)
	}

	It("agree on the pairs that every run asks", func(ctx SpecContext) {
		agree(ctx, corpusSeed, corpusDocuments*roundConditions, corpusDocuments)
	}, NodeTimeout(10*time.Minute))

	It("agree on pairs that are new in each run", func(ctx SpecContext) {
		agree(ctx, setting(seedVariable, int(GinkgoRandomSeed())), setting(pairsVariable, pairsDefault), newDocuments)
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
