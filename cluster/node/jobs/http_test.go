package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/internal/apibed"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
)

// serve serves the calls of the manager. Each answer is checked against the OpenAPI document.
func (b *bench) serve() *apibed.Bed {
	bed := &apibed.Bed{T: b.t, Keys: b.keys}
	srv, err := nodeapi.New(nodeapi.Config{
		Auth: &accesskey.Checker{Keys: b.keys, Users: apibed.Admins{}}, Keys: b.keys, Places: apibed.Folders{Base: b.local},
		TokenSecret: bytes.Repeat([]byte("x"), 32), Extensions: []nodeapi.Extension{b.m},
	})
	require.NoError(b.t, err)
	stop := bed.Serve(srv)
	b.t.Cleanup(func() {
		stop()
		require.NoError(b.t, srv.Close(context.Background()))
	})
	bed.Admin = accesskey.Credential{ID: "admin", Secret: apibed.AdminPassword}.Token()
	auth := func(id string) string {
		return accesskey.Credential{ID: id, Secret: id + "-0123456789abcdef0123456789"}.Token()
	}
	bed.Alpha, bed.Beta = auth("anna"), auth("bert")
	return bed
}

// TestCalls: the calls over HTTP, with all that they take, and what they refuse.
func TestCalls(t *testing.T) {
	b := newBench(t)
	b.write("local/anna/f", 1000)
	web := b.serve()
	start := func(fields map[string]any) string {
		t.Helper()
		a := web.Do(web.Alpha, "POST", "/ops/transfers", string(spec(fields)))
		require.Equal(t, 200, a.Status, a.Body)
		var x api.Transfer
		require.NoError(t, json.Unmarshal([]byte(a.Body), &x))
		return x.ID
	}
	done := start(map[string]any{"tags": map[string]any{"app": map[string]any{"n": "1"}}, "cookie": "c", "title": "t", "keepalive": true, "nobody_knows": 1})
	var x api.Transfer
	for x.Status != api.Completed {
		require.NoError(t, json.Unmarshal([]byte(web.Do(web.Alpha, "GET", "/ops/transfers/"+done, "").Body), &x))
		require.False(t, x.Status.Over() && x.Status != api.Completed, x.ErrorDesc)
	}
	require.Len(t, x.Notes, 2)

	b.mu.Lock()
	b.dial = func(ctx context.Context, _ Remote) error { // nothing comes of what begins now
		<-ctx.Done()
		return context.Cause(ctx)
	}
	b.mu.Unlock()
	held := start(nil)

	for query, n := range map[string]int{
		"": 2, "?count=1": 1, "?active_only=true": 1, "?direction=send": 2, "?direction=receive": 0, "?after_time=2026-01-01T00:00:00Z&tag=app.n": 1, "?tag=app.n=1": 1, "?tag=app.n=2": 0, "?count=1&tag=app.n=1": 1,
		"?view=id": 2, "?view=summary": 2, "?view=short_summary": 2, "?max_items=1000": 2, "?access_key=anna": 2, "?access_key=bert": 0, "?after_time=2200-01-01T00:00:00Z": 0,
	} {
		a := web.Do(web.Alpha, "GET", "/ops/transfers"+query, "")
		require.Equal(t, 200, a.Status, "%s: %s", query, a.Body)
		var list []api.Transfer
		require.NoError(t, json.Unmarshal([]byte(a.Body), &list))
		require.Len(t, list, n, query)
		if query == "" { // Link leads to nothing new
			next := strings.TrimPrefix(strings.Split(a.Header.Get("Link"), ">")[0], "<")
			require.NotEmpty(t, a.Header.Get("X-Aspera-Next-Iteration-Token"))
			require.Equal(t, "[]\n", web.Do(web.Alpha, "GET", next+"&view=id&active_only=false&tag=none", "").Body)
		}
	}
	require.Equal(t, "[]\n", web.Do(web.Beta, "GET", "/ops/transfers", "").Body)
	require.Contains(t, web.Do(web.Admin, "GET", "/ops/transfers?access_key=anna", "").Body, done)

	a := web.Do(web.Alpha, "PUT", "/ops/transfers/"+held, `{"target_rate_kbps":5000,"min_rate_kbps":0,"rate_policy":"low","colour":1}`)
	require.Equal(t, 200, a.Status, a.Body)
	require.Equal(t, "colour", a.Header.Get("X-Tradewind-Ignored"))
	require.Contains(t, a.Body, `"target_rate_kbps":5000`)
	require.Contains(t, web.Do(web.Alpha, "PUT", "/ops/transfers/"+held, `{"status":"paused"}`).Body, `"status":"paused"`)
	require.Equal(t, 204, web.Do(web.Alpha, "CANCEL", "/ops/transfers/"+held, "").Status)
	require.Equal(t, 204, web.Do(web.Alpha, "DELETE", "/ops/transfers/"+held, "").Status, "it is canceled already")
	for _, c := range []struct {
		who, method, path, body string
		status                  int
	}{
		{web.Alpha, "PUT", "/ops/transfers/" + done, `{"status":"running"}`, 409},
		{web.Alpha, "CANCEL", "/ops/transfers/" + done, "", 409},
		{web.Alpha, "PUT", "/ops/transfers/" + done, `{"status":"asleep"}`, 400},
		{web.Alpha, "PUT", "/ops/transfers/" + done, `[]`, 400},
		{web.Alpha, "PUT", "/ops/transfers/" + done, `{"x":"` + strings.Repeat("x", maxRequest) + `"}`, 413},
		{web.Beta, "GET", "/ops/transfers/" + done, "", 404},
		{web.Beta, "DELETE", "/ops/transfers/" + done, "", 404},
		{web.Beta, "PUT", "/ops/transfers/" + done, `{"status":"canceled"}`, 404},
		{web.Alpha, "GET", "/ops/transfers/" + done + "?max_items=1001", "", 400},
		{web.Alpha, "GET", "/ops/transfers?count=1001", "", 400},
		{web.Alpha, "GET", "/ops/transfers?direction=up", "", 400},
		{web.Alpha, "GET", "/ops/transfers?after_time=noon", "", 400},
		{web.Alpha, "GET", "/ops/transfers?iteration_token=x", "", 400},
		{web.Alpha, "GET", "/ops/transfers?view=nope", "", 400},
		{web.Alpha, "GET", "/ops/transfers?active_only=maybe", "", 400},
		{web.Alpha, "POST", "/ops/transfers", `{}`, 400},
		{web.Alpha, "POST", "/ops/transfers", string(spec(map[string]any{"cookie": strings.Repeat("x", maxRequest)})), 413},
		{"", "GET", "/ops/transfers", "", 401},
		{web.Alpha, "PATCH", "/ops/transfers", "", 405},
		{web.Alpha, "GET", "/events?count=1001", "", 400},
		{web.Alpha, "GET", "/events?after_time=noon", "", 400},
		{web.Alpha, "GET", "/events/0", "", 404},
		{web.Alpha, "GET", "/events/x", "", 404},
		{web.Beta, "GET", "/events/1", "", 404},
	} {
		a := web.Do(c.who, c.method, c.path, c.body)
		require.Equal(t, c.status, a.Status, "%s %s: %s", c.method, c.path, a.Body)
	}
	a = web.Do(web.Alpha, "POST", "/ops/transfers", string(spec(nil)), "Origin", "https://app.example", "Content-Type", "text/plain")
	require.Equal(t, 415, a.Status)

	var events []api.Event
	require.NoError(t, json.Unmarshal([]byte(web.Do(web.Alpha, "GET", "/events?type=transfer.started&type=transfer.ended&count=3&after_time=2026-01-01T00:00:00Z", "").Body), &events))
	require.Len(t, events, 3)
	require.Equal(t, 200, web.Do(web.Alpha, "GET", "/events/"+events[0].ID, "").Status)
	require.Equal(t, "[]\n", web.Do(web.Alpha, "GET", "/events?access_key=bert", "").Body)
	globbed := func(query string) string { return web.Do(web.Alpha, "GET", "/events?"+query, "").Body }
	require.Contains(t, globbed("type_glob=*.ended"), "transfer.ended")
	require.NotContains(t, globbed("type_glob=*.ended"), "transfer.started")
	require.Contains(t, globbed("type_glob[]=*.ended&type=transfer.started"), "transfer.started")
	require.Equal(t, "[]\n", globbed("type_glob=disk.*"), "a pattern that fits nothing is not one that wants all")
	require.Equal(t, "[]\n", globbed("type_glob=file.*"))
	require.Equal(t, 400, web.Do(web.Alpha, "GET", "/events?type_glob=[", "").Status)
	require.Contains(t, web.Do(web.Admin, "GET", "/events?access_key=anna&iteration_token="+events[2].ID, "").Body, held)
	for who, query := range map[string]string{web.Alpha: "", web.Admin: "?access_key=anna"} {
		a := web.Do(who, "GET", "/usage"+query, "")
		require.Equal(t, http.StatusOK, a.Status)
		require.Contains(t, a.Body, `"id":"anna"`, fmt.Sprint(query))
	}
}

