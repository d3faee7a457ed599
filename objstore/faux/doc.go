// Package faux makes bytes up and throws bytes away, to test transfers without storage.
//
//	faux:///NAME?SIZE       a Source of one object, of random bytes
//	faux:///DIR?count=N     a Source of N objects DIR/FILE_INDEX_SIZE
//	faux://                 a Sink: it takes everything, counts it and keeps nothing
//
// The options of a folder are count (required), file, the beginning of names (default "file"), size, that of the first
// object (default 0), inc, by which sizes change (default 0), seq and buf_init. With seq=sequential, the default, each
// object is inc larger than the one before; with seq=random each has size, up to inc more or less. buf_init is "zero", the
// default, or "random"; "none", which elsewhere stands for uninitialised memory, is zero. Sizes are numbers of bytes or have a
// suffix k, m, g, t, p or e, in powers of 1024, up to 7e. INDEX counts from 00000.
//
// Sizes and bytes depend on the URI only: every range, read at any time by anyone, agrees with every other. Random bytes do
// not compress; they are no secrets.
package faux
