package wsd

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/coder/websocket"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/logins"
)

// handler answers requests while Serve runs.
type handler struct {
	s *Server

	mu      sync.Mutex // guards what follows
	ended   bool
	running sync.WaitGroup
}

// begin counts a request; false if the server has ended.
func (h *handler) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ended {
		h.running.Add(1)
	}
	return !h.ended
}

// end waits for the requests, whose context has ended.
func (h *handler) end() {
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	h.running.Wait()
}

// failure is an answer of HTTP that says what is wrong.
type failure struct {
	status int
	text   string
}

func (f *failure) Error() string { return f.text }

// What requests are refused with.
var (
	errPlace     = &failure{http.StatusNotFound, "there is nothing here; a ticket is handed over at " + Path}
	errBrowser   = &failure{http.StatusForbidden, "pages of browsers are not answered here"}
	errWebSocket = &failure{http.StatusUpgradeRequired, "this is where a WebSocket hands over a ticket, for twcp --ws-connect; the REST API has a port of its own"}
	errProtocol  = &failure{http.StatusBadRequest, "want the WebSocket subprotocol " + Subprotocol}
	errLogin     = &failure{http.StatusUnauthorized, accesskey.ErrAuth.Error()}
	errExpired   = &failure{http.StatusUnauthorized, accesskey.ErrExpired.Error()}
	errDisabled  = &failure{http.StatusForbidden, accesskey.ErrDisabled.Error()}
	errUser      = &failure{http.StatusForbidden, "tokens of scope user:all are for folders by their ids, and need no ticket over UDP; tickets need admin:all"}
	errGuesses   = &failure{http.StatusTooManyRequests, "too many logins from here, or at this name, have failed; try again in a minute"}
	errBusy      = &failure{http.StatusServiceUnavailable, "too many logins at a time; try again"}
	errCrowd     = &failure{http.StatusServiceUnavailable, "too many connections of this account or key; try again"}
	errInternal  = &failure{http.StatusInternalServerError, "internal error; the node's log says more"}
)

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.begin() {
		panic(http.ErrAbortHandler) // the connection is closed
	}
	defer h.running.Done()
	c := r.Context().Value(connKey{}).(*conn)
	stop := context.AfterFunc(r.Context(), func() { _ = c.Close() }) // what waits for the client ends with the server
	defer stop()
	log := h.s.cfg.Logger.With("source", c.source)
	if err := h.s.serve(w, r, c, log); err != nil {
		log.Debug("request refused", "status", err.status, "reason", err.text)
		refuse(w, err)
	}
}

// refuse answers in JSON, in which clients that expect a WebSocket find what is wrong.
func refuse(w http.ResponseWriter, f *failure) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	switch f {
	case errLogin, errExpired:
		h.Set("WWW-Authenticate", `Basic realm="tradewind"`)
	case errWebSocket:
		h.Set("Upgrade", "websocket")
	case errGuesses:
		h.Set("Retry-After", "60")
	}
	w.WriteHeader(f.status)
	_ = json.NewEncoder(w).Encode(refusal{f.text}) // nobody is there to hear that it failed
}

// serve takes one request from its header to the end of its connection. A failure has not been answered yet.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, c *conn, log *slog.Logger) *failure {
	switch {
	case r.URL.Path != Path:
		return errPlace
	case len(r.Header.Values("Origin")) > 0:
		return errBrowser
	case !strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		return errWebSocket
	case !slices.Contains(words(r.Header, "Sec-WebSocket-Protocol"), Subprotocol):
		return errProtocol
	}
	login, done := context.WithTimeout(r.Context(), loginTime)
	g, f := s.login(login, c.source, r.Header, log)
	done()
	if f != nil {
		return f
	}
	log = log.With("key", g.KeyID)
	if !s.crowd.Left(c) {
		return nil // it had to go
	}
	if !s.crowd.Enter(g.KeyID) {
		log.Warn("login refused: too many connections")
		return errCrowd
	}
	defer s.crowd.Leave(g.KeyID)
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{Subprotocol}})
	if err != nil {
		log.Debug("no WebSocket", "error", err)
		return nil // it was told
	}
	defer func() { _ = ws.CloseNow() }()
	if err := s.converse(r.Context(), ws, g, log); err != nil {
		log.Debug("connection ended before its answer", "error", err)
	}
	return nil
}

