package twcp

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/sshd"
	"github.com/tradewind-io/tradewind/cluster/node/wsd"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/cli"
)

// account logs in and gets tickets for sessions: by SSH (docs/protocol-auth.md section 46), or over WebSocket (section 47). It is used by one goroutine at a time, and never printed.
type account struct {
	user  string
	auth  []ssh.AuthMethod
	web   *web // nil is SSH
	port  int  // TCP
	trust trust
	node  *fasp.Fingerprint // what the node must show, whatever its ticket says; nil if the ticket says it

	last ticket
}

// ticket is what a node has handed over.
type ticket struct {
	question    string // who was asked for what
	at          time.Time
	opener      accesskey.Opener
	fingerprint fasp.Fingerprint
	port        int // UDP
}

const (
	// ticketFresh is how long a ticket is used for more sessions of the same transfer, which come at once. It is far less than it is good for.
	ticketFresh  = 10 * time.Second
	loginTimeout = 30 * time.Second
	maxTicket    = accesskey.MaxToken + 4096 // bytes of the answer
)

// reach says how the host is reached and known.
func (a *account) reach(o *options, env cli.Env, warn func(string, ...any)) (err error) {
	a.port = o.tcpPort
	if a.web != nil && !o.flags.Changed("tcp-port") {
		a.port = cmp.Or(o.wssPort, wsd.DefaultPort)
	}
	if o.fingerprint != "" {
		fp, err := fasp.ParseFingerprint(o.fingerprint)
		if err != nil {
			return usagef("--fingerprint: %w", err)
		}
		a.node = &fp
	}
	host := *o
	if host.fingerprint = ""; o.checkSSHFP != "" {
		fp, err := parseHostKey(o.checkSSHFP)
		if err != nil {
			return err
		}
		host.fingerprint = fp.String()
	}
	a.trust, err = newTrust(&host, env, warn)
	a.trust.ssh = a.web == nil
	return err
}

// parseHostKey reads a fingerprint of a host key: as OpenSSH writes it, or in hexadecimal.
func parseHostKey(text string) (fp fasp.Fingerprint, err error) {
	b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimPrefix(text, "sha256:"), ":", ""))
	if rest, ok := strings.CutPrefix(text, "SHA256:"); ok {
		b, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(rest, "="))
	}
	if err != nil || len(b) != len(fp) {
		return fp, usagef("--check-sshfp %s: want the SHA-256 of the key, as SHA256: and base64, or as 64 hexadecimal digits; SHA-1 and MD5 are not taken", text)
	}
	return fasp.Fingerprint(b), nil
}

// ticketFor returns a ticket for a session with the host.
func (a *account) ticketFor(ctx context.Context, host string, q wsd.Question) (ticket, error) {
	question := host + " " + command(q)
	if a.last.question == question && time.Since(a.last.at) < ticketFresh {
		return a.last, nil
	}
	t, err := a.ask(ctx, host, q)
	if err != nil {
		return t, err
	}
	if a.node != nil && *a.node != t.fingerprint {
		return t, insecure(fmt.Errorf("the node's key is %s, not %s as given by --fingerprint", t.fingerprint, *a.node))
	}
	t.question = question
	a.last = t
	return t, nil
}

func insecure(err error) error {
	return &transfer.Error{Code: transfer.CodeInsecureConnection, Err: err}
}

// lost is a failure of the connection, which may go by: package transfer tries again what has a Timeout, if the server was there before.
type lost struct{ error }

// Timeout is for package transfer.
func (lost) Timeout() bool { return true }

func (l lost) Unwrap() error {
	return l.error
}

func unreachable(what string, err error) error {
	return &transfer.Error{Code: transfer.CodeTransferError, Err: fmt.Errorf("%s: %w", what, lost{err})}
}

