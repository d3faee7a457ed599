package s3

import (
	"encoding/base64"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/encrypt"

	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/internal/attr"
)

const (
	metaPrefix   = "X-Amz-Meta-"
	classHeader  = "X-Amz-Storage-Class"
	crc32cHeader = "X-Amz-Checksum-Crc32c"

	octetStream   = "application/octet-stream"
	standardClass = "STANDARD"
)

// metadata returns the headers that keep the attributes, but the content type.
func metadata(op, key string, a objstore.Attr) (map[string]string, error) {
	all, err := attr.Join(a.Mtime, a.Btime, a.Metadata)
	if err != nil {
		return nil, &objstore.Error{Op: op, Key: key, Kind: objstore.Invalid, Err: err}
	}
	h := make(map[string]string, len(all)+1)
	for k, v := range all {
		h[metaPrefix+k] = encodeValue(v)
	}
	return h, nil
}

// encodeValue makes a header value of any text: as it is where a header keeps it so, else after RFC 2047.
func encodeValue(s string) string {
	plain := !strings.HasPrefix(s, "=?") && s == strings.Trim(s, " ") && !strings.Contains(s, "  ")
	for _, c := range []byte(s) {
		plain = plain && c >= ' ' && c < 0x7f
	}
	if plain {
		return s
	}
	return "=?utf-8?b?" + base64.StdEncoding.EncodeToString([]byte(s)) + "?="
}

func decodeValue(s string) string {
	if !strings.HasPrefix(s, "=?") {
		return s
	}
	text, err := new(mime.WordDecoder).DecodeHeader(s)
	if err != nil {
		return s // of another tool; as it is
	}
	return text
}

// objectOf reads the description of an object from the header of an answer about it.
func objectOf(key string, h http.Header, size int64) objstore.Object {
	o := objstore.Object{Key: key, Size: size, ETag: trimETag(h.Get("ETag")), Modified: dateOf(h, "Last-Modified"), Class: classOf(h.Get(classHeader)), HasAttr: true}
	all := make(map[string]string)
	for name, values := range h {
		if k, ok := strings.CutPrefix(name, metaPrefix); ok && len(values) > 0 {
			all[k] = decodeValue(strings.Join(values, ","))
		}
	}
	o.Attr.Mtime, o.Attr.Btime, o.Attr.Metadata = attr.Split(all)
	o.Attr.ContentType = contentTypeOf(h.Get("Content-Type"))
	return o
}

func contentTypeOf(s string) string {
	if s == octetStream {
		return ""
	}
	return s
}

func classOf(s string) string {
	if s == standardClass {
		return ""
	}
	return s
}

// dateOf reads a date header; zero if there is none.
func dateOf(h http.Header, name string) time.Time {
	t, err := http.ParseTime(h.Get(name))
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// sizeOf returns the size of the whole object that an answer with a part of it, or all of it, belongs to; -1 = unknown.
func sizeOf(h http.Header) int64 {
	s := h.Get("Content-Length")
	if r := h.Get("Content-Range"); r != "" {
		_, s, _ = strings.Cut(r, "/")
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

func trimETag(s string) string { return strings.Trim(strings.TrimPrefix(s, "W/"), `"`) }

// sseHeaders puts the headers of an SSE into h.
func sseHeaders(h map[string]string, sse encrypt.ServerSide) {
	if sse == nil {
		return
	}
	all := make(http.Header)
	sse.Marshal(all)
	for k := range all {
		h[k] = all.Get(k)
	}
}
