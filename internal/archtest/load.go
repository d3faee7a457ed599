package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// pkg is what the rules need to know of a package. Name and Imports are in the
// form of the package comment.
type pkg struct {
	Name    string
	Std     bool
	Module  bool // belongs to this module
	Imports []string
}

// graph holds the packages by name.
type graph map[string]*pkg

// listed is the part of go list's output that is read.
type listed struct {
	ImportPath string
	Imports    []string
	ImportMap  map[string]string
	Standard   bool
	Module     *struct{ Main bool }
	Error      *struct{ Err string }
}

// load returns the packages of the module whose root is dir and all they
// depend on, as the given system sees them.
func load(dir, goos string) (graph, error) {
	module, err := run(dir, goos, "list", "-m")
	if err != nil {
		return nil, err
	}
	out, err := run(dir, goos, "list", "-e", "-deps", "-json=ImportPath,Imports,ImportMap,Standard,Module,Error", "./...")
	if err != nil {
		return nil, err
	}
	return parseList(out, strings.TrimSpace(string(module)))
}

func run(dir, goos string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "GOOS="+goos, "GOARCH=amd64", "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, &stderr)
	}
	return out, nil
}

// parseList reads the output of go list -json for the module of that path.
func parseList(out []byte, module string) (graph, error) {
	rename := func(path string) string {
		if rest, ok := strings.CutPrefix(path, module); ok && (rest == "" || rest[0] == '/') {
			return "." + rest
		}
		return path
	}
	g := graph{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return g, nil
		} else if err != nil {
			return nil, fmt.Errorf("read the output of go list: %w", err)
		}
		p := &pkg{Name: rename(l.ImportPath), Std: l.Standard, Module: l.Module != nil && l.Module.Main}
		for _, path := range l.Imports {
			if mapped, ok := l.ImportMap[path]; ok {
				path = mapped
			}
			if path != "C" {
				p.Imports = append(p.Imports, rename(path))
			}
		}
		g[p.Name] = p
	}
}
