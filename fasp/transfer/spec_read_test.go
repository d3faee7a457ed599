package transfer

import (
	"encoding/json"
	"iter"
	"maps"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
)

func TestReadSpec(t *testing.T) {
	s, x, err := ReadSpec([]byte(`{
		"direction": "send", "remote_host": "h", "remote_user": "xfer", "fasp_port": 33002, "ssh_port": 33001, "token": "Basic x",
		"paths": [{"source": "a/b", "destination": "c"}, {"source": "/d", "destination": "e"}], "source_root": "/base", "destination_root": "/in", "create_dir": true,
		"rate_policy": "fair", "target_rate_kbps": 5000, "min_rate_kbps": 0, "resume_policy": "sparse_checksum", "overwrite": "diff+older", "symlink_policy": "skip",
		"src_base64": "L2Jhc2U=", "read_block_size": 1048576, "multi_session": 2, "multi_session_threshold": 1000000, "tags64": "eyJhc3BlcmEiOnt9fQ==",
		"cipher": "aes-128", "cookie": "c", "title": "t", "http_fallback": false, "precalculate_job_size": true, "delete_source": true, "file_checksum": "md5",
		"preserve_acls": "none", "unheard_of": {"x": 1}, "filters": [{"exclude": "*.o"}], "xfer_max_retries": 2, "wss_enabled": true, "wss_port": 9494, "sshfp": null,
		"source_root_id": "12"
	}`))
	require.NoError(t, err)
	require.Equal(t, Spec{
		Direction: Send, Host: "h", User: "xfer", Port: 33002, Token: "Basic x", Paths: []Path{{"/base/a/b", "c"}, {"/base/d", "e"}}, Destination: "/in", CreateDir: true,
		SrcBase: "/base", Rates: fasp.Rates{Policy: fasp.Fair, Target: 5 * fasp.Mbps}, Resume: ResumeSparse, Overwrite: OverwriteDiffOlder, Symlinks: SymlinksSkip,
		ReadSize: 1 << 20, Split: 1_000_000, Cipher: "aes-128", Cookie: "c", Title: "t", Tags: json.RawMessage(`{"aspera":{}}`), Checksum: ChecksumMD5, Filters: []Filter{{true, "*.o"}},
	}, s)
	require.Equal(t, 2, x.Sessions)
	require.Equal(t, 2, x.Retries)
	require.True(t, x.WSS)
	require.Equal(t, 9494, x.WSSPort)
	require.Equal(t, []SpecNote{
		{"delete_source", "sources are not removed"},
		{"precalculate_job_size", "sizes are found while the transfer goes on"},
		{"unheard_of", "no such field is known"},
		{"source_root_id", "files of this side are named by path"},
	}, x.Notes)

	_, x, err = ReadSpec([]byte(`{"sshfp":"sha256:abc"}`))
	require.NoError(t, err)
	require.Equal(t, "sha256:abc", x.Fingerprint)
	_, x, err = ReadSpec([]byte(`{"sshfp":"1A2B"}`))
	require.NoError(t, err)
	require.Len(t, x.Notes, 1)

	// What we write we read, without a note.
	b, err := json.Marshal(s)
	require.NoError(t, err)
	again, x, err := ReadSpec(b)
	require.NoError(t, err)
	require.Empty(t, x.Notes)
	require.Equal(t, s, again)
}

func TestReadSpecErrors(t *testing.T) {
	for text, why := range map[string]string{
		``:                           "JSON object",
		`[]`:                         "JSON object",
		`null`:                       "JSON object",
		`{"direction":"sideways"}`:   "direction",
		`{"fasp_port":"hunter2"}`:    "fasp_port: want int, not string",
		`{"paths":7}`:                "paths: want slice, not number",
		`{"source_root":"/","a":1}`:  "source_root",
		`{"tags":"x"}`:               "tags: want an object",
		`{"tags64":"%"}`:             "tags64: want base64",
		`{"multi_session":-1}`:       "multi_session",
		`{"resume_policy":"maybe"}`:  "resume_policy",
		`{"wss_enabled":"hunter2"}`:  "wss_enabled: want true or false",
		`{"wss_port":65536}`:         "wss_port: want a port",
		`{"wss_port":-1}`:            "wss_port: want a port",
		`{"target_rate_kbps":-1}`:    "target_rate_kbps",
		`{"filters":[{"x":"y"}]}`:    "filters",
		`{"rate_policy":"reckless"}`: "rate_policy",
	} {
		_, _, err := ReadSpec([]byte(text))
		require.ErrorContains(t, err, why, text)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// TestSpecFields: no field is both read and said to have no effect.
func TestSpecFields(t *testing.T) {
	for name := range specOthers {
		require.False(t, specKnown[name], name)
		require.Nil(t, specAliases[name], name)
	}
	require.True(t, specKnown["remote_host"])
	doc, err := os.ReadFile("../../docs/transfer-spec.md")
	require.NoError(t, err)
	for _, names := range []iter.Seq[string]{maps.Keys(specOthers), maps.Keys(specKnown), maps.Keys(specAliases)} {
		for name := range names {
			require.Contains(t, string(doc), "`"+name+"`", "docs/transfer-spec.md")
		}
	}
}

func FuzzReadSpec(f *testing.F) {
	f.Add([]byte(`{"direction":"send","paths":[{"source":"a"}],"destination_root":"b","source_root":"x","tags64":"e30="}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, x, err := ReadSpec(b)
		if err != nil {
			return
		}
		require.GreaterOrEqual(t, x.Sessions, 0)
		out, err := json.Marshal(s)
		require.NoError(t, err)
		_, x, err = ReadSpec(out)
		require.NoError(t, err)
		require.Empty(t, x.Notes)
	})
}
