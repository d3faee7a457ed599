package transfer

import (
	"crypto/md5"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
)

// TestOverwrite goes through every overwrite rule at every resume level, for small files and large ones,
// whether the sender waits for answers or not.
func TestOverwrite(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	cases := []struct {
		name        string
		seed, delta int           // of the destination's content
		age         time.Duration // how much older the destination is
	}{
		{"equal", 1, 0, 0},
		{"equal content, older", 1, 0, time.Hour},
		{"equal content, newer", 1, 0, -time.Hour},
		{"same size, other content, same time", 2, 0, 0},
		{"same size, other content, older", 2, 0, time.Hour},
		{"same size, other content, newer", 2, 0, -time.Hour},
		{"other size, older", 2, 5, time.Hour},
		{"other size, newer", 2, 5, -time.Hour},
	}
	for level := range 4 {
		for rule := range Overwrite(len(overwriteNames)) {
			for _, ask := range []bool{false, true} {
				t.Run(fmt.Sprintf("k%d/%v/ask=%v", level, rule, ask), func(t *testing.T) {
					r := newRig(t)
					want := make(map[string]bool) // replaced
					for i, c := range cases {
						for _, size := range []int{5000, 1_500_000} {
							name := fmt.Sprintf("%d-%d", i, size)
							write(t, filepath.Join(r.local, "tree", name), size, 1)
							dst := filepath.Join(r.root, "in/tree", name)
							write(t, dst, size+c.delta, uint64(c.seed))
							require.NoError(t, os.Chtimes(filepath.Join(r.local, "tree", name), now, now))
							require.NoError(t, os.Chtimes(dst, now.Add(-c.age), now.Add(-c.age)))
							differs := true
							switch level {
							case 1:
								differs = c.delta != 0 || c.age != 0
							case 2, 3:
								differs = c.delta != 0 || c.seed != 1
							}
							older := c.age > 0
							want[name] = map[Overwrite]bool{
								OverwriteNever: false, OverwriteAlways: true, OverwriteDiff: differs,
								OverwriteOlder: older, OverwriteDiffOlder: older && differs,
							}[rule]
						}
					}
					if ask {
						r.cfg.StateDir = ""
					}
					got := make(map[string]bool)
					r.cfg.Events = func(e Event) {
						switch {
						case e.Kind == EventFileDone && !e.File.Folder:
							got[filepath.Base(e.File.Name)] = true
						case e.Kind == EventFileSkipped:
							got[filepath.Base(e.File.Name)] = false
						}
					}
					spec := r.send("tree")
					spec.Overwrite = rule
					spec.Resume, _ = ResumeFromLevel(level)
					_, err := r.run(spec)
					require.NoError(t, err)
					require.Equal(t, want, got)
					for name, replaced := range want {
						a, _ := os.ReadFile(filepath.Join(r.local, "tree", name))
						b, _ := os.ReadFile(filepath.Join(r.root, "in/tree", name))
						if replaced {
							require.Equal(t, a, b, name)
						}
					}
					noPartials(t, r.root)
				})
			}
		}
	}
}

func TestFilters(t *testing.T) {
	for _, c := range []struct {
		rules string // + include, - exclude, in order
		name  string
		dir   bool
		out   bool
	}{
		{"-*.o", "a/b.o", false, true},
		{"-*.o", "a/b.c", false, false},
		{"-*.o", "x.o/y", false, false},
		{"+keep.o -*.o", "a/keep.o", false, false},
		{"-*.o +keep.o", "a/keep.o", false, true},
		{"+*.txt +/**/ -/**", "a/b.txt", false, false},
		{"+*.txt +/**/ -/**", "a/b.dat", false, true},
		{"+*.txt +/**/ -/**", "a/b", true, false},
		{"-/a/*", "a/b", false, true},
		{"-/a/*", "a/b/c", false, false},
		{"-/a/**", "a/b/c", false, true},
		{"-b/c", "a/b/c", false, true},
		{"-b/c", "a/xb/c", false, false},
		{"-tmp/", "x/tmp", true, true},
		{"-tmp/", "x/tmp", false, false},
		{"-?.c", "a/b.c", false, true},
		{"-?.c", "a/bb.c", false, false},
		{"-[a-c]x", "bx", false, true},
		{"-[!a-c]x", "bx", false, false},
		{`-\*`, "*", false, true},
		{`-\*`, "a", false, false},
		{"-[", "[", false, true},
	} {
		var set filterSet
		for _, r := range strings.Fields(c.rules) {
			set = append(set, Filter{Exclude: r[0] == '-', Pattern: r[1:]})
		}
		require.Equal(t, c.out, set.excluded(c.name, c.dir), "%q on %q", c.rules, c.name)
	}
}

