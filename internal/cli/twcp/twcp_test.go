package twcp

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/cli"
)

// parse reads a command line, written with blanks.
func parse(t *testing.T, line string) (transfer.Spec, *options, error) {
	t.Helper()
	o, err := parseArgs(strings.Fields(line))
	if err != nil {
		return transfer.Spec{}, o, err
	}
	s, err := makeSpec(o, strings.NewReader("one\ntwo"))
	return s, o, err
}

func mustParse(t *testing.T, line string) transfer.Spec {
	t.Helper()
	s, _, err := parse(t, line)
	require.NoError(t, err, line)
	return s
}

func TestDefaults(t *testing.T) {
	s := mustParse(t, "a host:b")
	require.Equal(t, transfer.Spec{
		Host: "host", Port: 33001, Paths: []transfer.Path{{Source: "a"}}, Destination: "b", Cipher: "aes-128", Filters: nil,
	}, s)
	require.Equal(t, 2, s.Resume.Level())
	require.Equal(t, transfer.OverwriteDiff, s.Overwrite)
	require.Equal(t, fasp.Rates{Policy: fasp.Fair}, s.Rates)
}

func TestOptionForms(t *testing.T) {
	for _, line := range []string{
		"-QT -l 100m -P33001 -O 33005 -k3 -d -p a h:b",
		"a -T -Q -l100M --tcp-port=33001 -O33005 -k 3 -dp h:b",
		"-l 100000 --policy fair -T -O=33005 -k=3 -d -p -- a h:b",
		"--policy=fair --target-rate 100m --udp-port 33005 --resume 3 -c none --create-dir --preserve-times a h:b",
	} {
		s := mustParse(t, line)
		require.Equal(t, fasp.Rates{Policy: fasp.Fair, Target: 100 * fasp.Mbps}, s.Rates, line)
		require.Equal(t, 33005, s.Port, line)
		require.Equal(t, "none", s.Cipher, line)
		require.Equal(t, transfer.ResumeFull, s.Resume, line)
		require.True(t, s.CreateDir && s.PreserveTimes, line)
		require.Equal(t, []transfer.Path{{Source: "a"}}, s.Paths, line)
	}
	require.Equal(t, fasp.Low, mustParse(t, "-QQ a h:b").Rates.Policy)
	require.Equal(t, fasp.Rates{Policy: fasp.Fixed, Target: fasp.Gbps, Min: 5 * fasp.Kbps}, mustParse(t, "--policy fixed -l 1G -m 5 a h:b").Rates)
	for in, want := range map[string]string{
		"aes128": "aes-128", "AES-192-CFB": "aes-192", "aes256gcm": "aes-256", "none": "none", "aes128cfb": "aes-128",
	} {
		got := mustParse(t, "-c "+in+" a h:b").Cipher
		require.Equal(t, want, got)
		list, err := ciphers(got)
		require.NoError(t, err)
		require.Len(t, list, 1)
	}
	s := mustParse(t, "-N *.a -E *.b -N=c --exclude d --symbolic-links copy+force --overwrite=diff+older --file-checksum sha512 --durability session --src-base /x -Z 1400 a h:b")
	require.Equal(t, []transfer.Filter{{Pattern: "*.a"}, {Exclude: true, Pattern: "*.b"}, {Pattern: "c"}, {Exclude: true, Pattern: "d"}}, s.Filters)
	require.Equal(t, transfer.SymlinksCopyForce, s.Symlinks)
	require.Equal(t, transfer.OverwriteDiffOlder, s.Overwrite)
	require.Equal(t, transfer.ChecksumSHA512, s.Checksum)
	require.Equal(t, transfer.DurabilitySession, s.Durability)
	require.Equal(t, "/x", s.SrcBase)
	require.Equal(t, 1400, s.DatagramSize)
	_, o, err := parse(t, "-DDL- -v a h:b")
	require.NoError(t, err)
	require.Equal(t, 3, o.verbose)
	_, o, err = parse(t, "-v -v=1 -QQ ./1:2 h:./33002:x")
	require.NoError(t, err)
	require.Equal(t, 1, o.verbose)
	require.Equal(t, 2, o.adaptive)
	_, o, err = parse(t, "-DDL- -v a h:b")
	require.NoError(t, err)
	require.Equal(t, "-", o.logDir)
}

