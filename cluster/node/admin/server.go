package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// People keeps users and accounts. Methods may be called by several goroutines at once. Errors that are *api.Error are told as they are.
type People interface {
	Users(ctx context.Context) ([]User, error)
	// SetUser makes a user, or gives the one that is there this password.
	SetUser(ctx context.Context, name, password string) error
	DeleteUser(ctx context.Context, name string) error
	Accounts(ctx context.Context) ([]Account, error)
	ChangeAccount(ctx context.Context, name string, c AccountChange) error
	DeleteAccount(ctx context.Context, name string) error
}

// Config sets up a Server. All is required but Probe, Reload, Stats and Log.
type Config struct {
	// API serves the calls of the Node API for who needs no credentials; see nodeapi.Server.Trusted.
	API   http.Handler
	State *state.Store
	Keys  accesskey.Store // through which keys are changed, so that what belongs to them changes with them
	// Exclusive runs fn while nobody else changes keys; see nodeapi.Server.Exclusive.
	Exclusive func(ctx context.Context, fn func() error) error
	People    People
	Tokens    *accesskey.Keyring
	Node      string // fingerprint, which tokens are bound to
	// Audit writes down acts before they are done.
	Audit   func(ctx context.Context, a nodeapi.Act) error
	Version string
	// Probe tries the storage of keys that were not tried yet, in the background; nil leaves that to a node that runs later.
	Probe func(ctx context.Context) error
	// Reload reads the configuration again; nil if there is none, or no node runs.
	Reload func(ctx context.Context) (later []string, err error)
	// Stats are those of the node that runs; nil if none does.
	Stats func() any
	Log   *slog.Logger // nil is silent
}

// Server is the API as an http.Handler. It asks nobody for credentials: whoever serves it sees to it that only those reach it who may.
type Server struct {
	cfg Config
	mux *http.ServeMux
}

// Actor is who the audit log says has done what is done here.
const Actor = "local"

// New returns a Server.
func New(cfg Config) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, mux: http.NewServeMux()}
	s.mux.Handle("/", cfg.API)
	for pattern, h := range map[string]func(w http.ResponseWriter, r *http.Request) error{
		"GET /admin/status":             s.status,
		"POST /admin/reload":            s.reload,
		"GET /admin/goroutines":         s.goroutines,
		"GET /admin/users":              s.users,
		"PUT /admin/users/{name}":       s.setUser,
		"DELETE /admin/users/{name}":    s.deleteUser,
		"GET /admin/accounts":           s.accounts,
		"PUT /admin/accounts/{name}":    s.changeAccount,
		"DELETE /admin/accounts/{name}": s.deleteAccount,
		"POST /admin/tokens":            s.token,
		"GET /admin/backup":             s.backup,
		"POST /admin/keys/export":       s.export,
		"POST /admin/keys/import":       s.imports,
	} {
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := h(w, r); err != nil {
				s.fail(w, r, err)
			}
		})
	}
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// fail answers with an error. Whoever asks could read the log, so that nothing is hidden.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := &api.Error{}
	if !errors.As(err, &e) {
		s.cfg.Log.Error("administration", "call", r.Method+" "+r.URL.Path, "error", err)
		e = api.Errorf(http.StatusInternalServerError, "%v", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Code)
	_ = json.NewEncoder(w).Encode(api.ErrorBody{Error: e}) // who asked has gone
}

func reply(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n')) // who asked has gone
	return nil
}

func (s *Server) audit(ctx context.Context, action, object string, changed ...string) error {
	return s.cfg.Audit(ctx, nodeapi.Act{Actor: "user " + Actor, Action: action, Object: object, Changed: changed})
}

// maxRequest bounds bodies but those of imports, in bytes.
const maxRequest = 4 << 20

