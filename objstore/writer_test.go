package objstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWriterTakesPartsInAnyOrder(t *testing.T) {
	data := random(t, 4*testPart+5)
	f := newFake()
	b := NewBucket(f, Config{})
	attr := Attr{Mtime: time.Unix(1, 2), ContentType: "text/plain", Metadata: map[string]string{"k": "v"}}
	w, err := b.Create(t.Context(), "a", CreateOptions{Size: int64(len(data)), PartSize: testPart, PutOptions: PutOptions{Attr: attr}})
	require.NoError(t, err)
	for _, n := range []int{4, 0, 2, 3, 1, 2} { // 2 again
		require.NoError(t, put(t.Context(), w, n, data))
		require.True(t, w.Has(n))
	}
	require.Len(t, w.Parts(), 5)
	o, err := w.Complete(t.Context(), int64(len(data)))
	require.NoError(t, err)
	require.Equal(t, "a", o.Key)
	require.Equal(t, int64(len(data)), o.Size)
	require.Equal(t, data, f.data("a"))
	require.Equal(t, attr, f.objects["a"].Attr)
	require.Zero(t, f.count("Parts"), "nothing was ambiguous")

	again, err := w.Complete(t.Context(), int64(len(data)))
	require.NoError(t, err)
	require.Equal(t, o, again)
	require.NoError(t, w.Abort(t.Context()), "nothing is left to abort")
	require.Equal(t, data, f.data("a"))
	require.ErrorIs(t, put(t.Context(), w, 0, data), ErrClosed)
	requireIdle(t, b)
}

func TestPutPartChecksThePlan(t *testing.T) {
	for _, c := range []struct {
		name  string
		total int64
		n     int
		last  bool
		size  int64
		want  Kind
	}{
		{"below", 2500, -1, false, testPart, Invalid},
		{"behind", 2500, 3, false, testPart, Invalid},
		{"short", 2500, 1, false, testPart - 1, Invalid},
		{"long", 2500, 1, false, testPart + 1, Invalid},
		{"last too early", 2500, 1, true, testPart, Invalid},
		{"last too long", 2500, 2, true, testPart, Invalid},
		{"last need not be said", 2500, 2, false, 500, Other},
		{"unknown, full", -1, 7, false, testPart, Other},
		{"unknown, short", -1, 7, false, 1, Invalid},
		{"unknown, last", -1, 7, true, 1, Other},
		{"unknown, last and full", -1, 7, true, testPart, Other},
		{"unknown, last and empty", -1, 7, true, 0, Invalid},
		{"unknown, empty object", -1, 0, true, 0, Other},
		{"unknown, too many", -1, 100, false, testPart, Invalid},
		{"empty", 0, 0, true, 0, Other},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := upload(t, NewBucket(newFake(), Config{}), c.total)
			w.u.Plan = Plan{First: testPart} // the one of an unknown size grows
			err := w.PutPart(t.Context(), c.n, c.last, bytes.NewReader(make([]byte, max(c.size, 0))), c.size)
			require.Equal(t, c.want, KindOf(err), "%v", err)
			require.Equal(t, c.want == Other, err == nil)
		})
	}
}

func TestPutPartNeedsItsWholeBody(t *testing.T) {
	f := newFake()
	w := upload(t, NewBucket(f, Config{}), 2*testPart)
	err := w.PutPart(t.Context(), 0, false, bytes.NewReader(make([]byte, testPart-1)), testPart)
	require.ErrorContains(t, err, `put part 0 "a": read the source: the source ends early, at byte 999`)
	require.Equal(t, 1, f.count("PutPart"), "trying again does not help")
	require.False(t, w.Has(0))
}

func TestOrderedParts(t *testing.T) {
	data := random(t, 3*testPart)
	f := newFake()
	f.caps.MaxParts, f.caps.Ordered = 1, true
	b := NewBucket(f, Config{})
	w := upload(t, b, int64(len(data)))
	err := put(t.Context(), w, 1, data)
	require.ErrorContains(t, err, "this storage takes parts one after the other, and part 0 comes next")
	for n := range 3 {
		require.NoError(t, put(t.Context(), w, n, data))
	}
	require.ErrorContains(t, put(t.Context(), w, 1, data), "part 3 comes next")
	_, err = w.Complete(t.Context(), int64(len(data)))
	require.NoError(t, err)

	for name, r := range map[string]interface{ Read([]byte) (int, error) }{"r": bytes.NewReader(data), "s": streamOf(data)} {
		_, err = b.Write(t.Context(), name, r, CreateOptions{Size: int64(len(data)), PartSize: testPart})
		require.NoError(t, err)
		require.Equal(t, data, f.data(name))
	}
}