// names lists the files below root.
func names(t testing.TB, root string) []string {
	var out []string
	for n, what := range list(t, root) {
		if what != "dir" {
			out = append(out, n)
		}
	}
	sort.Strings(out)
	return out
}

func TestFiltersInJob(t *testing.T) {
	r := newRig(t)
	for _, n := range []string{"a.txt", "b.dat", "sub/c.txt", "sub/d.dat", "skip/e.txt"} {
		write(t, filepath.Join(r.local, "t", n), 10, 1)
	}
	spec := r.send("t")
	spec.Filters = []Filter{{true, "skip"}, {false, "*.txt"}, {false, "/**/"}, {true, "/**"}}
	_, err := r.run(spec)
	require.NoError(t, err)
	require.Equal(t, []string{"a.txt", "sub/c.txt"}, names(t, filepath.Join(r.root, "in/t")))

	spec = Spec{Direction: Receive, Paths: []Path{{Source: "/in/t"}}, Destination: filepath.Join(r.local, "back") + "/", Filters: []Filter{{true, "sub"}}}
	_, err = r.run(spec)
	require.NoError(t, err)
	require.Equal(t, []string{"t/a.txt"}, names(t, filepath.Join(r.local, "back")))
}

// TestDestination is the table of docs/protocol-transfer.md section 25.
func TestDestination(t *testing.T) {
	cases := []struct {
		name  string
		spec  func(*Spec)
		setup func(root string)
		want  []string
		code  Code
	}{
		{"one file to a new name", func(s *Spec) { s.Destination = "new" }, nil, []string{"new"}, 0},
		{"one file to a new folder, -d", func(s *Spec) { s.Destination = "new"; s.CreateDir = true }, nil, []string{"new/one"}, 0},
		{"one file, slash at the end", func(s *Spec) { s.Destination = "new/" }, nil, []string{"new/one"}, 0},
		{"one file from a list", func(s *Spec) { s.Destination = "new"; s.FromList = true }, nil, []string{"new/one"}, 0},
		{
			"one file to an existing folder", func(s *Spec) { s.Destination = "dir" },
			func(root string) { _ = os.Mkdir(filepath.Join(root, "dir"), 0o755) },
			[]string{"dir/one"},
			0,
		},
		{"one file over a file", func(s *Spec) { s.Destination = "f" }, func(root string) { _ = os.WriteFile(filepath.Join(root, "f"), nil, 0o644) }, []string{"f"}, 0},
		{
			"two files over a file", func(s *Spec) {
				s.Destination = "f"
				s.Paths = append(s.Paths, Path{Source: s.Paths[0].Source + "/../two"})
			},
			func(root string) { _ = os.WriteFile(filepath.Join(root, "f"), nil, 0o644) }, nil, CodeNotDir,
		},
		{"new name in a new folder", func(s *Spec) { s.Destination = "x/y/new" }, nil, []string{"x/y/new"}, 0},
		{"root", func(s *Spec) { s.Destination = "/" }, nil, []string{"one"}, 0},
		{"dot", func(s *Spec) { s.Destination = "." }, nil, []string{"one"}, 0},
		{"escape", func(s *Spec) { s.Destination = "../x" }, nil, nil, CodeBadPath},
		{"pair", func(s *Spec) { s.Destination = "d"; s.Paths[0].Destination = "p/q" }, nil, []string{"d/p/q"}, 0},
	}
	for _, c := range cases {
		for _, up := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/up=%v", c.name, up), func(t *testing.T) {
				r := newRig(t)
				src, dst := r.local, r.root
				s := Spec{Direction: Send}
				if !up {
					src, dst = r.root, r.local
					s.Direction = Receive
				}
				write(t, filepath.Join(src, "src/one"), 100, 1)
				write(t, filepath.Join(src, "src/two"), 100, 2)
				if c.setup != nil {
					c.setup(dst)
				}
				s.Paths = []Path{{Source: "src/one"}}
				if up {
					s.Paths[0].Source = filepath.Join(src, "src/one")
				}
				c.spec(&s)
				for i := range s.Paths {
					s.Paths[i].Source = filepath.Clean(s.Paths[i].Source)
				}
				if !up {
					if strings.Contains(s.Destination, "..") {
						return // the client may name any local folder
					}
					slash := strings.HasSuffix(s.Destination, "/") && s.Destination != "/"
					s.Destination = filepath.Join(dst, s.Destination)
					if slash {
						s.Destination += "/"
					}
				}
				_, err := r.run(s)
				if c.code != 0 {
					var e *Error
					require.ErrorAs(t, err, &e)
					require.Equal(t, c.code, e.Code, err.Error())
					return
				}
				require.NoError(t, err)
				var got []string
				for _, n := range names(t, dst) {
					if !strings.HasPrefix(n, "src/") {
						got = append(got, n)
					}
				}
				require.Equal(t, c.want, got)
			})
		}
	}
}