// words are the elements of a header that is a list.
func words(h http.Header, name string) (list []string) {
	for _, v := range h.Values(name) {
		for w := range strings.SplitSeq(v, ",") {
			list = append(list, strings.TrimSpace(w))
		}
	}
	return list
}

// login finds out who asks.
func (s *Server) login(ctx context.Context, source string, h http.Header, log *slog.Logger) (accesskey.Grant, *failure) {
	gate := s.cfg.Logins
	if !gate.Try(source, "") {
		log.Debug("login not tried: too many failed")
		return accesskey.Grant{}, errGuesses
	}
	if len(h.Values("Authorization")) != 1 {
		return accesskey.Grant{}, errLogin
	}
	text := h.Get("Authorization")
	g, err := s.cfg.Keys.Authorization(ctx, text, h.Get("X-Aspera-AccessKey"))
	if errors.Is(err, accesskey.ErrAuth) {
		if cred, perr := accesskey.ParseToken(text); perr == nil {
			g, err = s.account(ctx, cred)
		}
	}
	if err == nil && g.User != "" && !g.Owner {
		gate.Right(source, "")
		return g, errUser
	}
	f := failureOf(err)
	switch {
	case f == nil:
		gate.Right(source, "")
		log.Info("logged in", "key", g.KeyID)
	case f == errInternal:
		log.Error("login cannot be checked", "error", err)
	default:
		log.Warn("login refused", "name", clip(g.KeyID), "reason", f.text)
	}
	return g, f
}

// account checks name and password of an account: what is no access key may be one. A key is looked for first, since its secret cannot be guessed, so that guessing passwords does not lock out who has it.
func (s *Server) account(ctx context.Context, c accesskey.Credential) (accesskey.Grant, error) {
	none := accesskey.Grant{KeyID: c.ID} // for the log
	if !s.cfg.Logins.Try("", c.ID) {
		return none, errGuesses
	}
	a, right, err := s.cfg.Logins.Password(ctx, c.ID, c.Secret)
	switch {
	case err != nil:
		return none, err
	case !right:
		return none, accesskey.ErrAuth
	}
	s.cfg.Logins.Right("", c.ID)
	a.Grant.KeyID = accesskey.AccountID(a.Name)
	return a.Grant, nil
}

// clip is what the log shows of a name that a stranger sent; package accesskey takes printable ASCII only.
func clip(name string) string { return name[:min(len(name), 64)] }

// failureOf is what the client is told of an error, nil of none.
func failureOf(err error) *failure {
	var f *failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		return f
	case errors.Is(err, accesskey.ErrAuth):
		return errLogin
	case errors.Is(err, accesskey.ErrExpired):
		return errExpired
	case errors.Is(err, accesskey.ErrDisabled):
		return errDisabled
	case errors.Is(err, accesskey.ErrBusy), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errBusy
	}
	return errInternal
}

// converse reads the question and answers it.
func (s *Server) converse(ctx context.Context, ws *websocket.Conn, g accesskey.Grant, log *slog.Logger) error {
	ws.SetReadLimit(MaxQuestion)
	typ, b, err := s.read(ctx, ws)
	if err != nil {
		return err
	}
	answer := Answer{}
	if answer.Ticket, err = s.ticket(ctx, typ, b, g, log); err != nil {
		answer = Answer{Error: err.Error()}
	}
	b, err = json.Marshal(answer)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	if err := ws.Write(ctx, websocket.MessageText, b); err != nil {
		return err
	}
	return ws.Close(websocket.StatusNormalClosure, "")
}

func (s *Server) read(ctx context.Context, ws *websocket.Conn) (websocket.MessageType, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	return ws.Read(ctx)
}

// ticket makes what a question asks for. Errors are for the client to read.
func (s *Server) ticket(ctx context.Context, typ websocket.MessageType, b []byte, g accesskey.Grant, log *slog.Logger) (t logins.Ticket, err error) {
	if typ != websocket.MessageText {
		return t, errQuestion
	}
	q, d, err := readQuestion(b)
	if err != nil {
		return t, err
	}
	if err := allow(g, d, q); err != nil {
		return t, err
	}
	if t, err = s.cfg.Tickets.Ticket(ctx, g, d, q.Paths); err != nil {
		return t, err
	}
	log.Info("ticket handed over", "for", q.For, "paths", len(q.Paths))
	return t, nil
}