func TestResume(t *testing.T) {
	data := random(t, 5*testPart)
	f := newFake()
	w := upload(t, NewBucket(f, Config{}), int64(len(data)))
	for _, n := range []int{0, 3, 4} {
		require.NoError(t, put(t.Context(), w, n, data))
	}
	kept, err := json.Marshal(w.Upload())
	require.NoError(t, err)
	up := f.uploads[w.Upload().ID]
	up.parts[3] = Part{N: 3, Size: testPart - 1, ETag: "cut off"}
	up.parts[17] = Part{N: 17, Size: testPart, ETag: "of another plan"}

	// In another process.
	var u Upload
	require.NoError(t, json.Unmarshal(kept, &u))
	b := NewBucket(f, Config{})
	w, err = b.Resume(t.Context(), u, PutOptions{})
	require.NoError(t, err)
	for n := range 5 {
		require.Equal(t, n == 0 || n == 4, w.Has(n), "part %d", n)
	}
	_, err = w.Complete(t.Context(), u.Size)
	require.Equal(t, BadPart, KindOf(err))
	require.ErrorContains(t, err, "part 1 is missing")
	require.Zero(t, f.count("Complete"))
	for n := range 5 {
		if !w.Has(n) {
			require.NoError(t, put(t.Context(), w, n, data))
		}
	}
	_, err = w.Complete(t.Context(), u.Size)
	require.NoError(t, err)
	require.Equal(t, data, f.data("a"))
	require.Equal(t, 6, f.count("PutPart"))

	_, err = b.Resume(t.Context(), u, PutOptions{})
	require.ErrorIs(t, err, ErrNoUpload)
	for name, damage := range map[string]func(*Upload){
		"key": func(u *Upload) { u.Key = "" }, "id": func(u *Upload) { u.ID = "" },
		"size": func(u *Upload) { u.Size = -2 }, "plan": func(u *Upload) { u.Plan = Plan{} },
	} {
		bad := u
		damage(&bad)
		_, err = b.Resume(t.Context(), bad, PutOptions{})
		require.Equal(t, Invalid, KindOf(err), name)
	}
	f.caps.Resume = false
	_, err = NewBucket(f, Config{}).Resume(t.Context(), u, PutOptions{})
	require.ErrorIs(t, err, ErrUnsupported)
}

func TestCompleteAfterLostAnswer(t *testing.T) {
	data := random(t, 3*testPart)
	attr := Attr{Mtime: time.Unix(1000, 0), Metadata: map[string]string{"of": "this"}}
	lost := &Error{Kind: Temporary, Err: errors.New("connection reset")}
	for _, c := range []struct {
		name          string
		before, after func(f *fake) error // in the first Complete
		want          error
	}{
		{"it was made", nil, func(*fake) error { return lost }, nil},
		{"it was not", func(*fake) error { return lost }, nil, nil},
		{"it was made and replaced", nil, func(f *fake) error { f.set("a", data[1:], attr); return lost }, ErrNoUpload},
		{"it was made and replaced by one as large", nil, func(f *fake) error { f.set("a", data, Attr{}); return lost }, ErrNoUpload},
		{"it was made and deleted", nil, func(f *fake) error { delete(f.objects, "a"); return lost }, ErrNoUpload},
		{"it was aborted elsewhere and an old one is there", func(f *fake) error {
			clear(f.uploads)
			o := f.objects
			f.set("a", data, attr)
			old := o["a"]
			old.Modified = time.Now().Add(-time.Hour)
			o["a"] = old
			return lost
		}, nil, ErrNoUpload},
		{"no answer was lost", func(f *fake) error { clear(f.uploads); f.set("a", data, attr); return nil }, nil, ErrNoUpload},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				hook := func(h func(*fake) error) func(context.Context, call) error {
					return func(_ context.Context, cl call) error {
						if h != nil && cl.op == "Complete" && cl.try == 1 {
							return h(f)
						}
						return nil
					}
				}
				f.before, f.after = hook(c.before), hook(c.after)
				b := NewBucket(f, Config{})
				w, err := b.Create(t.Context(), "a", CreateOptions{Size: int64(len(data)), PartSize: testPart, PutOptions: PutOptions{Attr: attr}})
				require.NoError(t, err)
				for n := range 3 {
					require.NoError(t, put(t.Context(), w, n, data))
				}
				o, err := w.Complete(t.Context(), int64(len(data)))
				require.ErrorIs(t, err, c.want)
				if c.want == nil {
					require.Equal(t, int64(len(data)), o.Size)
					require.Equal(t, data, f.data("a"))
				}
				requireIdle(t, b)
			})
		})
	}
}

