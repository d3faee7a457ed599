package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
)

// Target is what is tested.
type Target struct {
	// Open returns a Driver of an empty place, another one each time. The suite closes it.
	Open func(t testing.TB) objstore.Driver
	// Again returns a second Driver of the same place, as another process would have it. nil skips what needs one.
	Again func(t testing.TB, d objstore.Driver) objstore.Driver
	// Refuses names the cases of keys (see keyCases) that the platform does not take; they must be Invalid. The list is
	// exact: one that is taken after all is a failure.
	Refuses []string
	// Skips names parts of the suite that this service, not the driver, does not pass, each with the reason.
	Skips map[string]string
	// PartSize is the size of parts in uploads; 0 means 64 KiB, or what Caps wants at least.
	PartSize int64
	// Big adds tests that make more than a thousand requests.
	Big bool
}

// Run tests the target, each part of the suite in a place of its own.
func Run(t *testing.T, target Target) {
	for _, c := range []struct {
		name string
		test func(*suite)
	}{
		{"caps", testCaps},
		{"put and read", testPutRead},
		{"read ranges", testRanges},
		{"empty object", testEmpty},
		{"replace", testReplace},
		{"if absent", testIfAbsent},
		{"pinned read", testPinned},
		{"attributes", testAttrs},
		{"delete", testDelete},
		{"copy", testCopy},
		{"list", testList},
		{"list folders", testListFolders},
		{"list after", testListAfter},
		{"name and folder", testNameAndFolder},
		{"list many", testListMany},
		{"keys", testKeys},
		{"upload", testUpload},
		{"upload of unknown size", testUnknownSize},
		{"upload empty", testUploadEmpty},
		{"upload replaces at the end", testUploadReplaces},
		{"upload if absent", testUploadIfAbsent},
		{"upload attributes", testUploadAttrs},
		{"upload part twice", testPartTwice},
		{"upload resume", testResume},
		{"upload bad part", testBadPart},
		{"upload abort", testAbort},
		{"upload part after abort", testPartAfterAbort},
		{"uploads", testUploads},
		{"two uploads of one key", testTwoUploads},
		{"errors", testErrors},
		{"cancelled", testCancelled},
		{"cancelled in a body", testCancelledInBody},
		{"parallel", testParallel},
		{"close", testClose},
	} {
		t.Run(c.name, func(t *testing.T) {
			if why := target.Skips[c.name]; why != "" {
				t.Skip(why)
			}
			d := target.Open(t)
			t.Cleanup(func() { require.NoError(t, d.Close()) })
			seed := rand.Uint64()
			t.Log("seed", seed)
			c.test(&suite{T: t, target: target, d: d, caps: d.Caps(), rng: rand.New(rand.NewPCG(seed, 0))})
		})
	}
}

// suite is one test of a place.
type suite struct {
	*testing.T
	target Target
	d      objstore.Driver
	caps   objstore.Caps
	rng    *rand.Rand
}

// need skips the test where the platform lacks a capability.
func (s *suite) need(has bool, capability string) {
	s.Helper()
	if !has {
		s.Skipf("Caps: no %s", capability)
	}
}

// bytes returns n random bytes.
func (s *suite) bytes(n int64) []byte {
	b := make([]byte, n)
	for i := 0; i < len(b); i += 8 {
		x := s.rng.Uint64()
		for j := i; j < min(i+8, len(b)); j++ {
			b[j] = byte(x)
			x >>= 8
		}
	}
	return b
}

// put stores an object.
func (s *suite) put(key string, data []byte) objstore.Object {
	s.Helper()
	return s.putWith(key, data, objstore.PutOptions{})
}

func (s *suite) putWith(key string, data []byte, o objstore.PutOptions) objstore.Object {
	s.Helper()
	obj, err := s.d.Put(s.Context(), key, section(data), o)
	require.NoError(s, err, "put %q", key)
	require.Equal(s, key, obj.Key, "key of what was put")
	require.EqualValues(s, len(data), obj.Size, "size of what was put")
	return obj
}

// get reads an object whole.
func (s *suite) get(key string) []byte {
	s.Helper()
	r, obj, err := s.d.Read(s.Context(), key, 0, -1, "")
	if objstore.KindOf(err) == objstore.Range {
		// Every offset is at the end of an empty object; a platform that gives it nevertheless is as good.
		obj, err := s.d.Stat(s.Context(), key)
		require.NoError(s, err)
		require.Zero(s, obj.Size, "no bytes of %q are there to be read, though it is not empty", key)
		return []byte{}
	}
	require.NoError(s, err, "read %q", key)
	b, err := io.ReadAll(r)
	require.NoError(s, err, "read %q", key)
	require.NoError(s, r.Close())
	require.EqualValues(s, len(b), obj.Size, "size that Read tells of %q", key)
	return b
}

// holds checks that an object has exactly these bytes. Their inequality is not printed.
func (s *suite) holds(key string, want []byte) {
	s.Helper()
	got := s.get(key)
	require.Len(s, got, len(want), "bytes of %q", key)
	require.True(s, bytes.Equal(want, got), "bytes of %q", key)
	obj, err := s.d.Stat(s.Context(), key)
	require.NoError(s, err)
	require.EqualValues(s, len(want), obj.Size)
	require.Equal(s, key, obj.Key)
	require.False(s, obj.Folder)
	require.False(s, obj.Modified.IsZero(), "Modified of %q", key)
}

// missing checks that there is no object.
func (s *suite) missing(key string) {
	s.Helper()
	_, err := s.d.Stat(s.Context(), key)
	s.fails(err, objstore.NotFound, key)
}

// fails checks that err is an *Error of the kind about key, with an operation.
func (s *suite) fails(err error, kind objstore.Kind, key string) {
	s.Helper()
	require.Error(s, err)
	var e *objstore.Error
	require.True(s, errors.As(err, &e), "not an *Error: %v", err)
	require.Equal(s, kind, e.Kind, "kind of %v", err)
	require.NotEmpty(s, e.Op, "operation in %v", err)
	require.Equal(s, key, e.Key, "key in %v", err)
}

// again returns a second Driver of the place, which is closed at the end of the test.
func (s *suite) again() objstore.Driver {
	if s.target.Again == nil {
		s.Skip("Target: no second Driver of the place")
	}
	d := s.target.Again(s, s.d)
	s.Cleanup(func() { require.NoError(s, d.Close()) })
	return d
}

// section returns data as a body.
func section(data []byte) *io.SectionReader {
	return io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data)))
}

// guarded is a body that knows whether it may be read.
type guarded struct {
	io.ReaderAt
	over atomic.Bool // the call has returned
	late atomic.Bool // it was read after that
}

func (g *guarded) ReadAt(b []byte, off int64) (int, error) {
	if g.over.Load() {
		g.late.Store(true)
		return 0, fmt.Errorf("a body is read at %d after the call has returned", off)
	}
	return g.ReaderAt.ReadAt(b, off)
}
