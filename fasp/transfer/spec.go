package transfer

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/tradewind-io/tradewind/fasp"
)

// Spec says what to transfer. Its JSON form uses the names of the product's transfer specification;
// fields of that specification which Spec does not know are ignored when it is read. The zero value of
// every option is a good default.
type Spec struct {
	Direction Direction // Send is the default
	Host      string    // server name or address
	Port      int       // UDP port; 0 means 33001
	User      string
	Token     string // how the session is authenticated; used by Config.Dial only

	// Paths are the sources, local paths for Send and paths below the server's root for Receive.
	// Either all have a Destination or none has one; it is a name below the Spec's Destination.
	Paths []Path
	// FromList says that Paths came from a list: the destination is then a folder.
	FromList bool
	// Destination is where the sources land: a folder, or a file name when there is one source that is a
	// file, CreateDir and FromList are false, and no folder of that name exists.
	Destination string
	CreateDir   bool
	// SrcBase is cut off the front of the sources and the rest of their path is kept below Destination.
	// Empty: only the last element of a source is kept.
	SrcBase string

	Rates         fasp.Rates // of the data, whichever way it goes
	Resume        ResumeLevel
	Overwrite     Overwrite
	Filters       []Filter // ordered; the first match decides
	Symlinks      Symlinks
	PreserveTimes bool // modification and access times
	PreserveMtime bool // modification times only
	PreserveAtime bool // access times only
	PreserveMode  bool // permission bits exactly; otherwise the destination's mask for new files applies
	SkipSpecial   bool // devices, sockets and pipes are left out silently; otherwise each fails with CodeNotRegular
	Checksum      Checksum
	Durability    Durability
	Compression   Compression // on the wire; the server may decline it

	// BlockSize is the payload of a block in bytes, a multiple of 4,096 from 16 KiB to 1,044,480; 0 means
	// 128 KiB. Memory in flight on a lossy link grows with it. Very large files get larger blocks.
	BlockSize int
	// ReadSize is how many bytes of a source file are read at a time, and WriteSize how many of a destination file are at most written at a
	// time, each from 16 KiB to 4 MiB, whichever side that is; 0 means a block. One read feeds several blocks then, or several reads one. A write takes
	// blocks that stand behind one another and are there already, as many as fit, or a piece of one. Left as they are: small files, which are read
	// and written whole, streams as sources, and object stores; blocks that came compressed, and those of systems other than Linux, are never put together.
	ReadSize, WriteSize int
	// DatagramSize is the size of IP datagrams in bytes, which a path that does not take it still lowers; 0 finds it. Used by Config.Dial only.
	DatagramSize int
	// Cipher is none, aes-128, aes-192 or aes-256, with or without -gcm; empty means aes-128. Used by
	// Config.Dial only.
	Cipher string
	// Part is the share of the files that this job is about; the zero Part is all.
	Part Part
	// Split is the size in bytes from which a file is divided among the parts, each job moving one stretch of it; 0 is never. Without Part it means
	// nothing. All jobs at the parts must have the same. The file has its name when the last stretch is there. It excludes Checksum, and
	// destinations in an object store.
	Split int64
	// Folder is the id of a folder at the server below which its paths are, the Destination of an upload and the sources of a download. "" is the top of the
	// server's place, unless Tags have one, aspera.node.file_id. What ids there are is the server's to say: a server that has none for these credentials refuses the session.
	Folder string
	// Cookie and Title, of up to MaxLabel bytes, and Tags, a JSON object of up to MaxTags bytes, nil if there is none, are kept with the transfer on both sides, for those who report on it.
	Cookie string
	Title  string
	Tags   json.RawMessage
}

// MaxLabel and MaxTags bound what is kept with a transfer, in bytes.
const (
	MaxLabel = 1024
	MaxTags  = 16 << 10
)

// MinIOSize and MaxIOSize bound Spec.ReadSize and Spec.WriteSize, in bytes.
const (
	MinIOSize = 16 << 10
	MaxIOSize = 4 << 20
)

// Path is one source, and its destination where the job lists pairs.
type Path struct {
	Source      string `json:"source"`
	Destination string `json:"destination,omitempty"`
}

