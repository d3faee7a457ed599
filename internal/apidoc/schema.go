package apidoc

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// row is a line of a table of fields.
type row struct{ name, kind, meaning string }

// objects are the schemas that have a table of their own, by name: those of objects that stand in more than one place, or are large.
type objects map[string]bool

// large is how many fields an object has that is not told of where it stands.
const large = 5

// findObjects counts where schemas stand.
func findObjects(doc value) objects {
	uses := map[string]int{}
	var count func(v value)
	count = func(v value) {
		if name := v.component(); name != "" {
			uses[name]++
		}
		for _, f := range v.fields() {
			count(f.v)
		}
		for _, i := range v.items() {
			count(i)
		}
	}
	count(doc)
	own := objects{}
	for name, n := range uses {
		if fields := len(doc.get("components").get("schemas").get(name).get("properties").fields()); fields >= large || n > 1 && fields > 1 {
			own[name] = true
		}
	}
	return own
}

// fields are the rows of the fields of an object, and of those in it. Objects that have a table of their own are named; seen gets their names, in order.
func (o objects) fields(s value, prefix string, seen *[]string) (rows []row) {
	at := s.resolve()
	for _, f := range at.get("properties").fields() {
		name := prefix + f.name
		shown := "`" + name + "`"
		if s.required(f.name) {
			shown += "*"
		}
		kind, inner := o.kind(f.v, seen)
		rows = append(rows, row{shown, kind, meaning(f.v)})
		rows = append(rows, o.inner(inner, name, seen)...)
	}
	return rows
}

// inner are the rows of what is in a field: an object, or an array of such.
func (o objects) inner(s value, name string, seen *[]string) []row {
	array := false
	for s.there() && s.resolve().get("items").there() {
		s, array = s.resolve().get("items"), true
	}
	if array {
		name += "[]"
	}
	if o[s.component()] {
		return nil
	}
	at := s.resolve()
	if at.get("properties").there() {
		return o.fields(s, name+".", seen)
	}
	var rows []row
	for _, branch := range at.get("oneOf").items() {
		if o[branch.component()] {
			continue
		}
		for _, r := range o.fields(branch, name+".", seen) {
			if !slices.ContainsFunc(rows, func(have row) bool { return have.name == r.name }) {
				rows = append(rows, r)
			}
		}
	}
	return rows
}

// kind is the type of a schema in words, and the schema if there is more to tell of what is in it.
func (o objects) kind(s value, seen *[]string) (text string, inner value) {
	if name := s.component(); o[name] {
		if !slices.Contains(*seen, name) {
			*seen = append(*seen, name)
		}
		return "[" + name + "](#" + anchor(name) + ")", value{}
	}
	at := s.resolve()
	switch types := at.get("type").texts(); {
	case at.get("const").there():
		return constant(at.get("const")), value{}
	case at.get("enum").there():
		var words []string
		for _, w := range at.get("enum").items() {
			words = append(words, constant(w))
		}
		return strings.Join(words, ", "), value{}
	case slices.Contains(types, "array"):
		of, _ := o.kind(at.get("items"), seen)
		text = "array"
		if most := at.get("maxItems"); most.there() {
			text += " of " + span(at.get("minItems"), most)
		}
		if of != "" && of != "object" {
			text += ": " + of
		}
		return text, at
	case slices.Contains(types, "object"):
		text = "object"
		if len(types) > 1 {
			text += " or null"
		}
		if !at.get("properties").there() {
			text += ", free"
		}
		return text, at
	case at.get("oneOf").there():
		var of []string
		for _, branch := range at.get("oneOf").items() {
			k, _ := o.kind(branch, seen)
			of = append(of, k)
		}
		return strings.Join(slices.Compact(of), " or "), at
	case at.get("format").text() == "date-time":
		return "time", value{}
	case at.get("contentEncoding").there():
		return at.get("contentEncoding").text(), value{}
	default:
		text = strings.Join(types, " or ")
		if least, most := at.get("minimum"), at.get("maximum"); most.there() {
			text += ", " + span(least, most)
		}
		if most := at.get("maxLength"); most.there() {
			text += " of " + span(at.get("minLength"), most)
		}
		return text, value{}
	}
}

// constant is a value as JSON has it.
func constant(v value) string {
	if v.text() == "" {
		return "empty"
	}
	return "`" + v.text() + "`"
}

// span is "1 to 1,000", "1" where both are the same, or "up to 1,000" where there is no least.
func span(least, most value) string {
	switch {
	case !least.there():
		return "up to " + thousands(most.text())
	case least.text() == most.text():
		return most.text()
	}
	return thousands(least.text()) + " to " + thousands(most.text())
}

// thousands puts commas into a number of more than four digits, and of four, as in "1,000".
func thousands(digits string) string {
	if _, err := strconv.ParseUint(digits, 10, 64); err != nil {
		return digits
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// meaning is the description of a field, and what holds without it.
func meaning(s value) string {
	text := cmp.Or(s.prose(), s.resolve().prose())
	def := s.get("default")
	if !def.there() {
		def = s.resolve().get("default")
	}
	if def.there() {
		if text != "" {
			text += "; "
		}
		text += "without it " + constant(def)
	}
	return text
}
