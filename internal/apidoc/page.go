package apidoc

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// section is a numbered part of the page.
type section struct {
	number int
	title  string
	prose  string
	tag    string // of its calls; "" for prose alone
}

// call is an operation.
type call struct {
	methods []string
	path    string
	item    value
	at      value
}

// The methods of a path, as OpenAPI orders them.
var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

// page is what is written.
type page struct {
	bytes.Buffer
	doc   value
	own   objects
	calls []call
	done  map[string]bool // objects that have their table
}

// Page makes the page of an OpenAPI document in YAML. source names the document in the first line.
func Page(document []byte, source string) ([]byte, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(document, &root); err != nil {
		return nil, fmt.Errorf("apidoc: %w", err)
	}
	if len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("apidoc: want an object")
	}
	doc := value{root.Content[0], root.Content[0]}
	if err := checkReferences(doc); err != nil {
		return nil, err
	}
	p := &page{doc: doc, own: findObjects(doc), done: map[string]bool{}}
	p.readCalls()
	intro, sections, err := readSections(doc)
	if err != nil {
		return nil, err
	}
	for _, c := range p.calls {
		if !slices.ContainsFunc(sections, func(s section) bool { return s.tag != "" && s.tag == c.tag() }) {
			return nil, fmt.Errorf("apidoc: %s: its tag %q has no section", c.title(), c.tag())
		}
	}
	fmt.Fprintf(p, "<!-- Made of %s by make apidoc. Change that. -->\n\n# %s\n\n%s\n", source, doc.get("info").get("title").text(), intro)
	fmt.Fprintf(p, "\nIn tables of fields and parameters a star marks what a request must have and an answer always has.\n")
	for _, s := range sections {
		p.section(&s)
	}
	return p.Bytes(), nil
}

func (p *page) readCalls() {
	for _, path := range p.doc.get("paths").fields() {
		for _, m := range methods {
			at := path.v.get(m)
			if !at.there() {
				continue
			}
			c := call{methods: []string{strings.ToUpper(m)}, path: path.name, item: path.v, at: at}
			if also := at.get("x-also-method").text(); also != "" {
				c.methods = append(c.methods, also)
			}
			p.calls = append(p.calls, c)
		}
	}
}

func (c *call) tag() string {
	if tags := c.at.get("tags").texts(); len(tags) > 0 {
		return tags[0]
	}
	return ""
}

func (c *call) title() string { return strings.Join(c.methods, ", ") + " `" + c.path + "`" }

// heading is that of a section of prose.
var heading = regexp.MustCompile(`(?m)^## ([0-9]+)\. (.+)$`)

// readSections returns what stands before the first section, and the sections by their numbers.
func readSections(doc value) (intro string, list []section, err error) {
	text := doc.get("info").get("description").text()
	found := heading.FindAllStringSubmatchIndex(text, -1)
	intro = text
	for i, at := range found {
		end := len(text)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		if i == 0 {
			intro = text[:at[0]]
		}
		n, err := strconv.Atoi(text[at[2]:at[3]])
		if err != nil {
			return "", nil, fmt.Errorf("apidoc: the number of a section: %w", err)
		}
		list = append(list, section{number: n, title: text[at[4]:at[5]], prose: strings.TrimSpace(text[at[1]:end])})
	}
	for _, tag := range doc.get("tags").items() {
		name := tag.get("name").text()
		n, err := strconv.Atoi(tag.get("x-section").text())
		if err != nil {
			return "", nil, fmt.Errorf("apidoc: the tag %q: x-section: %w", name, err)
		}
		list = append(list, section{number: n, title: name, prose: strings.TrimSpace(tag.get("description").text()), tag: name})
	}
	slices.SortStableFunc(list, func(a, b section) int { return cmp.Compare(a.number, b.number) })
	for i, s := range list {
		if s.number != i+1 {
			return "", nil, fmt.Errorf("apidoc: section %d: want the numbers from 1 on, each once", s.number)
		}
	}
	return strings.TrimSpace(intro), list, nil
}

func (p *page) section(s *section) {
	fmt.Fprintf(p, "\n## %d. %s\n", s.number, s.title)
	if s.prose != "" {
		fmt.Fprintf(p, "\n%s\n", s.prose)
	}
	var mine []call
	for _, c := range p.calls {
		if s.tag != "" && c.tag() == s.tag {
			mine = append(mine, c)
		}
	}
	if len(mine) == 0 {
		return
	}
	fmt.Fprint(p, "\n| call | needs | what |\n|---|---|---|\n")
	for _, c := range mine {
		fmt.Fprintf(p, "| [%s](#%s) | %s | %s |\n", c.title(), anchor(c.title()), cell(c.at.get("x-needs").text()), cell(c.at.get("summary").text()))
	}
	var seen []string
	for _, c := range mine {
		p.call(&c, &seen)
	}
	for i := 0; i < len(seen); i++ { // a table may name further objects
		if name := seen[i]; !p.done[name] {
			p.done[name] = true
			at := p.doc.get("components").get("schemas").get(name)
			fmt.Fprintf(p, "\n### %s\n\n", name)
			if d := at.prose(); d != "" {
				fmt.Fprintf(p, "%s\n\n", d)
			}
			p.table("field", p.own.fields(at, "", &seen))
		}
	}
}

