package arch_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// A check that finds nothing anywhere looks the same as a clean repository.
var _ = Describe("the checks themselves", func() {
	source := parse("pkg/x/x.go", "x.go", `package x

import (
	"os"
	zzz "time"
	"sync/atomic"
	"context"
)

var (
	fixed   = map[string]int{"a": 1}
	changed = map[string]int{}
	count   int
	hidden  int
	n       atomic.Int64
)

func f(ctx context.Context) {
	zzz.Sleep(1)
	changed["a"] = fixed["a"]
	count++
	hidden := 1
	hidden++
	time := struct{ Sleep func() }{}
	time.Sleep()
	println(context.Background, n.Load())
	go os.Exit(1)
}
`)

	It("find calls under other package names and as values, and no locals", func() {
		var names []string
		for _, c := range calls(source) {
			names = append(names, c.name)
		}
		Expect(names).To(ConsistOf("atomic.Int64", "context.Context", "time.Sleep", "println", "context.Background", "os.Exit"))
	})

	It("find variables that change, and neither constants of that form nor locals", func() {
		var names []string
		for _, w := range writes(source, variables(pkg{Files: []*file{source}})) {
			names = append(names, w.name)
		}
		Expect(names).To(Equal([]string{"n", "changed", "count"}))
	})

	It("find buffers that are printed while they are waited for", func() {
		specs := parse("pkg/x/x_test.go", "x_test.go", `package x

func f() {
	Eventually(ctx, buffer).WithTimeout(1).Should(gbytes.Say("a"))
	Eventually(ctx, seen).Should(Equal(1))
	Eventually(buffer).WithContext(ctx).Should(gbytes.Say("a"))
	Expect(buffer).To(gbytes.Say("a"))
	g.Eventually(spec, buffer).ShouldNot(Or(Equal(1), Not(gbytes.Say("a"))))
	gomega.Consistently(context, session).Should(gexec.Exit(0))
	Eventually(session, "5s").Should(gexec.Exit(0))
	Eventually(session, 2*time.Second).Should(gexec.Exit(0))
}
`)
		Expect(printedBuffers(specs)).To(HaveLen(3))
	})

	DescribeTable("know which row a file belongs to", func(name, path, want string) {
		Expect(rowOf(name, path).files).To(Equal(want))
	},
		Entry(nil, "pkg/rule", "pkg/rule/set.go", "pkg/rule/..."),
		Entry(nil, "services/api", "services/api/wire.go", "services/*/wire.go"),
		Entry(nil, "services/api/web", "services/api/web/web.go", "services/api/..."),
		Entry(nil, "services/ctl", "services/ctl/main.go", "services/ctl/..."),
		Entry(nil, "cmd/eactl", "cmd/eactl/main.go", "cmd/eactl"),
	)

	It("keep a service to itself", func() {
		r := rowOf("services/ingester", "services/ingester/writer.go")
		Expect(matchesAny(r.allowed("services/ingester"), "services/ingester/web")).To(BeTrue())
		Expect(matchesAny(r.allowed("services/ingester"), "services/api")).To(BeFalse())
		Expect(matchesAny(r.allowed("services/ingester"), "pkg/store")).To(BeFalse())
		Expect(matchesAny(rowOf("services/ingester", "services/ingester/wire.go").allowed("services/ingester"), "pkg/store")).To(BeTrue())
	})
})