func TestRoutes(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString([]byte("/up here"))
	for _, c := range []struct {
		line string
		want route
	}{
		{"a b user@host:dir", route{remote{"user", "host"}, transfer.Send, []string{"a", "b"}, "dir", false}},
		{"a host:", route{remote{"", "host"}, transfer.Send, []string{"a"}, ".", false}},
		{"./a:b [2001:db8::1]:/d", route{remote{"", "2001:db8::1"}, transfer.Send, []string{"./a:b"}, "/d", false}},
		{"u@[::1]:x y", route{remote{"u", "::1"}, transfer.Receive, []string{"x"}, "y", false}},
		{"host:a b host:c d", route{remote{"", "host"}, transfer.Receive, []string{"a", "b", "c"}, "d", false}},
		{"host: d", route{remote{"", "host"}, transfer.Receive, []string{"."}, "d", false}},
		{"me@host:a host:b d", route{remote{"me", "host"}, transfer.Receive, []string{"a", "b"}, "d", false}},
		{"--mode send --host h --user u a:b c", route{remote{"u", "h"}, transfer.Send, []string{"a:b"}, "c", false}},
		{"--mode=recv --host=[::1] a c", route{remote{"", "::1"}, transfer.Receive, []string{"a"}, "c", false}},
		{"--mode send --host h --dest64 a " + b64, route{remote{"", "h"}, transfer.Send, []string{"a"}, "/up here", false}},
		{"--mode send -p true --host h a c", route{remote{"", "h"}, transfer.Send, []string{"a"}, "c", false}},
		{"-p true h:c", route{remote{"", "h"}, transfer.Send, []string{"true"}, "c", false}},
		{"a@b/c h:d", route{remote{"", "h"}, transfer.Send, []string{"a@b/c"}, "d", false}},
	} {
		o, err := parseArgs(strings.Fields(c.line))
		require.NoError(t, err, c.line)
		got, err := findRoute(o, false)
		require.NoError(t, err, c.line)
		require.Equal(t, c.want, got, c.line)
	}
}

