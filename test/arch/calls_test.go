package arch_test

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// ban is a call that has no place in some files, and what to use instead.
type ban struct {
	calls   []string // package.Function; a trailing * matches any ending
	allowed func(p pkg, f *file) bool
	instead string
}

var bans = []ban{
	{
		[]string{"time.Sleep"}, nowhere,
		"wait for what you wait for: Eventually or Consistently in specs, a timer beside ctx.Done() elsewhere",
	},
	{
		[]string{"context.Background", "context.TODO"},
		func(p pkg, f *file) bool {
			return f.Test || p.main || p.testing() || matches("pkg/app", p.Name) || matches("services/ctl", p.Name)
		},
		"take a context; work that must outlive its caller's uses context.WithoutCancel",
	},
	{
		[]string{"fmt.Print*", "print", "println"},
		func(p pkg, _ *file) bool { return p.main || matches("services/ctl/...", p.Name) },
		"log with zap, or write to the io.Writer that you were given",
	},
	{
		[]string{"os.Exit", "log.Fatal*", "log.Panic*"},
		func(p pkg, _ *file) bool { return p.main },
		"return an error; main decides about exit codes",
	},
	{
		[]string{"signal.*"},
		func(p pkg, f *file) bool {
			return f.Test || p.main || p.testing() || matches("pkg/app", p.Name) || matches("services/ctl", p.Name)
		},
		"signals are the business of app.Main; everything else gets a context",
	},
	{
		[]string{"syscall.Kill"},
		func(p pkg, f *file) bool { return f.Test || p.testing() || matches("pkg/fault", p.Name) },
		"only a fault point kills",
	},
	{
		[]string{"net.Dial*", "net.Listen*", "net.Lookup*", "net.Resolve*", "http.Get", "http.Head", "http.Post*", "http.Client", "http.DefaultClient", "http.Transport", "http.NewRequest*", "http.Serve*", "http.Listen*", "os.Create*", "os.Write*"},
		func(p pkg, f *file) bool { return f.Test || p.main || !matchesAny(nouns, p.Name) },
		"nouns do no I/O; a service does it",
	},
	{
		[]string{"log.Print*", "log.New", "slog.*"}, nowhere,
		"log with zap",
	},
}

func nowhere(pkg, *file) bool { return false }

var _ = Describe("calls", func() {
	It("are none of the banned ones", func() {
		var wrong []string
		for _, p := range packages() {
			for _, f := range p.Files {
				for _, c := range calls(f) {
					for _, b := range bans {
						if slices.ContainsFunc(b.calls, func(m string) bool { return matchesCall(m, c.name) }) && !b.allowed(p, f) {
							wrong = append(wrong, fmt.Sprintf("%s: %s; %s", f.at(c.node.Pos()), c.name, b.instead))
						}
					}
				}
			}
		}
		Expect(wrong).To(BeEmpty())
	})

	// Gomega prints what comes after a context, to find out whether it is a length of time.
	It("wait for a buffer without printing it while others write to it", func() {
		var wrong []string
		for _, p := range packages() {
			for _, f := range p.Files {
				for _, n := range printedBuffers(f) {
					wrong = append(wrong, f.at(n.Pos())+": write Eventually(buffer).WithContext(ctx)")
				}
			}
		}
		Expect(wrong).To(BeEmpty())
	})

	It("never happen by import: there is no init function", func() {
		var wrong []string
		for _, p := range packages() {
			for _, f := range p.Files {
				for _, d := range f.syntax.Decls {
					if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
						wrong = append(wrong, f.at(fn.Pos())+": init(); give the work a name and call it")
					}
				}
			}
		}
		Expect(wrong).To(BeEmpty())
	})
})

type call struct {
	name string
	node ast.Node
}

// calls are the uses of package functions (also as values), named by the
// package's own name even when the file imports it under another.
func calls(f *file) []call {
	names := map[string]string{}
	for _, i := range f.syntax.Imports {
		imported := strings.Trim(i.Path.Value, `"`)
		base := imported[strings.LastIndexByte(imported, '/')+1:]
		if strings.Contains(imported, ".") && base == "log" { // somebody's package log is not the standard one
			base = imported
		}
		if strings.HasPrefix(imported, module) {
			base = imported
		}
		if i.Name != nil {
			names[i.Name.Name] = base
		} else {
			names[imported[strings.LastIndexByte(imported, '/')+1:]] = base
		}
	}
	var out []call
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Obj == nil && names[x.Name] != "" {
				out = append(out, call{names[x.Name] + "." + n.Sel.Name, n})
			}
		case *ast.CallExpr:
			if x, ok := n.Fun.(*ast.Ident); ok && x.Obj == nil && (x.Name == "print" || x.Name == "println") {
				out = append(out, call{x.Name, n})
			}
		}
		return true
	})
	return out
}

// printedBuffers are the calls Eventually(ctx, buffer).….Should(gbytes.Say(…)), of
// sessions too, whatever the context is called and whatever is said of the matcher.
func printedBuffers(f *file) []ast.Node {
	var out []ast.Node
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		should, ok := n.(*ast.CallExpr)
		if !ok || len(should.Args) == 0 || !says(should.Args[0]) {
			return true
		}
		for c := should; c != nil; { // from the last call of the chain to its first
			if name := lastName(c.Fun); name == "Eventually" || name == "Consistently" {
				if len(c.Args) > 1 && !isDuration(c.Args[1]) {
					out = append(out, c)
				}
				break
			}
			before, ok := c.Fun.(*ast.SelectorExpr)
			if !ok {
				break
			}
			c, _ = before.X.(*ast.CallExpr)
		}
		return true
	})
	return out
}

// says: the matcher reads a buffer or a session, by itself or inside another.
func says(e ast.Expr) bool {
	c, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	switch types.ExprString(c.Fun) {
	case "gbytes.Say", "gexec.Exit":
		return true
	}
	return slices.ContainsFunc(c.Args, says)
}

// lastName is that of a function without its package or receiver.
func lastName(fn ast.Expr) string {
	switch fn := fn.(type) {
	case *ast.Ident:
		return fn.Name
	case *ast.SelectorExpr:
		return fn.Sel.Name
	}
	return ""
}

// isDuration: what comes second is how long to wait, and first what is waited for.
func isDuration(e ast.Expr) bool {
	text := types.ExprString(e)
	return strings.HasPrefix(text, `"`) || strings.Contains(text, "time.") || text == "patience"
}

func matchesCall(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}
