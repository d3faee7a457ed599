package transfer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// sliceTree makes files on both sides of the threshold of sliceSpec, one of them with holes.
func sliceTree(t testing.TB, root string) {
	write(t, filepath.Join(root, "tree/a/large"), 5<<20+17, 1)
	write(t, filepath.Join(root, "tree/two"), 2<<20, 2)
	write(t, filepath.Join(root, "tree/middle"), 900_000, 3)
	for i := range 40 {
		write(t, filepath.Join(root, fmt.Sprint("tree/s/f", i)), 100*i, uint64(i))
	}
	write(t, filepath.Join(root, "tree/holes"), 300_000, 4)
	f, err := os.OpenFile(filepath.Join(root, "tree/holes"), os.O_WRONLY, 0)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte("middle"), 3<<20+5)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(6<<20))
	past := time.Unix(1_600_000_000, 123_456_789)
	require.NoError(t, os.Chtimes(filepath.Join(root, "tree/a/large"), past, past))
}

// sliceSpec is job i of n at the tree of r, and where its files come from and go to.
func sliceSpec(r *rig, dir Direction, i, n int) (spec Spec, from, to string) {
	spec, from, to = r.send("tree"), filepath.Join(r.local, "tree"), filepath.Join(r.root, "in/tree")
	if dir == Receive {
		from, to = filepath.Join(r.root, "tree"), filepath.Join(r.local, "in/tree")
		spec = Spec{Direction: Receive, Paths: []Path{{Source: "tree"}}, Destination: filepath.Join(r.local, "in"), CreateDir: true}
	}
	spec.Part, spec.Split = Part{i, n}, 1<<20
	return spec, from, to
}

func eachDirection(t *testing.T, fn func(t *testing.T, r *rig, dir Direction)) {
	for _, dir := range []Direction{Send, Receive} {
		t.Run(dir.String(), func(t *testing.T) {
			r := newRig(t)
			sliceTree(t, map[Direction]string{Send: r.local, Receive: r.root}[dir])
			fn(t, r, dir)
		})
	}
}

// TestSlices: jobs one after the other divide large files among them. Those have their names when the last slice is there, and not before.
func TestSlices(t *testing.T) {
	eachDirection(t, func(t *testing.T, r *rig, dir Direction) {
		done, bytes := int64(0), int64(0)
		for _, i := range []int{3, 1, 4, 2} {
			spec, _, to := sliceSpec(r, dir, i, 4)
			require.NoFileExists(t, filepath.Join(to, "a/large"))
			offsets, waiting := 0, 0
			r.cfg.Events = func(e Event) {
				if e.Kind == EventFileDone && e.File.Whole > 0 {
					offsets++
					waiting += e.File.Missing
					require.LessOrEqual(t, e.File.Offset+e.File.Size, e.File.Whole)
				}
			}
			res, err := r.run(spec)
			require.NoError(t, err)
			require.Equal(t, map[int]int{1: 3, 2: 3, 3: 2, 4: 0}[i], offsets)
			require.Equal(t, map[int]int{3: 4, 1: 3, 4: 0, 2: 0}[i], waiting, "others' slices that were not there")
			require.EqualValues(t, map[int]int{3: 2, 1: 3, 4: 0, 2: 0}[i], res.FilesWaiting)
			require.Zero(t, res.FilesSkipped)
			done, bytes = done+res.FilesDone, bytes+res.BytesSent
		}
		_, from, to := sliceSpec(r, dir, 1, 4)
		require.Equal(t, list(t, from), list(t, to))
		noPartials(t, to)
		require.EqualValues(t, 41+3+2+3, done, "large and holes have three slices, since these begin at whole MiB")
		in, err := os.Stat(filepath.Join(to, "a/large"))
		require.NoError(t, err)
		require.EqualValues(t, 1_600_000_000_123_456_789, in.ModTime().UnixNano(), "that of the source, whatever is asked for")
		require.EqualValues(t, size(t, from), bytes)

		// Again there is nothing to do, in whatever order.
		for i := range 4 {
			spec, _, _ := sliceSpec(r, dir, i+1, 4)
			res, err := r.run(spec)
			require.NoError(t, err)
			require.Zero(t, res.FilesDone) // a block or two of them may be on their way before the answer
		}
		noPartials(t, to)
	})
}

