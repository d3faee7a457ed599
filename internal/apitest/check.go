package apitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Exchange is a request and its answer.
type Exchange struct {
	Method  string
	URL     *url.URL
	Request []byte // body
	Status  int
	Header  http.Header // of the answer
	Answer  []byte      // body
}

// ignoredHeader names fields of a body that the server does not know.
const ignoredHeader = "X-Tradewind-Ignored"

// transportHeaders are those of the connection, and of any body.
var transportHeaders = []string{"Connection", "Content-Length", "Content-Type", "Date", "Transfer-Encoding"}

// Check returns what is not as the document says, nil if all is: the status, the headers and the body of the answer and, where the request succeeded, its parameters and its body, too.
func (d *Document) Check(x Exchange) error {
	o := d.find(x.Method, x.URL)
	if o == nil {
		return x.wrap("", d.checkStranger(&x))
	}
	responses, _ := o.at.child("responses")
	response, ok := responses.child(strconv.Itoa(x.Status))
	if !ok {
		return x.wrap(o.String(), fmt.Errorf("the status is none of %s", strings.Join(slices.Sorted(maps.Keys(responses.v)), ", ")))
	}
	err := d.checkAnswer(&x, response)
	if x.Status/100 == 2 {
		err = errors.Join(err, d.checkParameters(&x, o), d.checkRequest(&x, o))
	}
	return x.wrap(o.String(), err)
}

// wrap says which exchange an error is of.
func (x *Exchange) wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	if operation == "" {
		operation = "no operation"
	}
	return fmt.Errorf("openapi: %s %s, which is %s, answered %d: %w", x.Method, x.URL.RequestURI(), operation, x.Status, err)
}

// checkStranger checks the answer to a request that is none of the operations.
func (d *Document) checkStranger(x *Exchange) error {
	if x.Method == http.MethodOptions && x.Status == http.StatusNoContent {
		return nil // a browser asks
	}
	others, _ := d.at("#").child("x-without-operation")
	response, ok := others.child(strconv.Itoa(x.Status))
	if !ok {
		return errors.New("there is no such call in the document")
	}
	return d.checkAnswer(x, response)
}

func (d *Document) checkAnswer(x *Exchange, response node) error {
	err := d.checkHeaders(x, response)
	content, ok := response.child("content")
	if !ok || x.Method == http.MethodHead {
		if len(x.Answer) > 0 {
			return errors.Join(err, fmt.Errorf("the body has %d bytes, and there should be none", len(x.Answer)))
		}
		return err
	}
	return errors.Join(err, d.checkBody("the answer", x.Header.Get("Content-Type"), x.Answer, content))
}

// checkBody checks a body against the schema of its type.
func (d *Document) checkBody(what, contentType string, body []byte, content node) error {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fmt.Errorf("%s: the type %q: %w", what, contentType, err)
	}
	media, ok := content.child(kind)
	if !ok {
		return fmt.Errorf("%s: the type %s is none of %s", what, kind, strings.Join(slices.Sorted(maps.Keys(content.v)), ", "))
	}
	if _, ok := media.v["schema"]; !ok {
		return nil
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: not JSON: %w", what, err)
	}
	if err := d.validate(pointer(media.place, "schema"), v); err != nil {
		return fmt.Errorf("%s: %w", what, readable(err, nil))
	}
	return nil
}

func (d *Document) checkHeaders(x *Exchange, response node) error {
	var errs []error
	headers, _ := response.child("headers")
	for _, name := range slices.Sorted(maps.Keys(headers.v)) {
		h, ok := headers.child(name)
		values := x.Header.Values(name)
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("header %s: the reference leads nowhere", name))
		case len(values) == 0 && h.v["required"] == true:
			errs = append(errs, fmt.Errorf("header %s: is missing", name))
		case len(values) > 1:
			errs = append(errs, fmt.Errorf("header %s: there are %d", name, len(values)))
		case len(values) == 1:
			if err := d.validateText(h, values[0]); err != nil {
				errs = append(errs, fmt.Errorf("header %s: %w", name, err))
			}
		}
	}
	known := map[string]bool{}
	for name := range headers.v {
		known[http.CanonicalHeaderKey(name)] = true
	}
	for _, name := range slices.Sorted(maps.Keys(x.Header)) {
		if !known[name] && !d.common[name] && !slices.Contains(transportHeaders, name) {
			errs = append(errs, fmt.Errorf("header %s: is not in the document", name))
		}
	}
	return errors.Join(errs...)
}

// parametersOf are the parameters of the query that an operation takes, by name.
func (o *operation) parametersOf() (map[string]node, error) {
	known := map[string]node{}
	for _, from := range []node{o.item, o.at} {
		list, _ := from.v["parameters"].([]any)
		for i, v := range list {
			object, _ := v.(map[string]any)
			p, ok := from.d.follow(node{from.d, fmt.Sprint(from.place, "/parameters/", i), object})
			if !ok {
				return nil, fmt.Errorf("%s: a parameter's reference leads nowhere", from.place)
			}
			if name, _ := p.v["name"].(string); p.v["in"] == "query" {
				known[name] = p
			}
		}
	}
	return known, nil
}

