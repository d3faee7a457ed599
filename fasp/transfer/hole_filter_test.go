package transfer

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tableGlob is glob, done slowly and plainly: a row of the table of "the first i bytes of pat match the first j bytes
// of s" at a time.
func tableGlob(pat, s string) bool {
	row := make([]bool, len(s)+1)
	row[0] = true
	for len(pat) > 0 {
		if pat[0] == '*' {
			cross := strings.HasPrefix(pat, "**")
			pat = strings.TrimLeft(pat, "*")
			for j := 1; j <= len(s); j++ {
				row[j] = row[j] || row[j-1] && (cross || s[j-1] != '/')
			}
			continue
		}
		_, width := matchByte(pat, 0)
		for j := len(s); j > 0; j-- {
			in, _ := matchByte(pat, s[j-1])
			row[j] = row[j-1] && in
		}
		row[0] = false
		pat = pat[width:]
	}
	return row[len(s)]
}

func tableTail(pat, s string) bool {
	full := "/" + s
	for i := range len(full) {
		if full[i] == '/' && tableGlob(pat, full[i+1:]) {
			return true
		}
	}
	return false
}

func checkGlob(t *testing.T, pat, s string) {
	for _, tail := range []bool{false, true} {
		want := tableGlob(pat, s)
		if tail {
			want = tableTail(pat, s)
		}
		ok, steps := globSteps(pat, s, tail)
		require.Equal(t, want, ok, "pattern %q, name %q, tail %v", pat, s, tail)
		require.LessOrEqual(t, steps, 4*(len(pat)+1)*(len(s)+1)+4, "pattern %q, name %q, tail %v", pat, s, tail)
	}
}

func TestHoleGlobRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	items := []string{"a", "b", "/", "*", "**", "?", "[ab]", "[!a]", `\*`, `\/`}
	for range 300_000 {
		var pat, s strings.Builder
		for range rng.IntN(8) {
			pat.WriteString(items[rng.IntN(len(items))])
		}
		for range rng.IntN(12) {
			s.WriteByte("aab//*"[rng.IntN(6)])
		}
		checkGlob(t, pat.String(), s.String())
	}
}

func FuzzHoleGlob(f *testing.F) {
	f.Add("**a*b/**/c[a-z]?", "q/axb/w/cdx")
	f.Add(`**/\*`, "a/*")
	f.Fuzz(func(t *testing.T, pat, s string) {
		if len(pat) > 200 || len(s) > 200 || (Filter{Pattern: pat}).check() != nil {
			return
		}
		checkGlob(t, pat, s)
	})
}

// No pattern stalls the walk: the steps stay within a small multiple of the product, and of the sum for plain patterns.
func TestHoleGlobSteps(t *testing.T) {
	long := strings.Repeat("a/", 1000) + "z"
	flat := strings.Repeat("a", 2000)
	for _, tc := range []struct {
		pat, name string
		most      int // steps
	}{
		{strings.Repeat("*?", 2040) + "/b", long, 50_000},
		{strings.Repeat("*a", 1000) + "b", flat, 50_000},
		{strings.Repeat("**a", 1000) + "b", flat, 50_000},
		{strings.Repeat("**/", 1000) + "b", long, 50_000},
		{"sub/*.txt", long, 50_000},
		{"a/*b", long, 50_000},
		{"**a*b", flat + "/z", 50_000},
		{"**/node_modules/**", long, 50_000},
		{strings.Repeat("*/", 500) + "b", long, 4 * 1001 * len(long)},
		{"*" + strings.Repeat("a", 1000) + "b", flat, 4 * 1002 * len(flat)},
		{"**" + strings.Repeat("a", 1000) + "b", flat, 4 * 1002 * len(flat)},
		{strings.Repeat("a*/", 700) + "**" + strings.Repeat("a/", 300) + "b", long, 4 * 2702 * len(long)},
	} {
		for _, tail := range []bool{false, true} {
			ok, steps := globSteps(tc.pat, tc.name, tail)
			require.False(t, ok)
			require.LessOrEqual(t, steps, tc.most, "%.20s tail %v", tc.pat, tail)
		}
	}
}

