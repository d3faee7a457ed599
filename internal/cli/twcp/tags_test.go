package twcp

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/cluster/node/wsd"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

func TestTags(t *testing.T) {
	s := mustParse(t, "--tags64 eyJhc3BlcmEiOnsibm9kZSI6eyJmaWxlX2lkIjoiNyJ9fX0= a h:b")
	require.JSONEq(t, `{"aspera":{"node":{"file_id":"7"}}}`, string(s.Tags))
	id, err := s.FolderID()
	require.NoError(t, err)
	require.Equal(t, "7", id)
	// The path is below a folder that only the node knows, so a ticket is asked for everything.
	require.Equal(t, wsd.Question{For: "upload", Paths: []string{"."}}, toTransfer(&s))
	s.Direction = transfer.Receive
	require.Equal(t, wsd.Question{For: "download", Paths: []string{"."}}, toTransfer(&s))

	hour := time.Hour
	for text, want := range map[string]tags{
		"":                                 {},
		"{}":                               {},
		`{"aspera":{"xfer_id":"x"}}`:       {id: "x"},
		`{"aspera":{"xfer_id":7}}`:         {},
		`{"aspera":{"xfer_retry":3600}}`:   {retry: &hour},
		`{"aspera":{"xfer_retry":"3600"}}`: {},
		`{"aspera":{"xfer_retry":-1}}`:     {},
		`{"aspera":{"xfer_retry":null}}`:   {},
		`{"aspera":[]}`:                    {},
	} {
		got := readTags(json.RawMessage(text))
		require.Equal(t, want.id, got.id, text)
		require.Equal(t, want.retry == nil, got.retry == nil, text)
		if want.retry != nil {
			require.Equal(t, *want.retry, *got.retry)
		}
	}
}

// TestSourcePrefix: both forms stand before every source, of lists, too.
func TestSourcePrefix(t *testing.T) {
	require.Equal(t, []transfer.Path{{Source: "p/q/a"}}, mustParse(t, "--source-prefix p/q a h:b").Paths)
	require.Equal(t, []transfer.Path{{Source: "p/one"}, {Source: "p/two"}}, mustParse(t, "--source-prefix64 cA== --file-list=- h:b").Paths)
	require.Equal(t, "p", mustParse(t, "--src-base64 cA== p/a h:b").SrcBase)
}