func TestSrcBase(t *testing.T) {
	r := newRig(t)
	write(t, filepath.Join(r.local, "a/b/c/f"), 10, 1)
	write(t, filepath.Join(r.local, "a/x"), 10, 1)
	spec := r.send("a/b/c/f", "a/x")
	spec.SrcBase = filepath.Join(r.local, "a")
	_, err := r.run(spec)
	require.NoError(t, err)
	require.Equal(t, []string{"b/c/f", "x"}, names(t, filepath.Join(r.root, "in")))
	spec.SrcBase = filepath.Join(r.local, "a/b")
	_, err = r.run(spec)
	require.ErrorContains(t, err, "source base")

	down := Spec{Direction: Receive, Paths: []Path{{Source: "in/b/c"}, {Source: "in/x"}}, SrcBase: "/in", Destination: filepath.Join(r.local, "got")}
	_, err = r.run(down)
	require.NoError(t, err)
	require.Equal(t, []string{"b/c/f", "x"}, names(t, filepath.Join(r.local, "got")))
}

func TestSymlinks(t *testing.T) {
	setup := func(t *testing.T, root string) {
		write(t, filepath.Join(root, "t/real/f"), 10, 1)
		for name, to := range map[string]string{"t/file": "real/f", "t/dir": "real", "t/broken": "nowhere", "t/real/up": "..", "t/out": "/etc"} {
			require.NoError(t, os.Symlink(to, filepath.Join(root, name)))
		}
	}
	type outcome map[string]string // error codes by name
	for _, c := range []struct {
		mode   Symlinks
		want   []string
		errors outcome
	}{
		{SymlinksSkip, []string{"real/f"}, nil},
		{SymlinksCopy, []string{"broken", "dir", "file", "real/f", "real/up"}, outcome{"t/out": "BAD_PATH"}},
	} {
		for _, up := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v/up=%v", c.mode, up), func(t *testing.T) {
				r := newRig(t)
				spec := r.send("t")
				src, dst := r.local, filepath.Join(r.root, "in/t")
				if !up {
					src, dst = r.root, filepath.Join(r.local, "in/t")
					spec = Spec{Direction: Receive, Paths: []Path{{Source: "t"}}, Destination: filepath.Join(r.local, "in"), CreateDir: true}
				}
				setup(t, src)
				spec.Symlinks = c.mode
				res, err := r.run(spec)
				got := outcome{}
				for _, e := range res.Errors {
					got[e.Name] = e.Code.String()
				}
				if c.errors == nil {
					require.NoError(t, err)
				} else {
					require.Equal(t, c.errors, got)
				}
				require.Equal(t, c.want, names(t, dst))
			})
		}
	}
	t.Run("follow", func(t *testing.T) {
		r := newRig(t)
		setup(t, r.local)
		require.NoError(t, os.Remove(filepath.Join(r.local, "t/out")))
		require.NoError(t, os.Symlink(filepath.Join(r.local, "t/real/f"), filepath.Join(r.local, "t/absolute")))
		res, err := r.run(r.send("t"))
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, CodeSomeFileErrors, e.Code)
		got := make(map[string]Code)
		for _, e := range res.Errors {
			got[e.Name] = e.Code
		}
		require.Equal(t, map[string]Code{"t/broken": CodeNoSuchFile, "t/real/up": CodeLinkLoop, "t/dir/up": CodeLinkLoop}, got)
		require.Equal(t, []string{"absolute", "dir/f", "file", "real/f"}, names(t, filepath.Join(r.root, "in/t")))
	})
	t.Run("node does not follow out of its root", func(t *testing.T) {
		r := newRig(t)
		setup(t, r.root)
		spec := Spec{Direction: Receive, Paths: []Path{{Source: "t/out"}, {Source: "t/out/passwd"}}, Destination: r.local, CreateDir: true}
		res, err := r.run(spec)
		require.Error(t, err)
		require.Len(t, res.Errors, 2)
		for _, e := range res.Errors {
			require.Equal(t, CodeBadPath, e.Code)
		}
		require.Empty(t, names(t, r.local))
	})
	t.Run("copy keeps, copy+force replaces", func(t *testing.T) {
		r := newRig(t)
		write(t, filepath.Join(r.local, "t/f"), 10, 1)
		require.NoError(t, os.Symlink("f", filepath.Join(r.local, "t/l")))
		write(t, filepath.Join(r.root, "in/t/l"), 3, 1)
		spec := r.send("t")
		spec.Symlinks = SymlinksCopy
		res, err := r.run(spec)
		require.NoError(t, err)
		require.EqualValues(t, 1, res.FilesSkipped)
		spec.Symlinks = SymlinksCopyForce
		_, err = r.run(spec)
		require.NoError(t, err)
		require.Equal(t, "link f", list(t, filepath.Join(r.root, "in/t"))["l"])
	})
}