func (p *page) call(c *call, seen *[]string) {
	fmt.Fprintf(p, "\n### %s\n\n%s.\n", c.title(), sentence(c.at.get("summary").text()))
	if d := strings.TrimSpace(c.at.get("description").text()); d != "" {
		fmt.Fprintf(p, "\n%s\n", d)
	}
	p.parameters(c, seen)
	if body := c.at.get("requestBody").resolve(); body.there() {
		for _, media := range body.get("content").fields() {
			fmt.Fprintln(p)
			p.body("The body", media.v.get("schema"), seen)
		}
	}
	var errs []string
	for _, r := range c.at.get("responses").fields() {
		at := r.v.resolve()
		if r.v.get("$ref").there() {
			errs = append(errs, r.name)
			continue
		}
		p.answer(r.name, at, seen)
	}
	if len(errs) > 0 {
		fmt.Fprintf(p, "\nErrors: %s (section 2).\n", strings.Join(errs, ", "))
	}
}

func (p *page) parameters(c *call, seen *[]string) {
	var rows []row
	for _, v := range slices.Concat(c.item.get("parameters").items(), c.at.get("parameters").items()) {
		at := v.resolve()
		name := "`" + at.get("name").text() + "`"
		if at.get("required").text() == "true" {
			name += "*"
		}
		if at.get("in").text() == "path" {
			name += " in the path"
		}
		kind, _ := p.own.kind(at.get("schema"), seen)
		if strings.HasPrefix(kind, "array") && at.get("explode").text() == "false" {
			kind = strings.Replace(kind, "array", "array with commas", 1)
		}
		text := at.prose()
		if def := at.get("schema").get("default"); def.there() {
			if text != "" {
				text += "; "
			}
			text += "without it " + constant(def)
		}
		if text != "" || kind != "string" || at.get("in").text() != "path" { // the path itself tells as much
			rows = append(rows, row{name, kind, text})
		}
	}
	if len(rows) > 0 {
		fmt.Fprintln(p)
		p.table("parameter", rows)
	}
}

// body tells of what a body is, behind a title.
func (p *page) body(title string, s value, seen *[]string) {
	kind, inner := p.own.kind(s, seen)
	if s.component() != "" && !strings.HasPrefix(kind, "[") { // a schema that stands here only
		inner = s
	}
	rows := p.own.inner(inner, "", seen)
	for i := range rows {
		rows[i].name = strings.Replace(rows[i].name, "`.", "`", 1)
	}
	if kind == "object" {
		kind = " has"
	} else {
		kind = " is " + article(kind)
	}
	fmt.Fprintf(p, "%s%s", title, kind)
	if d := s.resolve().prose(); d != "" && len(rows) > 0 {
		fmt.Fprintf(p, ". %s", strings.TrimSuffix(d, "."))
	}
	if len(rows) == 0 {
		fmt.Fprint(p, ".\n")
		return
	}
	fmt.Fprint(p, ":\n\n")
	p.table("field", rows)
}

func article(kind string) string {
	if strings.HasPrefix(kind, "array") || strings.HasPrefix(kind, "object") {
		return "an " + kind
	}
	return kind
}

// answer tells of one that is no common error.
func (p *page) answer(status string, at value, seen *[]string) {
	fmt.Fprintf(p, "\n**%s** %s", status, at.prose())
	if content := at.get("content"); content.there() && !content.get("application/json").there() {
		fmt.Fprintf(p, " As `%s`.", strings.Join(content.names(), "`, `"))
	}
	var headers []string
	for _, h := range at.get("headers").fields() {
		text := "`" + h.name + "`"
		if h.v.resolve().get("required").text() == "true" {
			text += "*"
		}
		if d := h.v.resolve().prose(); d != "" {
			text += " (" + d + ")"
		}
		headers = append(headers, text)
	}
	if len(headers) > 0 {
		fmt.Fprintf(p, " Headers: %s.", strings.Join(headers, ", "))
	}
	schema := at.get("content").get("application/json").get("schema")
	if !schema.there() {
		fmt.Fprintln(p)
		return
	}
	fmt.Fprint(p, " ")
	p.body("The answer", schema, seen)
}

func (p *page) table(first string, rows []row) {
	fmt.Fprintf(p, "| %s | type | meaning |\n|---|---|---|\n", first)
	for _, r := range rows {
		fmt.Fprintf(p, "| %s | %s | %s |\n", cell(r.name), cell(r.kind), cell(r.meaning))
	}
}

// cell is text as it may stand in a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// sentence begins with a capital letter, if it begins with a word.
func sentence(s string) string {
	for i, r := range s {
		return string(unicode.ToUpper(r)) + s[i+len(string(r)):]
	}
	return s
}

// anchor is the name that readers of Markdown give a heading.
func anchor(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, title)
}
