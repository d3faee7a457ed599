package nodeapi

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

type manager = transfer.Manager

// setUp asks for one transfer and opens its token.
func (b *bed) setUp(auth, call, request string) (api.SpecAnswer, accesskey.TransferToken) {
	b.T.Helper()
	var out api.SetupAnswer
	require.NoError(b.T, json.Unmarshal([]byte(b.Post(auth, call, `{"transfer_requests":[{"transfer_request":`+request+`}]}`)), &out))
	require.Len(b.T, out.Specs, 1)
	if out.Specs[0].Error != nil {
		return out.Specs[0], accesskey.TransferToken{}
	}
	token, err := b.ring.Open(out.Specs[0].Spec.Token, "", noon)
	require.NoError(b.T, err)
	require.Equal(b.T, "ak_alpha", token.Key)
	return out.Specs[0], token
}

func TestUploadSetup(t *testing.T) {
	b := newBed(t)
	s, token := b.setUp(b.Alpha, "/files/upload_setup", `{"paths":[{"destination":"/in/box"}],"tags":{"a":1},"cookie":"c"}`)
	require.Equal(t, accesskey.TransferToken{Key: "ak_alpha", Direction: accesskey.Upload, Paths: []string{"in/box"}, Made: token.Made, Expires: token.Expires}, token)
	require.True(t, token.Expires.Equal(noon.Add(24*time.Hour)))
	s.Spec.Token = "T"
	got, err := json.Marshal(s)
	require.NoError(t, err)
	require.JSONEq(t, `{"transfer_spec":{"paths":[{"destination":"/in/box"}],"source_root":"","destination_root":"/in/box","token":"T","direction":"send","cipher":"aes-128-gcm",
		"tags":{"a":1},"cookie":"c","rate_policy":"fair","rate_policy_allowed":"fixed","min_rate_kbps":0,"remote_host":"node.example","remote_user":"xfer","sshfp":"sha256:abc",
		"ssh_port":33002,"fasp_port":33001,"http_fallback":false,"wss_enabled":true,"wss_port":9093}}`, string(got))

	_, token = b.setUp(b.Alpha, "/files/upload_setup", `{"paths":[{"source":"local/x","destination":"y"}],"destination_root":"/in","token_life_seconds":60}`)
	require.Equal(t, []string{"in"}, token.Paths)
	require.True(t, token.Expires.Equal(noon.Add(time.Minute)))
	_, token = b.setUp(b.Alpha, "/files/upload_setup", `{"paths":[{}],"destination_root":"/in","tags":{"aspera":{"usage_id":"film"}}}`)
	require.Equal(t, "film", token.UsageID)
	s, _ = b.setUp(b.Alpha, "/files/upload_setup", `{"paths":[{}],"destination_root":"/in","tags":{"aspera":{"usage_id":[]}}}`)
	require.ErrorContains(t, s.Error, "usage_id")
	a := b.Do(b.Alpha, "POST", "/files/upload_setup", `{"transfer_requests":[{"transfer_request":{"paths":[{"destination":"/in"}],"public_keys":["ssh-ed25519 AAAA"]}}]}`)
	require.Equal(t, 200, a.Status)
	require.Equal(t, "transfer_requests.transfer_request.public_keys", a.Header.Get(ignoredHeader), "what has no effect is named")
	_, token = b.setUp(b.Alpha, "/files/upload_setup", `{"paths":[{}],"destination_root":"/"}`)
	require.Equal(t, []string{""}, token.Paths, "the root")
	s, token = b.setUp(b.Alpha, "/files/upload_setup", `{"paths":[]}`)
	require.Equal(t, []string{""}, token.Paths)
	require.Equal(t, "/", s.Spec.DestinationRoot)
	s, token = b.setUp(b.Alpha, "/files/upload_setup", `{"paths":[{"destination":"/x"},{"destination":"y"}]}`)
	require.Equal(t, []string{"x", "y"}, token.Paths)
	require.Equal(t, "/", s.Spec.DestinationRoot)

	s, _ = b.setUp(b.Alpha, "/files/upload_setup", `{"paths":[{"destination":"/in/box"}]}`)
	g, err := b.srv.cfg.Auth.TransferToken(t.Context(), s.Spec.Token)
	require.NoError(t, err, "it is redeemed with the same keyring")
	require.Equal(t, []string{"in/box"}, g.Within)
	require.Equal(t, "alpha", g.Root)
	require.False(t, g.Rights.Read)
}