func TestUsageErrors(t *testing.T) {
	for line, text := range map[string]string{
		"":                                     "no sources",
		"a":                                    "no destination",
		"a b":                                  "neither source nor destination",
		"h:a h:b":                              "both remote",
		"a h:b h:c":                            "both remote",
		"h:a i:b c":                            "on one host",
		"--mode send a b":                      "go together",
		"--host h a b":                         "go together",
		"--mode push --host h a b":             "--mode",
		"--user u a h:b":                       "--user",
		"--policy fixed a h:b":                 "-l RATE",
		"--policy slow a h:b":                  "policy",
		"-l 1x a h:b":                          "-l",
		"-l 1M -m 2M a h:b":                    "more than",
		"-k 7 a h:b":                           "-k",
		"-c rot13 a h:b":                       "-c rot13",
		"-Z 500 a h:b":                         "-Z 500",
		"-O 0 a h:b":                           "ports",
		"--overwrite=x a h:b":                  "--overwrite",
		"--symbolic-links=x a h:b":             "--symbolic-links",
		"--file-checksum=x a h:b":              "--file-checksum",
		"--durability=x a h:b":                 "--durability",
		"--compression=x a h:b":                "--compression",
		"--file-list=- --file-pair-list=- h:b": "exclude each other",
		"--file-list=/does/not/exist h:b":      "list",
		"-C 3:2 a h:b":                         "-C \"3:2\": want I:N",
		"-C 2 a h:b":                           "want I:N",
		"-C 0:2 a h:b":                         "want I:N",
		"--multi-session-threshold=x a h:b":    "--multi-session-threshold \"x\": want bytes",
		"--multi-session-threshold=1M a h:b":   "needs -C I:N",
		"-g 8K a h:b":                          "-g \"8K\": want 16K to 4M",
		"-g 64KB a h:b":                        "want 16K to 4M",
		"-G 5M a h:b":                          "-G \"5M\": want 16K to 4M",
		"-G 0 a h:b":                           "want 16K to 4M",
		"--sessions 65 a h:b":                  "--sessions 65: want 1 to 64",
		"--tags64=x a h:b":                     "--tags64: want base64",
		"--tags64=W10= a h:b":                  "want a JSON object",
		"--tags={ a h:b":                       "want a JSON object",
		"--tags={} --tags64=e30= a h:b":        "exclude each other",
		"-y F a h:b":                           "-y F: the fallback over HTTPS is not offered yet",
		"-y 2 a h:b":                           "want 0 or 1",
		"--src-base64=! a h:b":                 "--src-base64: want base64",
		"--source-prefix=p --source-prefix64=cA== a h:b": "exclude each other",
		"--source-prefix=p faux:///a h:b":                "is for paths, not for URIs",
		"--source-prefix=s3://h/b k h:b":                 "is for paths, not for URIs",
		"--keepalive a h:b":                              "--keepalive is not offered yet",
		"--bogus a h:b":                                  "unknown option --bogus",
		"-W Basic-secret a h:b":                          "ASPERA_SCP_TOKEN",
		"--dest64 a h:!!!":                               "base64",
		"a h:33002:/x":                                   "write -O 33002 h:/x ",
		"a u@h:33002:":                                   "write -O 33002 u@h: ",
		"u@[::1]:33002:x y":                              "-O 33002 u@[::1]:x (for a path that begins with 33002: write u@[::1]:./33002:x)",
		"h:x h:1:y z":                                    "-O 1 ",
		"-l 0 a h:b":                                     "-l 0: want more than 0",
		"--progress=x a h:b":                             "--progress",
		"-v=x a h:b":                                     "-v",
	} {
		_, _, err := parse(t, line)
		require.ErrorContains(t, err, text, line)
		require.Equal(t, transfer.CodeUsage, codeOf(err), line)
		require.NotContains(t, err.Error(), "Basic-secret")
	}
}

func TestIOSizes(t *testing.T) {
	s := mustParse(t, "a h:b")
	require.Zero(t, s.ReadSize)
	require.Zero(t, s.WriteSize)
	s = mustParse(t, "-g 4M -G 16k a h:b")
	require.Equal(t, 4<<20, s.ReadSize)
	require.Equal(t, 16<<10, s.WriteSize)
	s = mustParse(t, "--read-size=100000 --write-size=1M h:a b")
	require.Equal(t, 100_000, s.ReadSize)
	require.Equal(t, 1<<20, s.WriteSize)
}

func TestLists(t *testing.T) {
	s := mustParse(t, "--file-list=- h:d")
	require.True(t, s.FromList)
	require.Equal(t, []transfer.Path{{Source: "one"}, {Source: "two"}}, s.Paths, "the last line may lack its line feed")
	s = mustParse(t, "--file-list=- h: d")
	require.Equal(t, transfer.Receive, s.Direction)
	require.Equal(t, "d", s.Destination)
	s = mustParse(t, "--file-pair-list - h:d")
	require.Equal(t, []transfer.Path{{Source: "one", Destination: "two"}}, s.Paths)
	lines, err := readLines("-", strings.NewReader(" a \r\n\nb\n"))
	require.NoError(t, err)
	require.Equal(t, []transfer.Path{{Source: " a \r"}, {Source: "b"}}, parseList(lines), "a name is taken as it stands")
	_, err = parsePairs([]string{"a", ""})
	require.ErrorContains(t, err, "empty")
	lines, err = readLines("-", strings.NewReader(""))
	require.NoError(t, err)
	require.Empty(t, lines)
}

