package jobs

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
)

// paceBegin is when these tests begin: at the beginning of a step.
var paceBegin = time.Unix(1_800_000_000, 0)

func everyone(string, int64) bool { return true }

// TestBandwidth is the story of two transfers.
func TestBandwidth(t *testing.T) {
	b := newBandwidth()
	at := func(s int) time.Time { return paceBegin.Add(time.Duration(s) * time.Second) }
	sec := paceBegin.Unix()
	down, up := paceID{"down", true}, paceID{"up", false}
	b.note(at(0), down, "anna", 1, 0, false)
	require.Empty(t, b.transfers, "nothing has moved")
	b.note(at(1), down, "anna", 1, 500, false)
	b.note(at(4), down, "anna", 1, 500, false)
	b.note(at(6), down, "anna", 1, 5000, false)
	b.note(at(17), down, "anna", 1, 250, true) // nothing between
	b.note(at(12), up, "bert", 1, 100, false)

	got := b.show(at(21), at(0), 20*time.Second, everyone)
	require.Equal(t, api.Bandwidth{
		CurrentTime: sec + 21, StartTime: sec, EndTime: sec + 20, Step: 5,
		Send: api.BandwidthSide{Transfers: []api.BandwidthTransfer{
			{ID: "down", LastTime: sec + 15, MaxRate: 8000, Data: []api.BandwidthPoint{{Time: sec, Rate: 1600}, {Time: sec + 5, Rate: 8000}, {Time: sec + 10}, {Time: sec + 15, Rate: 400}}},
		}},
		Receive: api.BandwidthSide{Transfers: []api.BandwidthTransfer{{ID: "up", LastTime: sec + 10, MaxRate: 160, Data: []api.BandwidthPoint{{Time: sec + 10, Rate: 160}}}}},
	}, got)

	// A step that has not ended is not told of, and what lies beside the window is hinted at.
	got = b.show(at(19), at(5), 5*time.Second, everyone)
	require.Equal(t, []api.BandwidthPoint{{Time: sec + 5, Rate: 8000}}, got.Send.Transfers[0].Data)
	require.Equal(t, sec, got.Send.MaxLeft)
	require.Equal(t, sec+10, got.Send.MinRight)
	require.Equal(t, sec+10, got.Send.Transfers[0].LastTime, "of what has ended")
	require.Empty(t, got.Receive.Transfers)
	require.Zero(t, got.Receive.MaxLeft)
	require.Equal(t, sec+10, got.Receive.MinRight)

	// Others see nothing of it.
	got = b.show(at(21), at(0), 20*time.Second, func(key string, made int64) bool { return key == "bert" && made == 1 })
	require.Empty(t, got.Send.Transfers)
	require.Zero(t, got.Send.MinRight)
	require.Len(t, got.Receive.Transfers, 1)

	// The future and the far past are empty.
	for _, start := range []int{1000, -100_000} {
		got = b.show(at(21), at(start), time.Hour, everyone)
		require.Empty(t, got.Send.Transfers)
		require.LessOrEqual(t, got.StartTime, got.EndTime)
	}

	// A long window has larger steps, of the same bytes.
	got = b.show(at(3600), at(0), time.Hour, everyone)
	require.EqualValues(t, 30, got.Step)
	require.Equal(t, []api.BandwidthPoint{{Time: sec, Rate: 6250 * 8 / 30}}, got.Send.Transfers[0].Data)

	b.forget("anna")
	require.Equal(t, map[string]int{"bert": 1}, b.keys)
	b.drop("up")
	require.Empty(t, b.transfers)
	require.Empty(t, b.keys)
}

