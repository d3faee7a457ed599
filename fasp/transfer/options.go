package transfer

import (
	"fmt"
	"slices"
)

// Direction says which way data goes, as the client sees it. The zero Direction is Send.
type Direction uint8

// The two directions.
const (
	Send    Direction = iota // client to server
	Receive                  // server to client
)

// ResumeLevel says how much is compared before a partial file is continued, and how "different" is
// decided for overwriting. The zero ResumeLevel is ResumeSparse, level 2.
type ResumeLevel uint8

// The resume levels; Level gives the product's numbers.
const (
	ResumeSparse ResumeLevel = iota // level 2: attributes, and a sample of blocks by hash
	ResumeNone                      // level 0: send everything again
	ResumeAttrs                     // level 1: size and modification time
	ResumeFull                      // level 3: attributes, and every block by hash
)

var resumeLevels = [...]int{ResumeSparse: 2, ResumeNone: 0, ResumeAttrs: 1, ResumeFull: 3}

// Level returns the product's number, 0 to 3.
func (r ResumeLevel) Level() int {
	if int(r) < len(resumeLevels) {
		return resumeLevels[r]
	}
	return 0
}

// ResumeFromLevel returns the ResumeLevel of the product's number n, 0 to 3.
func ResumeFromLevel(n int) (ResumeLevel, error) {
	if i := slices.Index(resumeLevels[:], n); i >= 0 {
		return ResumeLevel(i), nil
	}
	return 0, fmt.Errorf("resume level %d: want 0, 1, 2 or 3", n)
}

// Overwrite says what happens to a destination file that exists. The zero Overwrite is OverwriteDiff.
type Overwrite uint8

// The overwrite rules. What "different" means is decided by the resume level
// (docs/protocol-transfer.md section 26).
const (
	OverwriteDiff      Overwrite = iota // if it differs from the source
	OverwriteNever                      // keep it
	OverwriteAlways                     // replace it
	OverwriteOlder                      // if it is older than the source
	OverwriteDiffOlder                  // if it differs and is older
)

// Symlinks says what happens to symbolic links in the source. The zero Symlinks is SymlinksFollow.
type Symlinks uint8

// The symbolic-link modes.
const (
	SymlinksFollow    Symlinks = iota // send what the link leads to
	SymlinksCopy                      // send the link itself; an existing destination is kept
	SymlinksCopyForce                 // send the link itself; an existing link or file is replaced
	SymlinksSkip                      // leave links out
)

// Checksum names the whole-file digest that is computed and reported. The zero Checksum is none.
type Checksum uint8

// The digests.
const (
	ChecksumNone Checksum = iota
	ChecksumMD5
	ChecksumSHA1
	ChecksumSHA256
	ChecksumSHA384
	ChecksumSHA512
)

// Durability says when a file counts as confirmed. The zero Durability is DurabilityAuto.
type Durability uint8

// The durability modes (docs/protocol-transfer.md section 27).
const (
	DurabilityAuto    Durability = iota // file for a job of one file, else session
	DurabilityFile                      // each file on its own: sync, rename, sync the folder
	DurabilitySession                   // in batches: sync the file system, rename, sync, confirm
	DurabilityNone                      // rename without syncing: a power loss may lose confirmed files
)

// Compression says whether blocks are compressed on their way. What is stored, hashed and reported as content is not. The zero
// Compression is CompressionAuto.
type Compression uint8

// The ways to compress.
const (
	CompressionAuto   Compression = iota // where it makes the transfer faster, as far as the sender can tell
	CompressionOff                       // never
	CompressionAlways                    // every block that becomes smaller, even where that takes longer
)

var (
	directionNames   = []string{Send: "send", Receive: "receive"}
	resumeNames      = []string{ResumeSparse: "sparse_csum", ResumeNone: "none", ResumeAttrs: "attrs", ResumeFull: "full_csum"}
	overwriteNames   = []string{OverwriteDiff: "diff", OverwriteNever: "never", OverwriteAlways: "always", OverwriteOlder: "older", OverwriteDiffOlder: "diff+older"}
	symlinkNames     = []string{SymlinksFollow: "follow", SymlinksCopy: "copy", SymlinksCopyForce: "copy+force", SymlinksSkip: "skip"}
	checksumNames    = []string{ChecksumNone: "none", ChecksumMD5: "md5", ChecksumSHA1: "sha1", ChecksumSHA256: "sha-256", ChecksumSHA384: "sha-384", ChecksumSHA512: "sha-512"}
	compressionNames = []string{CompressionAuto: "auto", CompressionOff: "off", CompressionAlways: "always"}
	durabilityNames  = []string{DurabilityAuto: "auto", DurabilityFile: "file", DurabilitySession: "session", DurabilityNone: "none"}
)

