package sshd

import (
	"context"
	"errors"
	"io"
	"os"
)

const (
	spillAt   = 1 << 20  // bytes that stay in memory
	maxSpills = 4        // larger ones at a time
	maxAnswer = 1 << 30  // bytes of an answer
	spillUnit = 64 << 10 // bytes that are written to a file at a time
)

// spill takes an answer whose length has to be known before it is sent: in memory as long as it is small, else in a file.
type spill struct {
	s    *Server
	mem  []byte
	file *os.File
	size int64
}

// add appends b.
func (p *spill) add(ctx context.Context, b []byte) error {
	if p.size += int64(len(b)); p.size > maxAnswer {
		return tooMany("the answer is too large; list the folders in it")
	}
	p.mem = append(p.mem, b...)
	switch {
	case p.file == nil && len(p.mem) <= spillAt, p.file != nil && len(p.mem) < spillUnit:
		return nil
	case p.file == nil:
		select {
		case p.s.spills <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		f, err := os.CreateTemp(p.s.cfg.TempDir, "listing-*")
		if err != nil {
			<-p.s.spills
			return err
		}
		p.file = f
	}
	return p.flush()
}

func (p *spill) flush() error {
	_, err := p.file.Write(p.mem)
	p.mem = p.mem[:0]
	return err
}

// send writes all to w.
func (p *spill) send(w io.Writer) error {
	if p.file == nil {
		_, err := w.Write(p.mem)
		return err
	}
	if err := p.flush(); err != nil {
		return err
	}
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := io.CopyN(struct{ io.Writer }{w}, p.file, p.size)
	return err
}

// close removes the file.
func (p *spill) close() error {
	if p.file == nil {
		return nil
	}
	<-p.s.spills
	return errors.Join(p.file.Close(), os.Remove(p.file.Name()))
}
