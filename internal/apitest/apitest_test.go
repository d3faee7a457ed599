package apitest

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// text is a small document with all that Check looks at.
const text = `
openapi: 3.1.1
info: {title: x, version: '1'}
x-common-headers: [Cache-Control]
x-without-operation: {'404': {$ref: '#/components/responses/Error'}}
paths:
  /ping: {get: {responses: {'200': {description: ''}}}}
  /files/{id}:
    parameters: [{name: as, in: query, schema: {type: string}}]
    get:
      parameters:
        - {name: count, in: query, schema: {type: integer, minimum: 1, maximum: 9}}
        - {name: deep, in: query, schema: {type: boolean}}
        - {name: include, in: query, explode: false, schema: {type: array, items: {enum: [a, b]}}}
        - $ref: '#/components/parameters/Type'
      responses:
        '200':
          description: ''
          headers: {X-Total-Count: {required: true, schema: {type: integer, minimum: 0}}, Link: {schema: {type: string, pattern: '^<'}}}
          content: {application/json: {schema: {type: array, items: {$ref: '#/components/schemas/File'}}}}
        '404': {$ref: '#/components/responses/Error'}
    delete: {x-also-method: CANCEL, responses: {'204': {description: ''}}}
  /files/make:
    post:
      requestBody: {content: {application/json: {schema: {type: object, additionalProperties: false, properties: {paths: {type: array, items: {$ref: '#/components/schemas/File'}}}}}}}
      responses: {'200': {description: '', headers: {X-Tradewind-Ignored: {schema: {type: string}}}, content: {application/json: {}}}}
  /files/{id}/content: {get: {responses: {'200': {description: '', content: {application/octet-stream: {}}}}}}
components:
  parameters: {Type: {name: type, in: query, schema: {type: array, items: {enum: [x, y]}}}}
  responses: {Error: {description: '', content: {application/json: {schema: {type: object, required: [error]}}}}}
  schemas: {File: {type: object, additionalProperties: false, required: [name], properties: {name: {type: string}, time: {type: string, format: date-time}}}}
`

func parse(t testing.TB) *Document {
	t.Helper()
	d, err := Parse([]byte(text))
	require.NoError(t, err)
	return d
}

