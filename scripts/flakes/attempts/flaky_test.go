package attempts_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/scripts/flakes/attempts"
)

var _ = Describe("Flaky", func() {
	spec := func(text string, state types.SpecState, tried int, failures ...string) types.SpecReport {
		r := types.SpecReport{ContainerHierarchyTexts: []string{"A thing"}, LeafNodeText: text, State: state, NumAttempts: tried}
		for _, message := range failures {
			r.AdditionalFailures = append(r.AdditionalFailures, types.AdditionalFailure{
				State:   types.SpecStateFailed,
				Failure: types.Failure{Message: message, Location: types.CodeLocation{FileName: "/src/thing_test.go", LineNumber: 7}},
			})
		}
		return r
	}
	suite := func(specs ...types.SpecReport) types.Report {
		return types.Report{SuiteDescription: "things", SpecReports: specs}
	}

	It("names what passed at the second attempt, with the first one's failure", func() {
		Expect(attempts.Flaky(suite(
			spec("passes", types.SpecStatePassed, 1),
			spec("wavers", types.SpecStatePassed, 2, "Expected\n    <int>: 1\nto equal\n    <int>: 2"),
		))).To(Equal([]string{
			`things: "A thing wavers" passed at attempt 2; before: thing_test.go:7: Expected <int>: 1 to equal <int>: 2`,
		}))
	})

	It("leaves out what failed each time, which go test shows by itself", func() {
		Expect(attempts.Flaky(suite(spec("fails", types.SpecStateFailed, 2, "no")))).To(BeEmpty())
	})

	It("cuts a long failure short", func() {
		lines := attempts.Flaky(suite(spec("wavers", types.SpecStatePassed, 2, strings.Repeat("é ", 1000))))
		Expect(lines).To(HaveLen(1))
		Expect(lines[0]).To(HaveSuffix("…"))
		Expect(len([]rune(lines[0]))).To(BeNumerically("<", 400))
	})
})
