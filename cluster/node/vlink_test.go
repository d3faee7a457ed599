package node

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/fasp/vlink"
)

// Keys of one vlink share its cap, whoever they are; a change holds for running sessions.
func TestVLinkIsSharedByKeys(t *testing.T) {
	slow := []vlink.Link{{Name: "slow", Caps: vlink.Caps{In: 8 * fasp.Mbps}}}
	inWorld(t, Config{VLinks: slow}, func(w *world) {
		t := w.t
		const n = 2
		var keys []accesskey.Credential
		for i := range n {
			c := accesskey.Credential{ID: fmt.Sprint("k", i), Secret: "s"}
			w.addKey(c, func(k *accesskey.Key) { k.VLink = "slow" })
			keys = append(keys, c)
		}
		both := func(size int, during func()) time.Duration {
			start := time.Now()
			errs := make(chan error, n)
			for i, c := range keys {
				go func() { errs <- w.upload(c, fmt.Sprint("f", i, size), size) }()
			}
			during()
			for range n {
				require.NoError(t, <-errs)
			}
			return time.Since(start)
		}
		// 32 Mbit of content need 4 s at the cap; what is over is handshake, headers and the end.
		took := both(2_000_000, func() {})
		require.InDelta(t, 4.5, took.Seconds(), 0.5)
		// 16 Mbit go in 2 s, and 64 of 80 Mbit more at 40 Mbit/s.
		took = both(5_000_000, func() {
			time.Sleep(2 * time.Second)
			require.NoError(t, relink(w.node, vlink.Link{Name: "slow", Caps: vlink.Caps{In: 40 * fasp.Mbps}}))
		})
		require.InDelta(t, 4, took.Seconds(), 0.6)
		require.Error(t, relink(w.node, vlink.Link{Name: "no good"}))
	})
}

func TestUnknownVLinkIsRefused(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		t := w.t
		lost := accesskey.Credential{ID: "lost", Secret: "s"}
		w.addKey(lost, func(k *accesskey.Key) { k.VLink = "gone" })
		err := w.upload(lost, "up", 10)
		require.Equal(t, transfer.CodeAuth, codeOf(t, err))
		require.ErrorContains(t, err, "a vlink that this server does not have: gone")
		require.Regexp(t, `msg="session refused" .*key=lost .*unknown vlink`, w.log.String())
		ids, err := w.node.Stranded(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"lost"}, ids)
		require.NoError(t, relink(w.node, vlink.Link{Name: "gone"}))
		require.NoError(t, w.upload(lost, "up", 10))
	})
	_, err := New(Config{DocRoot: t.TempDir(), StateDir: t.TempDir(), VLinks: []vlink.Link{{Name: "a b"}}})
	require.ErrorContains(t, err, "vlink name")
}

// relink replaces the vlinks of a node that runs.
func relink(n *Node, l vlink.Link) error {
	cfg := n.cfg
	cfg.VLinks = []vlink.Link{l}
	return n.Reconfigure(context.Background(), cfg)
}
