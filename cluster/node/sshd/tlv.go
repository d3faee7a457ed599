package sshd

import (
	"encoding/binary"
	"io/fs"
	"time"

	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// The records of docs/ascmd.md section 3.
const (
	recFile    = 1
	recDir     = 2
	recSize    = 3
	recError   = 4
	recInfo    = 5
	recSuccess = 6
	recDF      = 8
	recMD5     = 9
)

// Fields of a stat, section 3.1.
const (
	statName    = 1
	statSize    = 2
	statMode    = 3
	statZMode   = 4
	statCtime   = 9
	statZCtime  = 10
	statMtime   = 11
	statZMtime  = 12
	statAtime   = 13
	statZAtime  = 14
	statSymlink = 15
	statErrno   = 16
	statErrstr  = 17
)

// Fields of the other records, section 3.2.
const (
	infoPlatform = 1
	infoVersion  = 2
	infoCodeset  = 5
	infoProtocol = 12

	sizeBytes         = 1
	sizeFiles         = 2
	sizeFolders       = 3
	sizeFailedFiles   = 4
	sizeFailedFolders = 5

	errorNumber = 1
	errorText   = 2

	mountName = 1
	mountDir  = 2
	mountFree = 6

	md5Text = 1
)

// appendRecord appends type, length and value.
func appendRecord(b []byte, typ byte, value []byte) []byte {
	b = append(b, typ)
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	return append(b, value...)
}

// appendText appends a string, which ends in NUL.
func appendText(b []byte, typ byte, s string) []byte {
	b = append(b, typ)
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)+1))
	b = append(b, s...)
	return append(b, 0)
}

func append32(b []byte, typ byte, v int64) []byte {
	b = append(b, typ, 0, 0, 0, 4)
	return binary.BigEndian.AppendUint32(b, uint32(min(max(v, 0), 1<<31-1)))
}

func append64(b []byte, typ byte, v int64) []byte {
	b = append(b, typ, 0, 0, 0, 8)
	return binary.BigEndian.AppendUint64(b, uint64(v))
}

// appendStat appends the fields of a stat. link is where a link leads, if that may be known.
func appendStat(b []byte, in *transfer.Info, link string) []byte {
	b = appendText(b, statName, in.Name)
	size := int64(0)
	if in.Mode.IsRegular() {
		size = max(in.Size, 0)
	}
	b = append64(b, statSize, size)
	b = append32(b, statMode, int64(unixMode(in.Mode)))
	b = appendText(b, statZMode, modeText(in.Mode))
	for _, t := range []struct {
		number, text byte
		at           int64
	}{{statCtime, statZCtime, in.Ctime}, {statMtime, statZMtime, in.Mtime}, {statAtime, statZAtime, in.Atime}} {
		if t.at == 0 {
			continue // not known
		}
		at := time.Unix(0, t.at)
		b = append64(b, t.number, at.Unix())
		b = appendText(b, t.text, at.UTC().Format(time.RFC3339))
	}
	if link != "" {
		b = appendText(b, statSymlink, link)
	}
	return b
}

// unixMode is a mode as POSIX systems number it.
func unixMode(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	switch m.Type() {
	case fs.ModeDir:
		bits |= 0o040000
	case fs.ModeSymlink:
		bits |= 0o120000
	case fs.ModeNamedPipe:
		bits |= 0o010000
	case fs.ModeSocket:
		bits |= 0o140000
	case fs.ModeDevice:
		bits |= 0o060000
	case fs.ModeDevice | fs.ModeCharDevice:
		bits |= 0o020000
	case 0:
		bits |= 0o100000
	}
	return bits
}

// modeText is a mode as ls shows it.
func modeText(m fs.FileMode) string {
	kind := byte('?')
	switch m.Type() {
	case fs.ModeDir:
		kind = 'd'
	case fs.ModeSymlink:
		kind = 'l'
	case fs.ModeNamedPipe:
		kind = 'p'
	case fs.ModeSocket:
		kind = 's'
	case fs.ModeDevice:
		kind = 'b'
	case fs.ModeDevice | fs.ModeCharDevice:
		kind = 'c'
	case 0:
		kind = '-'
	}
	return string(kind) + m.Perm().String()[1:]
}