func decode(w http.ResponseWriter, r *http.Request, most int64, v any) error {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err != nil {
		return api.Errorf(http.StatusBadRequest, "the request: %v", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return api.Errorf(http.StatusBadRequest, "the request: %v", err)
	}
	return nil
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) error {
	keys, err := s.cfg.Keys.Keys(r.Context())
	if err != nil {
		return err
	}
	out := Status{Running: s.cfg.Stats != nil, Node: s.cfg.Node, Version: s.cfg.Version, Keys: len(keys)}
	if s.cfg.Stats != nil {
		if out.Stats, err = json.Marshal(s.cfg.Stats()); err != nil {
			return err
		}
	}
	return reply(w, out)
}

// goroutines sends what the process is doing.
func (s *Server) goroutines(w http.ResponseWriter, _ *http.Request) error {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // who asked has gone
	return nil
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Reload == nil {
		return api.Errorf(http.StatusConflict, "no node runs that could read its configuration again")
	}
	later, err := s.cfg.Reload(r.Context())
	if err != nil {
		return api.Errorf(http.StatusBadRequest, "the configuration stays as it was: %v", err)
	}
	return reply(w, Reloaded{Later: append([]string{}, later...)})
}

func (s *Server) users(w http.ResponseWriter, r *http.Request) error {
	list, err := s.cfg.People.Users(r.Context())
	if err != nil {
		return err
	}
	return reply(w, list)
}

func (s *Server) setUser(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Password string `json:"password"`
	}
	if err := decode(w, r, maxRequest, &in); err != nil {
		return err
	}
	name := r.PathValue("name")
	if err := s.audit(r.Context(), "user.set", name, "password"); err != nil {
		return err
	}
	return s.done(w, s.cfg.People.SetUser(r.Context(), name, in.Password))
}

func (s *Server) deleteUser(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if err := s.audit(r.Context(), "user.delete", name); err != nil {
		return err
	}
	return s.done(w, s.cfg.People.DeleteUser(r.Context(), name))
}

func (s *Server) done(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

func (s *Server) accounts(w http.ResponseWriter, r *http.Request) error {
	list, err := s.cfg.People.Accounts(r.Context())
	if err != nil {
		return err
	}
	return reply(w, list)
}

func (s *Server) changeAccount(w http.ResponseWriter, r *http.Request) error {
	var in AccountChange
	if err := decode(w, r, maxRequest, &in); err != nil {
		return err
	}
	name, action := r.PathValue("name"), "account.change"
	if in.Create {
		action = "account.create"
	}
	if err := s.audit(r.Context(), action, name, in.fields()...); err != nil {
		return err
	}
	return s.done(w, s.cfg.People.ChangeAccount(r.Context(), name, in))
}

// fields names what a change changes.
func (c *AccountChange) fields() (names []string) {
	for _, f := range []struct {
		on   bool
		name string
	}{
		{c.Password != nil, "password"},
		{c.Root != nil, "root"},
		{c.Rights != nil, "rights"},
		{c.RateCap != nil, "rate_cap_bps"},
		{c.VLink != nil, "vlink"},
		{c.Keys != nil, "authorized_keys"},
		{c.Disabled != nil, "disabled"},
	} {
		if f.on {
			names = append(names, f.name)
		}
	}
	return names
}

func (s *Server) deleteAccount(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if err := s.audit(r.Context(), "account.delete", name); err != nil {
		return err
	}
	return s.done(w, s.cfg.People.DeleteAccount(r.Context(), name))
}

// The life of a token.
const (
	defaultLife = 24 * time.Hour
	maxLife     = 30 * 24 * time.Hour
)

func (s *Server) token(w http.ResponseWriter, r *http.Request) error {
	var in TokenRequest
	if err := decode(w, r, maxRequest, &in); err != nil {
		return err
	}
	t := accesskey.TransferToken{Key: in.Key, Account: in.Account, Node: s.cfg.Node}
	switch in.Direction {
	case "upload":
		t.Direction = accesskey.Upload
	case "download":
		t.Direction = accesskey.Download
	default:
		return api.Errorf(http.StatusBadRequest, "direction %q: want upload or download", in.Direction)
	}
	life := time.Duration(in.Life) * time.Second
	switch {
	case in.Life == 0:
		life = defaultLife
	case in.Life < 0 || in.Life > int64(maxLife/time.Second):
		return api.Errorf(http.StatusBadRequest, "life_seconds: want 1 to %d", int64(maxLife/time.Second))
	}
	for _, p := range in.Paths {
		name, err := transfer.CleanPath(p)
		if err != nil {
			return api.Errorf(http.StatusBadRequest, "%v", err)
		}
		if name == "." {
			name = ""
		}
		t.Paths = append(t.Paths, name)
	}
	made, err := s.holder(r.Context(), in)
	if err != nil {
		return err
	}
	t.Made = made
	t.Expires = time.Now().Add(life).UTC().Truncate(time.Second)
	text, err := s.cfg.Tokens.Seal(t)
	if err != nil {
		return api.Errorf(http.StatusBadRequest, "%v", err)
	}
	who := in.Key
	if who == "" {
		who = in.Account
	}
	if err := s.audit(r.Context(), "token.create", who); err != nil {
		return err
	}
	return reply(w, Token{Token: text, Expires: t.Expires})
}

// holder says when the key or account of a token was made, which must be there: for others it would be good for nothing.
func (s *Server) holder(ctx context.Context, in TokenRequest) (made time.Time, err error) {
	if in.Key != "" {
		k, err := s.cfg.Keys.Key(ctx, in.Key)
		if errors.Is(err, accesskey.ErrNotFound) {
			return made, api.Errorf(http.StatusNotFound, "there is no access key %s", in.Key)
		}
		return k.Created, err
	}
	list, err := s.cfg.People.Accounts(ctx)
	if err != nil {
		return made, err
	}
	i := slices.IndexFunc(list, func(a Account) bool { return a.Name == in.Account })
	if i < 0 {
		return made, api.Errorf(http.StatusNotFound, "there is no account %s", in.Account)
	}
	return list[i].Created, nil
}

// backup sends the state store as text. One that ends early has no trailer, which Restore sees.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) error {
	if err := s.audit(r.Context(), "state.backup", ""); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := s.cfg.State.Backup(r.Context(), w); err != nil {
		s.cfg.Log.Error("the backup is not whole", "error", err)
		panic(http.ErrAbortHandler) // so that the client sees that it ended early
	}
	return nil
}

