package sheet_test

import (
	"encoding/csv"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/sheet"
)

func TestSheet(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Sheet")
}

var _ = Describe("a row", func() {
	It("is read back as it was, and no cell looks like a comment", func() {
		rows := [][]string{
			{"a", "", "b,c", `say "x"`, " d", "two\nlines", "ä"}, {"# cut after 3", "# x", "", "", "", "", "\t"}, {`\.`, "1", "2", "3", "4", "5", "'"},
		}
		var b strings.Builder
		for _, row := range rows {
			Expect(sheet.Write(&b, row)).To(Succeed())
		}
		Expect(sheet.Write(&b, []string{""})).To(Succeed())
		r := csv.NewReader(strings.NewReader(b.String()))
		r.FieldsPerRecord = -1
		Expect(r.ReadAll()).To(Equal(append(rows, []string{""})))
		Expect("\n" + b.String()).NotTo(ContainSubstring("\n#"))
	})

	DescribeTable("holds no formula", func(text, cell string) { Expect(sheet.Text(text)).To(Equal(cell)) },
		Entry(nil, "=1+2", "'=1+2"), Entry(nil, "+cmd|x", "'+cmd|x"), Entry(nil, "-a", "'-a"), Entry(nil, "@SUM(A1)", "'@SUM(A1)"), Entry(nil, "\t=1", "'\t=1"),
		Entry("but numbers", "-1.5e3", "-1.5e3"), Entry(nil, "a=b", "a=b"), Entry(nil, "", ""), Entry(nil, "# x", "# x"),
	)
})
