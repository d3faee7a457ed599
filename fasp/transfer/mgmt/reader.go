package mgmt

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Reader reads the frames of one side of a management connection. It is for one goroutine.
type Reader struct {
	r   *bufio.Reader
	buf []byte // the line that is read, where it does not fit r's buffer
	err error  // what ended it
}

// NewReader returns a Reader of r, of which it may read more than the frame that it returns.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReader(r)} }

// Next returns the next frame. The error is io.EOF where the stream ends between frames, io.ErrUnexpectedEOF where it ends inside of one; what is no frame gives one
// that matches ErrFrame, what is too large for one ErrTooLarge. After an error all calls return the same: there is no way to tell where the next frame would begin.
//
// Lines may end in CR LF, the blank behind a field's colon may be missing, and empty lines may stand between frames. A CR elsewhere and a NUL are refused.
func (r *Reader) Next() (Frame, error) {
	if r.err != nil {
		return Frame{}, r.err
	}
	f, err := r.next()
	if err != nil {
		r.err = err
		return Frame{}, err
	}
	return f, nil
}

func (r *Reader) next() (Frame, error) {
	left := MaxFrame
	line, err := r.line(&left)
	for err == nil && len(line) == 0 {
		left = MaxFrame // empty lines are no part of the frame
		line, err = r.line(&left)
	}
	if err != nil {
		return Frame{}, err
	}
	if string(line) != header {
		return Frame{}, fmt.Errorf("%w: it begins with %.100q and not with %q", ErrFrame, line, header)
	}
	var f Frame
	for {
		line, err := r.line(&left)
		switch {
		case errors.Is(err, io.EOF):
			return Frame{}, io.ErrUnexpectedEOF
		case err != nil:
			return Frame{}, err
		case len(line) == 0 && f.Type == "":
			return Frame{}, fmt.Errorf("%w: it has no type", ErrFrame)
		case len(line) == 0:
			return f, nil
		}
		name, value, found := strings.Cut(string(line), ":")
		if !found || !validName(name) {
			return Frame{}, fmt.Errorf("%w: %.100q is not a name, a colon and a value", ErrFrame, line)
		}
		value = strings.TrimPrefix(value, " ")
		switch {
		case name == "Type" && (f.Type != "" || value == ""):
			return Frame{}, fmt.Errorf("%w: not one type", ErrFrame)
		case name == "Type":
			f.Type = value
		case len(f.Fields) == MaxFields:
			return Frame{}, fmt.Errorf("%w: more than %d fields", ErrTooLarge, MaxFields)
		case PathField(name):
			f.Fields = append(f.Fields, Field{name, unescapePath(value)})
		default:
			f.Fields = append(f.Fields, Field{name, value})
		}
	}
}

// line returns a line without its end, valid until the next call, and takes its length off left.
func (r *Reader) line(left *int) ([]byte, error) {
	r.buf = r.buf[:0]
	for {
		part, err := r.r.ReadSlice('\n')
		if *left -= len(part); *left < 0 {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, MaxFrame)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			r.buf = append(r.buf, part...)
			continue
		case errors.Is(err, io.EOF) && len(part)+len(r.buf) > 0:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		}
		if len(r.buf) > 0 {
			r.buf = append(r.buf, part...)
			part = r.buf
		}
		part = bytes.TrimSuffix(part[:len(part)-1], []byte{'\r'})
		if bytes.IndexByte(part, 0) >= 0 || bytes.IndexByte(part, '\r') >= 0 {
			return nil, fmt.Errorf("%w: a carriage return or NUL in %.100q", ErrFrame, part)
		}
		return part, nil
	}
}