func TestCredential(t *testing.T) {
	token := "ASPERA_SCP_TOKEN=Basic " + base64.StdEncoding.EncodeToString([]byte("id:sesame"))
	c, err := findCredentials(&options{}, "user", "", cli.Env{token, "ASPERA_SCP_PASS=x"})
	require.NoError(t, err, "with a token, what else was given does not matter")
	require.Equal(t, "id", c.name())
	require.Nil(t, c.account)
	for _, env := range []cli.Env{nil, {"ASPERA_SCP_KEY=sesame"}, {"ASPERA_SCP_TOKEN=sesame"}, {"ASPERA_SCP_TOKEN=Basic sesame"}, {"ASPERA_SCP_KEY=sesame", "ASPERA_SCP_PASS=sesame"}} {
		_, err := findCredentials(&options{}, "user", "", env)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "sesame")
	}
}

func TestTrust(t *testing.T) {
	one, two := fasp.Fingerprint{1}, fasp.Fingerprint{2}
	var warned []string
	warn := func(format string, args ...any) { warned = append(warned, fmt.Sprintf(format, args...)) }
	known := t.TempDir() + "/known"
	tr, err := newTrust(&options{knownHosts: known}, nil, warn)
	require.NoError(t, err)
	require.NoError(t, tr.verify("h:1", one))
	fresh, err := cli.KnownHosts{Path: known}.Check("h:1", two)
	require.NoError(t, err)
	require.False(t, fresh, "nothing is noted before the server has proved that the key is its own")
	require.NoError(t, tr.accepted("h:1", one))
	require.Len(t, warned, 1)
	require.NoError(t, tr.verify("h:1", one))
	require.NoError(t, tr.accepted("h:1", one))
	require.Len(t, warned, 1)
	err = tr.verify("h:1", two)
	var m *cli.HostMismatch
	require.ErrorAs(t, err, &m)
	require.Equal(t, m.Error(), errorText(fmt.Errorf("%w: %w", fasp.ErrIdentity, err)))

	tr, err = newTrust(&options{fingerprint: one.String()}, nil, warn)
	require.NoError(t, err)
	require.NoError(t, tr.verify("h:1", one))
	require.Error(t, tr.verify("h:1", two))
	_, err = newTrust(&options{fingerprint: "md5:1"}, nil, warn)
	require.Error(t, err)
	_, err = newTrust(&options{}, nil, warn)
	require.ErrorContains(t, err, "--known-hosts")
	tr, err = newTrust(&options{ignoreHostKey: true}, nil, warn)
	require.NoError(t, err)
	require.Len(t, warned, 2)
	require.NoError(t, tr.verify("h:1", two))
	require.NoError(t, tr.accepted("h:1", two))
}

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&transfer.Error{Code: transfer.CodeAuth, Err: &fasp.PeerError{Code: fasp.CodeAuth, Reason: "failed to authenticate"}}, "failed to authenticate"},
		{&transfer.Error{Code: 14, Err: fmt.Errorf("x: %w", fasp.ErrHandshakeTimeout)}, "Client unable to connect to server (check UDP port and firewall)"},
		{&transfer.Error{Code: 4, Err: &fasp.PeerError{Code: 0x104, Reason: `"x": gone (code 4)`}}, `Server aborted session: "x": gone`},
		{&transfer.Error{Code: 25, Op: "write", Path: "a\nb", Err: errors.New("disk full")}, `write "a\nb": disk full`},
		{errors.New("plain"), "plain"},
		{
			&transfer.Error{Code: 14, Err: fmt.Errorf("connect: %w", &connectError{"h", 7, fasp.ErrHandshakeTimeout})},
			"Client unable to connect to server (check UDP port and firewall): no answer from h, UDP port 7 (option -O)",
		},
		{&transfer.Error{Code: 14, Err: fmt.Errorf("connect: %w", &connectError{"h", 7, errors.New("no such host")})}, "connect: h, UDP port 7: no such host"},
		{&transfer.Error{Code: 39, Err: &fasp.PeerError{Code: fasp.CodeBusy, Reason: "too many sessions"}}, "the server takes no session now: too many sessions"},
		{&transfer.Error{Code: 39, Err: &fasp.PeerError{Code: fasp.CodeShutdown}}, "the server takes no session now: shutting down"},
	} {
		require.Equal(t, c.want, errorText(c.err))
	}
	var b bytes.Buffer
	res := &transfer.Result{FilesFailed: 25}
	for i := range 25 {
		res.Errors = append(res.Errors, transfer.FileError{Name: fmt.Sprint("f", i), Code: 4, Text: "gone"})
	}
	printError(&b, res, &transfer.Error{Code: 27, Err: errors.New("25 files failed")})
	require.Contains(t, b.String(), "twcp: \"f0\": gone (code 4 NO_SUCH_FILE)\n")
	require.Contains(t, b.String(), "... and 5 more files\n")
	require.True(t, strings.HasSuffix(b.String(), "twcp: 25 files failed, exiting.\n\nSession Stop  (Error: 25 files failed)\n"))
}

