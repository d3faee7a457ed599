package storetest

import (
	"io"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
)

func testCaps(s *suite) {
	require.Equal(s, s.caps, s.d.Caps(), "Caps stay the same")
	require.GreaterOrEqual(s, s.caps.MaxParts, 0)
	if s.caps.MaxPart > 0 {
		require.LessOrEqual(s, s.caps.MinPart, s.caps.MaxPart)
	}
	for _, size := range []int64{0, 1, 1 << 30} {
		p, err := s.caps.Plan(size, 0, 0)
		require.NoError(s, err, "a plan for %d bytes", size)
		require.True(s, p.Valid())
	}
}

func testPutRead(s *suite) {
	s.missing("dir/key")
	data := s.bytes(100_003)
	put := s.put("dir/key", data)
	s.holds("dir/key", data)
	obj, err := s.d.Stat(s.Context(), "dir/key")
	require.NoError(s, err)
	require.Equal(s, obj.ETag, put.ETag, "ETag by Put and Stat")
	r, read, err := s.d.Read(s.Context(), "dir/key", 0, -1, obj.ETag)
	require.NoError(s, err)
	require.NoError(s, r.Close(), "closed without being read")
	require.Equal(s, obj.ETag, read.ETag, "ETag by Read and Stat")
	s.missing("dir")
	s.missing("dir/ke")
	s.missing("dir/key2")
}

func testRanges(s *suite) {
	const size = 70_000
	data := s.bytes(size)
	s.put("key", data)
	for _, c := range []struct{ off, length, want int64 }{
		{0, 1, 1},
		{0, size, size},
		{0, -1, size},
		{0, size + 1, size},
		{1, 1, 1},
		{12_345, 40_000, 40_000},
		{size - 1, 1, 1},
		{size - 1, -1, 1},
		{size - 1, 100, 1},
		{size - 100, 100, 100},
	} {
		r, obj, err := s.d.Read(s.Context(), "key", c.off, c.length, "")
		require.NoError(s, err, "%+v", c)
		got, err := io.ReadAll(r)
		require.NoError(s, err, "%+v", c)
		require.NoError(s, r.Close())
		require.Equal(s, data[c.off:c.off+c.want], got, "%+v", c)
		require.EqualValues(s, size, obj.Size, "Size is that of the whole object: %+v", c)
	}
	for _, off := range []int64{size, size + 1, 1 << 40} {
		for _, length := range []int64{1, -1} {
			_, _, err := s.d.Read(s.Context(), "key", off, length, "")
			s.fails(err, objstore.Range, "key")
		}
	}
}

func testEmpty(s *suite) {
	s.put("empty", nil)
	s.holds("empty", nil)
	_, _, err := s.d.Read(s.Context(), "empty", 1, 1, "")
	s.fails(err, objstore.Range, "empty")
	require.Equal(s, []string{"empty"}, s.list(objstore.ListOptions{}))
}

func testReplace(s *suite) {
	a, b := s.bytes(50_000), s.bytes(20_000)
	first := s.put("key", a)
	second := s.put("key", b)
	s.holds("key", b)
	if first.ETag != "" {
		require.NotEqual(s, first.ETag, second.ETag)
	}
	s.put("key", nil)
	s.holds("key", nil)
	s.put("key", a)
	s.holds("key", a)
	require.Equal(s, []string{"key"}, s.list(objstore.ListOptions{}))
}

func testIfAbsent(s *suite) {
	s.need(s.caps.IfAbsent, "IfAbsent")
	a, b := s.bytes(1000), s.bytes(2000)
	s.putWith("key", a, objstore.PutOptions{IfAbsent: true})
	_, err := s.d.Put(s.Context(), "key", section(b), objstore.PutOptions{IfAbsent: true})
	s.fails(err, objstore.Exists, "key")
	s.holds("key", a)
	require.NoError(s, s.d.Delete(s.Context(), "key"))
	s.putWith("key", b, objstore.PutOptions{IfAbsent: true})
	s.holds("key", b)
}

func testPinned(s *suite) {
	a := s.bytes(10_000)
	old := s.put("key", a)
	if old.ETag == "" {
		s.Skip("the platform has no ETags")
	}
	r, _, err := s.d.Read(s.Context(), "key", 5, 10, old.ETag)
	require.NoError(s, err)
	got, err := io.ReadAll(r)
	require.NoError(s, err)
	require.NoError(s, r.Close())
	require.Equal(s, a[5:15], got)

	s.put("key", s.bytes(10_000)) // of the same size
	_, _, err = s.d.Read(s.Context(), "key", 5, 10, old.ETag)
	s.fails(err, objstore.Changed, "key")
	_, _, err = s.d.Read(s.Context(), "key", 0, -1, old.ETag)
	s.fails(err, objstore.Changed, "key")
}

// attrs are attributes with everything that is kept.
func attrs(n int) objstore.Attr {
	return objstore.Attr{
		Mtime:       time.Date(2021, 3, 4, 5, 6, 7, 123456789, time.UTC).Add(time.Duration(n) * time.Hour),
		Btime:       time.Date(2001, 9, 9, 1, 46, 40, 987654321, time.UTC).Add(time.Duration(n) * time.Hour),
		ContentType: "image/x-test",
		Metadata:    map[string]string{"colour": "blue", "a-name": "two words, a comma; 100% = \"quoted\""},
	}
}