func TestBadPartIsListedAgain(t *testing.T) {
	data := random(t, 3*testPart)
	f := newFake()
	w := upload(t, NewBucket(f, Config{}), int64(len(data)))
	for n := range 3 {
		require.NoError(t, put(t.Context(), w, n, data))
	}
	// A request that another process gave up arrives late.
	up := f.uploads[w.Upload().ID]
	up.parts[1] = Part{N: 1, Size: testPart, ETag: "late"}
	_, err := w.Complete(t.Context(), int64(len(data)))
	require.NoError(t, err)
	require.Equal(t, 2, f.count("Complete"))
	require.Equal(t, data, f.data("a"))

	// One with fewer bytes must be put again.
	w = upload(t, NewBucket(f, Config{}), int64(len(data)))
	for n := range 3 {
		require.NoError(t, put(t.Context(), w, n, data))
	}
	up = f.uploads[w.Upload().ID]
	up.parts[1] = Part{N: 1, Size: 7, ETag: "short"}
	_, err = w.Complete(t.Context(), int64(len(data)))
	require.Equal(t, BadPart, KindOf(err))
	require.ErrorContains(t, err, "part 1 is missing")
	require.False(t, w.Has(1))
	require.NoError(t, put(t.Context(), w, 1, data))
	_, err = w.Complete(t.Context(), int64(len(data)))
	require.NoError(t, err)
}

func TestRetriedPartIsListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := random(t, 2*testPart)
		f := newFake()
		f.after = fail("PutPart", 1, Temporary) // stored, but the answer is lost
		w := upload(t, NewBucket(f, Config{}), int64(len(data)))
		for n := range 2 {
			require.NoError(t, put(t.Context(), w, n, data))
		}
		_, err := w.Complete(t.Context(), int64(len(data)))
		require.NoError(t, err)
		require.Equal(t, 1, f.count("Parts"))
	})
}

func TestCompleteRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := random(t, 3*testPart)
		f := newFake()
		stop := make(chan struct{})
		f.before = func(_ context.Context, c call) error {
			if c.op == "PutPart" && c.n == 2 {
				<-stop
			}
			return nil
		}
		w := upload(t, NewBucket(f, Config{}), int64(len(data)))
		_, err := w.Complete(t.Context(), 1)
		require.ErrorContains(t, err, "it was begun for 3000 bytes and cannot have 1")
		done := make(chan error)
		go func() { done <- put(t.Context(), w, 2, data) }()
		synctest.Wait()
		_, err = w.Complete(t.Context(), 3000)
		require.ErrorContains(t, err, "1 parts are still being put")
		close(stop)
		require.NoError(t, <-done)
	})
}

func TestAbortEndsParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := random(t, 3*testPart)
		f := newFake()
		f.before = func(ctx context.Context, c call) error {
			switch c.op {
			case "PutPart":
				return block(ctx)
			case "Abort":
				if f.now != 1 {
					return fmt.Errorf("%d requests are under way", f.now)
				}
			}
			return nil
		}
		b := NewBucket(f, Config{})
		w := upload(t, b, int64(len(data)))
		done := make(chan error, 3)
		for n := range 3 {
			go func() { done <- put(t.Context(), w, n, data) }()
		}
		synctest.Wait()
		require.NoError(t, w.Abort(t.Context()))
		for range 3 {
			require.ErrorIs(t, <-done, ErrClosed)
		}
		require.NoError(t, w.Abort(t.Context()))
		require.Equal(t, 1, f.count("Abort"))
		require.ErrorIs(t, put(t.Context(), w, 0, data), ErrClosed)
		_, err := w.Complete(t.Context(), 3000)
		require.ErrorIs(t, err, ErrClosed)
		requireIdle(t, b)
	})
}

func TestPutPartIsCancelledAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := random(t, 3*testPart)
		f := newFake()
		f.before = func(ctx context.Context, c call) error {
			if c.op == "PutPart" {
				return block(ctx)
			}
			return nil
		}
		b := NewBucket(f, Config{Parallel: 1})
		w := upload(t, b, int64(len(data)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		done := make(chan error, 3)
		for n := range 3 { // one is under way, two wait for the limiter
			go func() { done <- put(ctx, w, n, data) }()
		}
		begun := time.Now()
		for range 3 {
			require.ErrorIs(t, <-done, context.DeadlineExceeded)
		}
		require.Equal(t, time.Minute, time.Since(begun))
		require.Equal(t, 1, f.count("PutPart"))
		requireIdle(t, b)
	})
}

func TestCreateIfAbsentWithoutThePlatform(t *testing.T) {
	f := newFake()
	f.caps.IfAbsent = false
	b := NewBucket(f, Config{})
	o := CreateOptions{Size: testPart, PutOptions: PutOptions{IfAbsent: true}}
	w, err := b.Create(t.Context(), "a", o)
	require.NoError(t, err)
	require.NoError(t, put(t.Context(), w, 0, make([]byte, testPart)))
	f.set("a", nil, Attr{})
	_, err = w.Complete(t.Context(), testPart)
	require.ErrorIs(t, err, ErrExists)
	_, err = b.Create(t.Context(), "a", o)
	require.ErrorIs(t, err, ErrExists)
}