// ask logs in and asks for a ticket.
func (a *account) ask(ctx context.Context, host string, q wsd.Question) (t ticket, err error) {
	over := "SSH"
	if a.web != nil {
		over = "WebSocket"
	}
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	addr := net.JoinHostPort(host, strconv.Itoa(a.port))
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
			return t, cause
		}
		return t, unreachable("Failed to open TCP connection for "+over, err)
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() }) // which ends all that follows
	defer stop()
	if a.web != nil {
		t, err = a.askWeb(ctx, nc, host, q)
	} else {
		t, err = a.askSSH(nc, addr, q)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		if errors.Is(cause, context.DeadlineExceeded) {
			return t, &transfer.Error{Code: transfer.CodeTransferTimeout, Err: lost{fmt.Errorf("%s, TCP port %d: no ticket in %v", host, a.port, loginTimeout)}}
		}
		return t, cause
	}
	return t, err
}

// askSSH logs in by SSH over nc and runs the command that hands over a ticket.
func (a *account) askSSH(nc net.Conn, addr string, q wsd.Question) (t ticket, err error) {
	client, err := a.login(nc, addr)
	if err != nil {
		return t, err
	}
	defer client.Close()
	return request(client, command(q))
}

// login does the handshake of SSH over nc.
func (a *account) login(nc net.Conn, addr string) (*ssh.Client, error) {
	name := "ssh://" + addr
	var shown fasp.Fingerprint
	var refused error
	conn, channels, requests, err := ssh.NewClientConn(nc, addr, &ssh.ClientConfig{
		User: a.user, Auth: a.auth, ClientVersion: "SSH-2.0-twcp",
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			shown = sha256.Sum256(key.Marshal())
			refused = a.trust.verify(name, shown)
			return refused
		},
	})
	switch {
	case refused != nil:
		return nil, insecure(refused)
	case err != nil && strings.Contains(err.Error(), "unable to authenticate"):
		return nil, &transfer.Error{Code: transfer.CodeAuth, Err: accesskey.ErrAuth}
	case err != nil:
		return nil, unreachable("SSH with "+addr, err)
	}
	if err := a.trust.accepted(name, shown); err != nil {
		_ = conn.Close()
		return nil, insecure(err)
	}
	return ssh.NewClient(conn, channels, requests), nil
}

// request runs the command and reads the ticket.
func request(client *ssh.Client, command string) (t ticket, err error) {
	s, err := client.NewSession()
	if err != nil {
		return t, unreachable("SSH", err)
	}
	defer s.Close()
	out, errs := &bounded{most: maxTicket}, &bounded{most: 4096}
	s.Stdout, s.Stderr = out, errs
	var exit *ssh.ExitError
	switch err := s.Run(command); {
	case errors.As(err, &exit):
		text := strings.TrimPrefix(strings.TrimSpace(strings.ToValidUTF8(errs.String(), "?")), "tradewind: ")
		return t, &transfer.Error{Code: transfer.CodeNoPerms, Err: fmt.Errorf("the server hands over no ticket: %s", cli.Shown(text))}
	case err != nil:
		return t, unreachable("SSH", err)
	}
	return readTicket(out.Bytes(), time.Now())
}

// readTicket reads the answer.
func readTicket(b []byte, now time.Time) (t ticket, err error) {
	bad := func(why string) (ticket, error) {
		return ticket{}, &transfer.Error{Code: transfer.CodeFaspProto, Err: errors.New("the server's ticket cannot be used: " + why)}
	}
	var x sshd.Ticket
	if json.Unmarshal(b, &x) != nil {
		return bad("it is no JSON")
	}
	if !accesskey.IsTransferToken(x.Token) || len(x.Token) > accesskey.MaxToken {
		return bad("its token is none")
	}
	if x.UDPPort < 1 || x.UDPPort > 65535 {
		return bad("its port is none")
	}
	if t.fingerprint, err = fasp.ParseFingerprint(x.Fingerprint); err != nil {
		return bad("its fingerprint is none")
	}
	if t.opener, err = accesskey.ParseOpener(x.Token); err != nil {
		return bad("its token is none")
	}
	t.port, t.at = x.UDPPort, now
	return t, nil
}

// bounded keeps the first bytes that are written.
type bounded struct {
	bytes.Buffer
	most int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), b.most-b.Len())])
	return len(p), nil
}
