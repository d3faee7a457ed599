package nodeapi

import (
	"bytes"
	"net"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

const (
	defaultTokenLife = 24 * time.Hour
	maxTokenLife     = 30 * 24 * time.Hour
	maxSetups        = 100 // transfer requests of one request
	kbps             = 1000
)

// uploadSetup answers POST /files/upload_setup.
func (s *Server) uploadSetup(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	if err := may(g, g.Rights.Write, "write"); err != nil {
		return err
	}
	return s.setup(w, r, g, accesskey.Upload)
}

// downloadSetup answers POST /files/download_setup.
func (s *Server) downloadSetup(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	if err := may(g, g.Rights.Read, "read"); err != nil {
		return err
	}
	return s.setup(w, r, g, accesskey.Download)
}

func (s *Server) setup(w http.ResponseWriter, r *http.Request, g accesskey.Grant, d accesskey.Direction) error {
	var in api.Setup
	if err := s.decode(w, r, s.cfg.MaxBody, &in); err != nil {
		return err
	}
	switch n := len(in.Requests); {
	case n == 0 || n > maxSetups:
		return api.Errorf(http.StatusBadRequest, "transfer_requests: %d of them; want 1 to %d", n, maxSetups)
	case g.Master:
		return api.Errorf(http.StatusForbidden, "transfers belong to an access key, and a user of the node has none: use the credentials of a key")
	case s.cfg.Auth.Tokens == nil:
		return api.Errorf(http.StatusNotImplemented, "this node makes no transfer tokens")
	}
	out := api.SetupAnswer{Specs: make([]api.SpecAnswer, len(in.Requests))}
	for i := range in.Requests {
		spec, err := s.spec(&in.Requests[i].Request, r, g, d)
		e, ok := inAnswer(err)
		if !ok {
			return err
		}
		out.Specs[i] = api.SpecAnswer{Spec: spec, Error: e}
	}
	s.reply(w, http.StatusOK, out)
	return nil
}

// spec makes the transfer spec of one request, with a token for what it names and nothing more.
func (s *Server) spec(in *api.TransferRequest, r *http.Request, g accesskey.Grant, d accesskey.Direction) (*api.TransferSpec, error) {
	if len(in.Paths) > maxPaths {
		return nil, api.Errorf(http.StatusBadRequest, "paths: more than %d; name a folder above them", maxPaths)
	}
	out := &api.TransferSpec{
		Paths: in.Paths, Cipher: "aes-128-gcm", Cookie: in.Cookie, Tags: in.Tags, MinRate: in.MinRate, RatePolicyAllowed: "fixed",
		RemoteHost: s.cfg.Info.Host, RemoteUser: s.cfg.Info.User, HostFingerprint: s.cfg.Info.Fingerprint,
		SSHPort: s.cfg.Info.SSHPort, FaspPort: s.cfg.Info.UDPPort, HTTPSFallbackPort: s.cfg.Info.HTTPSPort, HTTPFallback: s.cfg.Info.HTTPSPort != 0,
		WSSEnabled: s.cfg.Info.WSSPort != 0, WSSPort: s.cfg.Info.WSSPort,
	}
	if out.Paths == nil {
		out.Paths = []api.TransferPath{}
	}
	if out.RemoteHost == "" {
		out.RemoteHost = hostOf(r.Host)
	}
	if err := rates(out, in, g); err != nil {
		return nil, err
	}
	if t := bytes.TrimSpace(in.Tags); len(t) > 0 && t[0] != '{' && !bytes.Equal(t, []byte("null")) || !utf8.Valid(t) {
		return nil, api.Errorf(http.StatusBadRequest, "tags: want an object")
	}
	if id, err := (&transfer.Spec{Tags: in.Tags}).FolderID(); err != nil || id != "" {
		return nil, api.Errorf(http.StatusBadRequest, "tags: aspera.node.file_id names a folder to who transfers with the access key itself; the token of a setup is for the paths that it names")
	}
	usage, err := api.UsageID(in.Tags)
	if err != nil {
		return nil, err
	}
	bounds, err := bounds(out, in, d)
	if err != nil {
		return nil, err
	}
	expires, err := s.expiry(in.TokenLife, g)
	if err != nil {
		return nil, err
	}
	t := accesskey.TransferToken{Key: g.KeyID, Direction: d, Paths: bounds, UsageID: usage, Made: g.Created, Expires: expires}
	if out.Token, err = s.cfg.Auth.Tokens.Seal(t); err != nil { // the paths are too many
		return nil, api.Errorf(http.StatusBadRequest, "%v", err)
	}
	return out, nil
}

// expiry is when a token ends: as asked for, and not later than the credentials that it was asked for with.
func (s *Server) expiry(seconds int64, g accesskey.Grant) (time.Time, error) {
	life := defaultTokenLife
	if seconds != 0 {
		if seconds < 1 || seconds > int64(maxTokenLife/time.Second) {
			return time.Time{}, api.Errorf(http.StatusBadRequest, "token_life_seconds: want 1 to %d", int64(maxTokenLife/time.Second))
		}
		life = time.Duration(seconds) * time.Second
	}
	end := s.cfg.Now().Add(life)
	if !g.Expires.IsZero() && g.Expires.Before(end) {
		end = g.Expires
	}
	return end, nil
}

// bounds fills in the roots of a spec and returns what its token is for, as names of a Store but "" for the root: of an upload the destination, of a download the sources.
func bounds(out *api.TransferSpec, in *api.TransferRequest, d accesskey.Direction) ([]string, error) {
	root := func(p string) (string, error) {
		if p == "" {
			p = "/"
		}
		return clean(p)
	}
	if d == accesskey.Upload {
		out.Direction, out.SourceRoot = "send", in.SourceRoot // which is a path of the client
		folders := in.DestinationRoot == "" && len(in.Paths) > 0 && !slices.ContainsFunc(in.Paths, func(p api.TransferPath) bool {
			return p.Source != "" || p.Destination == ""
		})
		if folders { // to upload into, and no files yet
			all, err := names(".", in.Paths, func(p *api.TransferPath) string { return p.Destination })
			if out.DestinationRoot = "/"; len(all) == 1 {
				out.DestinationRoot += all[0]
			}
			return all, err
		}
		name, err := root(in.DestinationRoot)
		if err != nil {
			return nil, err
		}
		out.DestinationRoot = shown(name)
		return []string{bound(name)}, nil
	}
	out.Direction, out.DestinationRoot = "receive", in.DestinationRoot
	dir, err := root(in.SourceRoot)
	if err != nil {
		return nil, err
	}
	out.SourceRoot = shown(dir)
	if len(in.Paths) == 0 {
		return nil, api.Errorf(http.StatusBadRequest, "paths: a download names its sources")
	}
	return names(dir, in.Paths, func(p *api.TransferPath) string { return p.Source })
}

// names are what is below dir by one side of paths, each once, as tokens have them.
func names(dir string, paths []api.TransferPath, side func(*api.TransferPath) string) ([]string, error) {
	all := make([]string, len(paths))
	for i := range paths {
		name, err := clean(side(&paths[i]))
		if err != nil {
			return nil, err
		}
		all[i] = bound(below(dir, name))
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func bound(name string) string {
	if name == "." {
		return ""
	}
	return name
}

// rates fills in how fast a transfer may go.
func rates(out *api.TransferSpec, in *api.TransferRequest, g accesskey.Grant) error {
	out.RatePolicy, out.TargetRate = in.RatePolicy, in.TargetRate
	if out.RatePolicy == "" {
		out.RatePolicy = g.Config.Policy
	}
	if out.TargetRate == 0 {
		out.TargetRate = g.Config.TargetRate / kbps
	}
	limit := g.RateCap
	switch out.RatePolicy {
	case "":
		out.RatePolicy = "fair"
	case "fixed", "high", "fair", "low":
	default:
		return api.Errorf(http.StatusBadRequest, "rate_policy %q: want fixed, high, fair or low", clip(in.RatePolicy))
	}
	if in.TargetRate < 0 || in.MinRate < 0 {
		return api.Errorf(http.StatusBadRequest, "target_rate_kbps and min_rate_kbps must not be negative")
	}
	if limit > 0 {
		out.TargetRateCap = max(limit/kbps, 1)
		if out.TargetRate == 0 || out.TargetRate > out.TargetRateCap {
			out.TargetRate = out.TargetRateCap
		}
		out.MinRate = min(out.MinRate, out.TargetRateCap)
	}
	return nil
}

// hostOf is the Host header without its port.
func hostOf(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return host
}
