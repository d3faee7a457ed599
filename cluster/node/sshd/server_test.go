package sshd

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/logins"
)

func TestLogin(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		for name, how := range map[string]ssh.AuthMethod{"password": ssh.Password(joesPassword), "key": ssh.PublicKeys(w.key), "second key": ssh.PublicKeys(newKey(t), w.key)} {
			c, err := w.login(here, "joe", how)
			require.NoError(t, err, name)
			require.NoError(t, c.Close())
		}
		// Whatever is wrong, the client sees the same.
		text := func(user string, how ssh.AuthMethod) string {
			_, err := w.login(here, user, how)
			require.Error(t, err, user)
			return err.Error()
		}
		wrong := text("joe", ssh.Password("wrong horse battery"))
		for _, user := range []string{"ann", "", "..", "../joe", "joe/", "joe\x00", strings.Repeat("x", 1000)} {
			require.Equal(t, wrong, text(user, ssh.Password(joesPassword)), user)
		}
		require.Equal(t, wrong, text("joe", ssh.Password("")))
		key := text("joe", ssh.PublicKeys(newKey(t)))
		require.Equal(t, key, text("ann", ssh.PublicKeys(w.key)))
		w.change(func(a *Account) { a.Disabled = true })
		require.Equal(t, wrong, text("joe", ssh.Password(joesPassword)))
		require.Equal(t, key, text("joe", ssh.PublicKeys(w.key)))
		w.change(func(a *Account) { a.Disabled, a.PasswordHash = false, "" })
		require.Equal(t, wrong, text("joe", ssh.Password("")), "no password is none")
		_, err := w.login(here, "joe")
		require.Error(t, err)
		w.change(func(a *Account) { a.PasswordHash = "damaged" })
		require.Equal(t, wrong, text("joe", ssh.Password(joesPassword)))
		require.Contains(t, w.log.String(), "login cannot be checked")
	})
}

// TestLoginRate: guessing is slow, also with many connections, and does not keep out who has a key, or comes later.
func TestLoginRate(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		guess := func(from, user, password string) error {
			_, err := w.login(from, user, ssh.Password(password))
			return err
		}
		for i := range logins.AccountBurst {
			require.Error(t, guess("192.0.2.9:1", "joe", "wrong horse battery"), i)
		}
		require.Error(t, guess("192.0.2.10:1", "joe", joesPassword), "the account's attempts are used up, from anywhere")
		require.Equal(t, 0, strings.Count(w.log.String(), "logged in"))
		w.joe().Close() // with a key
		time.Sleep(logins.AccountRefill)
		require.NoError(t, guess("192.0.2.10:1", "joe", joesPassword))
		require.NoError(t, guess("192.0.2.10:1", "joe", joesPassword), "what is right is not counted")

		// A source that tries many names, or keys, is stopped, too.
		for i := range logins.SourceBurst {
			require.Error(t, func() error { _, err := w.login("198.51.100.7:1", "joe", ssh.PublicKeys(newKey(t))); return err }(), i)
		}
		_, err := w.login("198.51.100.7:2", "joe", ssh.PublicKeys(w.key))
		require.Error(t, err)
		time.Sleep(logins.SourceRefill)
		c, err := w.login("198.51.100.7:2", "joe", ssh.PublicKeys(w.key))
		require.NoError(t, err)
		require.NoError(t, c.Close())
	})
}

// TestTries: one connection gets few attempts.
func TestTries(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		n := 0
		_, err := w.login(here, "joe", ssh.RetryableAuthMethod(ssh.PasswordCallback(func() (string, error) { n++; return "wrong horse battery", nil }), 100))
		require.Error(t, err)
		require.LessOrEqual(t, n, 7)
	})
}

// TestCrowd: who does not log in holds nothing for long, and makes room for those who come.
func TestCrowd(t *testing.T) {
	inWorld(t, Config{MaxUnauthenticated: 8}, func(w *world) {
		var idle []net.Conn
		for range 1000 {
			c := w.connect(here)
			idle = append(idle, c)
			go func() { _, _ = io.Copy(io.Discard, c) }()
			synctest.Wait()
			require.LessOrEqual(t, w.server.Stats().Unauthenticated, 8)
		}
		c := w.joe()
		synctest.Wait()
		require.Equal(t, 1, w.server.Stats().Conns)
		require.NoError(t, c.Close())
		time.Sleep(31 * time.Second)
		synctest.Wait()
		require.Equal(t, Stats{}, w.server.Stats(), "time is over for all of them")
		for _, c := range idle {
			_ = c.Close()
		}
	})
}

// TestStrangers: what is no SSH ends, at once or when the time is over.
func TestStrangers(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", strings.Repeat("x", 1<<16), "SSH-1.5-old\r\n", "SSH-2.0-x\r\n" + strings.Repeat("\xff", 100)} {
			c := w.connect(here)
			_, err := io.WriteString(c, text)
			require.NoError(t, err)
			dropped(t, c)
		}
		// One that sends a byte now and then has the same time as others.
		c := w.connect(here)
		from := time.Now()
		var dripping sync.WaitGroup
		dripping.Go(func() {
			for range 100 {
				_, _ = io.WriteString(c, "S") // until nobody takes it
				time.Sleep(time.Second)
			}
		})
		dropped(t, c)
		require.Equal(t, 30*time.Second, time.Since(from))
		dripping.Wait()
	})
}