// specJSON is Spec in the product's words. Rates there are kbit/s.
type specJSON struct {
	Direction     Direction    `json:"direction"`
	Host          string       `json:"remote_host"`
	Port          int          `json:"fasp_port,omitempty"`
	User          string       `json:"remote_user,omitempty"`
	Token         string       `json:"token,omitempty"`
	Paths         []Path       `json:"paths"`
	FromList      bool         `json:"from_list,omitempty"`
	Destination   string       `json:"destination_root"`
	CreateDir     bool         `json:"create_dir,omitempty"`
	SrcBase       string       `json:"src_base,omitempty"`
	Policy        string       `json:"rate_policy,omitempty"`
	Target        int64        `json:"target_rate_kbps,omitempty"`
	Min           int64        `json:"min_rate_kbps,omitempty"`
	Resume        ResumeLevel  `json:"resume_policy"`
	Overwrite     Overwrite    `json:"overwrite"`
	Filters       []filterJSON `json:"filters,omitempty"`
	Symlinks      Symlinks     `json:"symlink_policy"`
	PreserveTimes bool         `json:"preserve_times,omitempty"`
	PreserveMtime bool         `json:"preserve_modification_time,omitempty"`
	PreserveAtime bool         `json:"preserve_access_time,omitempty"`
	PreserveMode  bool         `json:"preserve_mode,omitempty"`
	SkipSpecial   bool         `json:"skip_special_files,omitempty"`
	Checksum      Checksum     `json:"file_checksum"`
	Durability    Durability   `json:"durability"`
	Compression   Compression  `json:"compression"`
	BlockSize     int          `json:"block_size,omitempty"`
	ReadSize      int          `json:"read_size,omitempty"`
	WriteSize     int          `json:"write_size,omitempty"`
	DatagramSize  int          `json:"dgram_size,omitempty"`
	Cipher        string       `json:"cipher,omitempty"`
	Part          *Part        `json:"part,omitempty"`
	Split         int64        `json:"multi_session_threshold,omitempty"`
	// Of a transfer one of these is at the server; what the other says is for who looks for the local files.
	SourceFolder string          `json:"source_root_id,omitempty"`
	DestFolder   string          `json:"destination_root_id,omitempty"`
	Cookie       string          `json:"cookie,omitempty"`
	Title        string          `json:"title,omitempty"`
	Tags         json.RawMessage `json:"tags,omitempty"`
}

type filterJSON struct {
	Include string `json:"include,omitempty"`
	Exclude string `json:"exclude,omitempty"`
}

