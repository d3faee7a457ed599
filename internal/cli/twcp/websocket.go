package twcp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/wsd"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/cli"
)

// web is how an account, or who has a token, logs in over WebSocket.
type web struct {
	authorization string         // the header
	roots         *x509.CertPool // who alone may sign the node's certificate; nil is whom the system trusts, or a key that is known
	rootsFile     string
}

// findWeb reads what the options say of WebSocket.
func findWeb(o *options, user, authorization string) (*account, error) {
	w := &web{authorization: authorization}
	if o.wsConnect && o.keyFile != "" {
		b, err := os.ReadFile(o.keyFile)
		if err != nil {
			return nil, usagef("-i: %w", err)
		}
		w.roots, w.rootsFile = x509.NewCertPool(), o.keyFile
		if !w.roots.AppendCertsFromPEM(b) {
			return nil, usagef("-i %s: there is no certificate in it; with --ws-connect it has those of who may sign the node's certificate, in PEM, and no private key", o.keyFile)
		}
	}
	return &account{user: user, web: w}, nil
}

// askWeb asks over nc.
func (a *account) askWeb(ctx context.Context, nc net.Conn, host string, q wsd.Question) (t ticket, err error) {
	b, err := questionText(q)
	if err != nil {
		return t, err
	}
	addr := net.JoinHostPort(host, strconv.Itoa(a.port))
	tc, err := a.secure(ctx, nc, host, addr)
	if err != nil {
		return t, err
	}
	client := &http.Client{
		Transport: &http.Transport{
			DialTLSContext:    func(context.Context, string, string) (net.Conn, error) { return tc, nil },
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // what is shown here is for this node
	}
	ws, resp, err := websocket.Dial(ctx, "wss://"+addr+wsd.Path, &websocket.DialOptions{
		HTTPClient: client, HTTPHeader: http.Header{"Authorization": {a.web.authorization}, "User-Agent": {"twcp"}}, Subprotocols: []string{wsd.Subprotocol},
	})
	if err != nil {
		if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
			return t, refusedBy(addr, resp)
		}
		return t, unreachable("WebSocket with "+addr, err)
	}
	defer func() { _ = ws.CloseNow() }()
	if ws.Subprotocol() != wsd.Subprotocol {
		return t, &transfer.Error{Code: transfer.CodeTransferError, Err: fmt.Errorf("%s speaks another protocol than %s; -P says the port, which twnode serve --wss has", addr, wsd.Subprotocol)}
	}
	ws.SetReadLimit(wsd.MaxAnswer)
	if err := ws.Write(ctx, websocket.MessageText, b); err != nil {
		return t, unreachable("WebSocket with "+addr, err)
	}
	_, b, err = ws.Read(ctx)
	if err != nil {
		return t, unreachable("WebSocket with "+addr, err)
	}
	_ = ws.Close(websocket.StatusNormalClosure, "") // all that matters was said
	return readAnswer(b, time.Now())
}

// questionText is a question as it is sent.
func questionText(q wsd.Question) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // which would make it longer
	if err := e.Encode(q); err != nil {
		return nil, err
	}
	if b.Len() > wsd.MaxQuestion {
		return nil, usagef("the names of the paths are too long to ask for a ticket over WebSocket; name a folder above them")
	}
	return b.Bytes(), nil
}

// readAnswer reads a ticket, or why there is none.
func readAnswer(b []byte, now time.Time) (ticket, error) {
	if text := errorIn(b); text != "" {
		return ticket{}, &transfer.Error{Code: transfer.CodeNoPerms, Err: fmt.Errorf("the server hands over no ticket: %s", text)}
	}
	return readTicket(b, now)
}

// errorIn is what a node says in JSON that is wrong, "" if it says nothing, as a terminal may see it.
func errorIn(b []byte) string {
	var x struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(b, &x) != nil || x.Error == "" {
		return ""
	}
	return cli.Shown(x.Error)
}

// refusedBy is what an answer of HTTP means.
func refusedBy(addr string, resp *http.Response) error {
	b, _ := io.ReadAll(resp.Body) // of which package websocket has kept the first KiB
	text := errorIn(b)
	switch status := resp.StatusCode; {
	case text == "":
		return &transfer.Error{Code: transfer.CodeTransferError, Err: fmt.Errorf("%s is no node's WebSocket: it answers with HTTP status %d; -P says the port, which twnode serve --wss has", addr, status)}
	case status == http.StatusUnauthorized && text == accesskey.ErrAuth.Error():
		return &transfer.Error{Code: transfer.CodeAuth, Err: accesskey.ErrAuth}
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusTooManyRequests:
		return &transfer.Error{Code: transfer.CodeAuth, Err: errors.New(text)}
	case status >= 500:
		return unreachable("WebSocket with "+addr, errors.New(text))
	}
	return &transfer.Error{Code: transfer.CodeTransferError, Err: fmt.Errorf("WebSocket with %s: %s", addr, text)}
}

// secure does the handshake of TLS over nc, and finds out whether this is the node that is meant, before anything is shown to it.
func (a *account) secure(ctx context.Context, nc net.Conn, host, addr string) (net.Conn, error) {
	name := "wss://" + addr
	var shown fasp.Fingerprint
	var refused error
	tc := tls.Client(nc, &tls.Config{
		ServerName: host, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		InsecureSkipVerify: true, // VerifyConnection does it, since a key that is known is enough
		VerifyConnection: func(s tls.ConnectionState) error {
			shown = sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
			refused = a.verifyCertificate(name, host, shown, s.PeerCertificates)
			return refused
		},
	})
	switch err := tc.HandshakeContext(ctx); {
	case refused != nil:
		return nil, insecure(refused)
	case err != nil:
		return nil, unreachable("TLS with "+addr+" (option -P)", err)
	}
	// The handshake has proved that the server holds the key; before, it would have been a claim.
	if err := a.trust.accepted(name, shown); err != nil {
		return nil, insecure(err)
	}
	return tc, nil
}

// verifyCertificate decides whether to go on with a server: by the key that was given, else by the file of -i, else by the keys that are known and those that the system trusts. A certificate that the system trusts may be
// renewed; once a key of the host is known, one that nobody vouches for takes its place no more.
func (a *account) verifyCertificate(name, host string, key fasp.Fingerprint, chain []*x509.Certificate) error {
	signed := func(roots *x509.CertPool) error {
		others := x509.NewCertPool()
		for _, c := range chain[1:] {
			others.AddCert(c)
		}
		_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: strings.Trim(host, "[]"), Intermediates: others})
		return err
	}
	fixed := a.trust.pinned != nil || a.trust.ignore
	if a.web.roots != nil && !fixed {
		if err := signed(a.web.roots); err != nil {
			return fmt.Errorf("the certificate of %s is not accepted: %w; it must be signed by one of those in %s, or give its key, %s, with --check-sshfp if the node's operator confirms it", name, err, a.web.rootsFile, key)
		}
		return nil
	}
	vouched := !fixed && signed(nil) == nil
	err := a.trust.verify(name, key)
	var mismatch *cli.HostMismatch
	if errors.As(err, &mismatch) && vouched {
		return nil
	}
	a.trust.quiet = vouched
	return err
}
