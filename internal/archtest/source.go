package archtest

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// source is one package as its files are written, for all systems together and
// without tests.
type source struct {
	name  string // as in the package comment of this package
	main  bool
	fset  *token.FileSet
	files map[string]*ast.File // by path below the repository's root
}

// sourceCheck returns a line for every place that breaks its rule.
type sourceCheck func(*source) []string

// loadSource parses every package below root, nested modules excepted.
func loadSource(root fs.FS) ([]*source, error) {
	fset := token.NewFileSet()
	byName := map[string]*source{}
	err := walk(root, func(name string) error {
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || inTestdata(name) {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := "."
		if d := path.Dir(name); d != "." {
			dir = "./" + d
		}
		s := byName[dir]
		if s == nil {
			s = &source{name: dir, fset: fset, files: map[string]*ast.File{}}
			byName[dir] = s
		}
		s.files[name] = f
		s.main = s.main || f.Name.Name == "main"
		return nil
	})
	if err != nil {
		return nil, err
	}
	var all []*source
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		all = append(all, byName[name])
	}
	return all, nil
}

// walk calls f for every regular file below root, by slash-separated path. It
// passes over nested modules, installed packages, what make build leaves and
// folders that begin with a dot, .ci excepted.
func walk(root fs.FS, f func(name string) error) error {
	return fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		// Others may be building or testing in the same tree.
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !d.IsDir() {
			if !d.Type().IsRegular() {
				return nil
			}
			if name == ".git" { // of a worktree: says where the repository is
				return nil
			}
			if err := f(name); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return nil
		}
		base := path.Base(name)
		if name == "." || base == ".ci" {
			return nil
		}
		if name == "bin" || name == "tmp" || base == "node_modules" || strings.HasPrefix(base, ".") {
			return fs.SkipDir
		}
		if _, err := fs.Stat(root, path.Join(name, "go.mod")); err == nil {
			return fs.SkipDir
		}
		return nil
	})
}

func inTestdata(name string) bool {
	return slices.Contains(strings.Split(path.Dir(name), "/"), "testdata")
}

// checkSource returns a line for every place that breaks a rule.
func checkSource(all []*source, rs []sourceRule) []string {
	var found []string
	for _, s := range all {
		for i := range rs {
			r := &rs[i]
			if r.Except.match(s.name, false) || r.Mains && s.main {
				continue
			}
			for _, where := range r.Check(s) {
				found = append(found, where+": "+r.Reason)
			}
		}
	}
	return found
}

// at writes the place of a node and what is wrong with it.
func (s *source) at(p token.Pos, format string, args ...any) string {
	pos := s.fset.Position(p)
	return fmt.Sprintf("%s:%d: %s", pos.Filename, pos.Line, fmt.Sprintf(format, args...))
}

// sorted yields the files in the order of their names.
func (s *source) sorted() []*ast.File {
	var fs []*ast.File
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		fs = append(fs, s.files[name])
	}
	return fs
}

// packageDoc wants a package comment in one of the files.
func packageDoc(s *source) []string {
	for _, f := range s.files {
		if f.Doc != nil && strings.TrimSpace(f.Doc.Text()) != "" {
			return nil
		}
	}
	return []string{s.name + " has no package comment"}
}

// noInit wants no func init.
func noInit(s *source) (found []string) {
	for _, f := range s.sorted() {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, s.at(fn.Pos(), "func init"))
			}
		}
	}
	return found
}

// noEnvironment wants no use of the process's environment.
func noEnvironment(s *source) []string {
	return uses(s, map[string][]string{
		"os":      {"Getenv", "LookupEnv", "Environ", "ExpandEnv", "Setenv", "Unsetenv", "Clearenv"},
		"syscall": {"Getenv", "Environ", "Setenv", "Unsetenv", "Clearenv"},
	})
}

// noGlobalFlags wants no use of the process-wide flag sets.
func noGlobalFlags(s *source) []string {
	names := []string{
		"Bool", "BoolVar", "BoolFunc", "Duration", "DurationVar", "Float64", "Float64Var", "Func", "Int", "IntVar", "Int64", "Int64Var",
		"String", "StringVar", "TextVar", "Uint", "UintVar", "Uint64", "Uint64Var", "Var", "Parse", "CommandLine", "Arg", "Args", "Lookup", "Set",
	}
	return uses(s, map[string][]string{"flag": names, "github.com/spf13/pflag": names})
}

// uses finds selections of the named members of packages, whatever name a file
// imports those under.
func uses(s *source, members map[string][]string) (found []string) {
	for _, f := range s.sorted() {
		local := map[string]string{} // name in this file -> import path
		for _, imp := range f.Imports {
			p, err := strconv.Unquote(imp.Path.Value)
			if err != nil || members[p] == nil {
				continue
			}
			name := path.Base(p)
			if imp.Name != nil {
				name = imp.Name.Name
			}
			if name == "." {
				found = append(found, s.at(imp.Pos(), "dot import of %s", p))
			}
			local[name] = p
		}
		if len(local) == 0 {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if id, ok := sel.X.(*ast.Ident); ok {
				if p := local[id.Name]; p != "" && slices.Contains(members[p], sel.Sel.Name) {
					found = append(found, s.at(sel.Pos(), "%s.%s", id.Name, sel.Sel.Name))
				}
			}
			return true
		})
	}
	return found
}

// moduleRoot returns the nearest folder with a go.mod, from the working folder
// upward.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod in this folder or above")
		}
		dir = up
	}
}
