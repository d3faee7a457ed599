package nodeapi

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
)

// Server is the API as an http.Handler. Several goroutines may use it at once.
type Server struct {
	cfg      Config
	keysOnly *accesskey.Checker // cfg.Auth without passwords
	mux      *http.ServeMux
	turn     chan struct{} // whoever changes keys holds the one token: a change reads a key and writes it
	probes   *probes
	tokens   pageTokens
	listings *Listings
	patterns []string         // sorted
	answers  [6]atomic.Uint64 // by the first digit of their status
	active   atomic.Int64     // requests under way
}

// handler serves a request of somebody who is known. It returns an error only if it has written nothing.
type handler = func(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error

// New returns a Server. Close ends it.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, cfg.TokenSecret, nil, "tw-page-1", 32)
	if err != nil {
		return nil, fmt.Errorf("nodeapi: derive the key of iteration tokens: %w", err)
	}
	s := &Server{cfg: cfg, mux: http.NewServeMux(), turn: make(chan struct{}, 1), tokens: pageTokens{key}, listings: NewListings()}
	a := cfg.Auth
	s.keysOnly = &accesskey.Checker{Keys: a.Keys, Tokens: a.Tokens, Accounts: a.Accounts, Node: a.Node, Now: a.Now}
	s.probes = newProbes(s.probe)
	routes := s.routes()
	missing, err := extend(routes, cfg.Extensions)
	if err != nil {
		return nil, err
	}
	public, err := s.public()
	if err != nil {
		return nil, err
	}
	s.register(public, routes, missing)
	return s, nil
}

// Routes returns the patterns that are served, in order, in the form of http.ServeMux. One without a method is answered 501.
func (s *Server) Routes() []string { return slices.Clone(s.patterns) }

// Close waits for the probes that are under way, and cuts them off when ctx ends. Keys whose storage was not tried stay pending; Resume of another Server tries them.
func (s *Server) Close(ctx context.Context) error { return s.probes.close(ctx) }

// routes are the calls that need credentials.
func (s *Server) routes() map[string]handler {
	return map[string]handler{
		"GET /info":                  s.info,
		"GET /self":                  s.self,
		"GET /access_keys":           s.listKeys,
		"POST /access_keys":          s.createKey,
		"GET /access_keys/{id}":      s.getKey,
		"PUT /access_keys/{id}":      s.changeKey,
		"DELETE /access_keys/{id}":   s.deleteKey,
		"POST /files/browse":         s.browse,
		"POST /files/search":         s.search,
		"POST /files/page":           s.page,
		"POST /files/info":           s.fileInfo,
		"POST /files/create":         s.create,
		"POST /files/delete":         s.remove,
		"POST /files/rename":         s.rename,
		"POST /files/du":             s.usage,
		"POST /space":                s.space,
		"GET /files/{path}/contents": s.contents,
		"POST /files/upload_setup":   s.uploadSetup,
		"POST /files/download_setup": s.downloadSetup,
	}
}

// notOffered are calls that clients of the API know, by what their paths begin with. An Extension that serves one of a group serves the group.
var notOffered = map[string][]string{
	"/ops":         {"/ops", "/ops/"},
	"/events":      {"/events", "/events/"},
	"/usage":       {"/usage", "/usage/"},
	"/permissions": {"/permissions", "/permissions/"},
	"/public_keys": {"/public_keys"},
	"/files":       {"GET /files/{id}", "PUT /files/{id}", "DELETE /files/{id}", "/files/{id}/files", "GET /files/{id}/content"},
}

// extend adds the routes of Extensions and returns the groups that are not offered then.
func extend(routes map[string]handler, list []Extension) (missing map[string][]string, err error) {
	missing = maps.Clone(notOffered)
	for _, e := range list {
		if err := extendBy(routes, e, missing); err != nil {
			return nil, err
		}
	}
	return missing, nil
}

func extendBy(routes map[string]handler, e Extension, missing map[string][]string) error {
	for pattern, h := range e.Routes() {
		method, path, ok := strings.Cut(pattern, " ")
		switch {
		case routes[pattern] != nil:
			return fmt.Errorf("nodeapi: the extension's %q is served already", pattern)
		case !ok || method == "" || !strings.HasPrefix(path, "/"):
			return fmt.Errorf("nodeapi: the extension's %q is not a method and a path", pattern)
		}
		routes[pattern] = h
		group, _, _ := strings.Cut(path[1:], "/")
		delete(missing, "/"+group)
	}
	return nil
}

