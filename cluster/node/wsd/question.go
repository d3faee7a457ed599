package wsd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/logins"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// Where tickets are, and what is spoken there (docs/protocol-auth.md section 47).
const (
	Path        = "/tradewind/ticket"
	Subprotocol = "tradewind.ticket.1"
	MaxQuestion = 16 << 10 // bytes
	MaxAnswer   = accesskey.MaxToken + 4096
	DefaultPort = 9093 // TCP, where nothing else is said
)

// Question is what a client asks.
type Question struct {
	For   string   `json:"for"`             // upload, download or manage
	Paths []string `json:"paths,omitempty"` // below which an upload's destination lies, or the sources of a download; none to manage
}

// Answer is what it gets: a ticket, or why there is none.
type Answer struct {
	logins.Ticket
	Error string `json:"error,omitempty"`
}

// MarshalJSON writes an Error alone, or the ticket.
func (a Answer) MarshalJSON() ([]byte, error) {
	if a.Error != "" {
		return json.Marshal(refusal{a.Error})
	}
	return json.Marshal(a.Ticket)
}

// refusal is all that an answer says without a ticket, also one of HTTP.
type refusal struct {
	Error string `json:"error"`
}

// errQuestion is what clients are told that ask for something else.
var errQuestion = errors.New(`want {"for":"upload","paths":["PATH"...]}, the same for "download", or {"for":"manage"}`)

// readQuestion reads what a client sent. A field that is not known is refused: it may have been meant to bound the ticket.
func readQuestion(b []byte) (q Question, d accesskey.Direction, err error) {
	if !utf8.Valid(b) {
		return q, 0, errQuestion // package json would make other paths of it
	}
	in := json.NewDecoder(bytes.NewReader(b))
	in.DisallowUnknownFields()
	if err := in.Decode(&q); err != nil {
		return Question{}, 0, errQuestion
	}
	if _, err := in.Token(); err != io.EOF {
		return Question{}, 0, errQuestion
	}
	d, ok := map[string]accesskey.Direction{"upload": accesskey.Upload, "download": accesskey.Download, "manage": accesskey.Manage}[q.For]
	if !ok || (d == accesskey.Manage) != (len(q.Paths) == 0) {
		return Question{}, 0, errQuestion
	}
	for i, p := range q.Paths {
		if q.Paths[i], err = transfer.CleanPath(p); err != nil {
			return Question{}, 0, err
		}
	}
	return q, d, nil
}

// allow says why a grant does not cover a question, nil if it does. Paths are clean.
func allow(g accesskey.Grant, d accesskey.Direction, q Question) error {
	if d == accesskey.Upload && !g.Rights.Write || d == accesskey.Download && !g.Rights.Read || g.Direction != accesskey.Both && g.Direction != d {
		return fmt.Errorf("%s is not allowed", q.For)
	}
	if g.Within == nil {
		return nil
	}
	for _, p := range q.Paths {
		if !slices.ContainsFunc(g.Within, func(w string) bool { return w == "" || p == w || strings.HasPrefix(p, w+"/") }) {
			return fmt.Errorf("these credentials are for other paths than %q", p)
		}
	}
	return nil
}