func TestCheck(t *testing.T) {
	d := parse(t)
	const json = "application/json"
	for _, c := range []struct {
		request, body string
		status        int
		header        string // "Name: value" and so on
		answer        string
		want          string // in the error; "" is none
	}{
		{"GET /ping", "", 200, "", "", ""},
		{"HEAD /ping", "", 200, "", "", ""},
		{"GET /ping", "", 200, "", "pong", "the body has 4 bytes"},
		{"GET /ping", "", 500, "", "", "the status is none of 200"},
		{"GET /ping", "", 200, "X-Odd: 1", "", "header X-Odd: is not in the document"},
		{"GET /ping", "", 200, "Cache-Control: no-store\nDate: now", "", ""},
		{"GET /ping", "x", 200, "", "", "it has a body"},
		{"GET /ping?x=1", "", 200, "", "", "parameter x: is not in the document"},
		{"GET /other", "", 404, "Content-Type: " + json, `{"error":1}`, ""},
		{"GET /other", "", 404, "Content-Type: " + json, `{}`, "missing property 'error'"},
		{"GET /other", "", 404, "Content-Type: text/plain", `no`, "the type text/plain is none of application/json"},
		{"GET /other", "", 200, "", "", "there is no such call"},
		{"PATCH /ping", "", 200, "", "", "there is no such call"},
		{"OPTIONS /ping", "", 204, "", "", ""},
		{"GET /files/1", "", 200, "Content-Type: " + json + "\nX-Total-Count: 1", `[{"name":"a","time":"2026-01-31T12:00:00Z"}]`, ""},
		{"HEAD /files/1", "", 200, "Content-Type: " + json + "\nX-Total-Count: 1", ``, ""},
		{"GET /files/a%2Fb", "", 200, "Content-Type: " + json + "\nX-Total-Count: 0\nLink: <x>", `[]`, ""},
		{"GET /files/", "", 200, "", "", "there is no such call"},
		{"GET /files/1", "", 200, "Content-Type: " + json, `[]`, "header X-Total-Count: is missing"},
		{"GET /files/1", "", 200, "Content-Type: " + json + "\nX-Total-Count: -1", `[]`, "header X-Total-Count: at /"},
		{"GET /files/1", "", 200, "Content-Type: " + json + "\nX-Total-Count: many", `[]`, "no whole number"},
		{"GET /files/1", "", 200, "Content-Type: " + json + "\nX-Total-Count: 1\nX-Total-Count: 1", `[]`, "there are 2"},
		{"GET /files/1", "", 200, "Content-Type: " + json + "\nX-Total-Count: 1\nLink: x", `[]`, "header Link: at /"},
		{"GET /files/1", "", 200, "Content-Type: " + json + "\nX-Total-Count: 1", `[{"name":"a"},{"name":"b","size":1}]`, "at /1: additional properties 'size' not allowed"},
		{"GET /files/1", "", 200, "Content-Type: " + json + "\nX-Total-Count: 1", `[{"name":"a","time":"noon"}]`, "at /0/time"},
		{"GET /files/1", "", 200, "Content-Type: " + json + "\nX-Total-Count: 1", `[`, "not JSON"},
		{"GET /files/1", "", 200, "X-Total-Count: 1", `[]`, "the type"},
		{"GET /files/1?count=9&deep=true&as=x&include=a,b&include[]=a&type=x&type=y&deep=", "", 404, "Content-Type: " + json, `{"error":1}`, ""},
		{"GET /files/1?count=9&deep=true&as=x&include=a,b&include[]=a&type=x&type=y", "", 200, "Content-Type: " + json + "\nX-Total-Count: 1", `[]`, ""},
		{"GET /files/1?count=&include=&type=", "", 200, "Content-Type: " + json + "\nX-Total-Count: 1", `[]`, ""},
		{"GET /files/1?count=10", "", 200, "Content-Type: " + json + "\nX-Total-Count: 1", `[]`, "parameter count: at /"},
		{"GET /files/1?count=10", "", 404, "Content-Type: " + json, `{"error":1}`, ""},
		{"GET /files/1?count=1&count=2", "", 200, "Content-Type: " + json + "\nX-Total-Count: 1", `[]`, "or no array"},
		{"GET /files/1?deep=perhaps", "", 200, "Content-Type: " + json + "\nX-Total-Count: 1", `[]`, "is not true or false"},
		{"GET /files/1?include[]=a,c", "", 200, "Content-Type: " + json + "\nX-Total-Count: 1", `[]`, "parameter include: at /1"},
		{"GET /files/1?type=x,y", "", 200, "Content-Type: " + json + "\nX-Total-Count: 1", `[]`, "parameter type: at /0"},
		{"CANCEL /files/1", "", 204, "", "", ""},
		{"DELETE /files/1", "", 204, "", "", ""},
		{"GET /files/1/content", "", 200, "Content-Type: application/octet-stream", "\x00", ""},
		{"POST /files/make", `{"paths":[{"name":"a"}]}`, 200, "Content-Type: " + json, `{}`, ""},
		{"POST /files/make", `{"paths":[{"name":1}]}`, 200, "Content-Type: " + json, `{}`, "the request: at /paths/0/name"},
		{"POST /files/make", ``, 200, "Content-Type: " + json, `{}`, "the request: not JSON"},
		{"POST /files/make", `{"odd":1}`, 200, "Content-Type: " + json, `{}`, "additional properties 'odd'"},
		{"POST /files/make", `{"odd":1}`, 200, "Content-Type: " + json + "\nX-Tradewind-Ignored: odd", `{}`, ""},
		{"POST /files/make", `{"odd":1,"paths":1}`, 200, "Content-Type: " + json + "\nX-Tradewind-Ignored: odd", `{}`, "at /paths"},
		{"POST /files/make", `{"paths":[]}`, 200, "Content-Type: " + json + "\nX-Tradewind-Ignored: paths", `{}`, "the document has all its fields"},
		{"POST /files/make", `{"paths":[{"name":"a"},{"name":1}]}`, 200, "Content-Type: " + json, `{"paths":[{},{"error":{}}]}`, ""},
		{"POST /files/make", `{"paths":[{"name":1},{"name":1}]}`, 200, "Content-Type: " + json, `{"paths":[{},{"error":{}}]}`, "at /paths/0"},
	} {
		method, target, _ := strings.Cut(c.request, " ")
		u, err := url.ParseRequestURI(target)
		require.NoError(t, err)
		h := http.Header{}
		for line := range strings.SplitSeq(c.header, "\n") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				h.Add(name, value)
			}
		}
		err = d.Check(Exchange{Method: method, URL: u, Request: []byte(c.body), Status: c.status, Header: h, Answer: []byte(c.answer)})
		if c.want == "" {
			require.NoError(t, err, c.request)
			continue
		}
		require.ErrorContains(t, err, c.want, c.request)
		require.ErrorContains(t, err, c.request)
	}
}