// register fills the mux.
func (s *Server) register(public map[string]http.HandlerFunc, routes map[string]handler, missing map[string][]string) {
	handle := func(pattern string, h http.Handler) {
		s.mux.Handle(pattern, h)
		s.patterns = append(s.patterns, pattern)
	}
	for pattern, h := range public {
		handle(pattern, h)
	}
	for pattern, h := range routes {
		handle(pattern, s.authenticated(h))
	}
	for _, patterns := range missing {
		for _, pattern := range patterns {
			handle(pattern, s.authenticated(func(_ http.ResponseWriter, r *http.Request, _ accesskey.Grant) error {
				return api.Errorf(http.StatusNotImplemented, "this node does not offer %s %s", r.Method, clip(r.URL.Path))
			}))
		}
	}
	slices.Sort(s.patterns)
}

// Stats is what a Server does now and has done.
type Stats struct {
	Active  int       // requests under way
	Answers [6]uint64 // by the first digit of their status
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	x := Stats{Active: int(s.active.Load())}
	for i := range s.answers {
		x.Answers[i] = s.answers[i].Load()
	}
	return x
}

// answer is a ResponseWriter that remembers the status.
type answer struct {
	http.ResponseWriter
	status int // 0 before there is one
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := &answer{ResponseWriter: w}
	s.active.Add(1)
	defer func() {
		s.active.Add(-1)
		if a.status == 0 { // without a word it is 200
			a.status = http.StatusOK
		}
		s.answers[min(a.status/100, len(s.answers)-1)].Add(1)
	}()
	s.serve(a, r)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if done := cors(w, r); done {
		return
	}
	// The mux would redirect to the clean path, which no client of the API expects.
	if p := r.URL.EscapedPath(); !plain(p) {
		s.fail(w, r, api.Errorf(http.StatusBadRequest, `the path of the URL is not a plain one: it holds ".", ".." or an empty element`))
		return
	}
	if h, pattern := s.mux.Handler(r); pattern == "" {
		s.notServed(w, r, h)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// notServed answers in place of the mux's own h, which says in plain text that there is no such path, or which methods it takes.
func (s *Server) notServed(w http.ResponseWriter, r *http.Request, h http.Handler) {
	said := verdict{header: http.Header{}}
	h.ServeHTTP(&said, r)
	if said.status == http.StatusMethodNotAllowed {
		allow := said.header.Get("Allow")
		w.Header().Set("Allow", allow)
		s.fail(w, r, api.Errorf(said.status, "%s takes %s", clip(r.URL.Path), allow))
		return
	}
	s.fail(w, r, api.Errorf(http.StatusNotFound, "there is no call %s", clip(r.URL.Path)))
}

// verdict is a ResponseWriter that keeps the status and the headers.
type verdict struct {
	header http.Header
	status int
}

func (v *verdict) Header() http.Header         { return v.header }
func (v *verdict) WriteHeader(status int)      { v.status = status }
func (v *verdict) Write(p []byte) (int, error) { return len(p), nil }

// plain says whether the mux would leave the path of a URL as it is.
func plain(p string) bool {
	if r, ok := strings.CutSuffix(p, "/"); ok && r != "" {
		p = r
	}
	return path.Clean(p) == p
}

// cors answers what browsers ask before they let a page of another site make requests. Any site may: credentials are those that the page itself puts into the
// request, never ones that the browser keeps, which it sends only where Access-Control-Allow-Credentials is given.
func cors(w http.ResponseWriter, r *http.Request) (done bool) {
	if r.Header.Get("Origin") == "" {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Link, X-Total-Count, X-Aspera-Next-Iteration-Token, "+ignoredHeader+", "+warningHeader)
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, CANCEL")
	h.Set("Access-Control-Allow-Headers", "Accept, Accept-Version, Authorization, Content-Type, X-Aspera-AccessKey, X-Aspera-Cache-Control")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}
