package failed_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/scripts/oncemore/failed"
)

var _ = Describe("What failed", func() {
	spec := func(text string, state types.SpecState, message string) types.SpecReport {
		return types.SpecReport{
			ContainerHierarchyTexts: []string{"A thing"}, ContainerHierarchyLocations: []types.CodeLocation{{FileName: "/src/thing_test.go", LineNumber: 1}},
			LeafNodeType: types.NodeTypeIt, LeafNodeText: text, LeafNodeLocation: types.CodeLocation{FileName: "/src/part_test.go", LineNumber: 5}, State: state,
			Failure: types.Failure{Message: message, Location: types.CodeLocation{FileName: "/src/help_test.go", LineNumber: 7}},
		}
	}
	suite := func(specs ...types.SpecReport) types.Report {
		return types.Report{SuiteDescription: "things", SpecReports: specs, SuiteConfig: types.SuiteConfig{RandomSeed: 42}}
	}
	passes := spec("passes", types.SpecStatePassed, "")

	It("is named with its place and its words", func() {
		Expect(failed.Lines(suite(passes, spec("wavers", types.SpecStateFailed, "Expected\n    <int>: 1\nto equal\n    <int>: 2")))).To(Equal([]string{
			`things: "A thing wavers": help_test.go:7: Expected <int>: 1 to equal <int>: 2`,
		}))
		long := failed.Lines(suite(spec("wavers", types.SpecStateFailed, strings.Repeat("é ", 1000))))
		Expect(long).To(HaveExactElements(HaveSuffix("…")))
		Expect(len([]rune(long[0]))).To(BeNumerically("<", 400))
	})

	It("runs again with all of its files, each named once, and with its seed", func() {
		for _, state := range []types.SpecState{types.SpecStateFailed, types.SpecStatePanicked, types.SpecStateTimedout} {
			Expect(failed.Again(suite(passes, spec("a", state, ""), spec("b", state, "")))).To(Equal([]string{
				"-ginkgo.seed=42", `-ginkgo.focus-file=/part_test\.go$`, `-ginkgo.focus-file=/thing_test\.go$`,
			}))
		}
	})

	DescribeTable("does not run again", func(report types.Report, why string) {
		_, err := failed.Again(report)
		Expect(err).To(MatchError(ContainSubstring(why)))
	},
		Entry("when it was no spec", suite(spec("a", types.SpecStateFailed, ""), types.SpecReport{LeafNodeType: types.NodeTypeAfterSuite, State: types.SpecStateFailed}), "AfterSuite"),
		Entry("when it was interrupted", suite(spec("a", types.SpecStateInterrupted, "")), "interrupted"),
		Entry("when the suite was cut short", types.Report{SpecReports: []types.SpecReport{spec("a", types.SpecStateFailed, "")}, SpecialSuiteFailureReasons: []string{"Suite Timeout Elapsed"}}, "Timeout"),
		Entry("when no spec did", suite(passes), "no spec failed"),
	)
})
