package vlink

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

func capped(out, in fasp.Rate) Config {
	return Config{Links: []Link{{Name: "a", Caps: Caps{Out: out, In: in}}}}
}

var ofA = Member{Link: "a"}

func TestManySessionsFillACap(t *testing.T) {
	for _, n := range []int{1, 10, 50} {
		if n > 10 && testing.Short() {
			continue // many packets
		}
		for _, r := range []fasp.Rates{fixed, {Policy: fasp.Fair}} {
			for _, up := range []bool{false, true} {
				name := fmt.Sprintf("%d %v", n, r.Policy)
				if up {
					name += " up"
				}
				t.Run(name, func(t *testing.T) {
					inWorld(t, capped(40*fasp.Mbps, 40*fasp.Mbps), func(w *world) {
						var all []*member
						for range n {
							x := w.join(ofA, simnet.Impair{})
							if up {
								x.upload(r, true)
							} else {
								x.download(r)
							}
							all = append(all, x)
						}
						time.Sleep(2 * time.Second)
						out, in := w.rates(2*time.Second, all...)
						if up {
							out = in
						}
						w.near(40e6, total(out), 0.02, name)
					})
				})
			}
		}
	}
}

// sharedWithinASecond waits until members have rates near what is wanted, and fails after a second.
func (w *world) sharedWithinASecond(want []float64, part float64, what string, members ...*member) {
	w.t.Helper()
	time.Sleep(700 * time.Millisecond)
	out, in := w.rates(300*time.Millisecond, members...)
	for i, x := range want {
		w.near(x, max(out[i], in[i]), part, fmt.Sprintf("%s, session %d", what, i))
	}
}

func TestSharesFollowChanges(t *testing.T) {
	inWorld(t, capped(40*fasp.Mbps, 40*fasp.Mbps), func(w *world) {
		a := w.join(ofA, simnet.Impair{}).download(fixed)
		up := w.join(ofA, simnet.Impair{}).upload(fixed, true)
		w.sharedWithinASecond([]float64{40e6, 40e6}, 0.02, "directions are apart", a, up)
		b := w.join(ofA, simnet.Impair{}).download(fixed)
		w.sharedWithinASecond([]float64{20e6, 20e6, 40e6}, 0.03, "a session joins", a, b, up)
		c := w.join(ofA, simnet.Impair{}).download(fasp.Rates{Policy: fasp.High})
		w.sharedWithinASecond([]float64{10e6, 10e6, 20e6}, 0.05, "high counts twice", a, b, c)
		b.leave()
		w.sharedWithinASecond([]float64{40e6 / 3, 80e6 / 3}, 0.05, "a session leaves", a, c)
		require.NoError(t, w.links.Set(capped(15*fasp.Mbps, 10*fasp.Mbps)))
		w.sharedWithinASecond([]float64{5e6, 10e6, 10e6}, 0.05, "a cap falls", a, c, up)
		require.NoError(t, w.links.Set(capped(60*fasp.Mbps, 20*fasp.Mbps)))
		w.sharedWithinASecond([]float64{20e6, 40e6, 20e6}, 0.05, "a cap rises", a, c, up)
		c.cut()
		time.Sleep(time.Second) // until the transport takes it for gone
		w.sharedWithinASecond([]float64{60e6, 20e6}, 0.03, "a peer dies", a, up)
	})
}

func TestVlinksOfAHost(t *testing.T) {
	cfg := Config{Host: Caps{Out: 30 * fasp.Mbps}, Links: []Link{{Name: "a", Weight: 2}, {Name: "b", Weight: 1}}}
	inWorld(t, cfg, func(w *world) {
		a := w.join(ofA, simnet.Impair{}).download(fixed)
		b1 := w.join(Member{Link: "b"}, simnet.Impair{}).download(fixed)
		key := Member{Link: "b", Key: "k", Caps: Caps{Out: 2 * fasp.Mbps}}
		b2, b3 := w.join(key, simnet.Impair{}).download(fixed), w.join(key, simnet.Impair{}).download(fixed)
		w.sharedWithinASecond([]float64{20e6, 8e6, 1e6, 1e6}, 0.05, "two to one, and a key's cap", a, b1, b2, b3)
		require.NoError(t, w.links.Change(Member{Link: "b", Key: "k", Caps: Caps{Out: 4 * fasp.Mbps}}))
		w.sharedWithinASecond([]float64{20e6, 6e6, 2e6, 2e6}, 0.05, "the key's cap rises", a, b1, b2, b3)
		require.NoError(t, w.links.Change(Member{Link: "a", Key: "k"}))
		w.sharedWithinASecond([]float64{20e6 / 3, 10e6, 20e6 / 3, 20e6 / 3}, 0.05, "the key's sessions move to another vlink", a, b1, b2, b3)
		require.ErrorIs(t, w.links.Change(Member{Link: "none", Key: "k"}), ErrUnknown)
		require.NoError(t, w.links.Change(Member{Link: "none", Key: "nobody"}))
		require.Equal(t, []string{"k"}, w.links.Keys())
		require.NoError(t, w.links.Change(key))
		cfg.Links = []Link{{Name: "b", Weight: 1, Caps: Caps{Out: 6 * fasp.Mbps}}, {Name: "c", Weight: 1}}
		require.NoError(t, w.links.Set(cfg))
		c := w.join(Member{Link: "c"}, simnet.Impair{}).download(fixed)
		w.sharedWithinASecond([]float64{12e6, 4e6, 12e6}, 0.05, "one vlink goes, one comes", a, b1, c)
		_, err := w.links.Join(a.conn, ofA)
		require.ErrorIs(t, err, ErrUnknown)
		require.ErrorContains(t, err, `"a"`)
		require.True(t, w.links.Has(""))
		require.False(t, w.links.Has("a"))
	})
}

