package memstore

import (
	"io"
	"strings"
)

func section(s string) *io.SectionReader { return sectionOf(strings.NewReader(s), int64(len(s))) }

func sectionOf(r io.ReaderAt, size int64) *io.SectionReader { return io.NewSectionReader(r, 0, size) }