// A request and a Spec carry at most maxFilterBytes of patterns, each well formed.
func TestHoleFilterBytes(t *testing.T) {
	fill := strings.Repeat("x", maxName)
	full := []Filter{{true, fill}, {true, fill}, {true, fill}, {true, fill}}
	for _, tc := range []struct {
		name string
		list []Filter
		ok   bool
	}{
		{"full", full, true},
		{"too much", append(full[:4:4], Filter{true, "x"}), false},
		{"too long", []Filter{{true, fill + "x"}}, false},
		{"open set", []Filter{{true, "a["}}, false},
		{"backslash", []Filter{{false, `a\`}}, false},
	} {
		q := sampleRequest()
		q.Filters = tc.list
		_, err := decodeRequest(q.encode())
		spec := Spec{Paths: []Path{{Source: "a"}}, Destination: "b", Filters: tc.list}
		serr := spec.Check()
		if tc.ok {
			require.NoError(t, err, tc.name)
			require.NoError(t, serr, tc.name)
			continue
		}
		require.ErrorIs(t, err, errWire, tc.name)
		var e *Error
		require.ErrorAs(t, serr, &e, tc.name)
		require.Equal(t, CodeUsage, e.Code, tc.name)
	}
	_, err := json.Marshal(Spec{Filters: full})
	require.NoError(t, err)
}

func TestHolePieces(t *testing.T) {
	for _, tc := range []struct {
		pieces []piece
		ok     bool
	}{
		{[]piece{{Off: 0, Len: 5}, {Off: 5, Len: 5}, {Off: 100, Len: 1}}, true},
		{[]piece{{Off: 0, Len: 5}, {Off: 4, Len: 5}}, false},
		{[]piece{{Off: 0, Len: 5}, {Off: 0, Len: 5}}, false},
		{[]piece{{Off: 10, Len: 5}, {Off: 0, Len: 5}}, false},
		{[]piece{{Off: 10, Len: 0}}, false},
	} {
		_, err := decodeCompare((&compare{ID: 1, Pieces: tc.pieces}).encode())
		require.Equal(t, tc.ok, err == nil, tc.pieces)
	}
	for _, size := range []int64{1, 65536, 1 << 20, 1<<20 + 1, 1<<24 + 7, 1 << 40} {
		for level := 2; level <= 3; level++ {
			_, err := decodeCompare((&compare{ID: 1, Pieces: comparePieces(size, level)}).encode())
			require.NoError(t, err, "what we send ourselves: size %d, level %d", size, level)
		}
	}
}

func TestHoleSmallEntry(t *testing.T) {
	for size, ok := range map[int64]bool{0: true, smallFile: true, smallFile + 1: false, maxFileSize: false} {
		e := entry{ID: 1, Kind: kindFile, Small: true, Name: "f", Size: size, BlockSize: minBlockSize}
		_, err := decodeEntry(e.encode(""), "")
		require.Equal(t, ok, err == nil, size)
		e.Small = false
		_, err = decodeEntry(e.encode(""), "")
		require.NoError(t, err)
	}
}

func BenchmarkHoleGlob(b *testing.B) {
	name := strings.Repeat("folder/", 12) + "file.txt"
	for _, pat := range []string{"*.txt", "sub/*.o", "**/node_modules/**"} {
		b.Run(pat, func(b *testing.B) {
			f := Filter{Pattern: pat}
			for b.Loop() {
				f.match(name, false)
			}
		})
	}
	b.Run("hostile", func(b *testing.B) {
		f := Filter{Pattern: strings.Repeat("*?", 2040) + "/b"}
		name := strings.Repeat("a/", 1000) + "z"
		for b.Loop() {
			f.match(name, false)
		}
	})
}
