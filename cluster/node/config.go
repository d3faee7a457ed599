package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/fasp/vlink"
	"github.com/tradewind-io/tradewind/objstore"
)

// Config sets up a Node, which copies it. DocRoot and StateDir are required; zero is a good default for everything else.
type Config struct {
	// DocRoot is what clients reach, or parts of it: a folder, which must exist, or the URI of a place in an object store,
	// such as s3://host/bucket/prefix. Keys whose root is a URI have a place of their own beside it.
	DocRoot string
	// Stores are the schemes of URIs that may be named; nil means none. They hold the credentials.
	Stores objstore.Schemes
	// OpenStorage makes a driver of the storage that a key brings with it, and returns the prefix in it; see package keystorage. nil means that only storage of type
	// local, a path below DocRoot, can be used.
	OpenStorage func(ctx context.Context, s accesskey.Storage) (_ objstore.Driver, prefix string, _ error)
	// PartSize is how large parts in object stores should be, in bytes; 0 means objstore.DefaultPartSize. A URI may say
	// otherwise for its place (option part-size).
	PartSize int64
	// PartMemory bounds the memory that parts of all sessions take together, in bytes; 0 means 32 parts. A session has at
	// least one part and 32 MiB, or waits, and at most 8 parts and that (docs/performance.md).
	PartMemory int64
	// StateDir holds the node's identity and access keys. It is made if needed, for this user only. Neither may lie in the other: clients would reach
	// the keys, or the keys' folder would fill with files of clients.
	StateDir string
	// Listen is the UDP address "host:port"; empty means port 33001 on all addresses. Port 0 takes a free one.
	Listen string
	// PacketConn is used instead of a socket at Listen if it is not nil. Run closes it.
	PacketConn net.PacketConn
	// Identity is the key that clients know the node by; nil means the one in StateDir, made on first use.
	Identity *fasp.Identity
	// Keys are the access keys; nil means those of the state store in StateDir, which no other process may use while the node runs. With Keys, and without API, SSH and WSS, a node has no state store and records
	// no transfers.
	Keys accesskey.Store
	// AccessKey is made when Run begins, bound to the docroot, or given this secret if there is one of this id. nil changes nothing.
	AccessKey *accesskey.Credential

	// API is the TCP address "host:port" at which the node offers its REST API over HTTPS (docs/api.md); empty is none. Its certificate is in api.crt and api.key in StateDir.
	API string
	// APIUser is a user of the node, who manages keys over the API and sees what all of them do: made, or given this password, when Run begins. nil changes nothing.
	APIUser *accesskey.Credential
	// SSH is the TCP address "host:port" at which accounts log in for a ticket, with which they transfer, or to look and arrange (docs/protocol-auth.md section 46, docs/ascmd.md);
	// empty is none. The host key is in ssh_host_ed25519_key in StateDir. Public keys of an account NAME are the
	// lines of authorized_keys/NAME there, in the form of OpenSSH, which is read at each login.
	SSH string
	// WSS is the TCP address "host:port" at which accounts, and who has credentials for the API, get a ticket over WebSocket and TLS (docs/protocol-auth.md section 47); empty is none. With it the node
	// keeps its accounts as with SSH, and its certificate as with API.
	WSS string
	// SSHUser is an account for all of the docroot: made, or given this password, when Run begins. nil changes nothing.
	SSHUser *accesskey.Credential
	// Reload reads the configuration again and gives it to Node.Reconfigure, for twnode reload; it returns the names of settings that are different and wait for the next start. nil: there is nothing to
	// read again.
	Reload func(ctx context.Context) (later []string, err error)
	// Version is what the API says of the program; empty is "unknown".
	Version string

	// MaxRate bounds what all sessions together send, and what they receive, in bits of IP packets per second; 0 means no bound.
	MaxRate fasp.Rate
	// VLinks are the virtual links that divide it among groups of keys; see vlink.Link. The one without a name is that of keys that name none.
	// Node.Reconfigure changes them.
	VLinks []vlink.Link
	// MinFree is how many bytes uploads leave free on the docroot's file system; 0 means none.
	MinFree int64
	// MaxSessions bounds sessions; more are refused as busy. 0 means 256, negative is an error.
	MaxSessions int
	// MaxUnauthenticated bounds sessions whose proof has not been checked yet; the oldest gives way to a new one. 0 means 64.
	MaxUnauthenticated int
	// AuthTimeout is how long a client may take for its proof; 0 means 10 s.
	AuthTimeout time.Duration
	// InitialWindow is how many bytes a session may send ahead from the start; 0 means 128 MiB, a second of 1 Gbit/s. Less slows the start on
	// long fat paths.
	InitialWindow int64
	// UnprovenMemory bounds the memory that all sessions take whose proof has not been checked yet, in bytes; 0 means 512 MiB. What finds no room
	// has to be sent again.
	UnprovenMemory int64
	// Window is how far the window of an authenticated session may grow with what the network holds half-arrived; 0 means 1 GiB.
	// About 5 x rate x RTT is used at 30 % loss. What storage is slow to take does not make it grow.
	Window int64
	// History is how long transfers that are over, their sessions and files, and events are kept; 0 means 90 days, negative means for ever. Usage, the audit log, and what is not over yet stay.
	History time.Duration
	// DrainTimeout is how long running sessions may go on after Run's context has ended; 0 means 1 hour, negative means not at all. Clients of sessions
	// that are cut resume later by themselves.
	DrainTimeout time.Duration

	// Datagram is the largest UDP payload, 1,200 to 65,507 bytes; 0 means what fits an MTU of 1,500, and of up to 9,000 where a session
	// finds that path and peer take it.
	Datagram int
	// NoEarlyData makes every session take the whole handshake: no tickets are handed out, and what clients send early is not accepted
	// (docs/protocol.md section 4.7).
	NoEarlyData bool
	// NoCompression keeps data from being compressed on its way, whatever clients ask for.
	NoCompression bool
	// Logger gets a line for each session, at debug level one for each file. nil is silent.
	Logger *slog.Logger
	// Events gets the events of all sessions, one call at a time per session; see transfer.Event. May be nil.
	Events func(transfer.Event)
}