// TestBandwidthBounds: an hour of each transfer is kept, and so many transfers; the key that has most loses first, and what is over before what runs.
func TestBandwidthBounds(t *testing.T) {
	b := newBandwidth()
	for i := range 2000 {
		b.note(paceBegin.Add(time.Duration(i)*paceStep), paceID{"long", true}, "bert", 0, 5, false)
	}
	p := b.transfers[paceID{"long", true}]
	require.Len(t, p.bytes, int(paceKept/paceStep))
	require.LessOrEqual(t, cap(p.bytes), 3*int(paceKept/paceStep))
	now := paceBegin.Add(2000 * paceStep)
	b.note(now.Add(3*paceKept), paceID{"long", true}, "bert", 0, 5, false)
	require.Len(t, p.bytes, 1, "an hour of nothing takes no room")

	now = now.Add(3 * paceKept)
	b.note(now, paceID{"runs", true}, "anna", 0, 1, false)
	for i := range paceMost + 300 {
		b.note(now.Add(time.Duration(i)*time.Millisecond), paceID{fmt.Sprint(i), true}, "anna", 0, 1, true)
	}
	require.Len(t, b.transfers, paceMost)
	require.Equal(t, map[string]int{"anna": paceMost - 1, "bert": 1}, b.keys)
	require.Contains(t, b.transfers, paceID{"long", true})
	require.Contains(t, b.transfers, paceID{"runs", true})
	require.Contains(t, b.transfers, paceID{fmt.Sprint(paceMost + 299), true})
	require.Len(t, b.show(now.Add(time.Minute), now, time.Minute, everyone).Send.Transfers, paceShown)

	// What is old makes room by itself.
	b.note(now.Add(2*paceKept), paceID{"new", false}, "anna", 0, 1, false)
	require.Len(t, b.transfers, 1)
	require.Equal(t, map[string]int{"anna": 1}, b.keys)
}

// TestBandwidthCall: a job and a session of a client, as the API tells of them, to those that may know.
func TestBandwidthCall(t *testing.T) {
	b := newBench(t)
	b.write("local/anna/f", 300_000)
	tr := b.create(nil)
	b.until(tr.ID, is(api.Completed))
	ask := func(g accesskey.Grant, query string) (api.Bandwidth, error) {
		w := httptest.NewRecorder()
		err := b.m.Routes()["GET /ops/transfers/bandwidth"](w, httptest.NewRequest(http.MethodGet, "/ops/transfers/bandwidth"+query, nil), g)
		var got api.Bandwidth
		if err == nil {
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
		}
		return got, err
	}
	// The step that the job ran in must have ended.
	b.m.paces.now = func() time.Time { return time.Now().Add(paceStep) }
	got, err := ask(anna, "")
	require.NoError(t, err)
	require.Len(t, got.Send.Transfers, 1)
	require.Equal(t, tr.ID, got.Send.Transfers[0].ID)
	sum := int64(0)
	for _, p := range got.Send.Transfers[0].Data {
		sum += p.Rate * 5 / 8
	}
	require.InDelta(t, 300_000, sum, 10)
	require.NotNil(t, got.Receive.Transfers)

	master := accesskey.Grant{Master: true}
	later := anna
	b.m.paces.b.transfers[paceID{tr.ID, true}].made = 5
	later.Created = time.UnixMicro(6)
	for _, c := range []struct {
		g     accesskey.Grant
		query string
		n     int
	}{
		{master, "", 1},
		{master, "?access_key=anna", 1},
		{master, "?access_key=bert", 0},
		{anna, "?access_key=bert", 0},
		{accesskey.Grant{KeyID: "bert"}, "", 0},
		{accesskey.Grant{KeyID: "bert"}, "?access_key=anna", 0},
		{later, "", 0}, // another key of the same id
		{anna, "?duration=3600", 1},
		{anna, fmt.Sprint("?start_time=", time.Now().Unix()-100, "&duration=200"), 1},
		{anna, "?duration=200&start_time=" + time.Now().Add(-100*time.Second).UTC().Format(time.RFC3339), 1},
		{anna, fmt.Sprint("?start_time=", time.Now().Unix()-3000, "&duration=200"), 0},
	} {
		got, err := ask(c.g, c.query)
		require.NoError(t, err)
		require.Len(t, got.Send.Transfers, c.n, "%v %s", c.g, c.query)
	}
	for _, query := range []string{"?duration=0", "?duration=3601", "?duration=x", "?start_time=yesterday", "?start_time=-1", "?start_time=99999999999999", "?start_time=1000000000000000"} {
		_, err := ask(anna, query)
		var e *api.Error
		require.ErrorAs(t, err, &e, query)
		require.Equal(t, http.StatusBadRequest, e.Code)
	}
	require.NoError(t, b.m.Forget(t.Context(), "anna"))
	got, err = ask(master, "")
	require.NoError(t, err)
	require.Empty(t, got.Send.Transfers)
}
