package transfer

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWithin: credentials for some paths open no others, however these are written.
func TestWithin(t *testing.T) {
	r := newRig(t)
	write(t, filepath.Join(r.local, "f"), 1000, 1)
	write(t, filepath.Join(r.root, "a/b/f"), 1000, 2)
	write(t, filepath.Join(r.root, "ab/f"), 1000, 3)
	r.limits.Within = []string{"a/b", "c"}
	up := func(dest string) error {
		spec := r.send("f")
		spec.Destination = dest
		_, err := r.run(spec)
		return err
	}
	down := func(sources ...string) error {
		spec := Spec{Direction: Receive, Destination: t.TempDir(), CreateDir: true}
		for _, s := range sources {
			spec.Paths = append(spec.Paths, Path{Source: s})
		}
		_, err := r.run(spec)
		return err
	}
	for _, good := range []string{"a/b", "/a/./b/", "a/b/new/deep", "c"} {
		require.NoError(t, up(good), good)
	}
	require.NoError(t, down("a/b/f"))
	require.NoError(t, down("/a/b"))
	for _, bad := range []string{"", "a", "ab", "a/bc", "b", "/", "."} {
		if bad != "" {
			require.ErrorContains(t, up(bad), "other paths", bad)
			require.ErrorContains(t, down("a/b/f", bad), "other paths", bad)
		}
	}
	require.Error(t, up("a/b/../../ab"))
	require.Error(t, down("a/b/../../ab/f"))
	r.limits.Within = []string{}
	require.Error(t, up("a/b"), "no path at all")
	r.limits.Within = []string{""}
	require.NoError(t, up("anywhere"))
	r.limits.ManageOnly, r.limits.Within = true, nil
	require.ErrorContains(t, up("a/b"), "arranging them only")
	require.ErrorContains(t, down("a/b/f"), "arranging them only")
}