func TestParse(t *testing.T) {
	for bad, why := range map[string]string{
		"[":                              "yaml",
		"[]":                             "want an object",
		"openapi: 3.0.3":                 "want 3.1",
		"openapi: 3.1.0":                 "no paths",
		text + "x: {$ref":                "yaml",
		"openapi: 3.1.1\npaths: {x: {}}": "is none",
		strings.Replace(text, "schemas/File'}}}}\n        '404'", "schemas/Nothing'}}}}\n        '404'", 1): "schema",
		strings.Replace(text, "responses/Error'}\n    delete", "responses/Nothing'}\n    delete", 1):        "leads nowhere",
		strings.Replace(text, "type: string}, time", "type: strng}, time", 1):                               "schema",
		strings.Replace(text, "#/components/schemas/File", "https://example.org/x", 1):                      "not in the document",
	} {
		_, err := Parse([]byte(bad))
		require.ErrorContains(t, err, why)
	}
	require.Equal(t, []string{"CANCEL /files/{id}", "DELETE /files/{id}", "GET /files/{id}", "GET /files/{id}/content", "GET /ping", "POST /files/make"}, parse(t).Operations())
	require.Equal(t, []string{"200", "404"}, parse(t).Statuses("GET /files/{id}"))
	require.Nil(t, parse(t).Statuses("GET /nothing"))
	list, err := parse(t).Parameters("GET /files/{id}")
	require.NoError(t, err)
	require.Equal(t, []string{"as", "count", "deep", "include", "type"}, list)
	require.Equal(t, "GET /files/{id}", parse(t).Operation("HEAD", &url.URL{Path: "/files/make"}), "of those that take the method")
}

// TestAPI: the document of this repository can be read, and its objects say whether they may have fields that it does not tell of. Whether it is right is for the tests of those who serve it.
func TestAPI(t *testing.T) {
	b, err := os.ReadFile("../../cluster/api/openapi.yaml")
	require.NoError(t, err)
	d, err := Parse(b)
	require.NoError(t, err)
	require.NotEmpty(t, d.Operations())
	objects := 0
	var strict func(place string, v any)
	strict = func(place string, v any) {
		switch v := v.(type) {
		case []any:
			for i, el := range v {
				strict(fmt.Sprint(place, "/", i), el)
			}
		case map[string]any:
			if kind := fmt.Sprint(v["type"]); strings.Contains(kind, "object") {
				objects++
				require.Contains(t, v, "additionalProperties", place)
			}
			for key, el := range v {
				strict(pointer(place, key), el)
			}
		}
	}
	strict("#", d.root)
	require.Greater(t, objects, 50)
}

// failures is a test that counts what it is told.
type failures struct {
	testing.TB
	list []any
}

func (f *failures) Error(args ...any) { f.list = append(f.list, args...) }

// answers is a server without a network.
type answers func(*http.Request) (*http.Response, error)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

func TestTransport(t *testing.T) {
	f := &failures{TB: t}
	server := answers(func(r *http.Request) (*http.Response, error) {
		b, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader("got " + string(b)))}, nil
	})
	client := &http.Client{Transport: Transport(f, parse(t), server)}
	for body, want := range map[string]int{`{"paths":[]}`: 0, `{"paths":7}`: 1} {
		f.list = nil
		resp, err := client.Post("http://x/files/make", "application/json", strings.NewReader(body))
		require.NoError(t, err)
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, "got "+body, string(b), "both bodies pass")
		require.Len(t, f.list, want)
	}
}

// FuzzCheck: whatever a server answers, Check says what it thinks of it.
func FuzzCheck(f *testing.F) {
	f.Add("GET", "/files/1?include[]=a", `{}`, 200, `[{"name":"a"}]`)
	f.Add("POST", "/files/make", `{"paths":[{}]}`, 200, `{"paths":[{"error":1}]}`)
	d := parse(f)
	f.Fuzz(func(t *testing.T, method, target, body string, status int, answer string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		_ = d.Check(Exchange{Method: method, URL: u, Request: []byte(body), Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Answer: []byte(answer)})
	})
}

// FuzzParse: what is no document is an error.
func FuzzParse(f *testing.F) {
	f.Add([]byte("openapi: 3.1.1\npaths: {/a/{b}: {get: {$ref: '#/x', parameters: [{name: a}]}}}\nx: {schema: {type: object}}"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if d, err := Parse(b); err == nil {
			d.Operations()
		}
	})
}