// TestCallsOfWhatMoved: rates and usage by id over HTTP, as the document has them.
func TestCallsOfWhatMoved(t *testing.T) {
	b := newBench(t)
	b.write("local/anna/f", 1000)
	b.until(b.create(map[string]any{"tags": map[string]any{"aspera": map[string]any{"usage_id": "a/b"}}}).ID, is(api.Completed))
	b.m.paces.now = func() time.Time { return time.Now().Add(2 * paceStep) } // the step of the job has ended
	web := b.serve()
	for path, want := range map[string]string{
		"/ops/transfers/bandwidth": `"last_time"`, "/ops/transfers/bandwidth?duration=5": `"max_left"`, "/ops/transfers/bandwidth?start_time=2026-01-31T12:00:00Z&duration=3600": `"min_right"`,
		"/usage/a%2Fb": `"bytes_out":1000`, "/usage/other": `"bytes_total":0`,
	} {
		a := web.Do(web.Alpha, "GET", path, "")
		require.Equal(t, 200, a.Status, "%s %s", path, a.Body)
		require.Contains(t, a.Body, want, path)
		a = web.Do(web.Beta, "GET", path, "")
		require.Equal(t, 200, a.Status, a.Body)
		require.NotContains(t, a.Body, `:1000`, "times have those digits, too, now and then")
		require.NotContains(t, a.Body, "last_time")
	}
	for _, path := range []string{"/ops/transfers/bandwidth?duration=0", "/ops/transfers/bandwidth?start_time=x", "/usage/" + strings.Repeat("x", 256)} {
		require.Equal(t, 400, web.Do(web.Alpha, "GET", path, "").Status, path)
	}
	require.Equal(t, 405, web.Do(web.Alpha, "POST", "/usage/x", "{}").Status)
}

// TestTagged: a number is what is written, however large, and one that no float can be is no reason to find nothing.
func TestTagged(t *testing.T) {
	tags := json.RawMessage(`{"app":{"case":12345678,"big":12345678901234567890,"none":null},"far":1e400,"a":"b"}`)
	for ask, want := range map[string]bool{
		"app.case=12345678": true, "app.case=1.2345678e+07": false, "app.big=12345678901234567890": true, "far=1e400": true, "a=b": true, "a=": false, "a": true, "app": true,
		"app.none": true, "b": false, "a.b": false, "app.case.x": false,
	} {
		path, value, hasValue := strings.Cut(ask, "=")
		require.Equal(t, want, tagged(tags, path, value, hasValue), ask)
	}
	require.False(t, tagged(nil, "a", "", false))
}