// MarshalJSON writes the transfer specification. The token is in it: it is not for logs.
func (s Spec) MarshalJSON() ([]byte, error) {
	j := specJSON{
		s.Direction, s.Host, s.Port, s.User, s.Token, s.Paths, s.FromList, s.Destination, s.CreateDir, s.SrcBase,
		s.Rates.Policy.String(), int64(s.Rates.Target / fasp.Kbps), int64(s.Rates.Min / fasp.Kbps),
		s.Resume, s.Overwrite, nil, s.Symlinks, s.PreserveTimes, s.PreserveMtime, s.PreserveAtime, s.PreserveMode,
		s.SkipSpecial, s.Checksum, s.Durability, s.Compression, s.BlockSize, s.ReadSize, s.WriteSize,
		s.DatagramSize, s.Cipher, nil, s.Split, "", "", s.Cookie, s.Title, s.Tags,
	}
	if s.Direction == Receive {
		j.SourceFolder = s.Folder
	} else {
		j.DestFolder = s.Folder
	}
	if s.Part != (Part{}) {
		j.Part = &s.Part
	}
	for _, f := range s.Filters {
		if f.Exclude {
			j.Filters = append(j.Filters, filterJSON{Exclude: f.Pattern})
		} else {
			j.Filters = append(j.Filters, filterJSON{Include: f.Pattern})
		}
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads a transfer specification.
func (s *Spec) UnmarshalJSON(b []byte) error {
	var j specJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	out := Spec{
		Direction: j.Direction, Host: j.Host, Port: j.Port, User: j.User, Token: j.Token, Paths: j.Paths, FromList: j.FromList,
		Destination: j.Destination, CreateDir: j.CreateDir, SrcBase: j.SrcBase,
		Resume: j.Resume, Overwrite: j.Overwrite, Symlinks: j.Symlinks, PreserveTimes: j.PreserveTimes,
		PreserveMtime: j.PreserveMtime, PreserveAtime: j.PreserveAtime, PreserveMode: j.PreserveMode, SkipSpecial: j.SkipSpecial,
		Checksum: j.Checksum, Durability: j.Durability, Compression: j.Compression, BlockSize: j.BlockSize,
		ReadSize: j.ReadSize, WriteSize: j.WriteSize, DatagramSize: j.DatagramSize, Cipher: j.Cipher,
		Split: j.Split, Folder: j.DestFolder, Cookie: j.Cookie, Title: j.Title, Tags: j.Tags,
	}
	if j.Direction == Receive {
		out.Folder = j.SourceFolder
	}
	if string(out.Tags) == "null" {
		out.Tags = nil
	}
	if j.Part != nil {
		out.Part = *j.Part
	}
	if j.Policy != "" {
		p, err := fasp.ParsePolicy(j.Policy)
		if err != nil {
			return err
		}
		out.Rates.Policy = p
	}
	const limit = math.MaxInt64 / int64(fasp.Kbps)
	if j.Target < 0 || j.Target > limit || j.Min < 0 || j.Min > limit {
		return fmt.Errorf("rate out of range")
	}
	out.Rates.Target, out.Rates.Min = fasp.Rate(j.Target)*fasp.Kbps, fasp.Rate(j.Min)*fasp.Kbps
	for _, f := range j.Filters {
		switch {
		case f.Include != "" && f.Exclude == "":
			out.Filters = append(out.Filters, Filter{Pattern: f.Include})
		case f.Exclude != "" && f.Include == "":
			out.Filters = append(out.Filters, Filter{Exclude: true, Pattern: f.Exclude})
		default:
			return fmt.Errorf("filter: want either include or exclude")
		}
	}
	*s = out
	return nil
}

// Check refuses what cannot be done, as Run does before anything else; the error has CodeUsage.
func (s *Spec) Check() error {
	bad := func(format string, args ...any) error { return failf(CodeUsage, "", format, args...) }
	if len(s.Paths) == 0 {
		return failf(CodeNothing, "", "nothing to transfer: no source was named")
	}
	if len(s.Paths) > maxSources {
		return bad("%d sources; at most %d are taken", len(s.Paths), maxSources)
	}
	pairs := 0
	for _, p := range s.Paths {
		if p.Source == "" {
			return bad("an empty source")
		}
		if len(p.Source) > maxName || len(p.Destination) > maxName {
			return failf(CodePathTooLong, "", "a path is longer than %d bytes", maxName)
		}
		if p.Destination != "" {
			pairs++
		}
	}
	switch {
	case pairs != 0 && pairs != len(s.Paths):
		return bad("either all sources have a destination of their own or none")
	case len(s.Destination) > maxName || len(s.SrcBase) > maxName:
		return failf(CodePathTooLong, "", "a path is longer than %d bytes", maxName)
	case s.Destination == "":
		return bad("no destination")
	case s.BlockSize != 0 && !validBlockSize(uint64(max(s.BlockSize, 0))):
		return bad("block size %d: want a multiple of 4096 from %d to %d", s.BlockSize, minBlockSize, maxBlockSize)
	case !validIOSize(uint64(max(s.ReadSize, -1))):
		return bad("read size %d: want %d to %d bytes, or 0 for that of a block", s.ReadSize, MinIOSize, MaxIOSize)
	case !validIOSize(uint64(max(s.WriteSize, -1))):
		return bad("write size %d: want %d to %d bytes, or 0 for that of a block", s.WriteSize, MinIOSize, MaxIOSize)
	case !s.Part.valid():
		return bad("part %d of %d: want a number from 1 to the count, and a count of at most %d", s.Part.Index, s.Part.Count, MaxParts)
	case s.Split < 0 || s.Split > maxFileSize:
		return bad("files to be divided from %d bytes on: want 0 for never, or more", s.Split)
	case s.Split > 0 && s.Part.Count > 1 && s.Checksum != ChecksumNone:
		return bad("a digest of whole files and files that are divided among several jobs exclude each other: no job reads a whole one")
	case s.Rates.Target != 0 && s.Rates.Min > s.Rates.Target:
		return bad("the minimum rate is above the target rate")
	case int(s.Compression) >= len(compressionNames):
		return bad("compression %d is none of %q", s.Compression, compressionNames)
	case len(s.Filters) > maxFilters:
		return bad("%d filter rules; at most %d are taken", len(s.Filters), maxFilters)
	}
	if err := checkFilters(s.Filters); err != nil {
		return bad("%w", err)
	}
	if err := checkRates(s.Rates); err != nil {
		return err
	}
	return s.checkLabels()
}

func (s *Spec) blockSize() int {
	if s.BlockSize == 0 {
		return defaultBlockSize
	}
	return s.BlockSize
}

// defaultBlockSize is small enough that a lossy link does not park much memory in unfinished blocks, and
// large enough that headers and hashes cost next to nothing.
const defaultBlockSize = 128 << 10