// What a session cannot use goes to the others, and comes back when it can.
func TestTheRestGoesToTheOthers(t *testing.T) {
	for _, up := range []bool{false, true} {
		inWorld(t, capped(40*fasp.Mbps, 40*fasp.Mbps), func(w *world) {
			start := func(x *member, r fasp.Rates) *member {
				if up {
					return x.upload(r, true)
				}
				return x.download(r)
			}
			limit := fasp.Rates{Policy: fasp.Fixed, Target: 4 * fasp.Mbps} // of its own, or by its peer: the host does not know that of an upload
			slow := start(w.join(ofA, simnet.Impair{}), limit)
			fast := start(w.join(ofA, simnet.Impair{}), fixed)
			idle := w.join(ofA, simnet.Impair{})
			time.Sleep(500 * time.Millisecond)
			least := 36e6
			if up {
				least = 34.6e6 // room for the slow one to want more, and for the idle one
			}
			w.sharedWithinASecond([]float64{4e6, least}, 0.03, "a session has a limit of its own", slow, fast)
			start(idle, fixed)
			if up {
				limit.Target = 100 * fasp.Mbps
				slow.upload(limit, true)
				w.sharedWithinASecond([]float64{40e6 / 3, 40e6 / 3, 40e6 / 3}, 0.05, "all want more", slow, fast, idle)
			} else {
				w.sharedWithinASecond([]float64{4e6, 18e6, 18e6}, 0.05, "one wants more", slow, fast, idle)
			}
			if up {
				fast.upload(fixed, false)
				time.Sleep(time.Second) // what it has queued is sent
				w.sharedWithinASecond([]float64{20e6, 20e6}, 0.04, "one pauses", slow, idle)
				fast.upload(fixed, true)
				w.sharedWithinASecond([]float64{40e6 / 3, 40e6 / 3, 40e6 / 3}, 0.05, "and goes on", slow, idle, fast)
			}
		})
	}
}

// A peer whose packets are lost is limited by its grant, not by itself.
func TestLossIsNoLackOfWill(t *testing.T) {
	inWorld(t, capped(0, 20*fasp.Mbps), func(w *world) {
		lossy := w.join(ofA, simnet.Impair{Loss: 0.3}).upload(fixed, true)
		clean := w.join(ofA, simnet.Impair{}).upload(fixed, true)
		time.Sleep(3 * time.Second)
		w.sharedWithinASecond([]float64{10e6, 10e6}, 0.05, "30 % loss", lossy, clean)
	})
}

func TestCapsAreNeverExceededByMuch(t *testing.T) {
	// Less than the 64 kbit/s that a session would have at least.
	inWorld(t, capped(100*fasp.Kbps, 0), func(w *world) {
		var all []*member
		for range 5 {
			all = append(all, w.join(ofA, simnet.Impair{}).download(fixed))
		}
		time.Sleep(5 * time.Second)
		out, _ := w.rates(20*time.Second, all...)
		w.near(100e3, total(out), 0.1, "five sessions in 100 kbit/s")
	})
	// None at all: only what was asked for holds.
	inWorld(t, Config{}, func(w *world) {
		x := w.join(Member{}, simnet.Impair{}).download(fixed)
		require.Equal(t, Caps{Out: fixed.Target}, x.sess.Share())
	})
}

func TestScheduleTakesEffectWhileSessionsRun(t *testing.T) {
	day := 24 * time.Hour
	cfg := capped(40*fasp.Mbps, 0) // the bubble's clock starts at midnight
	cfg.Links[0].Zone = time.UTC
	cfg.Links[0].Schedule = []Window{{From: 3 * time.Second, To: 6 * time.Second, Caps: Caps{Out: 10 * fasp.Mbps}}, {From: day - time.Hour, To: day, Caps: Caps{Out: 1}}}
	inWorld(t, cfg, func(w *world) {
		begin := time.Now().Truncate(day)
		x := w.join(ofA, simnet.Impair{}).download(fixed)
		for _, c := range []struct {
			at   time.Duration
			want float64
		}{{time.Second, 40e6}, {4 * time.Second, 10e6}, {7 * time.Second, 40e6}} {
			time.Sleep(time.Until(begin.Add(c.at)))
			out, _ := w.rates(time.Second, x)
			w.near(c.want, out[0], 0.02, fmt.Sprint("at ", c.at))
		}
	})
}

func TestSharingDoesNotAllocate(t *testing.T) {
	inWorld(t, capped(10*fasp.Mbps, 10*fasp.Mbps), func(w *world) {
		for range 5 {
			w.join(ofA, simnet.Impair{})
		}
		time.Sleep(3 * time.Second)
		require.Zero(t, testing.AllocsPerRun(20, func() { w.links.tick(false) }))
	})
}
