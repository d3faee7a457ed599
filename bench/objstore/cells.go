package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/tradewind-io/tradewind/internal/lab"
	"github.com/tradewind-io/tradewind/internal/testservers"
	"github.com/tradewind-io/tradewind/objstore/s3"
)

const (
	bucketName    = "bench"
	largeKey      = "large"
	smallSize     = 4096
	smallParallel = 32
)

// bench is what all cells share. It does not change while they run.
type bench struct {
	options
	dir, source, exe string
	server           *testservers.Server
	rclones          []rclone
	wanted           []*cell
	out              io.Writer
}

type rclone struct{ name, bin string }

// cell is a question; its contenders take turns.
type cell struct {
	Name    string    `json:"name"`
	Samples []*sample `json:"contenders"`

	small      bool
	contenders []job // the first is what the others are compared with
	bytes      int64
	// allowance is how much memory for parts objstore may take.
	allowance int64
}

// sample is what one contender did.
type sample struct {
	Name    string    `json:"name"`
	Seconds []float64 `json:"seconds"`
	CPU     []float64 `json:"cpu_seconds"` // user and system
	RSS     []int64   `json:"rss"`         // peak, bytes
}

const (
	opUpload   = "upload"
	opDownload = "download"
	opPut      = "put"
	opGet      = "get"

	byRaw  = "minio-go"
	byOurs = "objstore"
)

// job is what one process does.
type job struct {
	By       string // byRaw, byOurs, or the name of an rclone
	Op       string
	Place    place
	Source   string // file to upload
	Target   string // file to download to; "" = to nothing
	Prefix   string // of the keys of small objects
	Size     int64
	Part     int64
	Count    int
	Parallel int
	Sum      string
	Profile  string // file for a CPU profile; "" = none

	exe string // what to run
}

// place is where the objects are.
type place struct {
	Endpoint, AccessKey, SecretKey, Region, Bucket string
}

func (p place) config(sum s3.Checksum) s3.Config {
	return s3.Config{
		Endpoint: p.Endpoint, Insecure: true, Bucket: p.Bucket, Region: p.Region, Profile: s3.MinIO, Checksum: sum,
		Credentials: s3.Static{AccessKey: p.AccessKey, SecretKey: p.SecretKey},
	}
}

func (b *bench) place() place {
	return place{Endpoint: b.server.Endpoint, AccessKey: b.server.AccessKey, SecretKey: b.server.SecretKey, Region: b.server.Region, Bucket: bucketName}
}

// job completes a job with what is the same for all.
func (b *bench) job(j job) job {
	j.Place, j.Source, j.Size, j.Part, j.Count = b.place(), b.source, b.size, b.part, b.small
	if j.exe == "" {
		j.exe = b.exe
	}
	return j
}

// cells returns all questions.
func (b *bench) cells() []*cell {
	var all []*cell
	add := func(c *cell) {
		for _, j := range c.contenders {
			c.Samples = append(c.Samples, &sample{Name: j.By})
		}
		all = append(all, c)
	}
	// both has the contenders that can do the same in the same way, and rclone where it is asked for.
	both := func(j job, rclones bool) (list []job) {
		for _, by := range []string{byRaw, byOurs} {
			j.By = by
			list = append(list, j)
		}
		if rclones {
			for _, r := range b.rclones {
				j.By, j.exe = r.name, r.bin
				list = append(list, j)
			}
		}
		return list
	}
	for _, parallel := range []int{4, 8} {
		for _, sum := range []s3.Checksum{s3.None, s3.CRC32C} {
			add(&cell{
				Name: fmt.Sprintf("upload, %d at a time, %s", parallel, sum), bytes: b.size,
				contenders: both(job{Op: opUpload, Parallel: parallel, Sum: sum.String()}, parallel == 4 && sum == s3.None),
			})
		}
	}
	for _, parallel := range []int{4, 8} {
		for _, target := range []string{"", filepath.Join(b.dir, "target.bin")} {
			name := "nothing"
			if target != "" {
				name = "a file"
			}
			add(&cell{
				Name: fmt.Sprintf("download, %d at a time, to %s", parallel, name), bytes: b.size, allowance: int64(parallel) * b.part,
				contenders: both(job{Op: opDownload, Parallel: parallel, Target: target, Sum: s3.None.String()}, parallel == 4 && target != ""),
			})
		}
	}
	for _, sum := range []s3.Checksum{s3.None, s3.CRC32C} {
		add(&cell{
			Name: fmt.Sprintf("put small, %d at a time, %s", smallParallel, sum), small: true, bytes: int64(b.small) * smallSize,
			contenders: both(job{Op: opPut, Parallel: smallParallel, Prefix: "write/", Sum: sum.String()}, false),
		})
	}
	add(&cell{
		Name: fmt.Sprintf("get small, %d at a time", smallParallel), small: true, bytes: int64(b.small) * smallSize,
		contenders: both(job{Op: opGet, Parallel: smallParallel, Prefix: "read/", Sum: s3.None.String()}, false),
	})
	return all
}