// checkParameters checks the query of a request. One that is empty counts as not there, and an array may stand several times, with brackets behind its name.
func (d *Document) checkParameters(x *Exchange, o *operation) error {
	known, err := o.parametersOf()
	if err != nil {
		return err
	}
	got := map[string][]string{}
	for name, values := range x.URL.Query() {
		p, ok := known[strings.TrimSuffix(name, "[]")]
		if !ok || !d.isArray(p) && (len(values) > 1 || strings.HasSuffix(name, "[]")) {
			return fmt.Errorf("parameter %s: is not in the document, or no array", name)
		}
		name = strings.TrimSuffix(name, "[]")
		got[name] = append(got[name], values...)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(got)) {
		p, values := known[name], slices.DeleteFunc(got[name], func(v string) bool { return v == "" })
		switch {
		case len(values) == 0:
			continue
		case d.isArray(p):
			if p.v["explode"] == false {
				values = strings.Split(strings.Join(values, ","), ",")
			}
			list := make([]any, len(values))
			for i, v := range values {
				list[i] = v
			}
			err = d.validate(pointer(p.place, "schema"), list)
		default:
			err = d.validateText(p, values[0])
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("parameter %s: %w", name, readable(err, nil)))
		}
	}
	return errors.Join(errs...)
}

func (d *Document) isArray(p node) bool {
	s, ok := p.child("schema")
	return ok && s.v["type"] == "array"
}

// checkRequest checks the body of a request that succeeded. Two things may be wrong with it even so, where the answer says that they were seen: fields that are not known, which a header names, and
// one of several paths or transfers, beside which an error stands.
func (d *Document) checkRequest(x *Exchange, o *operation) error {
	body, ok := o.at.child("requestBody")
	if !ok {
		if len(x.Request) > 0 {
			return errors.New("the request: it has a body, and the document tells of none")
		}
		return nil
	}
	content, _ := body.child("content")
	media, ok := content.child("application/json")
	if !ok {
		return errors.New("the request: the document has no JSON for it")
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(x.Request))
	if err != nil {
		return fmt.Errorf("the request: not JSON: %w", err)
	}
	err = d.validate(pointer(media.place, "schema"), v)
	var bad *jsonschema.ValidationError
	if err != nil && !errors.As(err, &bad) {
		return err
	}
	ignored, unknown := x.Header.Get(ignoredHeader) != "", false
	failed := failedElements(x.Answer)
	if bad != nil {
		err = readable(bad, func(l *jsonschema.ValidationError) bool {
			if _, is := l.ErrorKind.(*kind.AdditionalProperties); is && ignored {
				unknown = true
				return true
			}
			return len(l.InstanceLocation) > 1 && failed[l.InstanceLocation[1]]
		})
	}
	switch {
	case err != nil:
		return fmt.Errorf("the request: %w", err)
	case ignored && !unknown:
		return fmt.Errorf("the request: the document has all its fields, and %s says that some are not known", ignoredHeader)
	}
	return nil
}

// failedElements are the numbers of the elements of an answer beside which an error stands.
func failedElements(answer []byte) map[string]bool {
	var lists map[string]json.RawMessage
	if json.Unmarshal(answer, &lists) != nil {
		return nil
	}
	failed := map[string]bool{}
	for _, text := range lists {
		var list []struct {
			Error json.RawMessage `json:"error"`
		}
		if json.Unmarshal(text, &list) != nil {
			continue // not a list
		}
		for i, el := range list {
			if len(el.Error) > 0 {
				failed[strconv.Itoa(i)] = true
			}
		}
	}
	return failed
}

// validateText checks what stands in a header or a parameter as text, against the schema of n.
func (d *Document) validateText(n node, text string) error {
	s, ok := n.child("schema")
	if !ok {
		return nil
	}
	var v any = text
	switch s.v["type"] {
	case "integer":
		i, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is no whole number", text)
		}
		v = i
	case "boolean":
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is not true or false", text)
		}
		v = b
	}
	return readable(d.validate(pointer(n.place, "schema"), v), nil)
}

func (d *Document) validate(place string, v any) error {
	s, err := d.schema(place)
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// leaves calls fn with the errors of a validation that have no cause below them.
func leaves(e *jsonschema.ValidationError, fn func(*jsonschema.ValidationError)) {
	if len(e.Causes) == 0 {
		fn(e)
	}
	for _, c := range e.Causes {
		leaves(c, fn)
	}
}

// maxLines bounds how many places of a body an error tells.
const maxLines = 12

// readable tells the places in a body and what is wrong there. Of a validation it leaves out what except is true for; nil is nothing. If nothing is left, so is no error.
func readable(err error, except func(*jsonschema.ValidationError) bool) error {
	var bad *jsonschema.ValidationError
	if !errors.As(err, &bad) {
		return err
	}
	in := message.NewPrinter(language.English)
	var lines []string
	leaves(bad, func(l *jsonschema.ValidationError) {
		line := "at /" + strings.Join(l.InstanceLocation, "/") + ": " + l.ErrorKind.LocalizedString(in)
		if !slices.Contains(lines, line) && (except == nil || !except(l)) {
			lines = append(lines, line)
		}
	})
	if len(lines) == 0 {
		return nil
	}
	if len(lines) > maxLines {
		lines = append(lines[:maxLines], fmt.Sprintf("and %d more", len(lines)-maxLines))
	}
	return errors.New(strings.Join(lines, "; "))
}
