package apidoc

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// value is a place in a document, which keeps the order of its fields. The zero value is one that is not there.
type value struct {
	doc *yaml.Node // the whole document's object
	n   *yaml.Node
}

// field is one of an object.
type field struct {
	name string
	v    value
}

// get returns a field of an object.
func (v value) get(name string) value {
	for _, f := range v.fields() {
		if f.name == name {
			return f.v
		}
	}
	return value{doc: v.doc}
}

// fields are those of an object, in order.
func (v value) fields() (list []field) {
	if v.n == nil || v.n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(v.n.Content); i += 2 {
		list = append(list, field{v.n.Content[i].Value, value{v.doc, v.n.Content[i+1]}})
	}
	return list
}

// items are those of an array.
func (v value) items() (list []value) {
	if v.n == nil || v.n.Kind != yaml.SequenceNode {
		return nil
	}
	for _, n := range v.n.Content {
		list = append(list, value{v.doc, n})
	}
	return list
}

// there says whether there is anything.
func (v value) there() bool { return v.n != nil }

// text is a scalar as text.
func (v value) text() string {
	if v.n == nil || v.n.Kind != yaml.ScalarNode {
		return ""
	}
	return v.n.Value
}

// texts are the scalars of an array, or the one that stands in its place.
func (v value) texts() (list []string) {
	for _, i := range v.items() {
		list = append(list, i.text())
	}
	if len(list) == 0 && v.text() != "" {
		list = []string{v.text()}
	}
	return list
}

// names are the names of the fields.
func (v value) names() (list []string) {
	for _, f := range v.fields() {
		list = append(list, f.name)
	}
	return list
}

// prose is a description as one line.
func (v value) prose() string { return strings.Join(strings.Fields(v.get("description").text()), " ") }

// resolve goes where the reference of v leads, if it has one.
func (v value) resolve() value {
	for range 16 { // no more, or it goes around in circles
		ref, ok := strings.CutPrefix(v.get("$ref").text(), "#/")
		if !ok {
			return v
		}
		to := value{v.doc, v.doc}
		for el := range strings.SplitSeq(ref, "/") {
			to = to.get(strings.NewReplacer("~1", "/", "~0", "~").Replace(el))
		}
		v = to
	}
	return value{doc: v.doc}
}

// component is the name of the schema that v refers to, "" if it is none.
func (v value) component() string {
	name, ok := strings.CutPrefix(v.get("$ref").text(), "#/components/schemas/")
	if !ok {
		return ""
	}
	return name
}

// required says whether a field of an object must be there. What stands beside a reference adds to it.
func (v value) required(name string) bool {
	return slices.Contains(v.get("required").texts(), name) || slices.Contains(v.resolve().get("required").texts(), name)
}