func (s *Server) export(w http.ResponseWriter, r *http.Request) error {
	var in ExportRequest
	if err := decode(w, r, maxRequest, &in); err != nil {
		return err
	}
	all, err := s.cfg.Keys.Keys(r.Context())
	if err != nil {
		return err
	}
	chosen := all
	if len(in.IDs) > 0 {
		chosen = nil
		for _, id := range in.IDs {
			i := slices.IndexFunc(all, func(k accesskey.Key) bool { return k.ID == id })
			if i < 0 {
				return api.Errorf(http.StatusNotFound, "there is no access key %s", id)
			}
			chosen = append(chosen, all[i])
		}
	}
	b, err := accesskey.Export(chosen, in.Passphrase)
	if err != nil {
		return api.Errorf(http.StatusBadRequest, "%v", err)
	}
	for _, k := range chosen {
		if err := s.audit(r.Context(), "access_key.export", k.ID); err != nil {
			return err
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b) // who asked has gone
	return nil
}

func (s *Server) imports(w http.ResponseWriter, r *http.Request) error {
	var in ImportRequest
	if err := decode(w, r, accesskey.MaxExport+maxRequest, &in); err != nil {
		return err
	}
	keys, err := accesskey.Import(in.Export, in.Passphrase)
	if err != nil {
		return api.Errorf(http.StatusBadRequest, "%v", err)
	}
	out := Imported{Made: []string{}, Replaced: []string{}, Kept: []string{}}
	if err := s.cfg.Exclusive(r.Context(), func() error { return s.take(r.Context(), keys, in.Replace, &out) }); err != nil {
		return err
	}
	if s.cfg.Probe != nil {
		if err := s.cfg.Probe(r.Context()); err != nil {
			return err
		}
	}
	return reply(w, out)
}

// take puts imported keys into the store.
func (s *Server) take(ctx context.Context, keys []accesskey.Key, replace bool, out *Imported) error {
	for _, k := range keys {
		_, err := s.cfg.Keys.Key(ctx, k.ID)
		if err != nil && !errors.Is(err, accesskey.ErrNotFound) {
			return err
		}
		known := err == nil
		if known && !replace {
			out.Kept = append(out.Kept, k.ID)
			continue
		}
		// Whether the storage can be reached from here was not tried.
		nodeapi.ResetState(&k)
		if err := s.audit(ctx, "access_key.import", k.ID); err != nil {
			return err
		}
		if err := s.cfg.Keys.Put(ctx, k); err != nil {
			return err
		}
		if known {
			out.Replaced = append(out.Replaced, k.ID)
		} else {
			out.Made = append(out.Made, k.ID)
		}
	}
	return nil
}