func enumName(names []string, v uint8) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("unknown(%d)", v)
}

func parseEnum(what string, names []string, text string) (uint8, error) {
	for i, n := range names {
		if n == text {
			return uint8(i), nil
		}
	}
	return 0, fmt.Errorf("%s %q: want one of %q", what, text, names)
}

// String returns the name that transfer specifications use.
func (d Direction) String() string {
	if d == manage {
		return "manage"
	}
	return enumName(directionNames, uint8(d))
}

// String returns the name that transfer specifications use.
func (r ResumeLevel) String() string { return enumName(resumeNames, uint8(r)) }

// String returns the name that transfer specifications use.
func (o Overwrite) String() string { return enumName(overwriteNames, uint8(o)) }

// String returns the name that transfer specifications use.
func (s Symlinks) String() string { return enumName(symlinkNames, uint8(s)) }

// String returns the name that transfer specifications use.
func (c Checksum) String() string { return enumName(checksumNames, uint8(c)) }

// String returns the name that command lines use.
func (d Durability) String() string { return enumName(durabilityNames, uint8(d)) }

// String returns the name that command lines use.
func (c Compression) String() string { return enumName(compressionNames, uint8(c)) }

// MarshalText writes the name that transfer specifications use.
func (d Direction) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads send or receive; recv is accepted.
func (d *Direction) UnmarshalText(b []byte) error {
	s := string(b)
	if s == "recv" {
		s = "receive"
	}
	v, err := parseEnum("direction", directionNames, s)
	*d = Direction(v)
	return err
}

// MarshalText writes the name that transfer specifications use.
func (r ResumeLevel) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads none, attrs, sparse_csum or full_csum, the longer spellings attributes,
// sparse_checksum and full_checksum, or a digit 0 to 3.
func (r *ResumeLevel) UnmarshalText(b []byte) error {
	s := string(b)
	switch s {
	case "attributes":
		s = "attrs"
	case "sparse_checksum":
		s = "sparse_csum"
	case "full_checksum":
		s = "full_csum"
	case "0", "1", "2", "3":
		v, err := ResumeFromLevel(int(s[0] - '0'))
		*r = v
		return err
	}
	v, err := parseEnum("resume policy", resumeNames, s)
	*r = ResumeLevel(v)
	return err
}

// MarshalText writes the name that transfer specifications use.
func (o Overwrite) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads never, always, diff, older, diff+older or older+diff.
func (o *Overwrite) UnmarshalText(b []byte) error {
	s := string(b)
	if s == "older+diff" {
		s = "diff+older"
	}
	v, err := parseEnum("overwrite", overwriteNames, s)
	*o = Overwrite(v)
	return err
}

// MarshalText writes the name that transfer specifications use.
func (s Symlinks) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads follow, copy, copy+force or skip.
func (s *Symlinks) UnmarshalText(b []byte) error {
	v, err := parseEnum("symbolic links", symlinkNames, string(b))
	*s = Symlinks(v)
	return err
}

// MarshalText writes the name that transfer specifications use.
func (c Checksum) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads none, md5, sha1, sha-256, sha-384 or sha-512; sha1 may carry a hyphen and the
// others may lack theirs.
func (c *Checksum) UnmarshalText(b []byte) error {
	s := string(b)
	switch s {
	case "sha-1":
		s = "sha1"
	case "sha256", "sha384", "sha512":
		s = "sha-" + s[3:]
	}
	v, err := parseEnum("file checksum", checksumNames, s)
	*c = Checksum(v)
	return err
}

// MarshalText writes the name that command lines use.
func (d Durability) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads auto, file, session or none.
func (d *Durability) UnmarshalText(b []byte) error {
	v, err := parseEnum("durability", durabilityNames, string(b))
	*d = Durability(v)
	return err
}

// MarshalText writes the name that command lines use.
func (c Compression) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads auto, off or always.
func (c *Compression) UnmarshalText(b []byte) error {
	v, err := parseEnum("compression", compressionNames, string(b))
	*c = Compression(v)
	return err
}