func TestSummary(t *testing.T) {
	r := &transfer.Result{FilesDone: 1, BytesSent: 249998 * 1024, BytesOnWire: 250100 * 1024, Elapsed: 21 * time.Second}
	require.Equal(t, "Completed: 249998K bytes transferred in 21 seconds\n (97523K bits/sec), in 1 file.\n", summary(r))
	r = &transfer.Result{FilesDone: 1, BytesSent: 4096, BytesOnWire: 1025, Elapsed: time.Second}
	require.Equal(t, "Completed: 4K bytes transferred in 1 seconds\n (32K bits/sec), in 1 file.\nCompressed on the way to 2K bytes.\n", summary(r))
	r = &transfer.Result{FilesDone: 6, Folders: 4, FilesFailed: 3, FilesSkipped: 2, BytesSent: 1, BytesOnWire: 49, BytesResumed: 2048}
	require.Equal(t, "Partial Completion: 1K bytes transferred in 0 seconds\n (0K bits/sec), in 6 files, 4 directories; 3 files failed.\n"+
		"Already there: 2 files, and 2K bytes of others.\n", summary(r))
}

func TestFormats(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 999: "999B", 1000: "1.0KB", 10 << 10: "10KB", 126 << 20: "126MB", 1 << 40: "1.0TB", 1 << 60: "1024PB"} {
		require.Equal(t, want, formatSize(n))
	}
	for n, want := range map[float64]string{0: "0b/s", 999: "999b/s", 1000: "1.0Kb/s", 96.7e6: "96.7Mb/s", 112e6: "112Mb/s", 999.9e6: "1.0Gb/s", 2.5e12: "2500Gb/s"} {
		require.Equal(t, want, formatRate(n))
	}
	for d, want := range map[time.Duration]string{0: "00:00", 20 * time.Second: "00:20", 45*time.Minute + 3*time.Second: "45:03", 26 * time.Hour: "26:00:00", -1: "--:--", 1 << 62: "--:--"} {
		require.Equal(t, want, formatTime(d))
	}
	require.Equal(t, "rtt 0.5ms", formatRTT(500*time.Microsecond))
	require.Equal(t, "rtt 150ms", formatRTT(150*time.Millisecond))
	require.Equal(t, "loss 2.0%", formatLoss(0.02))
	require.Equal(t, 0, percent(5, 0))
	require.Equal(t, 99, percent(999, 1000))
	require.Equal(t, 100, percent(1000, 1000))
}

func FuzzCommandLine(f *testing.F) {
	f.Add("-QT\x00-l\x00100m\x00a\x00h:b")
	f.Add("--mode\x00send\x00-p\x00true\x00--host=h\x00a\x00b")
	f.Add("u@[::1]:a\x00b")
	f.Fuzz(func(t *testing.T, line string) {
		o, err := parseArgs(strings.Split(line, "\x00"))
		if err != nil {
			require.Equal(t, transfer.CodeUsage, codeOf(err))
			return
		}
		if o.fileList+o.pairList != "" {
			return // would open files
		}
		s, err := makeSpec(o, strings.NewReader(""))
		if err != nil {
			require.Equal(t, transfer.CodeUsage, codeOf(err))
			return
		}
		require.NotEmpty(t, s.Host)
		require.NotEmpty(t, s.Paths)
	})
}