func TestAttributes(t *testing.T) {
	for _, up := range []bool{true, false} {
		t.Run(fmt.Sprint(up), func(t *testing.T) {
			r := newRig(t)
			src, dst := r.local, filepath.Join(r.root, "in")
			spec := r.send("t")
			if !up {
				src, dst = r.root, r.local
				spec = Spec{Direction: Receive, Paths: []Path{{Source: "t"}}, Destination: r.local}
			}
			write(t, filepath.Join(src, "t/d/small"), 10, 1)
			write(t, filepath.Join(src, "t/d/large"), 400_000, 1)
			require.NoError(t, os.MkdirAll(filepath.Join(src, "t/empty"), 0o700))
			require.NoError(t, os.Chmod(filepath.Join(src, "t/d/small"), 0o751))
			require.NoError(t, os.Chmod(filepath.Join(src, "t/d/large"), 0o440))
			at, mt := time.Unix(1_000_000_000, 1), time.Unix(1_200_000_000, 123456789)
			for _, n := range []string{"t/d/small", "t/d/large", "t/d", "t/empty", "t"} {
				require.NoError(t, os.Chtimes(filepath.Join(src, n), at, mt))
			}
			spec.PreserveTimes, spec.PreserveMode = true, true
			_, err := r.run(spec)
			require.NoError(t, err)
			for n, mode := range map[string]fs.FileMode{"t/d/small": 0o751, "t/d/large": 0o440, "t/d": 0o755, "t/empty": 0o700, "t": 0o755} {
				fi, err := os.Stat(filepath.Join(dst, n))
				require.NoError(t, err)
				require.Equal(t, mt.UnixNano(), fi.ModTime().UnixNano(), n)
				require.Equal(t, mode, fi.Mode().Perm(), n)
			}
			d, err := OpenDir(dst)
			require.NoError(t, err)
			defer d.Close()
			in, err := d.Stat(t.Context(), "t/d/small", false)
			require.NoError(t, err)
			if in.Ctime != 0 { // where the system tells
				require.Equal(t, at.UnixNano(), in.Atime)
			}
		})
	}
}

