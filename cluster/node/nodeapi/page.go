package nodeapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
)

// page answers POST /files/page. Folders list themselves in no order that lasts from one call to the next, so each page goes through the whole folder and keeps the first names behind
// the last one of the page before: memory is that of a page, whatever the size of the folder, and a name that stays is shown once even while others come and go.
func (s *Server) page(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	if err := may(g, g.Rights.List, "list"); err != nil {
		return err
	}
	var in api.PageRequest
	if err := s.decode(w, r, s.cfg.MaxBody, &in); err != nil {
		return err
	}
	name, err := clean(in.Path)
	if err != nil {
		return err
	}
	count, err := countOf(in.Count)
	if err != nil {
		return err
	}
	if count == 0 {
		return api.Errorf(http.StatusBadRequest, "count 0: pages have at least one item")
	}
	f, err := newFilter(in.Filters, true)
	if err != nil {
		return err
	}
	scope := pageScope(g, name, in.Filters)
	after, err := s.tokens.open(scope, in.IterationToken)
	if err != nil {
		return err
	}
	p, done, err := s.openToList(r.Context(), g)
	if err != nil {
		return err
	}
	defer done()
	at, err := p.stat(r.Context(), name, true)
	if err != nil {
		return err
	}
	if !at.Mode.IsDir() {
		return api.Errorf(http.StatusConflict, "%s: not a folder", shown(name))
	}
	byName, _ := orderOf("path", true)
	l := listing{name: name, filter: f, by: byName, names: true, after: after, keep: count}
	sel, err := l.choose(r.Context(), w.Header(), p)
	if err != nil {
		return err
	}
	list := sel.Sorted(0)
	out := api.Page{Parameters: &in}
	if out.Items, err = l.files(r.Context(), p, list); err != nil {
		return err
	}
	out.ItemCount = len(out.Items)
	if sel.Total() > int64(len(list)) {
		out.NextIterationToken = s.tokens.seal(scope, list[len(list)-1].name)
	}
	s.reply(w, http.StatusOK, out)
	return nil
}

// pageScope is what a token is good for: a caller, a folder and filters. The parts carry their lengths, so that no two scopes look alike.
func pageScope(g accesskey.Grant, name string, f *api.Filters) []byte {
	filters, err := json.Marshal(f)
	if err != nil {
		panic("BUG: nodeapi: filters: " + err.Error())
	}
	var b []byte
	for _, part := range []string{g.KeyID, g.User, name, string(filters)} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

// pageTokens makes iteration tokens: the last name of a page and a MAC over it and the scope, in base64url.
type pageTokens struct {
	key []byte
}

const (
	pageMAC      = 16 // bytes
	maxPageToken = 8 << 10
)

func (t pageTokens) mac(scope []byte, name string) []byte {
	m := hmac.New(sha256.New, t.key)
	_ = binary.Write(m, binary.BigEndian, uint64(len(scope))) // a hash takes all
	m.Write(scope)
	m.Write([]byte(name))
	return m.Sum(nil)[:pageMAC]
}

// seal makes the token of a page that ends with name.
func (t pageTokens) seal(scope []byte, name string) string {
	return base64.RawURLEncoding.EncodeToString(append(t.mac(scope, name), name...))
}

// open returns the name behind which the next page begins, "" for an empty token.
func (t pageTokens) open(scope []byte, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	bad := api.Errorf(http.StatusBadRequest, "the iteration_token is not one of this listing; begin again without it")
	if len(token) > maxPageToken || strings.ContainsAny(token, "\r\n") { // which base64 passes over
		return "", bad
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) <= pageMAC {
		return "", bad
	}
	name := string(b[pageMAC:])
	if !hmac.Equal(b[:pageMAC], t.mac(scope, name)) {
		return "", bad
	}
	return name, nil
}
