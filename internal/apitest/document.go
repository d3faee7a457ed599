package apitest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// Document is an OpenAPI 3.1 document. Its methods may be called by several goroutines at once.
type Document struct {
	root       map[string]any
	operations []operation
	common     map[string]bool // headers that any answer may have, in their canonical form

	mu       sync.Mutex // guards what follows
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema // by place in the document
}

// operation is a method of a path.
type operation struct {
	method, path string
	segments     []string
	item, at     node
}

func (o *operation) String() string { return o.method + " " + o.path }

// base is the address of the document for the validator, which asks for none.
const base = "mem:///openapi.json"

// Parse reads a document in YAML or JSON, whose references are all to itself. It compiles all schemas, so that a mistake in one shows at once.
func Parse(text []byte) (*Document, error) {
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	root, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("openapi: want an object")
	}
	if s, _ := root["openapi"].(string); !strings.HasPrefix(s, "3.1.") {
		return nil, fmt.Errorf("openapi: version %q: want 3.1", s)
	}
	d := &Document{root: root, common: map[string]bool{}, compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	d.compiler.UseLoader(noLoader{})
	if err := d.compiler.AddResource(base, v); err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	list, _ := root["x-common-headers"].([]any)
	for _, name := range list {
		d.common[http.CanonicalHeaderKey(fmt.Sprint(name))] = true
	}
	if err := d.readPaths(); err != nil {
		return nil, err
	}
	return d, d.compileAll("#", root)
}

// noLoader refuses what is not in the document.
type noLoader struct{}

// Load implements jsonschema.URLLoader.
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s is not in the document", url)
}

// The fields of a path item that are operations.
var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

func (d *Document) readPaths() error {
	paths, ok := d.at("#").child("paths")
	if !ok {
		return errors.New("openapi: there are no paths")
	}
	for _, path := range slices.Sorted(maps.Keys(paths.v)) {
		item, ok := paths.child(path)
		if !ok || !strings.HasPrefix(path, "/") {
			return fmt.Errorf("openapi: paths: %q is none", path)
		}
		for _, m := range methods {
			at, ok := item.child(m)
			if !ok {
				continue
			}
			o := operation{method: strings.ToUpper(m), path: path, segments: strings.Split(path, "/"), item: item, at: at}
			d.operations = append(d.operations, o)
			if also, ok := at.v["x-also-method"].(string); ok {
				o.method = also
				d.operations = append(d.operations, o)
			}
		}
	}
	// Where a path fits several, that with the fewest parameters is meant.
	slices.SortStableFunc(d.operations, func(a, b operation) int { return cmp.Compare(a.parameters(), b.parameters()) })
	return nil
}

func (o *operation) parameters() (n int) {
	for _, s := range o.segments {
		if strings.HasPrefix(s, "{") {
			n++
		}
	}
	return n
}

// Operations lists the calls, "GET /files/{id}", in order. A method that OpenAPI has no word for is there as well (x-also-method).
func (d *Document) Operations() []string {
	list := make([]string, len(d.operations))
	for i := range d.operations {
		list[i] = d.operations[i].String()
	}
	slices.Sort(list)
	return list
}

// Statuses lists the statuses that an operation may be answered with, in order; nil if there is none.
func (d *Document) Statuses(operation string) []string {
	for i := range d.operations {
		if o := &d.operations[i]; o.String() == operation {
			responses, _ := o.at.child("responses")
			return slices.Sorted(maps.Keys(responses.v))
		}
	}
	return nil
}

// Operation names the operation of a request, "GET /files/{id}"; "" if there is none.
func (d *Document) Operation(method string, u *url.URL) string {
	if o := d.find(method, u); o != nil {
		return o.String()
	}
	return ""
}

// Parameters lists the parameters of the query that an operation takes, in order; nil if there is none.
func (d *Document) Parameters(operation string) ([]string, error) {
	for i := range d.operations {
		if o := &d.operations[i]; o.String() == operation {
			known, err := o.parametersOf()
			return slices.Sorted(maps.Keys(known)), err
		}
	}
	return nil, nil
}

// find returns the operation of a request, nil if there is none. A HEAD is a GET.
func (d *Document) find(method string, u *url.URL) *operation {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	segments := strings.Split(u.EscapedPath(), "/")
	for i := range d.operations {
		if o := &d.operations[i]; o.method == method && o.match(segments) {
			return o
		}
	}
	return nil
}

func (o *operation) match(segments []string) bool {
	if len(segments) != len(o.segments) {
		return false
	}
	for i, want := range o.segments {
		if strings.HasPrefix(want, "{") {
			if segments[i] == "" {
				return false
			}
			continue
		}
		if got, err := url.PathUnescape(segments[i]); err != nil || got != want {
			return false
		}
	}
	return true
}

// node is an object of the document and its place in it, as a JSON pointer behind "#".
type node struct {
	d     *Document
	place string
	v     map[string]any
}

func (d *Document) at(place string) node { return node{d, place, d.root} }

// child is the object in a field of n, or where a reference in it leads.
func (n node) child(key string) (node, bool) {
	v, ok := n.v[key].(map[string]any)
	if !ok {
		return node{}, false
	}
	return n.d.follow(node{n.d, pointer(n.place, key), v})
}

func pointer(place, key string) string {
	return place + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// follow goes where the reference of an object leads, if it has one.
func (d *Document) follow(n node) (node, bool) {
	for range 16 { // no more, or it goes around in circles
		ref, ok := n.v["$ref"].(string)
		if !ok {
			return n, true
		}
		at, ok := any(d.root), strings.HasPrefix(ref, "#/")
		for el := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			object, is := at.(map[string]any)
			if !is {
				return node{}, false
			}
			at = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(el)]
		}
		v, is := at.(map[string]any)
		if !ok || !is {
			return node{}, false
		}
		n = node{d, ref, v}
	}
	return node{}, false
}

// schema compiles the schema at a place.
func (d *Document) schema(place string) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.schemas[place]; s != nil {
		return s, nil
	}
	// A pointer behind "#" is part of an address, where some characters have a form of their own.
	s, err := d.compiler.Compile(base + "#" + (&url.URL{Fragment: strings.TrimPrefix(place, "#")}).EscapedFragment())
	if err != nil {
		return nil, fmt.Errorf("openapi: the schema at %s: %w", place, err)
	}
	d.schemas[place] = s
	return s, nil
}

// compileAll compiles every schema below a value, and wants references to lead somewhere.
func (d *Document) compileAll(place string, v any) error {
	switch v := v.(type) {
	case []any:
		for i, el := range v {
			if err := d.compileAll(fmt.Sprint(place, "/", i), el); err != nil {
				return err
			}
		}
	case map[string]any:
		if _, is := v["$ref"]; is {
			if _, ok := d.follow(node{d, place, v}); !ok {
				return fmt.Errorf("openapi: %s: the reference leads nowhere", place)
			}
		}
		for key, el := range v {
			at := pointer(place, key)
			if key == "schema" || place == "#/components/schemas" {
				if _, err := d.schema(at); err != nil {
					return err
				}
				continue
			}
			if err := d.compileAll(at, el); err != nil {
				return err
			}
		}
	}
	return nil
}
