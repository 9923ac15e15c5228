package arch_test

import (
	"go/ast"
	"go/token"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// changing are the few package variables that may change, each with its reason.
var changing = map[string]string{
	"pkg/fault.passes": "counts passes of the one armed point; only in builds with fault points",
}

var _ = Describe("package variables", func() {
	It("do not change after they were made", func() {
		var wrong []string
		for _, p := range packages() {
			if p.testing() {
				continue
			}
			known := variables(p)
			for _, f := range p.production() {
				for _, w := range writes(f, known) {
					if changing[p.Name+"."+w.name] == "" {
						wrong = append(wrong, f.at(w.pos)+": "+w.name+" "+w.how+"; several processes of one program share it: make it a field")
					}
				}
			}
		}
		Expect(wrong).To(BeEmpty())
	})
})

// variables are the names that the package's files declare at top level.
func variables(p pkg) map[string]bool {
	known := map[string]bool{}
	for _, f := range p.production() {
		eachVariable(f, func(name *ast.Ident, _ *ast.ValueSpec) { known[name.Name] = true })
	}
	return known
}

func eachVariable(f *file, visit func(*ast.Ident, *ast.ValueSpec)) {
	for _, d := range f.syntax.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
			for _, s := range g.Specs {
				for _, name := range s.(*ast.ValueSpec).Names {
					visit(name, s.(*ast.ValueSpec))
				}
			}
		}
	}
}

type change struct {
	name, how string
	pos       token.Pos
}

// writes finds assignments to package variables, and variables of types that
// exist to be changed. It does not follow pointers; review does.
func writes(f *file, known map[string]bool) []change {
	var out []change
	eachVariable(f, func(name *ast.Ident, s *ast.ValueSpec) {
		if t, ok := s.Type.(*ast.SelectorExpr); ok {
			if x, ok := t.X.(*ast.Ident); ok && (x.Name == "atomic" || x.Name == "sync") && t.Sel.Name != "Pool" {
				out = append(out, change{name.Name, "is a " + x.Name + "." + t.Sel.Name, name.Pos()})
			}
		}
	})
	target := func(e ast.Expr, pos token.Pos) {
		if name := rootOf(e); name != nil && known[name.Name] && atTopLevel(f, name) {
			out = append(out, change{name.Name, "is assigned to", pos})
		}
	}
	for _, d := range f.syntax.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, e := range n.Lhs {
						target(e, n.Pos())
					}
				}
			case *ast.IncDecStmt:
				target(n.X, n.Pos())
			case *ast.CallExpr:
				if fun, ok := n.Fun.(*ast.Ident); ok && (fun.Name == "delete" || fun.Name == "clear") && len(n.Args) > 0 {
					target(n.Args[0], n.Pos())
				}
			}
			return true
		})
	}
	return out
}

// rootOf is v in v, v[i], v.f and *v.
func rootOf(e ast.Expr) *ast.Ident {
	switch e := e.(type) {
	case *ast.Ident:
		return e
	case *ast.IndexExpr:
		return rootOf(e.X)
	case *ast.SelectorExpr:
		return rootOf(e.X)
	case *ast.StarExpr:
		return rootOf(e.X)
	case *ast.ParenExpr:
		return rootOf(e.X)
	}
	return nil
}

// atTopLevel tells a package variable from a local one of the same name. The
// parser resolves names within the file; what it leaves open is the package's.
func atTopLevel(f *file, name *ast.Ident) bool {
	if name.Name == "_" {
		return false
	}
	if name.Obj == nil {
		for _, i := range f.syntax.Imports {
			if i.Name != nil && i.Name.Name == name.Name || strings.HasSuffix(strings.Trim(i.Path.Value, `"`), "/"+name.Name) {
				return false
			}
		}
		return true
	}
	found := false
	eachVariable(f, func(v *ast.Ident, _ *ast.ValueSpec) { found = found || v.Obj == name.Obj })
	return found
}
