package mgmt

import (
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// Port tells one manager what one transfer does. All methods may be called at any time by any goroutine; each frame is one Write, and no two are mixed.
//
//	INIT ── SESSION ── NOTIFICATION ── STATS, STOP, SKIP, FILEERROR, SESSION, QUERYRSP ... ── DONE or ERROR
//
// INIT is always the first frame and DONE or ERROR always the last, whatever is called and whatever happens; any of those between may be missing.
type Port struct {
	cfg  Config
	gone chan struct{} // closed with the first error

	// mu is held while a frame is written: it is what keeps frames apart and in order. Where the manager does not read, everybody waits, until it does or the connection is closed.
	mu        sync.Mutex
	w         io.Writer
	f         frame
	ident     []byte // the lines that say whose frame it is
	rates     fasp.Rates
	t         tally
	announced int64 // PreTransferBytes that were sent; -1 before
	begun     bool  // INIT was sent
	agreed    bool  // SESSION was sent
	finished  bool  // DONE or ERROR was sent
	spoke     bool  // something was sent since the last Beat
	err       error // the first error of w
}

// NewPort returns a Port that writes to w, which it does not close. Nothing is written yet.
func NewPort(w io.Writer, cfg Config) *Port {
	if cfg.SessionID == "" {
		cfg.SessionID = newUUID()
	}
	var id frame
	id.text("SessionId", cfg.SessionID)
	id.optional("UserStr", cfg.UserStr)
	id.optional("XferId", cfg.XferID)
	return &Port{cfg: cfg, gone: make(chan struct{}), w: w, ident: id.b, rates: cfg.Spec.Rates, announced: -1}
}

// newUUID returns a random UUID (RFC 9562 section 5.4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Gone is closed when the first frame could not be written: nobody listens any more. A transfer that was started for a manager is to be stopped then; what has arrived is kept.
func (p *Port) Gone() <-chan struct{} { return p.gone }

// Err returns the error of the first Write that failed, after which nothing more is written; nil before.
func (p *Port) Err() error {
	select {
	case <-p.gone: // without mu, which a Write that hangs holds
		return p.err
	default:
		return nil
	}
}

// Init sends INIT, which says that the program is there; once. It is sent before any other frame even if Init is not called.
func (p *Port) Init() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.init()
}

func (p *Port) init() error {
	if p.begun || p.err != nil {
		return p.err
	}
	p.begun = true
	p.begin("INIT")
	p.f.optional("Cookie", p.cfg.Spec.Cookie)
	p.f.text("Direction", p.direction())
	p.f.text("Operation", "Transfer")
	return p.send()
}

// SetRates says that the transfer's rates are others from now on. It sends nothing.
func (p *Port) SetRates(r fasp.Rates) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rates = r
}

// Event tells the manager of an event; it is made for transfer.Config.Events. Every event of the transfer must come here, since some counters are made of them. After Finish, and when the manager
// is gone, it does nothing.
func (p *Port) Event(e transfer.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.finished || p.init() != nil {
		return
	}
	p.t.add(&e)
	if e.Kind == transfer.EventSessionStarted {
		p.session()
	}
	if p.agreed && e.Session.Scanned {
		p.announce()
	}
	switch f := &e.File; e.Kind {
	case transfer.EventProgress, transfer.EventSessionEnded:
		if p.agreed {
			p.stats()
		}
	case transfer.EventRetry:
		// DONE and ERROR would end it for the manager; nothing else says that it waits. SESSION follows if the next attempt reaches the server.
	case transfer.EventFileDone:
		if !f.Folder {
			p.stop(f)
		}
	case transfer.EventFileSkipped:
		if !f.Folder {
			p.begin("SKIP")
			p.f.path("File", f.Name)
			p.f.num("Size", contentOf(f))
			_ = p.send() // kept in p.err, as below
		}
	case transfer.EventFileFailed:
		p.begin("FILEERROR")
		p.f.path("File", f.Name)
		p.f.num("Code", int64(f.Code))
		p.f.text("Description", orMnemonic(f.Error, f.Code))
		_ = p.send()
	}
}

// Beat sends STATS as they were at the last event, and before the first session NOP, if nothing else was sent since the call before. It is for managers that take silence for the end, and tells in time that a manager is gone: between attempts, and while a
// server does not answer, no event may come for half a minute or more.
func (p *Port) Beat() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	spoke := p.spoke
	p.spoke = false
	switch {
	case p.finished || p.init() != nil || spoke:
	case p.agreed:
		p.stats()
	default:
		p.begin("NOP")
		_ = p.send() // kept in p.err
	}
	if !spoke {
		p.spoke = false // that was this one
	}
	return p.err
}

