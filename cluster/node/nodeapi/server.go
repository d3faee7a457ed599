package nodeapi

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
)

// Server is the API as an http.Handler. Several goroutines may use it at once.
type Server struct {
	cfg    Config
	mux    *http.ServeMux
	turn   chan struct{} // whoever changes keys holds the one token: a change reads a key and writes it
	probes *probes
	tokens pageTokens
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
	s := &Server{cfg: cfg, mux: http.NewServeMux(), turn: make(chan struct{}, 1), tokens: pageTokens{key}}
	s.probes = newProbes(s.probe)
	routes := s.routes()
	for _, x := range cfg.Extensions {
		for pattern, h := range x.Routes() {
			if routes[pattern] != nil {
				return nil, fmt.Errorf("nodeapi: an extension's %q is served already", pattern)
			}
			if method, _, ok := strings.Cut(pattern, " "); !ok || method == "" {
				return nil, fmt.Errorf("nodeapi: an extension's %q names no method", pattern)
			}
			routes[pattern] = h
		}
	}
	s.register(routes)
	return s, nil
}

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

// notOffered are paths that clients of the API know and that only an Extension may serve.
var notOffered = []string{
	"/ops/", "/events", "/events/", "/usage", "/usage/", "/permissions", "/permissions/", "/public_keys", "/files/{id}", "/files/{id}/files", "/files/{id}/content",
}

// verbs are the methods that the API knows.
var verbs = []string{"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CANCEL"}

// register fills the mux. For each path the methods that it does not take get a handler that says so. It is not one pattern without a method, since /files/browse would then
// be at odds with GET /files/{id}: neither would be the more special.
func (s *Server) register(routes map[string]handler) {
	methods := map[string][]string{"/ping": {"GET"}}
	for pattern, h := range routes {
		method, path, _ := strings.Cut(pattern, " ")
		path = strings.TrimSpace(path)
		methods[path] = append(methods[path], method)
		s.mux.Handle(pattern, s.authenticated(h))
	}
	s.mux.HandleFunc("GET /ping", func(http.ResponseWriter, *http.Request) {})
	for path, allowed := range methods {
		if slices.Contains(allowed, http.MethodGet) {
			allowed = append(allowed, http.MethodHead)
		}
		slices.Sort(allowed)
		text := strings.Join(allowed, ", ")
		for _, verb := range verbs {
			if slices.Contains(allowed, verb) {
				continue
			}
			s.mux.HandleFunc(verb+" "+path, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Allow", text)
				s.fail(w, r, api.Errorf(http.StatusMethodNotAllowed, "%s takes %s", r.URL.Path, text))
			})
		}
	}
	for _, path := range notOffered {
		if methods[path] == nil {
			s.mux.Handle(path, s.authenticated(func(_ http.ResponseWriter, r *http.Request, _ accesskey.Grant) error {
				return api.Errorf(http.StatusNotImplemented, "this node does not offer %s", r.URL.Path)
			}))
		}
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, api.Errorf(http.StatusNotFound, "there is no call %s", r.URL.Path))
	})
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
	s.mux.ServeHTTP(w, r)
}

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