// round runs every contender of a cell once. Each round begins with another, so that none always follows the same one.
func (b *bench) round(ctx context.Context, c *cell, round int) error {
	for i := range c.contenders {
		n := (i + round) % len(c.contenders)
		j := b.job(c.contenders[n])
		if b.profiles != "" && (j.By == byRaw || j.By == byOurs) {
			j.Profile = filepath.Join(b.profiles, fmt.Sprintf("%s %s %d.pprof", c.Name, j.By, round))
		}
		u, err := j.measure(ctx, b.options)
		if terr := b.emptyTrash(); terr != nil {
			return terr
		}
		if err != nil && ctx.Err() == nil && n > 1 {
			// It is not rclone that is on trial: what it did in other rounds counts.
			fmt.Fprintf(b.out, "%s: %s is left out of round %d: %v\n", c.Name, j.By, round+1, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", j.By, err)
		}
		if j.Target != "" {
			if err := errors.Join(lab.SameFile(b.source, j.Target), os.Remove(j.Target)); err != nil {
				return fmt.Errorf("%s: %w", j.By, err)
			}
		}
		s := c.Samples[n]
		s.Seconds = append(s.Seconds, u.Wall.Seconds())
		s.CPU = append(s.CPU, u.CPU.Seconds())
		s.RSS = append(s.RSS, u.MaxRSS)
		if b.verbose {
			fmt.Fprintf(b.out, "  %-36s %-16s %7.3f s, CPU %6.2f s, %5d MB\n", c.Name, j.By, u.Wall.Seconds(), u.CPU.Seconds(), u.MaxRSS/1e6)
		}
	}
	return nil
}

// emptyTrash removes what MinIO has replaced, which it keeps for minutes: data in memory would fill the machine.
func (b *bench) emptyTrash() error {
	list, err := filepath.Glob(filepath.Join(b.server.Dir, "data", ".minio.sys", "tmp", ".trash", "*"))
	if err != nil {
		return err
	}
	for _, name := range list {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}

// measure runs the job in a process of its own.
func (j job) measure(ctx context.Context, o options) (lab.Usage, error) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	var cmd *exec.Cmd
	if j.By == byRaw || j.By == byOurs {
		text, err := json.Marshal(j)
		if err != nil {
			return lab.Usage{}, err
		}
		cmd = exec.CommandContext(ctx, j.exe, childArg)
		cmd.Stdin = bytes.NewReader(text)
		cmd.Env = []string{}
	} else {
		cmd = j.rclone(ctx)
	}
	// A Go program says what all its goroutines do, so that one that hangs explains itself.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	cmd.WaitDelay = 5 * time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	u, err := lab.Run(cmd)
	if err != nil {
		return u, fmt.Errorf("%w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return u, nil
}

// rclone is the command that does the same. It gets nothing of our environment: some rclone fail with AWS_CA_BUNDLE. What
// it would do beside the transfer is turned off: hashing the file for the object's metadata, looking for the bucket.
func (j job) rclone(ctx context.Context) *exec.Cmd {
	streams := strconv.Itoa(j.Parallel)
	remote := "bench:" + j.Place.Bucket + "/" + largeKey
	args := []string{
		"copyto", "--ignore-times", "--s3-no-check-bucket", "--s3-disable-checksum", "--s3-upload-concurrency", streams, "--s3-chunk-size", strconv.FormatInt(j.Part, 10) + "B",
		"--multi-thread-streams", streams,
	}
	if j.Op == opUpload {
		args = append(args, j.Source, remote)
	} else {
		args = append(args, remote, j.Target)
	}
	cmd := exec.CommandContext(ctx, j.exe, args...)
	cmd.Env = []string{
		"HOME=" + filepath.Dir(j.Source), "RCLONE_CONFIG=" + filepath.Join(filepath.Dir(j.Source), "none"), "PATH=" + os.DevNull,
		"RCLONE_CONFIG_BENCH_TYPE=s3", "RCLONE_CONFIG_BENCH_PROVIDER=Minio", "RCLONE_CONFIG_BENCH_ENDPOINT=http://" + j.Place.Endpoint,
		"RCLONE_CONFIG_BENCH_ACCESS_KEY_ID=" + j.Place.AccessKey, "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY=" + j.Place.SecretKey,
		"RCLONE_CONFIG_BENCH_REGION=" + j.Place.Region,
	}
	return cmd
}

func lookPath(name string) (string, error) { return exec.LookPath(name) }

func outputOf(ctx context.Context, bin string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Env = []string{"HOME=" + os.DevNull}
	return cmd.Output()
}

func median[T int64 | float64](list []T) T {
	sorted := slices.Sorted(slices.Values(list))
	if len(sorted) == 0 {
		return 0
	}
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
