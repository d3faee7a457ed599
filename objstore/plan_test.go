package objstore

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
	gib = int64(1) << 30
	tib = int64(1) << 40
)

// The limits of platforms, from their documentation.
var (
	s3Caps        = Caps{MaxParts: 10000, MinPart: 5 * mib, MaxPart: 5 * gib, MaxObject: 5 * tib}
	gcsCaps       = s3Caps // its XML multipart has the limits of S3
	swiftCaps     = Caps{MaxParts: 1000, MinPart: 1, MaxPart: 5 * gib}
	azureCaps     = Caps{MaxParts: 50000, MaxPart: 4000 * mib, MaxObject: 50000 * 4000 * mib}
	azurePageCaps = Caps{MaxPart: 4 * mib, PartAlign: 512, MaxObject: 8 * tib, NeedSize: true}
	limelightCaps = Caps{MaxParts: 1000, MaxPart: 100e9, MaxObject: 20e12}
	streamCaps    = Caps{MaxParts: 1, Ordered: true}
	fileCaps      = Caps{}
)

func TestPlan(t *testing.T) {
	const five = 5e12 // 5 TB
	for _, c := range []struct {
		name        string
		caps        Caps
		size        int64
		want, align int64
		first       int64
		count       int // of parts, of known sizes
	}{
		{"S3, empty", s3Caps, 0, 0, 0, 64 * mib, 1},
		{"S3, a byte", s3Caps, 1, 0, 0, 64 * mib, 1},
		{"S3, one part", s3Caps, 64 * mib, 0, 0, 64 * mib, 1},
		{"S3, one byte more", s3Caps, 64*mib + 1, 0, 0, 64 * mib, 2},
		{"S3, as many parts as there may be", s3Caps, 10000 * 64 * mib, 0, 0, 64 * mib, 10000},
		{"S3, one byte more than those", s3Caps, 10000*64*mib + 1, 0, 0, 64*mib + 1, 10000},
		{"S3, aligned", s3Caps, 10000*64*mib + 1, 0, mib, 65 * mib, 9847},
		{"S3, 5 TB", s3Caps, five, 0, 0, five / 10000, 10000},
		{"S3, 5 TiB", s3Caps, 5 * tib, 0, 0, 549755814, 10000},
		{"S3, 5 TiB, aligned", s3Caps, 5 * tib, 0, mib, 525 * mib, 9987},
		{"S3, smaller than the least", s3Caps, gib, 1, 0, 5 * mib, 205},
		{"S3, larger than the most", s3Caps, 11 * gib, 6 * gib, 0, 5 * gib, 3},
		{"S3, a senseless wish", s3Caps, gib, math.MaxInt64, mib, 5 * gib, 1},
		{"GCS, 5 TiB", gcsCaps, 5 * tib, 0, 0, 549755814, 10000},
		{"Swift, 64 GB", swiftCaps, 64e9, 0, 0, 64 * mib, 954},
		{"Swift, 5 TB", swiftCaps, five, 0, 0, five / 1000, 1000},
		{"Azure, 5 TB", azureCaps, five, 0, 0, five / 50000, 50000},
		{"Azure, 190 TiB", azureCaps, 190 * tib, 0, mib, 3985 * mib, 49995},
		{"Azure page blob, 1 TiB", azurePageCaps, tib, 0, 0, 4 * mib, 262144},
		{"Limelight, 20 TB", limelightCaps, 20e12, 0, 0, 20e9, 1000},
		{"a stream, 5 TB", streamCaps, five, 0, 0, 64 * mib, 74506},
		{"files, 5 TB", fileCaps, five, 0, 0, 64 * mib, 74506},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := c.caps.Plan(c.size, c.want, c.align)
			require.NoError(t, err)
			require.Equal(t, Plan{First: c.first}, p)
			require.Equal(t, c.count, p.Count(c.size))
			checkPlan(t, c.caps, p, c.size, c.align)
		})
	}
}

func TestPlanOfUnknownSize(t *testing.T) {
	for _, c := range []struct {
		name  string
		caps  Caps
		want  int64
		align int64
		reach int64
	}{
		{"S3", s3Caps, 0, 0, 5 * tib},
		{"S3, small parts", s3Caps, 5 * mib, 0, 5 * tib},
		{"S3, aligned", s3Caps, 16 * mib, 64 * kib, 5 * tib},
		{"GCS", gcsCaps, 0, 0, 5 * tib},
		{"Swift", swiftCaps, 0, 0, 1000 * 5 * gib / 2}, // more than half of what the largest segments could hold
		{"Azure", azureCaps, 0, 0, 5 * tib},
		{"Limelight", limelightCaps, 0, 0, 5 * tib},
		{"a stream", streamCaps, 0, 0, 5 * tib},
		{"files", fileCaps, 0, 0, 5 * tib},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := c.caps.Plan(-1, c.want, c.align)
			require.NoError(t, err)
			want := c.want
			if want == 0 {
				want = DefaultPartSize
			}
			require.Equal(t, want, p.First, "streams are small mostly: parts begin as they were asked for")
			if c.caps.MaxParts > 1 {
				require.GreaterOrEqual(t, p.Offset(c.caps.MaxParts), c.reach)
			} else {
				require.Zero(t, p.Step)
			}
			for _, size := range []int64{0, 1, want - 1, want, want + 1, gib, gib + 1, 100*gib - 1, tib + 12345, c.reach} {
				checkPlan(t, c.caps, p, size, c.align)
			}
		})
	}
}

func TestPlanRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		caps  Caps
		size  int64
		align int64
		kind  Kind
	}{
		{"an object that is too large", s3Caps, 5*tib + 1, 0, Invalid},
		{"more than parts can hold", swiftCaps, 1000*5*gib + 1, 0, Invalid},
		{"an unknown size", azurePageCaps, -1, 0, Unsupported},
		{"alignment larger than parts", azurePageCaps, mib, 8 * mib, Invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.caps.Plan(c.size, 0, c.align)
			require.Equal(t, c.kind, KindOf(err), "%v", err)
		})
	}
}

// TestPlanProperties checks plans of random limits and sizes.
func TestPlanProperties(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		caps := Caps{MaxParts: r.IntN(2000), MinPart: r.Int64N(100), MaxPart: 100 + r.Int64N(100000), PartAlign: r.Int64N(5)}
		size, align := r.Int64N(1<<(1+r.IntN(24)))-1, r.Int64N(9)
		p, err := caps.Plan(size, 1+r.Int64N(5000), align)
		if err != nil {
			require.Equal(t, Invalid, KindOf(err))
			require.Greater(t, size, int64(caps.MaxParts)*(caps.MaxPart-64), "%+v", caps)
			continue
		}
		if size < 0 {
			size = r.Int64N(p.Offset(max(min(caps.MaxParts, 1000), 100)) + 1)
			if caps.MaxParts > 1 {
				size = min(size, p.Offset(caps.MaxParts))
			}
		}
		checkPlan(t, caps, p, size, align)
	}
}

// checkPlan checks that a plan agrees with itself, the limits and the size of an object that is cut by it.
func checkPlan(t *testing.T, caps Caps, p Plan, size, align int64) {
	t.Helper()
	require.True(t, p.Valid(), "%+v", p)
	count := p.Count(size)
	if caps.MaxParts > 1 {
		require.LessOrEqual(t, count, caps.MaxParts, "%+v", p)
	}
	u := Upload{Size: size, Plan: p}
	var off int64
	for n := range count {
		// All of few, and of many a sample with the ends; their offsets tell what lies between.
		if count > 3000 && n > 100 && n < count-100 && n%97 != 0 {
			off += p.PartSize(n)
			continue
		}
		spec, have := u.Spec(n)
		if off != spec.Off || spec.N != n || spec.Last != (n == count-1) {
			require.FailNow(t, "offsets do not agree", "part %d of %+v: %+v, sum %d", n, p, spec, off)
		}
		full := p.PartSize(n)
		if have < 0 || have > full || !spec.Last && have != full {
			require.FailNow(t, "wrong size", "part %d of %+v has %d of %d", n, p, have, full)
		}
		if caps.MaxPart > 0 && full > caps.MaxPart || !spec.Last && (full < caps.MinPart || full%max(align, 1) != 0 || full%max(caps.PartAlign, 1) != 0) {
			require.FailNow(t, "not within the limits", "part %d of %+v has %d, align %d, %+v", n, p, full, align, caps)
		}
		if have > 0 && (p.At(off) != n || p.At(off+have-1) != n) {
			require.FailNow(t, "At does not agree", "part %d of %+v", n, p)
		}
		off += have
	}
	require.Equal(t, size, off, "the parts make up the object")
}

func TestPlanValid(t *testing.T) {
	for _, p := range []Plan{{}, {First: -1}, {First: 1<<50 + 1}, {First: 1, Step: -1}, {First: 1, Step: 1}, {First: 2, Step: 1, Group: 1, Max: 1}, {First: 1, Max: -1}} {
		require.False(t, p.Valid(), "%+v", p)
	}
	// Whatever is valid is safe to ask.
	p := Plan{First: 1 << 50, Step: 1 << 50, Group: 1, Max: 1 << 50}
	require.True(t, p.Valid())
	require.Equal(t, int64(1<<50), p.PartSize(math.MaxInt32))
	require.Equal(t, 4, p.At(4<<50))
}

func TestPlanWithHead(t *testing.T) {
	p := Plan{First: 100, Step: 50, Group: 2, Max: 200, Head: 7}
	off := int64(0)
	for n := range 20 {
		require.Equal(t, off, p.Offset(n))
		require.Equal(t, n, p.At(off))
		off += p.PartSize(n)
		require.Equal(t, n, p.At(off-1))
		require.Equal(t, n+1, p.Count(off))
	}
	require.Equal(t, int64(107), p.PartSize(0))
}