// The bounds of a UDP payload that package fasp takes.
const (
	minDatagram = 1200
	maxDatagram = 65507
)

// DefaultPort is the UDP port of nodes.
const DefaultPort = 33001

// keepsState says whether a node has a state store; see Config.Keys.
func (c *Config) keepsState() bool { return c.Keys == nil || c.API != "" || c.SSH != "" || c.WSS != "" }

// Check says what is wrong with c, nil if nothing is that can be seen before Run.
func (c Config) Check() error {
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	links := vlink.Config{Host: vlink.Caps{Out: c.MaxRate, In: c.MaxRate}, Links: c.VLinks}
	return links.Check()
}

// checkAddresses refuses two services at one TCP address.
func (c Config) checkAddresses() error {
	type service struct{ name, host, port string }
	var all []service
	for _, s := range []struct{ name, addr string }{{"API", c.API}, {"SSH", c.SSH}, {"WSS", c.WSS}} {
		host, port, err := net.SplitHostPort(s.addr)
		if s.addr == "" || err != nil || port == "0" { // what is no address is found out when it is opened
			continue
		}
		if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
			host = ""
		}
		for _, o := range all {
			if o.port == port && (o.host == host || o.host == "" || host == "") {
				return fmt.Errorf("node: %s and %s are at the same TCP address, %s", o.name, s.name, s.addr)
			}
		}
		all = append(all, service{s.name, host, port})
	}
	return nil
}

func (c Config) withDefaults() (Config, error) {
	if c.DocRoot == "" || c.StateDir == "" {
		return c, errors.New("node: DocRoot and StateDir are required")
	}
	if dir, ok := folder(c.DocRoot); ok {
		fi, err := os.Stat(dir)
		if err != nil {
			return c, fmt.Errorf("docroot: %w", err)
		}
		if !fi.IsDir() {
			return c, fmt.Errorf("docroot %s is not a folder", dir)
		}
		if err := apart(c.StateDir, dir); err != nil {
			return c, err
		}
	}
	if !c.keepsState() && (c.AccessKey != nil || c.APIUser != nil || c.SSHUser != nil) {
		return c, errors.New("node: AccessKey, APIUser and SSHUser are kept in the state store, which a node with Keys and without API, SSH and WSS does not have")
	}
	if err := c.checkAddresses(); err != nil {
		return c, err
	}
	if c.PartSize < 0 || c.PartMemory < 0 {
		return c, errors.New("node: PartSize and PartMemory must not be negative")
	}
	if c.PartSize == 0 {
		c.PartSize = objstore.DefaultPartSize
	}
	if c.PartMemory == 0 {
		c.PartMemory = 32 * c.PartSize
	}
	if least := transfer.LeastParts(c.PartSize) + transfer.InitialBytes; c.PartMemory < least {
		return c, fmt.Errorf("node: PartMemory %d: want at least one part and 32 MiB, %d bytes", c.PartMemory, least)
	}
	if c.MaxSessions < 0 || c.MaxUnauthenticated < 0 {
		return c, errors.New("node: MaxSessions and MaxUnauthenticated must not be negative")
	}
	if c.Datagram != 0 && (c.Datagram < minDatagram || c.Datagram > maxDatagram) {
		return c, fmt.Errorf("node: Datagram %d: want %d to %d bytes", c.Datagram, minDatagram, maxDatagram)
	}
	if c.Listen == "" {
		c.Listen = fmt.Sprint(":", DefaultPort)
	}
	if c.MaxSessions == 0 {
		c.MaxSessions = 256
	}
	if c.MaxUnauthenticated == 0 {
		c.MaxUnauthenticated = 64
	}
	if c.AuthTimeout == 0 {
		c.AuthTimeout = 10 * time.Second
	}
	if c.Window == 0 {
		c.Window = 1 << 30
	}
	if c.InitialWindow == 0 {
		c.InitialWindow = min(128<<20, c.Window)
	}
	if c.UnprovenMemory == 0 {
		c.UnprovenMemory = 512 << 20
	}
	if c.History == 0 {
		c.History = defaultHistory
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = time.Hour
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// ahead is what a session may send before it knows how its place takes files, in bytes. Folders take all that the window lets come, so that where the docroot is
// one it is the window; parts of a store's objects take memory until they are whole, and more before they are known leaves less for other sessions.
func (c *Config) ahead() int64 {
	if _, ok := folder(c.DocRoot); !ok {
		return transfer.InitialBytes
	}
	most := min(c.InitialWindow, c.PartMemory/4, c.PartMemory-transfer.LeastParts(c.PartSize))
	return max(transfer.InitialBytes, most/transfer.PageSize*transfer.PageSize)
}