// hasAttrs checks what Stat, and List where Caps say so, tell of the attributes.
func (s *suite) hasAttrs(key string, want objstore.Attr) {
	s.Helper()
	obj, err := s.d.Stat(s.Context(), key)
	require.NoError(s, err)
	require.True(s, obj.HasAttr, "Stat tells attributes")
	s.sameAttrs(want, obj.Attr)
	require.True(s, want.Mtime.IsZero() || want.Mtime.Equal(obj.Mtime()))
	if !s.caps.ListAttr {
		return
	}
	p, err := s.d.List(s.Context(), objstore.ListOptions{Prefix: key})
	require.NoError(s, err)
	require.NotEmpty(s, p.Objects)
	require.True(s, p.Objects[0].HasAttr, "List tells attributes")
	s.sameAttrs(want, p.Objects[0].Attr)
}

func (s *suite) sameAttrs(want, got objstore.Attr) {
	s.Helper()
	if !want.Mtime.IsZero() {
		require.True(s, want.Mtime.Equal(got.Mtime), "mtime: want %v, got %v", want.Mtime, got.Mtime)
	}
	require.True(s, want.Btime.Equal(got.Btime), "btime: want %v, got %v", want.Btime, got.Btime)
	if want.ContentType != "" {
		require.Equal(s, want.ContentType, got.ContentType)
	}
	require.Len(s, got.Metadata, len(want.Metadata), "metadata: %q", got.Metadata)
	for name, v := range want.Metadata {
		require.Equal(s, v, got.Metadata[name], "metadata %q", name)
	}
}

func testAttrs(s *suite) {
	s.need(s.caps.Attrs, "Attrs")
	s.putWith("all", []byte("x"), objstore.PutOptions{Attr: attrs(0)})
	s.hasAttrs("all", attrs(0))
	s.putWith("none", []byte("x"), objstore.PutOptions{})
	s.hasAttrs("none", objstore.Attr{})
	for _, t := range []time.Time{
		time.Date(1969, 12, 31, 23, 59, 59, 999_999_999, time.UTC), time.Unix(0, 0), time.Unix(1, 1), time.Date(2399, 1, 1, 0, 0, 0, 0, time.FixedZone("x", 3600)),
	} {
		if t.Year() > 2262 && s.caps.Folders {
			continue // file systems do not hold it
		}
		s.putWith("time", []byte("x"), objstore.PutOptions{Attr: objstore.Attr{Mtime: t}})
		s.hasAttrs("time", objstore.Attr{Mtime: t})
	}
	s.putWith("all", []byte("y"), objstore.PutOptions{Attr: objstore.Attr{Mtime: attrs(1).Mtime, ContentType: "text/plain"}})
	s.hasAttrs("all", objstore.Attr{Mtime: attrs(1).Mtime, ContentType: "text/plain"})
}

func testDelete(s *suite) {
	for _, key := range []string{"a", "b/1", "b/2", "c"} {
		s.put(key, []byte(key))
	}
	require.NoError(s, s.d.Delete(s.Context()), "nothing")
	require.NoError(s, s.d.Delete(s.Context(), "no/such/key"), "what is not there")
	require.NoError(s, s.d.Delete(s.Context(), "a"))
	s.missing("a")
	require.NoError(s, s.d.Delete(s.Context(), "a"), "again")
	require.NoError(s, s.d.Delete(s.Context(), "b/1", "not there", "c"))
	require.Equal(s, []string{"b/2"}, s.list(objstore.ListOptions{}))
	s.put("a", []byte("again"))
	s.holds("a", []byte("again"))
}

func testCopy(s *suite) {
	if !s.caps.Copy {
		s.put("src", []byte("x"))
		_, err := s.d.Copy(s.Context(), "src", "", "dst", nil)
		require.Equal(s, objstore.Unsupported, objstore.KindOf(err))
		s.need(false, "Copy")
	}
	data := s.bytes(30_000)
	src := s.putWith("dir/src", data, objstore.PutOptions{Attr: attrs(0)})
	obj, err := s.d.Copy(s.Context(), "dir/src", src.ETag, "other dir/dst+é", nil)
	require.NoError(s, err)
	require.Equal(s, "other dir/dst+é", obj.Key)
	s.holds("other dir/dst+é", data)
	s.holds("dir/src", data)
	if s.caps.Attrs {
		s.hasAttrs("other dir/dst+é", attrs(0))
		o := objstore.PutOptions{Attr: objstore.Attr{Mtime: attrs(2).Mtime, ContentType: "text/plain", Metadata: map[string]string{"only": "this"}}}
		_, err = s.d.Copy(s.Context(), "dir/src", "", "replaced", &o)
		require.NoError(s, err)
		s.holds("replaced", data)
		s.hasAttrs("replaced", o.Attr)
		_, err = s.d.Copy(s.Context(), "replaced", "", "replaced", &objstore.PutOptions{Attr: attrs(1)})
		require.NoError(s, err, "onto itself, to change attributes")
		s.holds("replaced", data)
		s.hasAttrs("replaced", attrs(1))
	}
	_, err = s.d.Copy(s.Context(), "not there", "", "dst", nil)
	s.fails(err, objstore.NotFound, "not there")
	if src.ETag != "" {
		s.put("dir/src", s.bytes(30_000))
		_, err = s.d.Copy(s.Context(), "dir/src", src.ETag, "stale", nil)
		s.fails(err, objstore.Changed, "dir/src")
		s.missing("stale")
	}
}