func TestDownloadSetup(t *testing.T) {
	b := newBed(t)
	s, token := b.setUp(b.Alpha, "/files/download_setup", `{"paths":[{"source":"/b"},{"source":"a/c"},{"source":"b/"}],"source_root":"/out","destination_root":"/tmp/x"}`)
	require.Equal(t, accesskey.Download, token.Direction)
	require.Equal(t, []string{"out/a/c", "out/b"}, token.Paths)
	require.Equal(t, "receive", s.Spec.Direction)
	require.Equal(t, "/out", s.Spec.SourceRoot)
	require.Equal(t, "/tmp/x", s.Spec.DestinationRoot)
	_, token = b.setUp(b.Alpha, "/files/download_setup", `{"paths":[{"source":"/"}]}`)
	require.Equal(t, []string{""}, token.Paths)
}

func TestSetupRates(t *testing.T) {
	b := newBed(t)
	k, err := b.Keys.Key(t.Context(), "ak_alpha")
	require.NoError(t, err)
	k.RateCap = 50_000_000
	require.NoError(t, b.Keys.Put(t.Context(), k))
	for request, want := range map[string][3]int64{ // target, cap, least
		`{"paths":[]}`:                             {50_000, 50_000, 0},
		`{"paths":[],"target_rate_kbps":10}`:       {10, 50_000, 0},
		`{"paths":[],"target_rate_kbps":90000000}`: {50_000, 50_000, 0},
		`{"paths":[],"min_rate_kbps":90000000}`:    {50_000, 50_000, 50_000},
	} {
		s, _ := b.setUp(b.Alpha, "/files/upload_setup", request)
		require.Equal(t, want, [3]int64{s.Spec.TargetRate, s.Spec.TargetRateCap, s.Spec.MinRate}, request)
	}
}

func TestBadSetups(t *testing.T) {
	b := newBed(t)
	for request, why := range map[string]string{
		`{"paths":[{"source":"/../beta"}]}`:                   `".."`,
		`{"paths":[{"source":"x"}],"source_root":"/../beta"}`: `".."`,
		`{"paths":[]}`:   "names its sources",
		`{"paths":[{}]}`: "missing",
		`{"paths":[{"source":"/"}],"token_life_seconds":-1}`:      "token_life_seconds",
		`{"paths":[{"source":"/"}],"token_life_seconds":2592001}`: "token_life_seconds",
		`{"paths":[{"source":"/"}],"rate_policy":"wild"}`:         "rate_policy",
		`{"paths":[{"source":"/"}],"target_rate_kbps":-1}`:        "negative",
		`{"paths":[{"source":"/"}],"tags":7}`:                     "tags",
		`{"paths":[{"source":"/a"},{"source":"/b/.x.tw-part"}]}`:  "partial file",
	} {
		s, _ := b.setUp(b.Alpha, "/files/download_setup", request)
		require.NotNil(t, s.Error, request)
		require.Equal(t, 400, s.Error.Code, request)
		require.Contains(t, s.Error.UserMessage, why, request)
	}
	one := `{"transfer_requests":[{"transfer_request":{"paths":[]}}]}`
	require.Equal(t, 403, b.Do(b.Admin, "POST", "/files/upload_setup", one).Status)
	require.Equal(t, 400, b.Do(b.Alpha, "POST", "/files/upload_setup", `{"transfer_requests":[]}`).Status)
	none := newBed(t, func(c *Config) { c.Auth.Tokens = nil })
	require.Equal(t, 501, none.Do(none.Alpha, "POST", "/files/upload_setup", one).Status)
}
