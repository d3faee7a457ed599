package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// answering is a client of a server that always gives the same answer.
func answering(t *testing.T, status int, body string, look func(*http.Request)) *Client {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if look != nil {
			look(r)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(web.Close)
	return &Client{URL: web.URL + "/", Authorization: "Basic eDp5", KeyID: "k"}
}

func TestErrorsOfTheNode(t *testing.T) {
	for _, c := range []struct {
		status     int
		body, want string
	}{
		{404, `{"error":{"code":404,"reason":"Not Found","user_message":"no such access key"}}`, "no such access key (404 Not Found)"},
		{502, "<html>bad gateway</html>", "the server answered 502 (502 Bad Gateway)"},
		{500, "{}", "the server answered 500 (500 Internal Server Error)"},
	} {
		_, err := answering(t, c.status, c.body, nil).AccessKey(t.Context(), "self")
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, c.status, e.Code)
		require.EqualError(t, err, c.want)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	_, err := answering(t, 200, "hello", nil).Info(t.Context())
	require.ErrorContains(t, err, "GET /info: the answer")
	require.ErrorContains(t, answering(t, 200, "hello", nil).Ping(t.Context()), "no node")
	_, err = answering(t, 200, `{"transfer_specs":[]}`, nil).UploadSetup(t.Context(), TransferRequest{})
	require.ErrorContains(t, err, "0 answers to one request")
	_, err = answering(t, 200, `{"transfer_specs":[{}]}`, nil).UploadSetup(t.Context(), TransferRequest{})
	require.ErrorContains(t, err, "without a transfer_spec")
	_, err = answering(t, 200, `{"transfer_specs":[{"error":{"code":403,"user_message":"no"}}]}`, nil).DownloadSetup(t.Context(), TransferRequest{})
	var e *Error
	require.ErrorAs(t, err, &e)
	_, err = answering(t, 200, `"`+strings.Repeat("x", maxAnswer)+`"`, nil).Info(t.Context())
	require.ErrorContains(t, err, "more than")
}

func TestRequests(t *testing.T) {
	c := answering(t, 200, "beginning", func(r *http.Request) {
		require.Equal(t, "/files/%2Fa%20b%2Fc%3F/contents", r.URL.EscapedPath())
		require.Equal(t, "Basic eDp5", r.Header.Get("Authorization"))
		require.Equal(t, "k", r.Header.Get("X-Aspera-AccessKey"))
	})
	b, err := c.Contents(t.Context(), "/a b/c?")
	require.NoError(t, err)
	require.Equal(t, "beginning", string(b))
}
