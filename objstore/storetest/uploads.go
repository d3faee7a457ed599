package storetest

import (
	"bytes"
	"encoding/json"
	"io"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
)

// partSize is the size of parts in the tests.
func (s *suite) partSize() int64 {
	if s.target.PartSize > 0 {
		return s.target.PartSize
	}
	return 64 << 10
}

// begin opens an upload of size bytes, -1 if unknown.
func (s *suite) begin(key string, size int64) objstore.Upload {
	s.Helper()
	return s.beginWith(key, size, objstore.PutOptions{})
}

func (s *suite) beginWith(key string, size int64, o objstore.PutOptions) objstore.Upload {
	s.Helper()
	plan, err := s.caps.Plan(size, s.partSize(), 0)
	require.NoError(s, err)
	u, err := s.d.Begin(s.Context(), objstore.Upload{Key: key, Size: size, Plan: plan}, o)
	require.NoError(s, err, "begin an upload of %q", key)
	require.NotEmpty(s, u.ID, "the upload's ID")
	require.Equal(s, objstore.Upload{Key: key, ID: u.ID, Size: size, Plan: plan}, u, "what else the upload is")
	return u
}

// putPart stores part n of an object whose bytes are data.
func (s *suite) putPart(d objstore.Driver, u objstore.Upload, data []byte, n int) (objstore.Part, error) {
	size := int64(len(data))
	known := u
	known.Size = size
	spec, length := known.Spec(n)
	body := &guarded{ReaderAt: bytes.NewReader(data)}
	p, err := d.PutPart(s.Context(), u, spec, io.NewSectionReader(body, spec.Off, length))
	body.over.Store(true)
	return p, err
}

// putParts stores all parts, all at once and in any order where the platform lets them.
func (s *suite) putParts(u objstore.Upload, data []byte) []objstore.Part {
	s.Helper()
	n := u.Plan.Count(int64(len(data)))
	parts, errs := make([]objstore.Part, n), make([]error, n)
	if s.caps.Ordered {
		for i := range n {
			parts[i], errs[i] = s.putPart(s.d, u, data, i)
		}
	} else {
		var wg sync.WaitGroup
		for _, i := range s.rng.Perm(n) {
			wg.Go(func() { parts[i], errs[i] = s.putPart(s.d, u, data, i) })
		}
		wg.Wait()
	}
	for i, err := range errs {
		require.NoError(s, err, "put part %d of %q", i, u.Key)
		require.Equal(s, i, parts[i].N)
	}
	return parts
}

// complete completes an upload with the parts that the store lists.
func (s *suite) complete(u objstore.Upload) objstore.Object {
	s.Helper()
	parts, err := s.d.Parts(s.Context(), u)
	require.NoError(s, err)
	obj, err := s.d.Complete(s.Context(), u, parts, objstore.PutOptions{})
	require.NoError(s, err)
	return obj
}

// object returns bytes for n parts, the last a short one. Platforms whose parts are large get fewer bytes to do.
func (s *suite) object(parts int64) []byte {
	plan, err := s.caps.Plan(-1, s.partSize(), 0)
	if err != nil {
		plan, err = s.caps.Plan(parts*s.partSize(), s.partSize(), 0)
	}
	require.NoError(s, err)
	return s.bytes(plan.Offset(int(parts)-1) + 1001)
}

func testUpload(s *suite) {
	data := s.object(3)
	u := s.begin("dir/key", int64(len(data)))
	s.missing("dir/key")
	parts := s.putParts(u, data)
	s.missing("dir/key")
	listed, err := s.d.Parts(s.Context(), u)
	require.NoError(s, err)
	require.Equal(s, parts, listed, "Parts lists what PutPart returned, in order")
	var sum int64
	for _, p := range listed {
		sum += p.Size
	}
	require.EqualValues(s, len(data), sum)
	obj, err := s.d.Complete(s.Context(), u, parts, objstore.PutOptions{})
	require.NoError(s, err)
	require.Equal(s, "dir/key", obj.Key)
	require.EqualValues(s, len(data), obj.Size, "Complete tells the size")
	s.holds("dir/key", data)
	stat, err := s.d.Stat(s.Context(), "dir/key")
	require.NoError(s, err)
	require.Equal(s, stat.ETag, obj.ETag, "ETag by Complete and Stat")
	_, err = s.d.Parts(s.Context(), u)
	s.fails(err, objstore.NoUpload, "dir/key")
	require.Equal(s, []string{"dir/key"}, s.list(objstore.ListOptions{}), "nothing of the upload is left to be seen")
	require.NoError(s, s.d.Abort(s.Context(), u), "of an upload that is complete")
	s.holds("dir/key", data)
}