// Answer answers a command of kind CommandQuery with QUERYRSP: the query's CommandId and Query, and the counters of STATS as of the last event. After Finish the error matches ErrFinished. Other commands are not answered; the error matches ErrCommand.
func (p *Port) Answer(c Command) error {
	if c.Kind != CommandQuery {
		return fmt.Errorf("%w: there is no answer to %s", ErrCommand, c.Kind)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.finished {
		return ErrFinished
	}
	if err := p.init(); err != nil {
		return err
	}
	p.begin("QUERYRSP")
	p.f.optional("CommandId", c.ID)
	p.f.optional("Query", c.Query)
	p.counters()
	return p.send()
}

// Finish sends the last frame: DONE if err is nil, otherwise ERROR with code and text (of err, if text is ""). res may be nil where nothing was tried. The first call counts; the error of further ones matches
// ErrFinished. What the caller must do then with signals and with the connection is in docs/management-port.md section 6.
func (p *Port) Finish(res *transfer.Result, err error, code transfer.Code, text string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.finished {
		return ErrFinished
	}
	_ = p.init() // its error is that of p.send below
	p.finished = true
	p.t.finish(res, err == nil, p.announced)
	if err == nil {
		p.announce()
		p.begin("DONE")
	} else {
		if text == "" {
			text = err.Error()
		}
		p.begin("ERROR")
		p.f.num("Code", int64(code))
		p.f.text("Description", orMnemonic(text, code))
	}
	p.f.optional("Cookie", p.cfg.Spec.Cookie)
	p.f.text("Direction", p.direction())
	p.f.text("Operation", "Transfer")
	p.counters()
	return p.send()
}

// session sends what was agreed, once for each attempt that reached the server.
func (p *Port) session() {
	s := &p.cfg.Spec
	p.agreed = true
	p.begin("SESSION")
	p.f.optional("Cookie", s.Cookie)
	p.f.text("Direction", p.direction())
	p.f.text("Operation", "Transfer")
	p.f.optional("Host", s.Host)
	p.f.optional("User", s.User)
	p.f.num("Port", int64(orDefault(s.Port, 33001)))
	if p.cfg.TCPPort != 0 {
		p.f.num("TCPPort", int64(p.cfg.TCPPort))
	}
	cipher := orDefault(strings.ToLower(s.Cipher), "aes-128")
	p.f.flag("Encryption", cipher != "none")
	p.f.text("Cipher", cipher)
	p.policy()
	p.f.num("DatagramSize", int64(s.DatagramSize))
	p.f.num("ResumePolicy", int64(s.Resume.Level()))
	p.f.text("OverwritePolicy", s.Overwrite.String())
	p.f.num("ClusterNumNodes", int64(max(s.Part.Count, 1)))
	p.f.num("ClusterNodeId", int64(s.Part.Index))
	_ = p.send()
}

// announce sends the totals. A second time it would be wrong: there are managers that add them up.
func (p *Port) announce() {
	if p.announced >= 0 {
		return
	}
	p.announced = p.t.bytes
	p.begin("NOTIFICATION")
	p.f.num("PreTransferBytes", p.t.bytes)
	p.f.num("PreTransferFiles", p.t.files)
	p.policy()
	if g := p.t.transport.Granted; g > 0 && p.cfg.Spec.Direction == transfer.Send {
		p.f.num("RateCap", kbps(g))
	}
	_ = p.send()
}

func (p *Port) stats() {
	p.begin("STATS")
	p.policy()
	p.counters()
	_ = p.send()
}

func (p *Port) stop(f *transfer.FileRecord) {
	size := contentOf(f)
	p.begin("STOP")
	p.f.path("File", f.Name)
	p.f.num("Size", size)
	p.f.num("StartByte", min(f.BytesResumed, size))
	p.f.num("Bytescont", size)
	p.f.num("Written", f.BytesSent)
	if f.Whole > 0 {
		p.f.num("Offset", f.Offset)
	}
	if len(f.Digest) > 0 {
		p.f.hex("FileChecksum", f.Digest)
		p.f.text("FileChecksumType", f.Checksum.String())
	}
	_ = p.send()
}

// policy adds how fast the transfer may be, in kbit/s, and how it behaves.
func (p *Port) policy() {
	adaptive, priority := policyWords(p.rates.Policy)
	p.f.text("Adaptive", adaptive)
	p.f.num("Priority", priority)
	p.f.num("Rate", kbps(p.rates.Target))
	p.f.num("MinRate", kbps(p.rates.Min))
}

// counters adds what STATS, QUERYRSP, DONE and ERROR have in common.
func (p *Port) counters() {
	r, s := &p.t.rec, &p.t.transport
	args := int64(len(p.cfg.Spec.Paths))
	scanned := int64(0)
	if r.Scanned {
		scanned = args
	}
	for _, c := range [...]struct {
		name  string
		value int64
	}{
		{"FileBytes", p.t.there()},
		{"TransferBytes", p.t.crossed()},
		{"StartByte", p.t.before()},
		{"Elapsedusec", p.t.elapsed().Microseconds()},
		{"Delay", s.RTT.Microseconds()},
		{"Loss", int64(s.Loss*100 + 0.5)},
		{"ArgScansAttempted", args},
		{"ArgScansCompleted", scanned},
		{"FileScansCompleted", p.t.files},
		{"DirCreatesPassed", r.Folders},
		{"TransfersAttempted", r.FilesDone + r.FilesSkipped + r.FilesFailed},
		{"TransfersPassed", r.FilesDone},
		{"TransfersSkipped", r.FilesSkipped},
		{"TransfersFailed", r.FilesFailed},
	} {
		p.f.num(c.name, c.value)
	}
}

func (p *Port) direction() string {
	if p.cfg.Spec.Direction == transfer.Receive {
		return "Recv"
	}
	return "Send"
}

func (p *Port) begin(typ string) {
	p.f.begin(typ)
	p.f.raw(p.ident)
}

// send writes the frame that was built.
func (p *Port) send() error {
	if p.err != nil {
		return p.err
	}
	p.f.end()
	p.spoke = true
	n, err := p.w.Write(p.f.b)
	if err == nil && n < len(p.f.b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		p.err = fmt.Errorf("tell the manager: %w", err)
		close(p.gone)
	}
	return p.err
}

// contentOf is the content of a file in bytes: a link has none.
func contentOf(f *transfer.FileRecord) int64 {
	if f.Link {
		return 0
	}
	return f.Size
}

func orMnemonic(text string, code transfer.Code) string { return orDefault(text, code.String()) }

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func kbps(r fasp.Rate) int64 { return int64(r / fasp.Kbps) }
