package twcp

import (
	"encoding/base64"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/objstore"
)

// makeSpec turns options into what is to be transferred; the error has CodeUsage.
func makeSpec(o *options, stdin io.Reader) (transfer.Spec, error) {
	s := transfer.Spec{
		Port: o.udpPort, CreateDir: o.createDir, Filters: o.filters, PreserveTimes: o.preserve, DatagramSize: o.datagram,
	}
	listed := o.fileList != "" || o.pairList != ""
	rt, err := findRoute(o, listed)
	if err != nil {
		return s, err
	}
	o.direct = rt.direct
	if err := o.decode64(); err != nil {
		return s, err
	}
	s.SrcBase = o.srcBase
	s.Direction, s.Host, s.User, s.Destination, s.FromList = rt.direction, rt.host, rt.user, rt.destination, listed
	if s.Paths, err = o.paths(rt, stdin); err != nil {
		return s, err
	}
	if o.prefix != "" {
		for i := range s.Paths {
			if (s.Direction == transfer.Send || o.direct) && (objstore.IsURI(o.prefix) || objstore.IsURI(s.Paths[i].Source)) {
				return s, usagef("--source-prefix is for paths, not for URIs such as s3://...: write each source in full")
			}
			s.Paths[i].Source = path.Join(o.prefix, s.Paths[i].Source)
		}
	}
	if s.Tags, err = parseTags(o.tags, o.tags64); err != nil {
		return s, err
	}
	if o.udpPort < 1 || o.udpPort > 65535 || o.tcpPort < 1 || o.tcpPort > 65535 {
		return s, usagef("ports go from 1 to 65535")
	}
	if o.datagram != 0 && (o.datagram < minDatagram || o.datagram > 65535) {
		return s, usagef("-Z %d: want %d to 65535", o.datagram, minDatagram)
	}
	switch o.progress {
	case "auto", "always", "never":
	default:
		return s, usagef("--progress %q: want auto, always or never", o.progress)
	}
	switch o.fallback {
	case "0", "1":
	case "F":
		return s, usagef("-y F: the fallback over HTTPS is not offered yet; -y 0 uses UDP")
	default:
		return s, usagef("-y %q: want 0 or 1", o.fallback)
	}
	if s.Rates, err = o.rates(); err != nil {
		return s, err
	}
	if s.Cipher, err = o.cipherName(); err != nil {
		return s, err
	}
	if s.Resume, err = transfer.ResumeFromLevel(o.resume); err != nil {
		return s, usagef("-k: %w", err)
	}
	for _, f := range []struct {
		name, text string
		into       interface{ UnmarshalText([]byte) error }
	}{
		{"overwrite", o.overwrite, &s.Overwrite},
		{"symbolic-links", o.symlinks, &s.Symlinks},
		{"file-checksum", o.checksum, &s.Checksum},
		{"durability", o.durability, &s.Durability},
		{"compression", o.compression, &s.Compression},
	} {
		if err := f.into.UnmarshalText([]byte(f.text)); err != nil {
			return s, usagef("--%s: %w", f.name, err)
		}
	}
	if o.sessions < 0 || o.sessions > fasp.MaxBond {
		return s, usagef("--sessions %d: want 1 to %d, or 0", o.sessions, fasp.MaxBond)
	}
	if s.Part, err = parsePart(o.part); err != nil {
		return s, err
	}
	if s.Split, err = parseThreshold(o.split); err != nil {
		return s, err
	}
	if s.Split > 0 && s.Part.Count == 0 {
		return s, usagef("--multi-session-threshold divides files among commands, and needs -C I:N to say which of them this one is")
	}
	if s.ReadSize, err = parseIOSize("-g", o.readSize); err != nil {
		return s, err
	}
	if s.WriteSize, err = parseIOSize("-G", o.writeSize); err != nil {
		return s, err
	}
	return s, nil
}