func TestChecksums(t *testing.T) {
	r := newRig(t)
	write(t, filepath.Join(r.local, "t/small"), 1000, 1)
	write(t, filepath.Join(r.local, "t/large"), 1_000_000, 2)
	write(t, filepath.Join(r.local, "t/empty"), 0, 2)
	spec := r.send("t")
	spec.Checksum = ChecksumMD5
	node := make(map[string]string)
	r.serve.Events = func(e Event) {
		if e.Kind == EventFileDone && !e.File.Folder {
			node[e.File.Name] = fmt.Sprintf("%x", e.File.Digest)
		}
	}
	res, err := r.run(spec)
	require.NoError(t, err)
	require.Len(t, res.Digests, 3)
	for _, d := range res.Digests {
		b, _ := os.ReadFile(filepath.Join(r.local, d.Name))
		sum := md5.Sum(b)
		require.Equal(t, sum[:], d.Digest, d.Name)
		require.Equal(t, fmt.Sprintf("%x", sum), node[d.Name])
	}
	down := Spec{Direction: Receive, Paths: []Path{{Source: "in/t/large"}}, Destination: filepath.Join(r.local, "copy"), Checksum: ChecksumSHA512}
	res, err = r.run(down)
	require.NoError(t, err)
	b, _ := os.ReadFile(filepath.Join(r.local, "copy"))
	sum := sha512.Sum512(b)
	require.Equal(t, sum[:], res.Digests[0].Digest)
}

func TestDurabilityModes(t *testing.T) {
	for d := range Durability(len(durabilityNames)) {
		t.Run(d.String(), func(t *testing.T) {
			r := newRig(t)
			tree(t, filepath.Join(r.local, "tree"))
			spec := r.send("tree")
			spec.Durability = d
			res, err := r.run(spec)
			require.NoError(t, err)
			require.Equal(t, d != DurabilityNone, res.Durable)
			require.Equal(t, list(t, filepath.Join(r.local, "tree")), list(t, filepath.Join(r.root, "in/tree")))
			noPartials(t, r.root)
		})
	}
}

func TestBlockSizes(t *testing.T) {
	for _, bs := range []int{minBlockSize, 64 << 10, maxBlockSize} {
		r := newRig(t)
		tree(t, filepath.Join(r.local, "tree"))
		spec := r.send("tree")
		spec.BlockSize = bs
		_, err := r.run(spec)
		require.NoError(t, err)
		require.Equal(t, list(t, filepath.Join(r.local, "tree")), list(t, filepath.Join(r.root, "in/tree")))
	}
	require.Equal(t, 128<<10, blockSizeFor(8<<30, 128<<10))
	for _, size := range []int64{1 << 36, 1 << 40, 1 << 45} {
		bs := blockSizeFor(size, 128<<10)
		require.True(t, validBlockSize(uint64(bs)))
		require.True(t, bs == maxBlockSize || blockCount(size, bs) <= 1<<17+1)
	}
}

func TestSpecJSON(t *testing.T) {
	s := Spec{
		Direction: Receive, Host: "h", Port: 33001, User: "xfer", Paths: []Path{{"a", "b"}}, Destination: "/d", CreateDir: true,
		Rates:  fasp.Rates{Policy: fasp.High, Target: 100 * fasp.Mbps, Min: fasp.Mbps},
		Resume: ResumeFull, Overwrite: OverwriteDiffOlder, Filters: []Filter{{true, "*.o"}, {false, "x"}}, Symlinks: SymlinksCopyForce,
		PreserveTimes: true, Checksum: ChecksumSHA256, Durability: DurabilitySession, DatagramSize: 1400, Cipher: "aes-256-gcm",
		ReadSize: 1 << 20, WriteSize: 64 << 10,
	}
	b, err := json.Marshal(s)
	require.NoError(t, err)
	for _, want := range []string{
		`"target_rate_kbps":100000`, `"resume_policy":"full_csum"`, `"overwrite":"diff+older"`, `"symlink_policy":"copy+force"`,
		`"file_checksum":"sha-256"`, `"direction":"receive"`, `"rate_policy":"high"`, `"read_size":1048576`, `"write_size":65536`, `"filters":[{"exclude":"*.o"},{"include":"x"}]`,
	} {
		require.Contains(t, string(b), want)
	}
	var back Spec
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, s, back)

	var zero Spec
	require.NoError(t, json.Unmarshal([]byte(`{"paths":[{"source":"x"}],"unknown_field":1}`), &zero))
	require.Equal(t, 2, zero.Resume.Level())
	require.Equal(t, OverwriteDiff, zero.Overwrite)
	require.Error(t, json.Unmarshal([]byte(`{"overwrite":"perhaps"}`), &zero))
	require.Error(t, json.Unmarshal([]byte(`{"target_rate_kbps":-1}`), &zero))
	require.Error(t, json.Unmarshal([]byte(`{"filters":[{}]}`), &zero))
}
