package logins

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBuckets(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := newBuckets(3, time.Second, 4)
	try := func(name string) bool { return l.change(name, -1, now) }
	for range 3 {
		require.True(t, try("a"))
	}
	require.False(t, try("a"), "all are used")
	require.True(t, try("b"), "another name has its own")
	now = now.Add(999 * time.Millisecond)
	require.False(t, try("a"))
	now = now.Add(time.Millisecond)
	require.True(t, try("a"), "one came back")
	require.False(t, try("a"))
	now = now.Add(time.Hour)
	for range 3 {
		require.True(t, try("a"), "no more than the burst came back")
	}
	require.False(t, try("a"))
	now = now.Add(-time.Hour)
	require.False(t, try("a"), "a clock that goes back gives nothing")
	require.True(t, l.change("a", 1, now))
	require.True(t, try("a"), "what was right is given back")

	// More names than there is room for share a bucket, and push out none that was used.
	l = newBuckets(3, time.Second, 4)
	for i := range 4 {
		require.True(t, try(fmt.Sprint(i)))
	}
	allowed := 0
	for i := range 1000 {
		if try(fmt.Sprint("flood", i)) {
			allowed++
		}
	}
	require.Equal(t, 3, allowed)
	require.Len(t, l.used, 4)
	require.True(t, try("0"))
	require.True(t, try("0"))
	require.False(t, try("0"), "it was not forgotten")
	now = now.Add(time.Hour)
	require.True(t, try("new"), "whose buckets are full make room")
	require.Len(t, l.used, 1)
}

func TestSourceOf(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:22": "192.0.2.1", "[::ffff:192.0.2.1]:9": "192.0.2.1", "[2001:db8:1:2:3:4:5:6]:22": "2001:db8:1:2::/64", "[fe80::1%eth0]:22": "fe80::/64",
	} {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil { // no such interface here
			continue
		}
		require.Equal(t, want, SourceOf(a))
	}
	require.Equal(t, "pipe", SourceOf(pipeAddr("pipe")))
}

type pipeAddr string

func (pipeAddr) Network() string  { return "pipe" }
func (a pipeAddr) String() string { return string(a) }
