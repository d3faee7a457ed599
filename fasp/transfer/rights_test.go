package transfer

import (
	"crypto/rand"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An interrupted transfer goes on with the source it began with, or not at all: a source of the same size and time but
// other content fails the file, and the run after that sends it whole.
func TestResumeOfAnotherSource(t *testing.T) {
	for _, level := range []ResumeLevel{ResumeSparse, ResumeFull} {
		for _, sum := range []Checksum{ChecksumNone, ChecksumSHA256} {
			t.Run(level.String()+" "+sum.String(), func(t *testing.T) {
				r := newRig(t)
				src := filepath.Join(r.local, "f")
				mtime := time.Unix(1700000000, 0)
				replace := func() []byte {
					b := make([]byte, 8<<20)
					rand.Read(b)
					require.NoError(t, os.WriteFile(src, b, 0o644))
					require.NoError(t, os.Chtimes(src, mtime, mtime))
					return b
				}
				replace()
				r.cfg.RetryTimeout = -1
				r.opt.CutAfter = 4 << 20
				spec := r.send("f")
				spec.Resume, spec.Checksum = level, sum
				_, err := r.run(spec)
				require.Error(t, err)
				r.wg.Wait()
				want := replace()
				r.opt.CutAfter = 0
				res, err := r.run(spec)
				r.wg.Wait()
				if err != nil {
					require.Equal(t, CodeTransferError, res.Errors[0].Code)
					require.NoFileExists(t, filepath.Join(r.root, "in", "f"))
					res, err = r.run(spec)
				}
				require.NoError(t, err)
				got, err := os.ReadFile(filepath.Join(r.root, "in", "f"))
				require.NoError(t, err)
				require.Equal(t, sha256.Sum256(want), sha256.Sum256(got))
				if sum != ChecksumNone {
					d := sha256.Sum256(want)
					require.Equal(t, d[:], res.Digests[0].Digest)
				}
			})
		}
	}
}

// A change in the middle of a file whose size stays is seen at level 2 by the time, whatever the sample says.
func TestChangedInTheMiddle(t *testing.T) {
	for _, size := range []int{3000, 8 << 20} {
		r := newRig(t)
		src := filepath.Join(r.local, "f")
		write(t, src, size, 1)
		_, err := r.run(r.send("f"))
		require.NoError(t, err)
		b, err := os.ReadFile(src)
		require.NoError(t, err)
		b[size/2+12345%size/3] ^= 1
		require.NoError(t, os.WriteFile(src, b, 0o644))
		res, err := r.run(r.send("f"))
		require.NoError(t, err)
		require.EqualValues(t, 1, res.FilesDone)
		got, err := os.ReadFile(filepath.Join(r.root, "in", "f"))
		require.NoError(t, err)
		require.Equal(t, sha256.Sum256(b), sha256.Sum256(got))
		res, err = r.run(r.send("f"))
		require.NoError(t, err)
		require.EqualValues(t, 1, res.FilesSkipped)
	}
}

// Without the right to delete, what exists stays as it is; equal content is no failure, other content is one. Without the right to read, no hash
// of what exists is told.
func TestNoReplace(t *testing.T) {
	for _, size := range []int{3000, 2 << 20} {
		for _, read := range []bool{false, true} {
			r := newRig(t)
			r.limits = Limits{Write: true, Read: read}
			write(t, filepath.Join(r.local, "same"), size, 1)
			write(t, filepath.Join(r.local, "other"), size, 2)
			write(t, filepath.Join(r.local, "longer"), size+1, 3)
			write(t, filepath.Join(r.local, "new"), size, 4)
			for i, n := range []string{"same", "other", "longer"} {
				write(t, filepath.Join(r.root, "in", n), size, []uint64{1, 77, 3}[i])
			}
			for _, over := range []Overwrite{OverwriteDiff, OverwriteAlways} {
				for range 2 {
					spec := r.send("same", "other", "longer", "new")
					spec.Overwrite = over
					res, err := r.run(spec)
					require.Error(t, err)
					got := map[string]Code{}
					for _, e := range res.Errors {
						got[e.Name] = e.Code
					}
					require.Equal(t, map[string]Code{"other": CodeNoPerms, "longer": CodeNoPerms}, got, "size %d, read %v, %v", size, read, over)
				}
			}
			require.Equal(t, sum(t, filepath.Join(r.local, "new")), sum(t, filepath.Join(r.root, "in", "new")))
			require.NotEqual(t, sum(t, filepath.Join(r.local, "other")), sum(t, filepath.Join(r.root, "in", "other")))
		}
	}
}

func sum(t *testing.T, name string) [32]byte {
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	return sha256.Sum256(b)
}

func TestLinkStays(t *testing.T) {
	for _, c := range []struct {
		name, target string
		ok           bool
	}{
		{"l", "x", true},
		{"a/l", "../x", true},
		{"a/b/l", "../../x/y", true},
		{"a/l", "..", true},
		{"l", "..", false},
		{"l", "/x", false},
		{"a/l", "../..", false},
		{"l", "a/..", false},
		{"a/l", "b/../x", false},
		{"l", "a/b/c/../..", false},
	} {
		require.Equal(t, c.ok, linkStays(c.name, c.target), "%s -> %s", c.name, c.target)
	}
}

// Folders that stood there before keep their attributes when the session may not replace anything.
func TestFolderAttributesStay(t *testing.T) {
	r := newRig(t)
	write(t, filepath.Join(r.local, "d", "f"), 10, 1)
	require.NoError(t, os.Chmod(filepath.Join(r.local, "d"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(r.root, "in", "d"), 0o755))
	r.limits = Limits{Write: true}
	spec := r.send("d")
	spec.PreserveMode = true
	_, err := r.run(spec)
	require.NoError(t, err)
	fi, err := os.Stat(filepath.Join(r.root, "in", "d"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), fi.Mode().Perm())
}

// A link never takes the place of a file for want of the right to delete, whatever the job asks for.
func TestLinkDoesNotReplace(t *testing.T) {
	for _, mayDelete := range []bool{false, true} {
		r := newRig(t)
		r.limits = Limits{Write: true, Read: true, Delete: mayDelete}
		require.NoError(t, os.Symlink("x", filepath.Join(r.local, "l")))
		write(t, filepath.Join(r.root, "in", "l"), 100, 1)
		spec := r.send("l")
		spec.Symlinks = SymlinksCopyForce
		_, err := r.run(spec)
		require.NoError(t, err)
		fi, err := os.Lstat(filepath.Join(r.root, "in", "l"))
		require.NoError(t, err)
		require.Equal(t, mayDelete, fi.Mode()&os.ModeSymlink != 0)
	}
}
