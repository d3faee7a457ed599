package sshd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/tradewind-io/tradewind/accesskey"
)

const (
	maxChannels = 4        // of a connection
	maxCommand  = 64 << 10 // bytes of a command, and of a line of ascmd
)

// user is an account on one connection.
type user struct {
	s    *Server
	name string
	made string // see madeAt
	log  *slog.Logger
	cut  func() // closes the connection

	mu   sync.Mutex // guards what follows
	busy int        // commands under way
	idle *time.Timer
}

// work says that something is done for the client, during which it need not ask for anything else.
func (u *user) work() (done func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.busy++
	u.idle.Stop()
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.busy--; u.busy == 0 {
			u.idle.Reset(u.s.cfg.IdleTimeout)
		}
	}
}

// current is the account as it is now: who was disabled meanwhile is heard no more, nor who has gone, though another one has the name now.
func (u *user) current(ctx context.Context) (Account, error) {
	a, known, err := u.s.cfg.Logins.Account(ctx, u.name)
	if err != nil {
		u.log.Error("the account cannot be looked up", "error", err)
		return a, errors.New("internal error; the node's log says more")
	}
	if !known || a.Disabled || madeAt(a) != u.made {
		return a, errors.New("this account may not log in any more")
	}
	a.Grant.KeyID = accesskey.AccountID(u.name)
	return a, nil
}

// serve takes channels until the connection ends, and ends what they do, by end, then.
func (u *user) serve(ctx context.Context, end func(), channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	var running sync.WaitGroup
	defer running.Wait()
	defer end()
	running.Go(func() { ssh.DiscardRequests(requests) }) // forwarding and the like
	turns := make(chan struct{}, maxChannels)
	for nc := range channels {
		if t := nc.ChannelType(); t != "session" {
			_ = nc.Reject(ssh.Prohibited, "nothing but commands is offered") // a connection that fails ends the loop
			continue
		}
		select {
		case turns <- struct{}{}:
		default:
			_ = nc.Reject(ssh.ResourceShortage, "too many channels")
			continue
		}
		ch, reqs, err := nc.Accept()
		if err != nil {
			<-turns
			continue
		}
		running.Go(func() {
			defer func() { <-turns }()
			u.channel(ctx, ch, reqs)
		})
	}
}

// channel serves the requests of a channel. Its one command closes it when it has ended.
func (u *user) channel(ctx context.Context, ch ssh.Channel, reqs <-chan *ssh.Request) {
	var running sync.WaitGroup
	defer running.Wait()
	started := false
	for r := range reqs {
		ok := false
		var x struct{ Command string }
		if r.Type == "exec" && !started && ssh.Unmarshal(r.Payload, &x) == nil && len(x.Command) <= maxCommand {
			started, ok = true, true
		}
		if r.WantReply {
			_ = r.Reply(ok, nil) // a connection that fails ends the loop
		}
		if ok {
			running.Go(func() { u.exec(ctx, ch, x.Command) })
		}
	}
	if !started {
		_ = ch.Close()
	}
}

// exec runs a command and closes the channel.
func (u *user) exec(ctx context.Context, ch ssh.Channel, command string) {
	defer ch.Close()
	status := uint32(0)
	if err := u.run(ctx, command, ch); err != nil {
		status = 1
		fmt.Fprintln(u.patient(ch.Stderr()), "tradewind:", err)
	}
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status})) // nobody is there to hear that it failed
}

var errCommand = errors.New("no such command here: ascmd and tradewind-ticket are offered, and no shell")

func (u *user) run(ctx context.Context, command string, ch io.ReadWriter) error {
	words, err := splitWords(command)
	if err != nil {
		return err
	}
	out := u.patient(ch)
	switch {
	case len(words) == 0:
		return errCommand
	case words[0] == "tradewind-ticket":
		return u.ticket(ctx, words[1:], out)
	case words[0] == "ascmd" && len(words) == 1:
		return u.ascmd(ctx, 1, ch, out)
	case words[0] == "ascmd" && len(words) == 2 && words[1] == "-V2":
		return u.ascmd(ctx, 2, ch, out)
	case words[0] == "ascmd":
		return errors.New("ascmd: want no argument, or -V2")
	}
	return errCommand
}

// patient is a writer to the client, which is cut off if it takes nothing for too long.
func (u *user) patient(w io.Writer) io.Writer { return &patient{w, u.s.cfg.WriteTimeout, u.cut} }

type patient struct {
	w    io.Writer
	wait time.Duration
	cut  func()
}

func (p *patient) Write(b []byte) (n int, err error) {
	const piece = 32 << 10
	for len(b) > 0 && err == nil {
		late := time.AfterFunc(p.wait, p.cut)
		var k int
		k, err = p.w.Write(b[:min(len(b), piece)])
		late.Stop()
		n, b = n+k, b[k:]
	}
	return n, err
}
