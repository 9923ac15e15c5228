package arch_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const module = "github.com/events-aggregator/events-aggregator"

// root is the repository, from this package's directory.
const root = "../.."

// pkg is one package as `go list -json` tells it, its name without the module.
type pkg struct {
	Name  string // pkg/event
	Files []*file
	main  bool
}

// testing says that a package exists for tests alone, conformance suites
// included.
func (p pkg) testing() bool {
	return matchesAny([]string{"test/...", "pkg/action/actiontest", "pkg/broker/brokertest"}, p.Name)
}

// file is one parsed file.
type file struct {
	Path    string // pkg/event/batch.go
	Test    bool
	Imports []string
	Lines   int
	syntax  *ast.File
	set     *token.FileSet
}

// at is where something is, as editors understand it.
func (f *file) at(p token.Pos) string {
	return f.Path + ":" + strconv.Itoa(f.set.Position(p).Line)
}

// packages is the whole repository, listed and parsed once for all specs.
var packages = sync.OnceValue(readPackages)

func readPackages() []pkg {
	GinkgoHelper()
	type listed struct {
		ImportPath     string   `json:"ImportPath"`
		Dir            string   `json:"Dir"`
		Name           string   `json:"Name"`
		GoFiles        []string `json:"GoFiles"`
		IgnoredGoFiles []string `json:"IgnoredGoFiles"`
		TestGoFiles    []string `json:"TestGoFiles"`
		XTestGoFiles   []string `json:"XTestGoFiles"`
	}
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Name,GoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	Expect(err).NotTo(HaveOccurred())
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var l listed
		err := d.Decode(&l)
		if errors.Is(err, io.EOF) {
			break
		}
		Expect(err).NotTo(HaveOccurred())
		p := pkg{Name: strings.TrimPrefix(l.ImportPath, module+"/"), main: l.Name == "main"}
		// Files that build tags leave out today are code, too.
		for _, name := range slices.Concat(l.GoFiles, l.IgnoredGoFiles, l.TestGoFiles, l.XTestGoFiles) {
			p.Files = append(p.Files, parse(path.Join(p.Name, name), filepath.Join(l.Dir, name), nil))
		}
		all = append(all, p)
	}
	Expect(all).NotTo(BeEmpty())
	return all
}

// parse reads the file, or content when it is given.
func parse(name, location string, content any) *file {
	GinkgoHelper()
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, location, content, parser.ParseComments)
	Expect(err).NotTo(HaveOccurred())
	f := &file{
		Path: name, Test: strings.HasSuffix(name, "_test.go"), syntax: syntax, set: set,
		Lines: set.Position(syntax.FileEnd).Line,
	}
	for _, i := range syntax.Imports {
		imported, _ := strconv.Unquote(i.Path.Value)
		f.Imports = append(f.Imports, strings.TrimPrefix(imported, module+"/"))
	}
	return f
}

// production leaves the tests out.
func (p pkg) production() []*file {
	var out []*file
	for _, f := range p.Files {
		if !f.Test {
			out = append(out, f)
		}
	}
	return out
}

// matches: a pattern is a name, or a name with /... for everything below, too,
// or with * for one element.
func matches(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == prefix || strings.HasPrefix(name, prefix+"/")
	}
	ok, _ := path.Match(pattern, name)
	return ok
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
}
