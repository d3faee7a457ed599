package sshd

import (
	"context"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"path"

	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// list is as_ls: a file alone, or what is in a folder.
func list(ctx context.Context, a *ascmd, m transfer.Manager, names []string) (err error) {
	name := "."
	if len(names) > 0 {
		name = names[0]
	}
	in, err := stat(ctx, m, name)
	if err != nil {
		return err
	}
	if !in.Mode.IsDir() {
		in.Name = path.Base(name)
		return sent(a.send(recFile, appendStat(nil, &in, "")))
	}
	answer := &spill{s: a.u.s}
	defer func() {
		if cerr := answer.close(); cerr != nil {
			a.u.log.Warn("a listing's file stays", "error", cerr)
		}
	}()
	n := 0
	var fields, record []byte
	add := func() error {
		record = appendRecord(record[:0], recFile, fields)
		return answer.add(ctx, record)
	}
	err = m.Walk(ctx, name, transfer.WalkOptions{}, func(in transfer.Info) error {
		if n++; n > a.u.s.cfg.MaxEntries {
			return tooMany("the folder has too many entries to be listed here")
		}
		link := ""
		if in.Mode&fs.ModeSymlink != 0 {
			link = linkText(ctx, m, path.Join(name, in.Name))
		}
		fields = appendStat(fields[:0], &in, link)
		return add()
	})
	if leftOut(err) {
		fields = appendText(append32(appendText(fields[:0], statName, "?"), statErrno, 22), statErrstr, "some names of the store are no paths and are left out")
		err = add()
	}
	if err != nil {
		return err
	}
	head := binary.BigEndian.AppendUint32([]byte{recDir}, uint32(answer.size))
	if _, err := a.out.Write(head); err != nil {
		return sent(err)
	}
	return sent(answer.send(a.out))
}

// leftOut says that a walk was whole but for keys of a store that no path can name (see transfer.BucketStore.Walk).
func leftOut(err error) bool {
	var te *transfer.Error
	return errors.As(err, &te) && te.Code == transfer.CodeBadPath && te.Path == "" && te.Op == ""
}

// stat describes what is at name. The root of a place in a store exists even if nothing lies in it.
func stat(ctx context.Context, m transfer.Manager, name string) (transfer.Info, error) {
	in, err := m.Stat(ctx, name, true)
	if name == "." && errors.Is(err, fs.ErrNotExist) {
		return transfer.Info{Name: ".", Mode: fs.ModeDir | 0o755}, nil
	}
	return in, err
}

// usage is as_du.
func usage(ctx context.Context, a *ascmd, m transfer.Manager, names []string) error {
	if _, err := stat(ctx, m, names[0]); err != nil {
		return err
	}
	var bytes, files, folders int64
	err := m.Walk(ctx, names[0], transfer.WalkOptions{Deep: true}, func(in transfer.Info) error {
		switch {
		case in.Mode.IsDir():
			folders++
		case in.Mode.IsRegular():
			files++
			bytes += max(in.Size, 0)
		}
		return ctx.Err()
	})
	if err != nil && !leftOut(err) {
		return err
	}
	b := append64(nil, sizeBytes, bytes)
	b = append32(b, sizeFiles, files)
	b = append32(b, sizeFolders, folders)
	b = append32(b, sizeFailedFiles, 0)
	b = append32(b, sizeFailedFolders, 0)
	return sent(a.send(recSize, b))
}

// free is as_df. How large the place is, it does not know.
func free(ctx context.Context, a *ascmd, m transfer.Manager, _ []string) error {
	n, err := m.Free(ctx)
	if err != nil {
		return err
	}
	if n < 0 {
		return notOffered("how much room is left here is not known")
	}
	b := appendText(nil, mountName, "tradewind")
	b = appendText(b, mountDir, "/")
	b = append64(b, mountFree, n)
	return sent(a.send(recDF, b))
}

// md5sum is as_md5sum.
func md5sum(ctx context.Context, a *ascmd, m transfer.Manager, names []string) error {
	in, err := m.Stat(ctx, names[0], true)
	switch {
	case err != nil:
		return err
	case in.Mode.IsDir():
		return errIsDir
	case !in.Mode.IsRegular():
		return invalid("this is no file")
	}
	f, err := m.Open(ctx, names[0])
	if err != nil {
		return err
	}
	defer f.Close()
	if in, err = f.Info(); err != nil {
		return err
	}
	h := md5.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, &during{ctx, io.NewSectionReader(f, 0, max(in.Size, 0))}, make([]byte, 256<<10)); err != nil {
		return err
	}
	return sent(a.send(recMD5, appendText(nil, md5Text, hex.EncodeToString(h.Sum(nil)))))
}

// during reads until ctx ends.
type during struct {
	ctx context.Context
	r   io.Reader
}

func (d *during) Read(b []byte) (int, error) {
	if d.ctx.Err() != nil {
		return 0, context.Cause(d.ctx)
	}
	return d.r.Read(b)
}

func mkdir(ctx context.Context, a *ascmd, m transfer.Manager, names []string) error {
	err := m.Mkdir(ctx, names[0])
	if err == nil {
		a.u.log.Info("folder made", "name", names[0])
	}
	return a.success(err)
}

// move is as_mv. It replaces nothing.
func move(ctx context.Context, a *ascmd, m transfer.Manager, names []string) error {
	n, err := m.Rename(ctx, names[0], names[1], false)
	if n > 0 {
		a.u.log.Info("renamed", "name", names[0], "to", names[1], "count", n)
	}
	return a.success(err)
}

// remove is as_rm. A folder goes with what is in it.
func remove(ctx context.Context, a *ascmd, m transfer.Manager, names []string) error {
	n, err := m.Remove(ctx, names[0], true)
	if n > 0 {
		a.u.log.Info("removed", "name", names[0], "count", n)
	}
	return a.success(err)
}
