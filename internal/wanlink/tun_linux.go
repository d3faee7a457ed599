package wanlink

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tradewind-io/tradewind/internal/simnet"
)

// Tun joins two network namespaces by an emulated link of which each end is a TUN device, so that kernel TCP and any
// program can run across it. The devices carry no virtio header, so that the kernel cuts its super-packets to the MTU
// before they enter the link. The methods are safe for concurrent use.
//
// Namespaces that a killed process leaves behind are listed by "ip netns" with names that begin with "wanlink-".
type Tun struct {
	A, B Endpoint

	eng   *engine
	ends  [2]*tunPort
	setup []func() // undo steps in reverse order
}

// tunQueue is the transmit queue of the devices in packets. The default of 500 would lose packets of a sender's burst
// before the link could judge them.
const tunQueue = 20000

// NewTun makes the namespaces, devices and addresses, and starts nothing. ctx bounds the set-up. The caller calls Run or
// Close, which remove everything. It returns an error that matches ErrNeedRoot when the process lacks the rights, and
// needs the ip command of iproute2.
func NewTun(ctx context.Context, cfg TunConfig) (_ *Tun, err error) {
	if os.Geteuid() != 0 {
		return nil, ErrNeedRoot
	}
	if cfg.MTU <= 0 {
		cfg.MTU = defaultMTU
	}
	if cfg.MTU > largePacket-1 {
		return nil, fmt.Errorf("wanlink: MTU %d above %d", cfg.MTU, largePacket-1)
	}
	t := new(Tun)
	defer func() {
		if err == nil {
			return
		}
		if t.eng != nil {
			t.eng.close()
		}
		if errors.Is(err, os.ErrPermission) {
			err = fmt.Errorf("%w: %w", ErrNeedRoot, err)
		}
	}()
	if t.eng, err = newEngine(cfg.Forward, cfg.Backward, cfg.Seed, cfg.MaxInFlight); err != nil {
		return nil, err
	}
	t.eng.release = t.undo
	if cfg.Rest > 0 {
		t.eng.rest = cfg.Rest
	}

	id := make([]byte, 4)
	rand.Read(id)
	prefix := "wanlink-" + hex.EncodeToString(id)
	for i, end := range []*Endpoint{&t.A, &t.B} {
		*end = Endpoint{
			Namespace: prefix + string(rune('a'+i)),
			Device:    "wan0",
			Addr4:     netip.AddrFrom4([4]byte{10, 77, 0, byte(i + 1)}),
			Addr6:     netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x77, 15: byte(i + 1)}),
		}
		if t.ends[i], err = t.makeEnd(ctx, end, i, cfg.MTU); err != nil {
			return nil, err
		}
		t.eng.ports = append(t.eng.ports, t.ends[i])
	}
	a, b := t.ends[0], t.ends[1]
	t.eng.dirs[forward].route = func(*packet) port { return b }
	t.eng.dirs[backward].route = func(*packet) port { return a }
	return t, nil
}

func (t *Tun) makeEnd(ctx context.Context, end *Endpoint, dir, mtu int) (*tunPort, error) {
	// Undone also where it fails: ctx may end it when the name is there already.
	t.setup = append(t.setup, func() { ip(context.Background(), "netns", "del", end.Namespace) })
	if err := ip(ctx, "netns", "add", end.Namespace); err != nil {
		return nil, err
	}
	var file int
	err := end.Do(func() (err error) {
		file, err = openTun(end.Device)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("wanlink: make TUN device: %w", err)
	}
	t.setup = append(t.setup, func() { unix.Close(file) })
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"addr", "add", end.Addr4.String() + "/24", "dev", end.Device},
		{"link", "set", "dev", end.Device, "mtu", strconv.Itoa(mtu), "txqueuelen", strconv.Itoa(tunQueue), "up"},
	} {
		if err := ip(ctx, append([]string{"-n", end.Namespace}, args...)...); err != nil {
			return nil, err
		}
	}
	if err := ip(ctx, "-n", end.Namespace, "addr", "add", end.Addr6.String()+"/64", "dev", end.Device, "nodad"); err != nil {
		end.Addr6 = netip.Addr{} // a kernel without IPv6, or an MTU below what it wants
	}
	return &tunPort{file: file, dir: dir}, nil
}