// size is the sum of the sizes of the files below root.
func size(t testing.TB, root string) (n int64) {
	require.NoError(t, filepath.Walk(root, func(_ string, in os.FileInfo, err error) error {
		if err == nil && in.Mode().IsRegular() {
			n += in.Size()
		}
		return err
	}))
	return n
}

// TestSlicesTogether: the same with all jobs at a time, each against a node of its own that shares the folder with the others.
func TestSlicesTogether(t *testing.T) {
	eachDirection(t, func(t *testing.T, r *rig, dir Direction) {
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				mine := newRig(t)
				mine.root, mine.local = r.root, r.local
				spec, _, _ := sliceSpec(mine, dir, i+1, 5)
				_, err := mine.run(spec)
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		_, from, to := sliceSpec(r, dir, 1, 5)
		require.Equal(t, list(t, from), list(t, to))
		noPartials(t, to)
	})
}

// TestSlicesCut: sessions of one job are lost in the middle; the job goes on with what its slice has, and the others' slices are as they were.
func TestSlicesCut(t *testing.T) {
	eachDirection(t, func(t *testing.T, r *rig, dir Direction) {
		spec, from, to := sliceSpec(r, dir, 1, 2)
		_, err := r.run(spec)
		require.NoError(t, err)
		res, err := r.run(spec)
		require.NoError(t, err)
		if dir == Receive { // a sender may have sent it all before it hears what is there
			require.EqualValues(t, 3<<20+1<<20+3<<20, res.BytesResumed, "what is whole need not come again")
		}

		spec, _, _ = sliceSpec(r, dir, 2, 2)
		r.opt.CutAfter = 1_500_000
		res, err = r.run(spec)
		require.NoError(t, err)
		require.Greater(t, res.Attempts, 1)
		require.Positive(t, res.BytesResumed)
		require.Equal(t, list(t, from), list(t, to))
		noPartials(t, to)
	})
}

// TestSlicesOverwrite: the rules judge the whole file, and every job judges alike.
func TestSlicesOverwrite(t *testing.T) {
	for rule, replaced := range map[Overwrite]bool{OverwriteDiff: true, OverwriteAlways: true, OverwriteNever: false, OverwriteOlder: false} {
		t.Run(rule.String(), func(t *testing.T) {
			r := newRig(t)
			sliceTree(t, r.local)
			write(t, filepath.Join(r.root, "in/tree/a/large"), 5<<20+17, 77) // newer, of the same size, with another content
			old := list(t, r.root)["in/tree/a/large"]
			for i := range 3 {
				spec, _, _ := sliceSpec(r, Send, i+1, 3)
				spec.Overwrite = rule
				_, err := r.run(spec)
				require.NoError(t, err)
			}
			want := old
			if replaced {
				want = list(t, r.local)["tree/a/large"]
			}
			require.Equal(t, want, list(t, r.root)["in/tree/a/large"])
			noPartials(t, r.root)
		})
	}
}

// TestSlicesNoReplace: without the right to replace files, one that exists stays, and the job says why.
func TestSlicesNoReplace(t *testing.T) {
	r := newRig(t)
	sliceTree(t, r.local)
	r.limits.Delete = false
	write(t, filepath.Join(r.root, "in/tree/a/large"), 5<<20+17, 77)
	spec, _, _ := sliceSpec(r, Send, 1, 3)
	res, err := r.run(spec)
	require.ErrorContains(t, err, "failed")
	require.EqualValues(t, 1, res.FilesFailed)
	require.Equal(t, CodeNoPerms, res.Errors[0].Code)
}

// TestSlicesAgain: a job that comes again finds the file, at every level that looks, and whether or not it may read what is there.
func TestSlicesAgain(t *testing.T) {
	for _, read := range []bool{true, false} {
		for level := range 4 {
			t.Run(fmt.Sprint(read, level), func(t *testing.T) {
				r := newRig(t)
				write(t, filepath.Join(r.local, "tree/a/large"), 3<<20, 1)
				r.limits.Read = read
				for _, i := range []int{1, 2, 1} {
					spec, _, _ := sliceSpec(r, Send, i, 2)
					var err error
					spec.Resume, err = ResumeFromLevel(level)
					require.NoError(t, err)
					_, err = r.run(spec)
					require.NoError(t, err)
				}
				left := []string{}
				for name := range list(t, filepath.Join(r.root, "in/tree/a")) {
					left = append(left, name)
				}
				if level == 0 {
					require.Len(t, left, 5, "it is sent anew: %v", left)
				} else {
					require.Len(t, left, 2, "%v", left)
				}
			})
		}
	}
}

