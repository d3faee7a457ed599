package node

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/cluster/node/internal/apibed"
)

// compatTable reads the rows of all tables of docs/compat.md whose first column has this title.
func compatTable(t *testing.T, title string) (rows [][]string) {
	t.Helper()
	b, err := os.ReadFile("../../docs/compat.md")
	require.NoError(t, err)
	within := false
	for line := range strings.SplitSeq(string(b), "\n") {
		if !strings.HasPrefix(line, "|") {
			within = false
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case strings.HasPrefix(line, "|---"):
		case cells[0] == title:
			within = true
		case within:
			require.Len(t, cells, 3, line)
			rows = append(rows, cells)
		}
	}
	require.NotEmpty(t, rows, title)
	return rows
}

var callText = regexp.MustCompile("([A-Z]+) `(/[^`]*)`")

// callsOf are the calls of a cell, "GET /ping".
func callsOf(cell string) (list []string) {
	for _, m := range callText.FindAllStringSubmatch(cell, -1) {
		list = append(list, m[1]+" "+m[2])
	}
	return list
}

// TestCompatCalls: a node honours the calls that docs/compat.md says it does, which are those of the OpenAPI document, and no other.
func TestCompatCalls(t *testing.T) {
	d := apibed.Document(t)
	var works []string
	for _, o := range d.Operations() {
		if slices.ContainsFunc(d.Statuses(o), func(s string) bool { return strings.HasPrefix(s, "2") }) {
			works = append(works, o)
		}
	}
	var said []string
	refused := map[string]string{}
	for _, r := range compatTable(t, "call") {
		calls := callsOf(r[0])
		require.Len(t, calls, 1, r)
		switch word := r[1]; word {
		case "honoured", "differently", "our own":
			said = append(said, calls[0])
			require.True(t, word == "honoured" || r[2] != "", "%s: what is other?", calls[0])
		case "not offered":
			refused[calls[0]] = r[2]
		default:
			t.Errorf("%s: %q is no word of the table", calls[0], word)
		}
	}
	slices.Sort(said)
	require.Equal(t, works, said)

	// What is not offered is answered as the table says.
	a := startReal(t, "a", nil)
	c := &cli{realNode: a, t: t, auth: a.key("anna").Token()}
	for call, text := range refused {
		method, path, _ := strings.Cut(call, " ")
		status, _, _ := strings.Cut(text, ";")
		status, _, _ = strings.Cut(status, ",")
		r := c.call(method, strings.ReplaceAll(path, "{id}", "1"), "")
		require.Equal(t, status, strconv.Itoa(r.status), call)
	}
}

// TestCompatFields: the fields of /info and the parameters of /ops/transfers are those of the tables.
func TestCompatFields(t *testing.T) {
	said := map[string]string{}
	for _, r := range compatTable(t, "field") {
		for name := range strings.SplitSeq(r[0], ", ") {
			name = strings.Trim(name, "`")
			require.NotContains(t, said, name)
			require.Contains(t, []string{"honoured", "differently", "not offered"}, r[1], name)
			said[name] = r[1]
		}
	}
	a := startReal(t, "a", nil)
	c := &cli{realNode: a, t: t, auth: a.key("anna").Token()}
	var info map[string]any
	c.ok(200, "GET", "/info", "").read(t, &info)
	for name := range info {
		require.Contains(t, said, name)
		require.NotEqual(t, "not offered", said[name], name)
	}
	// Of keys: what is refused is not offered, what is kept whatever it says is differently, and what has an effect is looked at, and named by /info.
	var effective []string
	for group, names := range info["access_key_configuration_capabilities"].(map[string]any) {
		for _, name := range names.([]any) {
			effective = append(effective, "configuration."+group+"."+name.(string))
		}
	}
	c.auth = nodeUser.Token()
	for name, word := range said {
		group, rest, _ := strings.Cut(name, ".")
		if group != "configuration" {
			continue
		}
		part, field, _ := strings.Cut(rest, ".")
		b, err := json.Marshal(map[string]any{"configuration": map[string]any{part: map[string]any{field: "x"}}})
		require.NoError(t, err)
		r := c.call("PUT", "/access_keys/anna", string(b))
		require.Equal(t, map[string]int{"differently": 204, "not offered": 400, "honoured": 400}[word], r.status, name)
		require.Equal(t, word == "honoured", slices.Contains(effective, name), name)
	}

	var parameters []string
	for _, r := range compatTable(t, "parameter") {
		parameters = append(parameters, strings.Trim(r[0], "`"))
	}
	want, err := apibed.Document(t).Parameters("GET /ops/transfers")
	require.NoError(t, err)
	require.Equal(t, want, slices.Sorted(slices.Values(parameters)))
}
