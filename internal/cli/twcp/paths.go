package twcp

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/objstore"
)

// remote is the far side of a command line.
type remote struct{ user, host string }

// with returns the argument for a path on r.
func (r remote) with(path string) string {
	host := r.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if r.user != "" {
		host = r.user + "@" + host
	}
	return host + ":" + path
}

// splitRemote takes "[user@]host:path" apart; ok is false for a local path. As with scp, a colon makes a path remote unless a slash
// stands before it. An IPv6 address stands in brackets. A URI is local: it is reached from here.
func splitRemote(arg string) (r remote, path string, ok bool) {
	if objstore.IsURI(arg) {
		return remote{}, "", false
	}
	rest := arg
	if i := strings.IndexByte(rest, '@'); i >= 0 && !strings.ContainsAny(rest[:i], "/:") {
		r.user, rest = rest[:i], rest[i+1:]
	}
	if strings.HasPrefix(rest, "[") {
		host, after, found := strings.Cut(rest[1:], "]:")
		if !found || host == "" || strings.Contains(host, "/") {
			return remote{}, "", false
		}
		r.host = host
		return r, after, true
	}
	host, path, found := strings.Cut(rest, ":")
	if !found || host == "" || strings.Contains(host, "/") {
		return remote{}, "", false
	}
	r.host = host
	return r, path, true
}

// route is which way a command line goes.
type route struct {
	remote
	direction   transfer.Direction
	sources     []string
	destination string
	direct      bool // no node is involved: both sides are reached from here, at least one by URI
}

// findRoute sorts the bare arguments of the command line. listed says that the sources come from a list.
func findRoute(o *options, listed bool) (rt route, err error) {
	args := o.args
	if len(args) == 0 {
		return rt, usagef("no sources and no destination given; see twcp --help")
	}
	last := len(args) - 1
	rt.sources, rt.destination = args[:last], args[last]
	if o.dest64 {
		b, err := base64.StdEncoding.DecodeString(rt.destination)
		if err != nil {
			return rt, usagef("--dest64: the destination is not base64")
		}
		rt.destination = string(b)
	}
	if listed && len(rt.sources) > 0 && (o.mode != "" || !isSourceHost(rt.sources)) {
		return rt, usagef("sources are given twice, in a list and on the command line")
	}
	if !listed && len(rt.sources) == 0 {
		return rt, usagef("no destination given; see twcp --help")
	}
	if o.mode != "" || o.host != "" {
		return o.namedRoute(rt)
	}
	if o.user != "" {
		return rt, usagef("--user goes with --mode and --host")
	}
	return markedRoute(rt, listed)
}

// noPort refuses host:port:path, which a slip in place of -O is more likely to be than a path that begins so.
func noPort(arg string) error {
	r, rest, ok := splitRemote(arg)
	if !ok {
		return nil
	}
	port, path, ok := strings.Cut(rest, ":")
	if n, err := strconv.ParseUint(port, 10, 16); !ok || err != nil || n == 0 {
		return nil
	}
	return usagef("%s: the UDP port does not stand in the path; write -O %s %s (for a path that begins with %s: write %s)",
		arg, port, r.with(path), port, r.with("./"+rest))
}

// isSourceHost recognises the one argument "host:" which says where listed sources are.
func isSourceHost(sources []string) bool {
	if len(sources) != 1 {
		return false
	}
	_, path, ok := splitRemote(sources[0])
	return ok && path == ""
}

// namedRoute uses --mode and --host.
func (o *options) namedRoute(rt route) (route, error) {
	if o.mode == "" || o.host == "" {
		return rt, usagef("--mode and --host go together")
	}
	if err := rt.direction.UnmarshalText([]byte(o.mode)); err != nil {
		return rt, usagef("--mode %q: want send or recv", o.mode)
	}
	rt.remote = remote{o.user, strings.Trim(o.host, "[]")}
	if rt.destination == "" {
		rt.destination = "."
	}
	return rt, nil
}

// markedRoute uses the "host:" in the arguments.
func markedRoute(rt route, listed bool) (route, error) {
	to, path, upload := splitRemote(rt.destination)
	from, first, download := remote{}, "", false
	if len(rt.sources) > 0 {
		from, first, download = splitRemote(rt.sources[0])
	}
	for _, a := range append([]string{rt.destination}, rt.sources...) {
		if err := noPort(a); err != nil {
			return rt, err
		}
	}
	switch {
	case upload && download:
		return rt, usagef("source and destination are both remote; one of them must be local")
	case upload:
		for _, s := range rt.sources {
			if _, _, ok := splitRemote(s); ok {
				return rt, usagef("%s: source and destination are both remote; write ./%s for a local file", s, s)
			}
		}
		if path == "" {
			path = "."
		}
		rt.remote, rt.destination = to, path
		return rt, nil
	case download:
		rt.direction, rt.remote = transfer.Receive, from
		if listed {
			rt.sources = nil
			return rt, nil
		}
		sources := []string{first}
		for _, s := range rt.sources[1:] {
			if r, path, ok := splitRemote(s); ok {
				if r != from && (r.user != "" || r.host != from.host) {
					return rt, usagef("%s: all sources must be on one host", s)
				}
				s = path
			}
			sources = append(sources, s)
		}
		for i, s := range sources {
			if s == "" {
				sources[i] = "."
			}
		}
		rt.sources = sources
		return rt, nil
	}
	for _, a := range append([]string{rt.destination}, rt.sources...) {
		if objstore.IsURI(a) {
			rt.direct = true
			return rt, nil
		}
	}
	return rt, usagef("neither source nor destination is remote: one of them has the form [user@]host:path, or give --mode and --host")
}

// source is the name to show for what is transferred, "" if that is not one thing.
func (o *options) source() string {
	if len(o.args) != 2 || o.fileList != "" || o.pairList != "" {
		return ""
	}
	name := o.args[0]
	if _, path, ok := splitRemote(name); ok && o.mode == "" {
		name = path
	}
	name = strings.TrimRight(name, "/")
	return name[strings.LastIndexByte(name, '/')+1:]
}
