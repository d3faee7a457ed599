// Objstore measures what package objstore costs: the same objects go into a MinIO and out of it by objstore, by minio-go
// alone and by two rclone, in turns, each in a process of its own. MinIO must be installed (internal/testservers); an
// rclone that is not there is left out.
//
// Everything runs on one machine, whose load changes absolute figures much. What counts are the ratios between contenders
// that took turns. Data lies in memory where the system has a file system there, so that no disk is measured.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/tradewind-io/tradewind/internal/lab"
	"github.com/tradewind-io/tradewind/internal/testservers"
	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/s3"
)

// childArg is the first argument of a contender's process; its job comes on standard input.
const childArg = "contender"

// memoryDir is where Linux has a file system in memory.
const memoryDir = "/dev/shm"

type options struct {
	dir, only, jsonFile, profiles string
	size, part                    int64
	small                         int
	rounds, smallRounds           int
	timeout                       time.Duration
	noRclone, verbose             bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == childArg {
		if err := contend(ctx, os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.StringVar(&o.dir, "dir", "", "where to make the work folder, MinIO's data in it; empty = "+memoryDir+" if there is one")
	flag.Int64Var(&o.size, "size", 1<<30, "bytes of the large object")
	flag.Int64Var(&o.part, "part", 64<<20, "bytes of parts and ranges")
	flag.IntVar(&o.small, "small", 20000, "how many small objects, of 4096 bytes")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds with the large object")
	flag.IntVar(&o.smallRounds, "small-rounds", 0, "rounds with small objects; 0 = as -rounds")
	flag.StringVar(&o.only, "only", "", "regular expression of the cells to run, such as 'download.*file'")
	flag.StringVar(&o.jsonFile, "json", "", "write all figures to this file")
	flag.StringVar(&o.profiles, "profiles", "", "write a CPU profile of each contender into this folder")
	flag.BoolVar(&o.noRclone, "no-rclone", false, "leave rclone out")
	flag.DurationVar(&o.timeout, "timeout", time.Minute, "for one contender's process")
	flag.BoolVar(&o.verbose, "v", false, "print every run")
	flag.Parse()
	if o.smallRounds == 0 {
		o.smallRounds = o.rounds
	}
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "objstore:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	where := "in " + o.dir
	if o.dir == "" {
		o.dir, where = memoryDir, "in memory ("+memoryDir+")"
		if _, err := os.Stat(memoryDir); err != nil {
			o.dir = os.TempDir()
			where = "on disk (" + o.dir + "): the disk is measured too"
		}
	}
	dir, err := os.MkdirTemp(o.dir, "tradewind-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{options: o, dir: dir, source: filepath.Join(dir, "source.bin"), out: out}
	if b.exe, err = os.Executable(); err != nil {
		return err
	}
	if o.profiles != "" {
		if err := os.MkdirAll(o.profiles, 0o755); err != nil {
			return err
		}
	}
	if err := lab.WriteFile(b.source, o.size, 1); err != nil {
		return err
	}
	serverDir := filepath.Join(dir, "minio")
	if err := os.Mkdir(serverDir, 0o755); err != nil {
		return err
	}
	b.server, err = testservers.Start(ctx, testservers.MinIOName, testservers.Options{Dir: serverDir})
	if err != nil {
		return err
	}
	defer b.server.Stop()
	if err := b.server.NewBucket(ctx, bucketName); err != nil {
		return err
	}
	if !o.noRclone {
		b.findRclone(ctx)
	}
	fmt.Fprintf(out, "%d bytes in parts of %d, %d small objects; %d and %d rounds; data %s\n", o.size, o.part, o.small, o.rounds, o.smallRounds, where)
	for _, c := range b.cells() {
		if only.MatchString(c.Name) {
			b.wanted = append(b.wanted, c)
		}
	}
	if len(b.wanted) == 0 {
		return fmt.Errorf("-only: no cell matches %q", o.only)
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	for round := range max(o.rounds, o.smallRounds) {
		for _, c := range b.wanted {
			if c.small && round >= o.smallRounds || !c.small && round >= o.rounds {
				continue
			}
			if err := b.round(ctx, c, round); err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
		}
	}
	report(out, b.wanted)
	if o.jsonFile == "" {
		return nil
	}
	text, err := json.MarshalIndent(b.wanted, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(o.jsonFile, append(text, '\n'), 0o644)
}

// prepare stores what downloads read, and brings the server to its working temperature.
func (b *bench) prepare(ctx context.Context) error {
	d, err := s3.New(b.place().config(s3.None))
	if err != nil {
		return err
	}
	bucket := objstore.NewBucket(d, objstore.Config{PartSize: b.part})
	defer bucket.Close()
	f, err := os.Open(b.source)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := bucket.Write(ctx, largeKey, f, objstore.CreateOptions{Size: b.size}); err != nil {
		return err
	}
	for _, c := range b.wanted {
		if c.small {
			j := b.job(c.contenders[0])
			j.Op, j.Prefix = opPut, "read/"
			return j.run(ctx)
		}
	}
	return nil
}

// findRclone finds the programs that are there.
func (b *bench) findRclone(ctx context.Context) {
	add := func(name, bin string, err error) {
		if err != nil {
			fmt.Fprintf(b.out, "%s is left out: %v\n", name, err)
			return
		}
		text, err := outputOf(ctx, bin, "version")
		if err != nil {
			fmt.Fprintf(b.out, "%s is left out: %v\n", name, err)
			return
		}
		version, _, _ := strings.Cut(string(text), "\n")
		b.rclones = append(b.rclones, rclone{name: version, bin: bin})
	}
	bin, err := lookPath("rclone")
	add("rclone of the system", bin, err)
	bin, err = testservers.Path("", testservers.RcloneName)
	add("pinned rclone", bin, err)
}