func testUnknownSize(s *suite) {
	s.need(!s.caps.NeedSize, "uploads of unknown size")
	data := s.object(3)
	u := s.begin("key", -1)
	s.putParts(u, data)
	s.complete(u)
	s.holds("key", data)
}

func testUploadEmpty(s *suite) {
	u := s.begin("key", 0)
	s.putParts(u, nil)
	s.complete(u)
	s.holds("key", nil)
}

func testUploadReplaces(s *suite) {
	old, data := s.bytes(5000), s.object(2)
	before := s.put("key", old)
	u := s.begin("key", int64(len(data)))
	s.putParts(u, data)
	s.holds("key", old)
	obj := s.complete(u)
	s.holds("key", data)
	if before.ETag != "" {
		require.NotEqual(s, before.ETag, obj.ETag)
	}
}

func testUploadIfAbsent(s *suite) {
	s.need(s.caps.IfAbsent, "IfAbsent")
	o := objstore.PutOptions{IfAbsent: true}
	data, other := s.object(2), s.bytes(100)
	u := s.beginWith("key", int64(len(data)), o)
	parts := s.putParts(u, data)
	s.put("key", other) // by somebody else, meanwhile
	_, err := s.d.Complete(s.Context(), u, parts, o)
	s.fails(err, objstore.Exists, "key")
	s.holds("key", other)
	_, err = s.d.Parts(s.Context(), u)
	require.NoError(s, err, "the upload is still there")
	require.NoError(s, s.d.Delete(s.Context(), "key"))
	_, err = s.d.Complete(s.Context(), u, parts, o)
	require.NoError(s, err)
	s.holds("key", data)
}

func testUploadAttrs(s *suite) {
	s.need(s.caps.Attrs, "Attrs")
	o := objstore.PutOptions{Attr: attrs(3)}
	data := s.object(2)
	u := s.beginWith("key", int64(len(data)), o)
	parts := s.putParts(u, data)
	_, err := s.d.Complete(s.Context(), u, parts, o)
	require.NoError(s, err)
	s.holds("key", data)
	s.hasAttrs("key", attrs(3))
}

// testPartTwice puts parts again, one after the other and at the same time, as a hedged retry does.
func testPartTwice(s *suite) {
	s.need(!s.caps.Ordered, "parts in any order")
	data := s.object(2)
	u := s.begin("key", int64(len(data)))
	s.putParts(u, data)
	again := bytes.Clone(data)
	copy(again[:u.Plan.PartSize(0)], s.bytes(u.Plan.PartSize(0)))
	_, err := s.putPart(s.d, u, again, 0)
	require.NoError(s, err, "one after the other the last wins")
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { _, errs[i] = s.putPart(s.d, u, again, 1) })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(s, err)
	}
	parts, err := s.d.Parts(s.Context(), u)
	require.NoError(s, err)
	require.Len(s, parts, 2)
	_, err = s.d.Complete(s.Context(), u, parts, objstore.PutOptions{})
	require.NoError(s, err)
	s.holds("key", again)
}

func testResume(s *suite) {
	s.need(s.caps.Resume, "Resume")
	s.need(!s.caps.Ordered, "parts in any order")
	data := s.object(4)
	u := s.begin("dir/key é+", int64(len(data)))
	for _, n := range []int{3, 1} {
		_, err := s.putPart(s.d, u, data, n)
		require.NoError(s, err)
	}
	kept, err := json.Marshal(u)
	require.NoError(s, err)

	second := s.again()
	var v objstore.Upload
	require.NoError(s, json.Unmarshal(kept, &v))
	require.Equal(s, u, v)
	parts, err := second.Parts(s.Context(), v)
	require.NoError(s, err)
	require.Len(s, parts, 2)
	require.Equal(s, []int{1, 3}, []int{parts[0].N, parts[1].N})
	for _, n := range []int{2, 0} {
		d := []objstore.Driver{s.d, second}[n/2] // both may go on with it
		_, err := s.putPart(d, v, data, n)
		require.NoError(s, err)
	}
	parts, err = second.Parts(s.Context(), v)
	require.NoError(s, err)
	require.Len(s, parts, 4)
	_, err = second.Complete(s.Context(), v, parts, objstore.PutOptions{})
	require.NoError(s, err)
	s.holds("dir/key é+", data)
	_, err = s.d.Parts(s.Context(), u)
	s.fails(err, objstore.NoUpload, u.Key)
}

