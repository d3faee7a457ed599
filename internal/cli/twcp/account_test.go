package twcp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/cluster/node/sshd"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/cli"
)

func TestTicketCommand(t *testing.T) {
	many := make([]transfer.Path, 2000)
	for i := range many {
		many[i].Source = fmt.Sprintf("/data/2026/run/%d", i)
	}
	for _, c := range []struct {
		spec transfer.Spec
		want string
	}{
		{transfer.Spec{Destination: "/in/"}, `upload "in"`},
		{transfer.Spec{}, `upload "."`},
		{transfer.Spec{Destination: "."}, `upload "."`},
		{transfer.Spec{Destination: `a "b\c`}, `upload "a \"b\\c"`},
		{transfer.Spec{Destination: "/in/new\nline/x"}, `upload "in"`},
		{transfer.Spec{Destination: "/in/\xff"}, `upload "in"`},
		{transfer.Spec{Destination: "\x00"}, `upload "."`},
		{transfer.Spec{Destination: "../x"}, `upload "../x"`},
		{transfer.Spec{Direction: transfer.Receive}, `download "."`},
		{transfer.Spec{Direction: transfer.Receive, Paths: []transfer.Path{{Source: "/a//b"}, {Source: "./c/"}, {Source: "/"}}}, `download "a/b" "c" "."`},
		{transfer.Spec{Direction: transfer.Receive, Paths: many}, `download "data/2026/run"`},
		{transfer.Spec{Direction: transfer.Receive, Paths: append(many, transfer.Path{Source: "other"})}, `download "."`},
		{transfer.Spec{Direction: transfer.Receive, Paths: []transfer.Path{{Source: strings.Repeat("x", 9000) + "/f"}}}, `download "."`},
	} {
		require.Equal(t, "tradewind-ticket "+c.want, command(toTransfer(&c.spec)))
	}
}

func TestHostKeyText(t *testing.T) {
	want := fasp.Fingerprint{0: 1, 31: 0xff}
	const digits = "01000000000000000000000000000000000000000000000000000000000000ff"
	for _, text := range []string{digits, "sha256:" + digits, strings.ToUpper(digits), "SHA256:AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAP8", "SHA256:AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAP8="} {
		got, err := parseHostKey(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "x", digits[:40], "SHA256:AQ", "MD5:" + digits, digits + "00"} {
		_, err := parseHostKey(text)
		require.Equal(t, transfer.CodeUsage, codeOf(err), text)
	}
}

func FuzzTicket(f *testing.F) {
	good, err := json.Marshal(sshd.Ticket{Token: "ATM_TW1_x", UDPPort: 33001, Fingerprint: fasp.Fingerprint{}.String()})
	require.NoError(f, err)
	f.Add(good)
	f.Add([]byte(`{"token":"Basic eA==","udp_port":1,"fingerprint":"sha256:00"}`))
	f.Add([]byte(`{"udp_port":99999}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readTicket(b, time.Unix(0, 0))
		if err != nil {
			require.Equal(t, transfer.CodeFaspProto, codeOf(err))
			require.NotContains(t, err.Error(), "ATM_TW1_")
			return
		}
		require.NotZero(t, got.port)
		require.NotNil(t, got.opener)
	})
}

// TestNoSSH: what is at the port and is no SSH of a node is told apart from a wrong password.
func TestNoSSH(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("220 mail.example.org\r\n"))
			_ = c.Close()
		}
	}()
	a := &account{user: "joe", port: l.Addr().(*net.TCPAddr).Port, trust: trust{known: cli.KnownHosts{Path: filepath.Join(t.TempDir(), "known")}}}
	_, err = a.ticketFor(t.Context(), "127.0.0.1", toManage())
	require.Equal(t, transfer.CodeTransferError, codeOf(err))
	var timeout interface{ Timeout() bool }
	require.True(t, errors.As(err, &timeout) && timeout.Timeout(), "it may go by")
	require.NoError(t, l.Close())
	<-answered
	_, err = a.ticketFor(t.Context(), "127.0.0.1", toManage())
	require.ErrorContains(t, err, "Failed to open TCP connection for SSH")
	require.Equal(t, transfer.CodeTransferError, codeOf(err))
}

// TestTicketsAreShared: the sessions of a transfer log in once, and another question, or a later one, anew.
func TestTicketsAreShared(t *testing.T) {
	a := &account{last: ticket{question: "h " + command(toManage()), at: time.Now(), port: 5}, port: 1}
	got, err := a.ticketFor(t.Context(), "h", toManage())
	require.NoError(t, err)
	require.Equal(t, 5, got.port)
	_, err = a.ticketFor(t.Context(), "127.0.0.1", toManage())
	require.Error(t, err, "it asks there")
	a.last = ticket{question: "127.0.0.1 " + command(toManage()), at: time.Now().Add(-ticketFresh), port: 5}
	_, err = a.ticketFor(t.Context(), "127.0.0.1", toManage())
	require.Error(t, err, "it asks anew")
}
