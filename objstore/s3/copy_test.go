package s3

import (
	"bytes"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
)

// TestLargeCopy copies by ranges, with a limit that is small enough to try.
func TestLargeCopy(t *testing.T) {
	cfg := place(t, servers.MinIO(t), MinIO)
	d := open(t, cfg)
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	attr := objstore.Attr{Mtime: time.Unix(1700000000, 7).UTC(), ContentType: "text/plain", Metadata: map[string]string{"a": "b"}}
	put(t, d, "src", string(data), objstore.PutOptions{Attr: attr})
	d.copyMax = 5 << 20
	obj, err := d.Copy(t.Context(), "src", "", "dst", nil)
	require.NoError(t, err)
	require.EqualValues(t, len(data), obj.Size)
	stat, err := d.Stat(t.Context(), "dst")
	require.NoError(t, err)
	require.Equal(t, attr, stat.Attr)
	require.Equal(t, stat.ETag, obj.ETag)
	require.Contains(t, stat.ETag, "-4", "it has four parts")
	require.Equal(t, string(data), get(t, d, "dst"))

	_, err = d.Copy(t.Context(), "src", "another", "x", nil)
	require.ErrorIs(t, err, objstore.ErrChanged)
	_, err = d.Copy(t.Context(), "none", "", "x", nil)
	require.ErrorIs(t, err, objstore.ErrNotFound)

	// A copy that fails leaves no upload behind.
	obj.ETag = "0123"
	_, err = d.copyParts(t.Context(), d, objstore.Object{Key: "src", Size: int64(len(data))}, "left", objstore.PutOptions{}, map[string]string{"X-Amz-Copy-Source-If-Match": `"0123"`})
	require.ErrorIs(t, err, objstore.ErrChanged)
	list, _, err := d.Uploads(t.Context(), "left", "")
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestCopyFrom(t *testing.T) {
	s := servers.MinIO(t)
	a, b := open(t, place(t, s, MinIO)), open(t, place(t, s, MinIO))
	require.Equal(t, a.Caps().Store, b.Caps().Store)
	put(t, a, "k", "text", objstore.PutOptions{Attr: objstore.Attr{Metadata: map[string]string{"a": "b"}}})
	obj, err := b.CopyFrom(t.Context(), a, "k", "", "dir/copy", nil)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "b"}, obj.Attr.Metadata)
	require.Equal(t, "text", get(t, b, "dir/copy"))
	_, err = b.CopyFrom(t.Context(), a, "k", "", "dir/copy", &objstore.PutOptions{IfAbsent: true})
	require.ErrorIs(t, err, objstore.ErrExists)

	cfg := a.cfg
	cfg.Credentials = Static{AccessKey: "somebody else", SecretKey: "x"}
	_, err = open(t, cfg).CopyFrom(t.Context(), a, "k", "", "x", nil)
	require.ErrorIs(t, err, objstore.ErrUnsupported)
}

// TestDeleteOneByOne has a store that cannot delete several at once.
func TestDeleteOneByOne(t *testing.T) {
	var multi, single atomic.Int32
	d := fake(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			multi.Add(1)
			refuse(501, "NotImplemented")(w, r)
		case r.URL.Path == "/bucket/k3":
			refuse(403, "AccessDenied")(w, r)
		case r.URL.Path == "/bucket/k4":
			refuse(404, "NoSuchKey")(w, r)
		default:
			single.Add(1)
			w.WriteHeader(204)
		}
	})
	var keys []string
	for i := range 40 {
		keys = append(keys, fmt.Sprintf("k%d", i))
	}
	for range 2 {
		err := d.Delete(t.Context(), keys...)
		require.ErrorIs(t, err, objstore.ErrDenied)
		require.ErrorContains(t, err, `"k3"`)
	}
	require.EqualValues(t, 1, multi.Load(), "asked once only")
	require.EqualValues(t, 76, single.Load())
}

// TestDeletePartly has a store that deletes some, refuses one and says nothing about another.
func TestDeletePartly(t *testing.T) {
	var single, multi atomic.Int32
	d := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			bad := "<Key>b</Key><Code>AccessDenied</Code>"
			if multi.Add(1) > 1 {
				bad = "<Key>c</Key><Code>InvalidArgument</Code>"
			}
			fmt.Fprintf(w, `<DeleteResult><Deleted><Key>a</Key></Deleted><Error>%s</Error></DeleteResult>`, bad)
			return
		}
		single.Add(1)
		refuse(400, "InvalidArgument")(w, r)
	})
	err := d.Delete(t.Context(), "a", "b")
	require.ErrorIs(t, err, objstore.ErrDenied)
	require.ErrorContains(t, err, `"b"`)
	require.Zero(t, single.Load())
	err = d.Delete(t.Context(), "a", "c")
	require.Equal(t, objstore.Invalid, objstore.KindOf(err), "what minio-go passes over is asked for again: %v", err)
	require.EqualValues(t, 1, single.Load())
}