func testBadPart(s *suite) {
	s.need(!s.caps.Ordered, "parts in any order")
	data := s.object(3)
	u := s.begin("key", int64(len(data)))
	var parts []objstore.Part
	for n := range 2 {
		p, err := s.putPart(s.d, u, data, n)
		require.NoError(s, err)
		parts = append(parts, p)
	}
	_, err := s.d.Complete(s.Context(), u, append(parts[:2:2], objstore.Part{N: 2, Size: 1001, ETag: parts[1].ETag}), objstore.PutOptions{})
	s.fails(err, objstore.BadPart, "key") // it is not there
	p, err := s.putPart(s.d, u, data, 2)
	require.NoError(s, err)
	_, err = s.d.Complete(s.Context(), u, []objstore.Part{parts[0], {N: 1, Size: parts[1].Size, ETag: p.ETag}, p}, objstore.PutOptions{})
	s.fails(err, objstore.BadPart, "key") // it is another
	s.missing("key")
	listed, err := s.d.Parts(s.Context(), u)
	require.NoError(s, err, "the upload is still there")
	require.Equal(s, append(parts, p), listed)
	_, err = s.d.Complete(s.Context(), u, listed, objstore.PutOptions{})
	require.NoError(s, err)
	s.holds("key", data)
}

func testAbort(s *suite) {
	data := s.object(2)
	u := s.begin("key", int64(len(data)))
	_, err := s.putPart(s.d, u, data, 0)
	require.NoError(s, err)
	require.NoError(s, s.d.Abort(s.Context(), u))
	s.missing("key")
	_, err = s.d.Parts(s.Context(), u)
	s.fails(err, objstore.NoUpload, "key")
	require.NoError(s, s.d.Abort(s.Context(), u), "again")
	require.Empty(s, s.list(objstore.ListOptions{}))
}

// testPartAfterAbort goes on with an upload that is not there any more, as a process does that was asleep.
func testPartAfterAbort(s *suite) {
	data := s.object(2)
	u := s.begin("key", int64(len(data)))
	p, err := s.putPart(s.d, u, data, 0)
	require.NoError(s, err)
	require.NoError(s, s.d.Abort(s.Context(), u))
	_, err = s.putPart(s.d, u, data, 0)
	s.fails(err, objstore.NoUpload, "key")
	_, err = s.d.Complete(s.Context(), u, []objstore.Part{p}, objstore.PutOptions{})
	s.fails(err, objstore.NoUpload, "key")
	s.missing("key")
	require.Empty(s, s.open("key"))
}

// open returns the IDs of the uploads below a prefix, by key.
func (s *suite) open(prefix string) map[string][]string {
	s.Helper()
	found := map[string][]string{}
	token := ""
	for pages := 0; ; pages++ {
		require.Less(s, pages, 1000, "the listing does not end")
		list, next, err := s.d.Uploads(s.Context(), prefix, token)
		require.NoError(s, err)
		for _, u := range list {
			found[u.Key] = append(found[u.Key], u.ID)
		}
		if next == "" {
			return found
		}
		token = next
	}
}

func testUploads(s *suite) {
	s.need(s.caps.Resume, "Resume")
	require.Empty(s, s.open(""))
	a, b := s.begin("dir/a", 100), s.begin("dir/b é+ c", -1)
	want := map[string][]string{"dir/a": {a.ID}, "dir/b é+ c": {b.ID}}
	require.Equal(s, want, s.open("dir/"))
	require.Equal(s, map[string][]string{"dir/a": {a.ID}}, s.open("dir/a"), "a prefix that is a key")
	require.Empty(s, s.open("other"))
	require.Empty(s, s.list(objstore.ListOptions{}), "uploads are not objects")
	require.NoError(s, s.d.Abort(s.Context(), b))
	require.Equal(s, map[string][]string{"dir/a": {a.ID}}, s.open("dir/"))
	s.putParts(a, s.bytes(100))
	s.complete(a)
	require.Empty(s, s.open("dir/"))
}

// testTwoUploads has two writers of one key that do not know of each other. Whoever completes last wins, whole.
func testTwoUploads(s *suite) {
	s.need(!s.caps.Ordered, "parts in any order")
	one, two := s.object(2), s.object(2)
	a, b := s.begin("key", int64(len(one))), s.begin("key", int64(len(two)))
	require.NotEqual(s, a.ID, b.ID)
	s.putParts(a, one)
	s.putParts(b, two)
	s.complete(b)
	s.holds("key", two)
	s.complete(a)
	s.holds("key", one)
}
