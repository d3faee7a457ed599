package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// took is what one pass over the file took.
type took struct{ wall, cpu time.Duration }

func (t took) Wall() time.Duration { return t.wall }
func (t took) CPU() time.Duration  { return t.cpu }

// way is how a file is written and read.
type way struct {
	name        string
	flag, size  int
	write, read []took
}

// direct writes a file and reads it again, with and without the page cache, in turns. Writing ends with fsync; before reading, the
// file is dropped from the cache.
func direct(ctx context.Context, name string, size int64, runs int) error {
	list := []*way{
		{name: "page cache, 1 MiB", size: 1 << 20},
		{name: "page cache, 4 MiB", size: 4 << 20},
		{name: "O_DIRECT, 1 MiB", size: 1 << 20, flag: unix.O_DIRECT},
		{name: "O_DIRECT, 4 MiB", size: 4 << 20, flag: unix.O_DIRECT},
	}
	if size%(4<<20) != 0 || size <= 0 {
		return fmt.Errorf("-size %d: want a multiple of 4 MiB, which O_DIRECT needs", size)
	}
	for round := range runs {
		for i := range list {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			if err := list[(i+round)%len(list)].once(name, size); err != nil {
				return err
			}
		}
	}
	fmt.Println("| | write and fsync, seconds (runs) | beside the first | CPU | read, seconds (runs) | beside the first | CPU |\n|---|---|---|---|---|---|---|")
	for _, v := range list {
		fmt.Printf("| %s | %s | %s |\n", v.name, columns(v.write, list[0].write, size), columns(v.read, list[0].read, size))
	}
	return nil
}

// columns are time, beside that of first, and processor time.
func columns(list, first []took, size int64) string {
	wall := median(list, took.Wall)
	return fmt.Sprintf("%.2f (%s) | %.2f | %.2f s/GB", wall, each(list), wall/median(first, took.Wall), median(list, took.CPU)/float64(size)*1e9)
}

func each(list []took) string {
	var s []string
	for _, d := range list {
		s = append(s, fmt.Sprintf("%.2f", d.wall.Seconds()))
	}
	return strings.Join(s, ", ")
}

// once writes and reads the file and removes it.
func (v *way) once(name string, size int64) error {
	buf, err := unix.Mmap(-1, 0, v.size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // aligned to pages
	if err != nil {
		return err
	}
	defer unix.Munmap(buf)
	for i := range buf {
		buf[i] = byte(i>>8) ^ byte(i) // no zeros that a file system could leave out
	}
	defer os.Remove(name)
	w, err := timed(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|v.flag, func(f *os.File) error {
		for off := int64(0); off < size; off += int64(v.size) {
			if _, err := f.WriteAt(buf, off); err != nil {
				return err
			}
		}
		return f.Sync()
	})
	if err != nil {
		return fmt.Errorf("write, %s: %w", v.name, err)
	}
	if err := dropCache(name); err != nil {
		return err
	}
	r, err := timed(name, os.O_RDONLY|v.flag, func(f *os.File) error {
		for off := int64(0); off < size; off += int64(v.size) {
			if _, err := f.ReadAt(buf, off); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read, %s: %w", v.name, err)
	}
	v.write, v.read = append(v.write, w), append(v.read, r)
	return nil
}

func timed(name string, flag int, fn func(*os.File) error) (t took, err error) {
	var before, after unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &before); err != nil {
		return t, err
	}
	began := time.Now()
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return t, err
	}
	err = fn(f)
	t.wall = time.Since(began)
	err = errors.Join(err, unix.Getrusage(unix.RUSAGE_SELF, &after), f.Close())
	t.cpu = time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	return t, err
}

// dropCache takes a file out of the page cache.
func dropCache(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil { // what is not written back stays
		return err
	}
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
