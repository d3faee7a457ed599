package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"runtime/pprof"

	"golang.org/x/sync/errgroup"
)

// client is a contender. Its methods do a whole cell.
type client interface {
	upload(ctx context.Context, j job, f *os.File) error
	download(ctx context.Context, j job, f *os.File) error // f may be nil
	put(ctx context.Context, key string, p []byte) error
	get(ctx context.Context, key string) ([]byte, error)
	close() error
}

// contend does the job that in holds.
func contend(ctx context.Context, in io.Reader) error {
	var j job
	if err := json.NewDecoder(in).Decode(&j); err != nil {
		return err
	}
	if j.Profile != "" {
		f, err := os.Create(j.Profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	return j.run(ctx)
}

func (j job) run(ctx context.Context) error {
	c, err := j.client()
	if err != nil {
		return err
	}
	return errors.Join(j.do(ctx, c), c.close())
}

func (j job) client() (client, error) {
	if j.By == byRaw {
		return newRaw(j)
	}
	return newOurs(j)
}

func (j job) do(ctx context.Context, c client) error {
	switch j.Op {
	case opUpload:
		f, err := os.Open(j.Source)
		if err != nil {
			return err
		}
		defer f.Close()
		return c.upload(ctx, j, f)
	case opDownload:
		if j.Target == "" {
			return c.download(ctx, j, nil)
		}
		f, err := os.Create(j.Target)
		if err != nil {
			return err
		}
		return errors.Join(c.download(ctx, j, f), f.Close())
	}
	// Who takes the next object is whoever is free, as in a program with a queue of files.
	keys := make(chan int)
	g, ctx := errgroup.WithContext(ctx)
	for range j.Parallel {
		g.Go(func() error {
			for n := range keys {
				if err := j.small(ctx, c, n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(keys)
		for n := range j.Count {
			select {
			case keys <- n:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	return g.Wait()
}

// small puts or gets object n.
func (j job) small(ctx context.Context, c client, n int) error {
	key := fmt.Sprintf("%s%03d/%05d", j.Prefix, n/100, n)
	data := smallObject(n)
	if j.Op == opPut {
		return c.put(ctx, key, data)
	}
	got, err := c.get(ctx, key)
	if err == nil && !bytes.Equal(got, data) {
		err = fmt.Errorf("%s: got other bytes than were put", key)
	}
	return err
}

// smallObject is the content of object n.
func smallObject(n int) []byte {
	p := make([]byte, smallSize)
	s := rand.NewPCG(1, uint64(n))
	for i := 0; i < len(p); i += 8 {
		v := s.Uint64()
		for k := range 8 {
			p[i+k] = byte(v >> (8 * k))
		}
	}
	return p
}

// crc32c returns what S3 calls the CRC32C of a section.
func crc32c(src io.Reader, buf []byte) (string, error) {
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, src, buf); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil)), nil
}