// oneSlice is the target of slice i of n of the file f of 4 MiB in d.
func oneSlice(d *Dir, i, n int, mtime int64) (Target, error) {
	a := Attr{Size: 4 << 20, Block: minBlockSize, Mode: 0o644}
	return d.CreateSlice(context.Background(), "f", a, Part{i, n}.slice(4<<20, mtime))
}

// TestSliceTarget walks through what targets of one file do to each other.
func TestSliceTarget(t *testing.T) {
	must := func(tgt Target, err error) Target {
		require.NoError(t, err)
		return tgt
	}
	ctx := t.Context()
	whole := func(d *Dir, tgt Target, fill byte) Sealed {
		p := make([]byte, 2<<20)
		for i := range p {
			p[i] = fill
		}
		_, err := tgt.WriteAt(p, 0)
		require.NoError(t, err)
		require.NoError(t, tgt.SaveState(ctx, []byte("state")))
		s, err := tgt.Seal(ctx, Attr{Mode: 0o644}, SyncNow)
		require.NoError(t, err)
		return s
	}

	t.Run("busy", func(t *testing.T) {
		d, _ := openTestDir(t)
		one := must(oneSlice(d, 1, 2, 5))
		_, err := oneSlice(d, 1, 2, 5)
		require.ErrorIs(t, err, ErrBusy, "the same slice")
		_, err = oneSlice(d, 2, 2, 6)
		require.ErrorIs(t, err, ErrBusy, "of another file, while one of this one is written")
		_, err = d.Create(ctx, "f", Attr{Size: 1})
		require.ErrorIs(t, err, ErrBusy, "the whole file")
		two := must(oneSlice(d, 2, 2, 5))
		require.NoError(t, two.Close())
		two = must(oneSlice(d, 2, 2, 5))
		require.NoError(t, one.Close())
		_, err = d.Create(ctx, "f", Attr{Size: 1})
		require.ErrorIs(t, err, ErrBusy, "the whole file, while any slice is written")
		one = must(oneSlice(d, 1, 2, 5))
		require.NoError(t, two.Close())
		require.NoError(t, one.Discard(ctx))
		require.NoError(t, must(oneSlice(d, 2, 2, 5)).Discard(ctx))
		require.Len(t, list(t, d.path), 1, "the last to go takes all with it")

		ordinary, err := d.Create(ctx, "f", Attr{Size: 1})
		require.NoError(t, err)
		_, err = oneSlice(d, 1, 2, 5)
		require.ErrorIs(t, err, ErrBusy)
		require.NoError(t, ordinary.Discard(ctx))
		require.Len(t, list(t, d.path), 1)
	})

	t.Run("one after the other", func(t *testing.T) {
		d, root := openTestDir(t)
		require.NoError(t, whole(d, must(oneSlice(d, 1, 2, 5)), 'a').Publish(ctx, SyncNow, true))
		require.NoFileExists(t, filepath.Join(root, "f"))
		again := must(oneSlice(d, 1, 2, 5))
		require.EqualValues(t, 2<<20, again.Partial())
		state, err := again.State(ctx)
		require.NoError(t, err)
		require.Equal(t, "state", string(state))
		// It may be written to again, so that it counts as missing until it is sealed again.
		two := whole(d, must(oneSlice(d, 2, 2, 5)), 'b')
		require.NoError(t, two.Publish(ctx, SyncNow, true))
		require.Equal(t, 1, two.(waiting).Missing())
		require.NoFileExists(t, filepath.Join(root, "f"))
		require.NoError(t, whole(d, again, 'a').Publish(ctx, SyncNow, true))
		b, err := os.ReadFile(filepath.Join(root, "f"))
		require.NoError(t, err)
		require.Len(t, b, 4<<20)
		require.Equal(t, "ab", string([]byte{b[2<<20-1], b[2<<20]}))
		require.Len(t, list(t, root), 2)
	})

	t.Run("sealed is not yet whole", func(t *testing.T) {
		d, root := openTestDir(t)
		one := whole(d, must(oneSlice(d, 1, 2, 5)), 'a')
		two := must(oneSlice(d, 2, 2, 5))
		require.NoError(t, two.SaveState(ctx, []byte("all blocks, but not compared with the sender's root")))
		require.NoError(t, one.Publish(ctx, SyncNow, true))
		require.NoFileExists(t, filepath.Join(root, "f"))
		require.NoError(t, two.Close())
	})

	t.Run("a job died between the last two steps", func(t *testing.T) {
		d, root := openTestDir(t)
		one, two := whole(d, must(oneSlice(d, 1, 2, 5)), 'a'), whole(d, must(oneSlice(d, 2, 2, 5)), 'b')
		for _, s := range []Sealed{one, two} {
			require.NoError(t, s.(*sliceSealed).t.closeFiles())
		}
		require.NoFileExists(t, filepath.Join(root, "f"))
		again := must(oneSlice(d, 1, 2, 5))
		s, err := again.Seal(ctx, Attr{Mode: 0o644}, SyncNow)
		require.NoError(t, err)
		require.NoError(t, s.Publish(ctx, SyncNow, true))
		require.FileExists(t, filepath.Join(root, "f"))
		require.Len(t, list(t, root), 2)
	})

	t.Run("a job died between the name and the rest", func(t *testing.T) {
		d, root := openTestDir(t)
		one, two := whole(d, must(oneSlice(d, 1, 2, 5)), 'a'), whole(d, must(oneSlice(d, 2, 2, 5)), 'b')
		require.NoError(t, os.Rename(filepath.Join(root, ".f.tw-part"), filepath.Join(root, "f")))
		require.NoError(t, one.(*sliceSealed).t.closeFiles())
		require.NoError(t, two.Publish(ctx, SyncNow, true))
		require.Len(t, list(t, root), 2)
	})

	t.Run("the file is fetched at once", func(t *testing.T) {
		d, root := openTestDir(t)
		one, two := whole(d, must(oneSlice(d, 1, 2, 5)), 'a'), whole(d, must(oneSlice(d, 2, 2, 5)), 'b')
		require.NoError(t, one.Publish(ctx, SyncNow, true))
		require.NoError(t, one.Publish(ctx, SyncNow, true), "nothing is left to do")
		require.NoError(t, os.Rename(filepath.Join(root, "f"), filepath.Join(root, "g")))
		must(oneSlice(d, 1, 2, 5)) // and the next of this name is on its way
		require.NoError(t, two.Publish(ctx, SyncNow, true))
		require.NoFileExists(t, filepath.Join(root, "f"))
	})

	t.Run("the note is taken away", func(t *testing.T) {
		d, root := openTestDir(t)
		one := whole(d, must(oneSlice(d, 1, 2, 5)), 'a')
		require.NoError(t, os.Remove(filepath.Join(root, ".f.tw-note"))) // as when another job has named the file
		require.ErrorContains(t, one.Publish(ctx, SyncNow, true), "removed by somebody")
		require.NoError(t, os.WriteFile(filepath.Join(root, ".f.tw-note"), []byte("another set"), 0o600))
		require.ErrorIs(t, one.Discard(ctx), ErrBusy)
		require.NoFileExists(t, filepath.Join(root, "f"))
		require.FileExists(t, filepath.Join(root, ".f.tw-note"), "it is not ours")
		require.FileExists(t, filepath.Join(root, sliceState("f", 1)))
	})

	// What stands where the note and the states belong, and cannot be them, stops nobody.
	for name, put := range map[string]func(t *testing.T, path string){
		"pipe": func(t *testing.T, path string) { require.NoError(t, unix.Mkfifo(path, 0o600)) },
		"link": func(t *testing.T, path string) { require.NoError(t, os.Symlink("elsewhere", path)) },
	} {
		t.Run(name, func(t *testing.T) {
			d, root := openTestDir(t)
			put(t, filepath.Join(root, ".f.tw-note"))
			put(t, filepath.Join(root, ".f.tw-part"))
			put(t, filepath.Join(root, sliceState("f", 2)))
			one := whole(d, must(oneSlice(d, 1, 2, 5)), 'a')
			require.NoError(t, one.Publish(ctx, SyncNow, true))
			require.Equal(t, 1, one.(waiting).Missing())
			require.NoError(t, whole(d, must(oneSlice(d, 2, 2, 5)), 'b').Publish(ctx, SyncNow, true))
			require.Len(t, list(t, root), 2)
		})
	}

	t.Run("a file that the disk does not take", func(t *testing.T) {
		d, root := openTestDir(t)
		_, err := d.CreateSlice(ctx, "f", Attr{Mode: 0o644}, Part{1, 2}.slice(maxFileSize, 5))
		require.Error(t, err)
		require.Len(t, list(t, root), 1)
	})

	t.Run("what is left of others goes", func(t *testing.T) {
		d, root := openTestDir(t)
		partial, err := d.Create(ctx, "f", Attr{Size: 4 << 20})
		require.NoError(t, err)
		require.NoError(t, partial.SaveState(ctx, []byte("of a file whose data is about to go")))
		require.NoError(t, partial.Close())
		require.NoError(t, whole(d, must(oneSlice(d, 4, 4, 5)), 'a').Publish(ctx, SyncNow, true))
		require.NoFileExists(t, filepath.Join(root, ".f.tw-ckpt"))
		one := whole(d, must(oneSlice(d, 1, 2, 5)), 'a')
		require.NoFileExists(t, filepath.Join(root, sliceState("f", 4)), "there are fewer slices than before")
		require.NoError(t, one.Publish(ctx, SyncNow, true))
		ordinary, err := d.Create(ctx, "f", Attr{Size: 1})
		require.NoError(t, err)
		require.NoFileExists(t, filepath.Join(root, sliceState("f", 1)))
		require.NoError(t, ordinary.Discard(ctx))
		require.Len(t, list(t, root), 1)
	})

	t.Run("both are last", func(t *testing.T) {
		d, root := openTestDir(t)
		one, two := whole(d, must(oneSlice(d, 1, 2, 5)), 'a'), whole(d, must(oneSlice(d, 2, 2, 5)), 'b')
		require.NoError(t, one.Publish(ctx, SyncNow, true))
		require.NoError(t, two.Publish(ctx, SyncNow, true))
		require.NoError(t, two.Discard(ctx))
		require.FileExists(t, filepath.Join(root, "f"))
		require.Len(t, list(t, root), 2)
	})

	// What a set left behind, whole slices among it, must not become part of another file.
	for name, between := range map[string]func(t *testing.T, d *Dir){
		"another time":             func(t *testing.T, d *Dir) { require.NoError(t, must(oneSlice(d, 2, 2, 6)).Close()) },
		"another number of slices": func(t *testing.T, d *Dir) { require.NoError(t, must(oneSlice(d, 2, 4, 5)).Close()) },
		"a whole file, given up": func(t *testing.T, d *Dir) {
			tgt, err := d.Create(ctx, "f", Attr{Size: 4 << 20})
			require.NoError(t, err)
			require.NoError(t, tgt.Reset(ctx))
			_, err = tgt.WriteAt(make([]byte, 4<<20), 0)
			require.NoError(t, err)
			require.NoError(t, tgt.SaveState(ctx, []byte("x")))
			require.NoError(t, tgt.Close())
		},
		"a file with its name, and a crash before the rest was removed": func(t *testing.T, d *Dir) {
			require.NoError(t, os.Rename(filepath.Join(d.path, ".f.tw-part"), filepath.Join(d.path, "f")))
			require.NoError(t, os.Remove(filepath.Join(d.path, "f")))
		},
		"a copy of everything, such as a backup": func(t *testing.T, d *Dir) {
			tmp := filepath.Join(d.path, ".f.tw-part")
			b, err := os.ReadFile(tmp)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(tmp+"2", b, 0o644))
			require.NoError(t, os.Rename(tmp+"2", tmp))
		},
		"a job that begins anew": func(t *testing.T, d *Dir) {
			again := must(oneSlice(d, 1, 2, 5))
			require.NoError(t, again.SaveState(ctx, []byte("x")))
			require.NoError(t, again.Reset(ctx))
			require.Zero(t, again.Partial())
			require.NoError(t, again.Close())
		},
		"a note that is damaged": func(t *testing.T, d *Dir) {
			require.NoError(t, os.WriteFile(filepath.Join(d.path, ".f.tw-note"), []byte("TWSLICE1"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, root := openTestDir(t)
			require.NoError(t, whole(d, must(oneSlice(d, 1, 2, 5)), 'a').Publish(ctx, SyncNow, true))
			between(t, d)
			two := must(oneSlice(d, 2, 2, 5))
			require.Zero(t, two.Partial())
			require.NoError(t, whole(d, two, 'b').Publish(ctx, SyncNow, true))
			require.NoFileExists(t, filepath.Join(root, "f"))
			one := must(oneSlice(d, 1, 2, 5))
			require.Zero(t, one.Partial())
			require.NoError(t, whole(d, one, 'c').Publish(ctx, SyncNow, true))
			b, err := os.ReadFile(filepath.Join(root, "f"))
			require.NoError(t, err)
			require.Equal(t, "cb", string([]byte{b[2<<20-1], b[2<<20]}))
		})
	}
}

// TestSlicesRace: all slices begin and end at the same time, of two processes as far as locks can tell. Each time the file has its name once.
func TestSlicesRace(t *testing.T) {
	a, root := openTestDir(t)
	b, err := OpenDir(root)
	require.NoError(t, err)
	defer b.Close()
	const n = 4
	for range 15 {
		var wg sync.WaitGroup
		var named, waited atomic.Int32
		for i := range n {
			wg.Go(func() {
				tgt, err := oneSlice([]*Dir{a, b}[i%2], i+1, n, 5)
				var sealed Sealed
				if err == nil {
					sealed, err = tgt.Seal(t.Context(), Attr{Mode: 0o644}, SyncNone)
				}
				if err == nil {
					err = sealed.Publish(t.Context(), SyncNone, false)
				}
				if err != nil {
					t.Error(err)
					return
				}
				if sealed.(*sliceSealed).named {
					named.Add(1)
				}
				if sealed.(waiting).Missing() > 0 {
					waited.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, named.Load())
		require.Less(t, waited.Load(), int32(n))
		require.Len(t, list(t, root), 2)
		require.NoError(t, os.Remove(filepath.Join(root, "f")))
	}
}

// TestSlicesNames: as long as a name may be, it has its temporary file, note and states, apart from those of its neighbours.
func TestSlicesNames(t *testing.T) {
	d, root := openTestDir(t)
	var names []string
	for n := 220; n <= 255; n++ {
		names = append(names, strings.Repeat("n", n), strings.Repeat("é", n/2), strings.Repeat("n", n-3)+"日")
	}
	names = append(names, strings.Repeat("n", 254)+"m")
	slices.Sort(names)
	names = slices.Compact(names)
	for i := range 2 {
		sealed := make([]Sealed, len(names))
		for k, name := range names {
			tgt, err := d.CreateSlice(t.Context(), name, Attr{Mode: 0o644}, Part{i + 1, 2}.slice(2<<20, int64(k+1)))
			require.NoError(t, err, "%d bytes", len(name))
			sealed[k], err = tgt.Seal(t.Context(), Attr{Mode: 0o644}, SyncNone)
			require.NoError(t, err)
		}
		for k, s := range sealed {
			require.NoError(t, s.Publish(t.Context(), SyncNone, false))
			require.Equal(t, 1-i, s.(waiting).Missing(), "%d bytes", len(names[k]))
		}
	}
	for k, name := range names {
		in, err := os.Stat(filepath.Join(root, name))
		require.NoError(t, err)
		require.EqualValues(t, k+1, in.ModTime().UnixNano())
	}
	es, err := os.ReadDir(root)
	require.NoError(t, err)
	require.Len(t, es, len(names))
}

// TestSlicesClean: what jobs have left is found and removed, unless one is at work.
func TestSlicesClean(t *testing.T) {
	d, root := openTestDir(t)
	long := filepath.Join("sub", fmt.Sprintf("%0230d", 7))
	for _, name := range []string{"f", long} {
		tgt, err := d.CreateSlice(t.Context(), name, Attr{Size: 2 << 20, Block: minBlockSize, Mode: 0o644}, Part{1, 2}.slice(4<<20, 5))
		require.NoError(t, err)
		require.NoError(t, tgt.SaveState(t.Context(), []byte("x")))
		require.Empty(t, clean(t, d, 0, false), "it is being written")
		require.NoError(t, tgt.Close())
		require.NotEmpty(t, clean(t, d, 0, true))
		require.NotEmpty(t, clean(t, d, 0, false))
		noPartials(t, root)
	}
}

func FuzzSliceNote(f *testing.F) {
	n := sliceNote{whole: 4 << 20, mtime: 5, count: 2, ino: 9}
	f.Add(n.encode())
	f.Add([]byte(sliceNoteMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, ok := decodeSliceNote(b); ok {
			require.Equal(t, b, n.encode())
		}
	})
}