// TestNothingElse: commands are all there is.
func TestNothingElse(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		c := w.joe()
		defer c.Close()
		s, err := c.NewSession()
		require.NoError(t, err)
		require.Error(t, s.RequestPty("xterm", 25, 80, nil))
		require.Error(t, s.Setenv("LD_PRELOAD", "x"))
		require.Error(t, s.RequestSubsystem("sftp"))
		require.Error(t, s.Shell())
		require.NoError(t, s.Close())
		_, err = c.Dial("tcp", "127.0.0.1:22")
		require.ErrorContains(t, err, "nothing but commands")
		_, err = c.Listen("tcp", "127.0.0.1:0")
		require.Error(t, err)
		for command, want := range map[string]string{
			"": "no shell", "sh": "no shell", "ascmd; id": "no shell", "tradewind-ticket": "want upload", "ascmd -V3": "want no argument", `ascmd "`: "quote is not closed",
			"tradewind-ticket upload": "want upload", "tradewind-ticket manage x": "want upload", "tradewind-ticket upload ../x": `".."`, "tradewind-ticket download a /b/../../c": `".."`,
		} {
			out, errs, err := w.run(c, command, "")
			require.Error(t, err, command)
			require.Empty(t, out)
			require.Contains(t, errs, want)
		}
		s, err = c.NewSession()
		require.NoError(t, err)
		require.Error(t, s.Start("ascmd "+strings.Repeat("x", maxCommand)), "a command that is too long")
		require.NoError(t, s.Close())
		// Channels have a bound, and those that end make room, once the server has seen it.
		synctest.Wait()
		var open []*ssh.Session
		for range maxChannels {
			s, err := c.NewSession()
			require.NoError(t, err)
			open = append(open, s)
		}
		_, err = c.NewSession()
		require.ErrorContains(t, err, "too many channels")
		for _, s := range open {
			require.NoError(t, s.Close())
		}
		synctest.Wait()
		_, _, err = w.run(c, "ascmd", "")
		require.NoError(t, err)
	})
}

func TestConnectionsOfAnAccount(t *testing.T) {
	inWorld(t, Config{MaxPerAccount: 2}, func(w *world) {
		a, b := w.joe(), w.joe()
		synctest.Wait()
		c := w.joe() // which is right, and too many
		require.Error(t, c.Wait())
		require.NoError(t, a.Close())
		synctest.Wait()
		d := w.joe()
		_, _, err := w.run(d, "ascmd", "")
		require.NoError(t, err)
		require.NoError(t, errors.Join(b.Close(), d.Close()))
	})
}

func TestTicket(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		c := w.joe()
		defer c.Close()
		ring := accesskey.NewKeyring(accesskey.Master{})
		for command, want := range map[string]accesskey.TransferToken{
			`tradewind-ticket upload "/a b/"`: {Account: "joe", Direction: accesskey.Upload, Paths: []string{"a b"}},
			`tradewind-ticket download a /b`:  {Account: "joe", Direction: accesskey.Download, Paths: []string{"a", "b"}},
			`tradewind-ticket upload .`:       {Account: "joe", Direction: accesskey.Upload, Paths: []string{""}},
			`tradewind-ticket manage`:         {Account: "joe", Direction: accesskey.Manage},
		} {
			out, _, err := w.run(c, command, "")
			require.NoError(t, err, command)
			require.Equal(t, 1, strings.Count(out, "\n"))
			var ticket Ticket
			require.NoError(t, json.Unmarshal([]byte(out), &ticket))
			got, err := ring.Open(ticket.Token, "", time.Now())
			require.NoError(t, err)
			want.Expires = got.Expires
			require.Equal(t, want, got)
			require.NotContains(t, w.log.String(), ticket.Token[:20])
		}
		w.change(func(a *Account) { a.Grant.Rights.Write = false })
		_, errs, err := w.run(c, "tradewind-ticket upload a", "")
		require.Error(t, err)
		require.Contains(t, errs, "upload is not allowed")
		_, _, err = w.run(c, "tradewind-ticket manage", "")
		require.NoError(t, err)
		var made time.Time
		w.change(func(a *Account) { made, a.Grant.Created = a.Grant.Created, a.Grant.Created.Add(time.Hour) }) // another one of the name
		_, errs, err = w.run(c, "tradewind-ticket manage", "")
		require.Error(t, err)
		require.Contains(t, errs, "may not log in any more")
		_, _, err = w.run(w.joe(), "tradewind-ticket manage", "")
		require.NoError(t, err, "a new connection is of the new one")
		w.change(func(a *Account) { a.Grant.Created, a.Disabled = made, true })
		_, errs, err = w.run(c, "tradewind-ticket manage", "")
		require.Error(t, err)
		require.Contains(t, errs, "may not log in any more")
	})
}

// TestIdle: a client that asks for nothing, or takes nothing, is cut off; one that waits for its answer is not.
func TestIdle(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		c := w.joe()
		from := time.Now()
		require.Error(t, c.Wait())
		require.Equal(t, 10*time.Minute, time.Since(from))

		c = w.joe()
		s, err := c.NewSession()
		require.NoError(t, err)
		in, err := s.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, s.Start("ascmd"))
		from = time.Now()
		for range 3 {
			time.Sleep(9 * time.Minute)
			_, err = io.WriteString(in, "as_info\n")
			require.NoError(t, err)
		}
		require.Error(t, c.Wait())
		require.Equal(t, 37*time.Minute, time.Since(from))

		// Asks, and does not read: its window and ours fill up.
		c = w.joe()
		s, err = c.NewSession()
		require.NoError(t, err)
		_, err = s.StdoutPipe()
		require.NoError(t, err)
		in, err = s.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, s.Start("ascmd"))
		from = time.Now()
		go func() {
			for range 100_000 {
				if _, err := io.WriteString(in, "as_info\n"); err != nil {
					return
				}
			}
		}()
		require.Error(t, c.Wait())
		require.Equal(t, time.Minute, time.Since(from))
	})
}