// Run carries packets until ctx ends or Close is called, which is no error. It may be called once; further calls return
// ErrClosed. It occupies an OS thread, and namespaces and devices are gone when it returns.
func (t *Tun) Run(ctx context.Context) error { return t.eng.run(ctx) }

// Close ends Run and removes namespaces and devices. Processes that still run in a namespace keep it alive without a
// name. Later calls do nothing.
func (t *Tun) Close() error {
	t.eng.close()
	return nil
}

// Stats returns the counters, the final ones once the Tun has ended. SocketDrops counts packets that the queue of the
// sending device had no room for.
func (t *Tun) Stats() Stats {
	drops := t.readDrops() // not in the loop, which has better things to do
	return t.eng.stats(func() { t.storeDrops(drops) })
}

// Set changes both directions while the link runs; see [simnet.Link.Set]. It returns ErrClosed once it has ended.
func (t *Tun) Set(fwd, back simnet.Impair) error {
	if !t.eng.setLinks(fwd, back) {
		return ErrClosed
	}
	return nil
}

// Cut interrupts both directions, or heals them. It returns ErrClosed once the link has ended.
func (t *Tun) Cut(down bool) error {
	if !t.eng.do(func() { t.eng.cut = down }) {
		return ErrClosed
	}
	return nil
}

// undo takes back what NewTun did. The drop counters live as long as the devices.
func (t *Tun) undo() {
	t.storeDrops(t.readDrops())
	for i := len(t.setup) - 1; i >= 0; i-- {
		t.setup[i]()
	}
	t.setup = nil
}

// readDrops returns the drop counters of both devices, -1 for one that cannot be asked.
func (t *Tun) readDrops() [2]int64 {
	drops := [2]int64{-1, -1}
	for i, end := range []Endpoint{t.A, t.B} {
		// An error leaves the -1.
		_ = end.Do(func() error {
			f, err := os.Open("/proc/thread-self/net/dev")
			if err != nil {
				return err
			}
			defer f.Close()
			for lines := bufio.NewScanner(f); lines.Scan(); {
				if n, ok := txDrops(lines.Text(), end.Device); ok {
					drops[i] = n
				}
			}
			return nil
		})
	}
	return drops
}

func (t *Tun) storeDrops(drops [2]int64) {
	for i, n := range drops {
		if n >= 0 {
			t.eng.dirs[i].drops = n
		}
	}
}

// txDrops reads the transmit drop counter from a line of /proc/net/dev if it is about the device.
func txDrops(line, device string) (int64, bool) {
	name, counters, ok := strings.Cut(line, ":")
	if !ok || strings.TrimSpace(name) != device {
		return 0, false
	}
	f := strings.Fields(counters) // 8 receive counters, then bytes, packets, errs, drop of transmission
	if len(f) < 12 {
		return 0, false
	}
	n, err := strconv.ParseInt(f[11], 10, 64)
	return n, err == nil
}

// tunPort is one end of the link inside the engine.
type tunPort struct {
	file int
	dir  int // the direction that packets read here take
}

// tunBatch is the most packets read before the engine looks at its clock again.
const tunBatch = 64

func (t *tunPort) fd() int { return t.file }

// receive implements port. A TUN device gives one packet per read and no time of arrival.
func (t *tunPort) receive(e *engine) int {
	for n := range tunBatch {
		p := e.pool.get(largePacket)
		if p == nil {
			e.dirs[t.dir].overflows++
			return n
		}
		k, err := unix.Read(t.file, p.data)
		if err != nil || k <= 0 {
			e.pool.put(p)
			return n
		}
		e.submit(t.dir, e.now(), p.data[:k], k, nil)
		e.pool.put(p)
	}
	return tunBatch
}

// send implements port.
func (t *tunPort) send(ps []*packet) (refused int) {
	for _, p := range ps {
		if _, err := unix.Write(t.file, p.data); err != nil {
			refused++
		}
	}
	return refused
}

func openTun(name string) (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("open /dev/net/tun", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = os.NewSyscallError("ioctl TUNSETIFF", unix.IoctlIfreq(fd, unix.TUNSETIFF, req))
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// ip runs the ip command.
func ip(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ip", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's interrupt would end it while it removes things
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	text := strings.TrimSpace(string(out))
	if strings.Contains(text, "not permitted") || strings.Contains(text, "Permission denied") {
		err = os.ErrPermission // root without the capability, as in a container
	}
	return fmt.Errorf("wanlink: ip %s: %w: %s", strings.Join(args, " "), err, text)
}
