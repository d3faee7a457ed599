package fasp

import (
	"encoding/json"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/simnet"
)

// someTickets returns what a client with one ticket would keep, and when it got that.
func someTickets(t *testing.T) (b []byte, got time.Time) {
	synctest.Test(t, func(t *testing.T) {
		w := newEarlyWorld(t, simnet.Impair{Delay: time.Millisecond}, Config{})
		w.ready()
		b, got = w.save(), w.tickets.m[w.at][0].Got
		w.close()
	})
	return b, got
}

func TestTicketsAreKept(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{})
		w.ready()
		again := new(Tickets) // as a program that starts again
		require.NoError(t, json.Unmarshal(w.save(), again))
		w.client.cfg.Tickets = again
		_, early, c := w.fetch("kept")
		require.True(t, early)
		require.NoError(t, c.Close(CodeDone, ""))
		w.close()
	})
}

func TestTicketsDamaged(t *testing.T) {
	b, _ := someTickets(t)
	good := string(b)
	require.NoError(t, json.Unmarshal([]byte(good), new(Tickets)))
	at := strings.Index(good, `"state":"`) + 40
	other := "A"
	if good[at] == 'A' {
		other = "B"
	}
	for name, s := range map[string]string{
		"empty":          "",
		"cut":            good[:len(good)/2],
		"something else": `["a"]`,
		"no server":      strings.Replace(good, "10.0.0.1:33001", "", 1),
		"state changed":  good[:at] + other + good[at+1:],
		"no ticket":      `{"10.0.0.1:1":[{}]}`,
		"many":           `{"10.0.0.1:1":[` + strings.Repeat("{},", maxTicketsServer) + `{}]}`,
	} {
		k := new(Tickets)
		require.Error(t, json.Unmarshal([]byte(s), k), name)
		require.Zero(t, k.n, name)
	}
}

func TestTicketsAreBounded(t *testing.T) {
	k := new(Tickets)
	now := time.Now()
	for i := range 3 * maxTickets {
		k.add(netip.AddrPortFrom(addr(i).Addr(), 1), ticket{Ticket: []byte{1}, Got: now.Add(time.Duration(i))})
		k.add(addr(1<<20), ticket{Ticket: []byte{2}, Got: now.Add(time.Duration(i))})
		n := 0
		for _, list := range k.m {
			require.NotEmpty(t, list)
			n += len(list)
		}
		require.Equal(t, k.n, n)
		require.LessOrEqual(t, n, maxTickets)
		require.LessOrEqual(t, len(k.m[addr(1<<20)]), maxTicketsServer)
	}
	require.NotContains(t, k.m, netip.AddrPortFrom(addr(0).Addr(), 1), "the oldest goes first")
	require.Contains(t, k.m, netip.AddrPortFrom(addr(3*maxTickets-1).Addr(), 1))
}

// A ticket of a server whose key is not the wanted one any more is dropped, and so is one that has expired or is from the future.
func TestTicketsTaken(t *testing.T) {
	b, got := someTickets(t)
	server := netip.MustParseAddrPort("10.0.0.1:33001")
	yes := func(Fingerprint) bool { return true }
	for name, c := range map[string]struct {
		age    time.Duration
		accept func(Fingerprint) bool
		want   bool
	}{
		"good":            {time.Hour, yes, true},
		"other key":       {time.Hour, func(fp Fingerprint) bool { return fp != testIdentity.Fingerprint() }, false},
		"expired":         {ticketLife, yes, false},
		"from the future": {-time.Second, yes, false},
	} {
		k := new(Tickets)
		require.NoError(t, json.Unmarshal(b, k))
		s := k.take(server, got.Add(c.age), c.accept)
		require.Equal(t, c.want, s.resume != nil, name)
		require.Zero(t, k.n, name)
		require.Nil(t, k.take(server, got, yes).resume, "used")
	}
}

func TestTicketsConcurrently(t *testing.T) {
	b, got := someTickets(t)
	k := new(Tickets)
	var wg sync.WaitGroup
	var taken sync.Map
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if err := json.Unmarshal(b, k); err != nil {
					t.Error(err)
				}
				if s := k.take(netip.MustParseAddrPort("10.0.0.1:33001"), got, func(Fingerprint) bool { return true }); s.resume != nil {
					if _, twice := taken.LoadOrStore(s.resume, true); twice {
						t.Error("a ticket was given twice")
					}
				}
				if _, err := json.Marshal(k); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	used := 0
	taken.Range(func(any, any) bool { used++; return true })
	require.NotZero(t, used)
	require.LessOrEqual(t, k.n, maxTicketsServer)
}

// FuzzTickets reads what a file may hold. What is read comes back, and can be used or not.
func FuzzTickets(f *testing.F) {
	f.Add([]byte(`{"10.0.0.1:1":[{"server":"","ticket":"AA==","state":"","sum":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","got":"2026-01-01T00:00:00Z"}]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		k := new(Tickets)
		if json.Unmarshal(b, k) != nil {
			require.Zero(t, k.n)
			return
		}
		again, err := json.Marshal(k)
		require.NoError(t, err)
		l := new(Tickets)
		require.NoError(t, json.Unmarshal(again, l))
		require.Equal(t, k.n, l.n)
		for a := range k.m {
			k.take(a, time.Now(), func(Fingerprint) bool { return true })
		}
	})
}
