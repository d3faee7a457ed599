package transfer

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/tradewind-io/tradewind/fasp"
)

// Config is the surroundings of Run. Only Dial is required; Run copies the Config and does not change it.
type Config struct {
	// Dial opens a session for the Spec, with the credentials already sent: what is written next is read
	// by the server's Serve. It is called again for each retry, and for each further session of a transfer, one call at a time. Errors that may pass are those of package
	// fasp about the link, and network errors; any other ends the Run.
	Dial func(ctx context.Context, spec *Spec) (fasp.Session, error)
	// Open opens the place of the local paths: of all sources, or of the one destination. It returns the Store, which Run
	// closes, and the name of each path in it, and fails if they are not in one place. Nil: paths are those of the local
	// file system.
	Open func(ctx context.Context, paths []string) (Store, []string, error)
	// KeepOpen says that the Store which Open returns is in use elsewhere, too: Run does not close it.
	KeepOpen bool
	// TellSources tells the server where each file stands in the client's store. It is of use where both are one process;
	// see ServeConfig.Sources.
	TellSources bool
	// Logger gets diagnostics; nil is silent.
	Logger *slog.Logger
	// Events gets every event; see Event. May be nil.
	Events func(Event)
	// Control, unless it is nil, changes the Run while it goes on.
	Control *Control
	// StateDir is a folder for markers of unfinished jobs, one small file each, made if needed. With it, an
	// upload that no earlier run left unfinished starts without waiting for answers. "" means no markers:
	// every upload asks first, which takes one round trip more.
	StateDir string
	// Origin tells jobs of different machines or users apart which are otherwise the same; a host name is
	// fitting. Jobs with the same Origin, server, user, paths and direction are the same work: a new session
	// of one ends an old one at the server. May be empty.
	Origin string
	// RetryTimeout is how long Run goes on trying while nothing moves. 0 means 10 minutes, negative means
	// no retries.
	RetryTimeout time.Duration
	// RetryWait is the first wait between attempts; it doubles up to 60 times itself. 0 means 500 ms.
	RetryWait time.Duration
	// Workers is how many files are read or written at a time, 0 means 3. Each may hold one block.
	Workers int
	// Sessions is how many sessions carry the blocks of a job, at most fasp.MaxBond; rates are of all together. 0 means one, and further ones while a
	// session takes all that a processor gives, up to half as many as there are processors. What the server does not take is done without.
	Sessions int
	// MaxErrors bounds the errors and the digests that are kept in a Result, 0 means 1,000 of each.
	MaxErrors int
	// MaxRemembered bounds the confirmed names that are kept for retries, about 40 bytes each. 0 means
	// 1,000,000. Files beyond it are compared again with the destination after a lost link.
	MaxRemembered int
}

const (
	defaultRetryTimeout  = 10 * time.Minute
	defaultRetryWait     = 500 * time.Millisecond
	defaultWorkers       = 3
	defaultMaxErrors     = 1000
	defaultMaxRemembered = 1_000_000
	progressEvery        = 500 * time.Millisecond
)

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Limits is what a peer may do. The zero Limits allows nothing.
type Limits struct {
	Read   bool // download
	Write  bool // upload
	List   bool // download folders
	Delete bool // replace existing files and change attributes of existing folders; without it a file that exists with other content fails
	// MaxRate caps the rate of data in either direction; 0 means no cap.
	MaxRate fasp.Rate
	// MinFree is how many bytes must stay free at the destination; 0 means no check. It is checked when a
	// session begins and before files are begun.
	MinFree int64
	// Within, unless it is nil, has the paths in the Store that alone may be named: an upload's destination, and each source of a download, must be one of them or lie below
	// one. "" is the Store itself. Looking and arranging (Manager) is refused then.
	Within []string
	// ManageOnly allows looking and arranging only, and no transfers.
	ManageOnly bool
}

// Asked is what a client wants, as ServeConfig.Place is told.
type Asked struct {
	// Manage says that the client wants to look at files and arrange them; else Direction is which way files are to go.
	Manage    bool
	Direction Direction
	Folder    string          // see Spec
	Tags      json.RawMessage // see Spec; checked to be an object if it is not nil
}

// Place is where the paths of a client are, and what it may do there.
type Place struct {
	Store  Store
	Limits Limits
	Path   string // of Store, for reports: it goes before the paths of a SessionRecord. "" if it is the one that they are told from
	// Release is called when the session has ended, unless it is nil.
	Release func()
}

// ServeConfig is the surroundings of Serve.
type ServeConfig struct {
	// Store is the place that clients may reach, shared by any number of sessions. Serve does not close it.
	Store  Store
	Limits Limits
	// Place, unless it is nil, is asked where a client's paths are, in place of Store and Limits, and may refuse it, with an *Error. It must change nothing, since the session may
	// not be confirmed yet (docs/protocol-transfer.md section 20.2). Without it a client that names a folder by its id is refused.
	Place func(ctx context.Context, a Asked) (Place, error)
	// Sources is the Store that the client reads from, where the client is in this process and acts for the same user: what
	// it names by Config.TellSources is then copied within an object store that holds both, and does not pass here. nil
	// for every other client, which could name what it may not read.
	Sources Store
	// Owner names who the session was authenticated for, such as a key id.
	Owner string
	// Sessions makes a new session of a job end an old one of the same job and owner, whose link was
	// lost without a word, before it touches the same files. Shared by all sessions of a node; nil leaves
	// old ones alone until they time out.
	Sessions *Sessions
	Logger   *slog.Logger // nil is silent
	Events   func(Event)  // may be nil
	Workers  int          // as in Config
	// NoCompression declines what clients offer: blocks cross as they are, both ways.
	NoCompression bool
	// MaxErrors is as in Config.
	MaxErrors int
}