// decode64 reads the options that are the base64 form of others.
func (o *options) decode64() error {
	for _, f := range []struct {
		name, text string
		into       *string
	}{{"src-base", o.srcBase64, &o.srcBase}, {"source-prefix", o.prefix64, &o.prefix}} {
		if f.text == "" {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(f.text)
		if err != nil {
			return usagef("--%s64: want base64", f.name)
		}
		if *f.into != "" {
			return usagef("--%s and --%s64 exclude each other", f.name, f.name)
		}
		*f.into = string(b)
	}
	return nil
}

// parsePart reads -C.
func parsePart(text string) (p transfer.Part, err error) {
	if text == "" {
		return p, nil
	}
	index, count, ok := strings.Cut(text, ":")
	var ierr, cerr error
	p.Index, ierr = strconv.Atoi(index)
	p.Count, cerr = strconv.Atoi(count)
	if !ok || ierr != nil || cerr != nil || p.Index < 1 || p.Index > p.Count || p.Count > transfer.MaxParts {
		return p, usagef("-C %q: want I:N, such as 2:4 for the second of four parts", text)
	}
	return p, nil
}

// parseThreshold reads --multi-session-threshold.
func parseThreshold(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := objstore.ParseSize(text)
	if err != nil {
		return 0, usagef("--multi-session-threshold %q: want bytes, with K, M or G if you like, or 0 for never", text)
	}
	return n, nil
}

// parseIOSize reads -g and -G.
func parseIOSize(option, text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := objstore.ParseSize(text)
	if err != nil || n < transfer.MinIOSize || n > transfer.MaxIOSize {
		return 0, usagef("%s %q: want 16K to 4M, in bytes or with K or M", option, text)
	}
	return int(n), nil
}

// minDatagram is the smallest IP datagram: 1,200 bytes of UDP payload over IPv4.
const minDatagram = 1228

func (o *options) paths(rt route, stdin io.Reader) ([]transfer.Path, error) {
	name := o.fileList
	if o.pairList != "" {
		name = o.pairList
	}
	if name == "" {
		paths := make([]transfer.Path, len(rt.sources))
		for i, s := range rt.sources {
			paths[i].Source = s
		}
		return paths, nil
	}
	if o.fileList != "" && o.pairList != "" {
		return nil, usagef("--file-list and --file-pair-list exclude each other")
	}
	lines, err := readLines(name, stdin)
	if err != nil {
		return nil, err
	}
	if o.pairList != "" {
		return parsePairs(lines)
	}
	return parseList(lines), nil
}

func (o *options) rates() (r fasp.Rates, err error) {
	for _, f := range []struct {
		name, text string
		into       *fasp.Rate
	}{{"-l", o.target, &r.Target}, {"-m", o.min, &r.Min}} {
		if f.text == "" {
			continue
		}
		if *f.into, err = fasp.ParseRate(f.text); err != nil {
			return r, usagef("%s: %w", f.name, err)
		}
		if f.name == "-l" && *f.into <= 0 {
			return r, usagef("-l %s: want more than 0, up to 1000000G; without -l the rate is found", f.text)
		}
	}
	policy := o.policy
	if policy == "" {
		policy = "fair"
		if o.adaptive >= 2 {
			policy = "low"
		}
	}
	if r.Policy, err = fasp.ParsePolicy(policy); err != nil {
		return r, usagef("--policy: %w", err)
	}
	if r.Policy == fasp.Fixed && r.Target == 0 {
		return r, usagef("--policy=fixed keeps one rate, so it needs -l RATE")
	}
	if r.Target != 0 && r.Min > r.Target {
		return r, usagef("-m %s is more than -l %s", o.min, o.target)
	}
	return r, nil
}

// cipherName returns none, aes-128, aes-192 or aes-256. The product's -cfb forms name the same key sizes; what is used is always GCM.
func (o *options) cipherName() (string, error) {
	name := strings.ReplaceAll(strings.ToLower(o.cipher), "-", "")
	name = strings.TrimSuffix(strings.TrimSuffix(name, "gcm"), "cfb")
	switch {
	case o.noEncryption || name == "none":
		return "none", nil
	case name == "aes128" || name == "aes192" || name == "aes256":
		return "aes-" + name[3:], nil
	}
	return "", usagef("-c %s: want aes128, aes192, aes256 or none", o.cipher)
}

// ciphers returns what the session may use for the Spec's cipher.
func ciphers(name string) ([]fasp.Cipher, error) {
	switch strings.TrimSuffix(name, "-gcm") {
	case "", "aes-128":
		return []fasp.Cipher{fasp.AES128}, nil
	case "aes-192":
		return []fasp.Cipher{fasp.AES192}, nil
	case "aes-256":
		return []fasp.Cipher{fasp.AES256}, nil
	case "none":
		return []fasp.Cipher{fasp.ClearAES128}, nil
	}
	return nil, fmt.Errorf("unknown cipher %q", name)
}
