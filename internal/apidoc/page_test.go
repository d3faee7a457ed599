package apidoc

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const document = `
openapi: 3.1.1
info:
  title: An API
  description: |
    What it is.

    ## 1. First

    Prose.

    ## 3. Third

    More.
tags:
  - {name: Things, x-section: 2, description: "Of things."}
paths:
  /things/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      tags: [Things]
      summary: a thing
      x-needs: read
      parameters: [{$ref: '#/components/parameters/Count'}, {name: include, in: query, explode: false, schema: {type: array, items: {enum: [a, b|c]}}}]
      responses:
        '200':
          description: It.
          headers: {X-Total-Count: {required: true, description: of all, schema: {type: integer}}}
          content: {application/json: {schema: {type: array, maxItems: 1000, items: {$ref: '#/components/schemas/Thing'}}}}
        '404': {$ref: '#/components/responses/Error'}
        '416': {description: Out of it., content: {text/plain: {}}}
    delete:
      tags: [Things]
      summary: remove it
      x-also-method: CANCEL
      description: With care.
      requestBody:
        content:
          application/json:
            schema:
              type: object
              required: [why]
              properties:
                why: {type: string, minLength: 1, maxLength: 2000, description: a reason}
                what:
                  type: array
                  minItems: 1
                  maxItems: 1
                  items: {type: object, properties: {thing: {$ref: '#/components/schemas/Thing', description: this one}}}
                tags: {type: [object, 'null'], additionalProperties: true}
                either: {oneOf: [{type: object, required: [x], properties: {x: {const: 1}}}, {type: object, properties: {y: {type: string, format: date-time}}}]}
      responses: {'204': {description: It is gone.}}
components:
  parameters: {Count: {name: count, in: query, schema: {type: integer, minimum: 0, maximum: 1000, default: 100}}}
  responses: {Error: {description: no, content: {application/json: {schema: {type: object}}}}}
  schemas:
    Thing: {type: object, description: A thing., required: [id], properties: {id: {type: string}, kind: {$ref: '#/components/schemas/Kind'}}}
    Kind: {enum: [x, ''], default: x, description: what it is}
`

const page1 = `<!-- Made of api.yaml by make apidoc. Change that. -->

# An API

What it is.

In tables of fields and parameters a star marks what a request must have and an answer always has.

## 1. First

Prose.

## 2. Things

Of things.

| call | needs | what |
|---|---|---|
| [GET ''/things/{id}''](#get-thingsid) | read | a thing |
| [DELETE, CANCEL ''/things/{id}''](#delete-cancel-thingsid) |  | remove it |

### GET ''/things/{id}''

A thing.

| parameter | type | meaning |
|---|---|---|
| ''count'' | integer, 0 to 1,000 | without it ''100'' |
| ''include'' | array with commas: ''a'', ''b\|c'' |  |

**200** It. Headers: ''X-Total-Count''* (of all). The answer is an array of up to 1,000: [Thing](#thing).

**416** Out of it. As ''text/plain''.

Errors: 404 (section 2).

### DELETE, CANCEL ''/things/{id}''

Remove it.

With care.

The body has:

| field | type | meaning |
|---|---|---|
| ''why''* | string of 1 to 2,000 | a reason |
| ''what'' | array of 1 |  |
| ''what[].thing'' | [Thing](#thing) | this one |
| ''tags'' | object or null, free |  |
| ''either'' | object |  |
| ''either.x''* | ''1'' |  |
| ''either.y'' | time |  |

**204** It is gone.

### Thing

A thing.

| field | type | meaning |
|---|---|---|
| ''id''* | string |  |
| ''kind'' | ''x'', empty | what it is; without it ''x'' |

## 3. Third

More.
`

func TestPage(t *testing.T) {
	got, err := Page([]byte(document), "api.yaml")
	require.NoError(t, err)
	require.Equal(t, strings.ReplaceAll(page1, "''", "`"), string(got))
}

func TestBadDocuments(t *testing.T) {
	for bad, why := range map[string]string{
		"[":  "yaml",
		"[]": "want an object",
		strings.Replace(document, "x-section: 2", "x-section: two", 1):   "x-section",
		strings.Replace(document, "x-section: 2", "x-section: 3", 1):     "each once",
		strings.Replace(document, "## 3. Third", "## 4. Third", 1):       "section 4",
		strings.Replace(document, "tags: [Things]", "tags: [Others]", 1): "has no section",
		strings.Replace(document, "schemas/Kind", "schemas/Kinds", 1):    "leads to no component",
		strings.Replace(document, "components/schemas/Kind", "info", 1):  "leads to no component",
		strings.Replace(document, "schemas/Kind", "schemas/Thing", 1):    "leads back to itself",
	} {
		_, err := Page([]byte(bad), "x")
		require.ErrorContains(t, err, why)
	}
}

// TestAPI: docs/api.md is what the document of this repository says, its links within the page lead somewhere, and no two headings look the same to one.
func TestAPI(t *testing.T) {
	b, err := os.ReadFile("../../cluster/api/openapi.yaml")
	require.NoError(t, err)
	want, err := Page(b, "cluster/api/openapi.yaml")
	require.NoError(t, err)
	have, err := os.ReadFile("../../docs/api.md")
	require.NoError(t, err)
	require.True(t, string(want) == string(have), "docs/api.md is not what cluster/api/openapi.yaml says; run make apidoc")
	anchors := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(have), -1) {
		a := anchor(m[1])
		require.False(t, anchors[a], "two headings have the anchor %s", a)
		anchors[a] = true
	}
	links := regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(string(have), -1)
	require.NotEmpty(t, links)
	for _, m := range links {
		file, at, _ := strings.Cut(m[1], "#")
		if file == "" {
			require.True(t, anchors[at], m[1])
			continue
		}
		require.FileExists(t, "../../docs/"+file)
	}
}

// FuzzPage: what is no document is an error.
func FuzzPage(f *testing.F) {
	f.Add([]byte("tags: [{name: T, x-section: 1}]\npaths: {/: {get: {tags: [T], responses: {'200': {content: {application/json: {schema: {$ref: '#/components/schemas/S'}}}}}}}}\ncomponents: {schemas: {S: {type: object}}}"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = Page(b, "x") })
}
