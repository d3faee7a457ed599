package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tradewind-io/tradewind/cluster/api"
)

// managed are the frames that a client sent: the type, and name=value of the fields.
type managed []map[string]string

// field is a line of a frame, as the product's command line client reads it.
var field = regexp.MustCompile(`^([^:]+): (.*)$`)

// readFrames reads to the end of the connection what a client tells, line by line, and calls fn for each frame.
func readFrames(ts *testscript.TestScript, conn net.Conn, fn func(map[string]string)) (all managed, lines []string) {
	var current map[string]string
	text := ""
	in := bufio.NewScanner(conn)
	for in.Scan() {
		line := in.Text()
		m := field.FindStringSubmatch(line)
		switch {
		case line == "FASPMGR 2":
			current, text = map[string]string{}, ""
		case current == nil:
			ts.Fatalf("a line outside of frames: %q", line)
		case line == "":
			all, lines = append(all, current), append(lines, text)
			fn(current)
			current = nil
		case m == nil:
			ts.Fatalf("no field: %q", line)
		default:
			current[m[1]] = m[2]
			if text += " "; m[1] == "Type" {
				text += m[2]
			} else {
				text += m[1] + "=" + m[2]
			}
		}
	}
	if current != nil {
		ts.Fatalf("the connection ended within a frame")
	}
	return all, lines
}

// cmdASCP runs twcp with a management port in front of the arguments, as programs that drive ascp do: it must connect, tell of an end, DONE or ERROR, as the last thing, and exit with 0 after DONE
// although it gets SIGINT then and when the connection is closed. What it told is in the file frames then, a frame on each line. With -on, a command is sent when the first frame of a type has
// come. With ! it must tell of an error, and exit with another code.
func cmdASCP(ts *testscript.TestScript, neg bool, args []string) {
	on, command := "", ""
	if args[0] == "-on" {
		on, command, args = args[1], args[2], args[3:]
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	ts.Check(err)
	p := start(ts, "ascp", "twcp", append([]string{"-M", port}, args...)...)
	go func() {
		<-p.ended
		_ = l.Close() // it did not connect
	}()
	conn, err := l.Accept()
	if err != nil {
		<-p.ended
		ts.Fatalf("it did not connect; stderr: %s", p.stderr.String())
	}
	defer conn.Close()
	all, lines := readFrames(ts, conn, func(f map[string]string) {
		if f["Type"] == "DONE" {
			for range 2 { // early, and as impatient as one can be
				_ = p.cmd.Process.Signal(os.Interrupt)
			}
		}
		if f["Type"] == on && command != "" {
			_, err := conn.Write([]byte("FASPMGR 2\nType: " + strings.ReplaceAll(command, ";", "\n") + "\n\n"))
			ts.Check(err)
			command = ""
		}
	})
	_ = p.cmd.Process.Signal(os.Interrupt) // who has ended gets none
	<-p.ended
	code := p.cmd.ProcessState.ExitCode()
	ts.Check(os.WriteFile(ts.MkAbs("frames"), []byte(strings.Join(lines, "\n")+"\n"), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("ascp.err"), []byte(p.stderr.String()), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("ascp.out"), []byte(p.stdout.String()), 0o644))
	if len(all) == 0 || all[0]["Type"] != "INIT" {
		ts.Fatalf("the first frame is not INIT: %q", lines)
	}
	last := all[len(all)-1]
	switch {
	case last["Type"] == "DONE" && (neg || code != 0), last["Type"] == "ERROR" && (!neg || code <= 0), last["Type"] != "DONE" && last["Type"] != "ERROR":
		ts.Fatalf("the last frame is %s, the exit code %d; %s\n%s", last["Type"], code, p.stderr.String(), strings.Join(lines, "\n"))
	}
	if neg {
		return
	}
	total := ""
	for _, f := range all {
		if f["Type"] == "NOTIFICATION" {
			total = f["PreTransferBytes"]
		}
	}
	n, terr := strconv.Atoi(last["TransferBytes"])
	was, serr := strconv.Atoi(last["StartByte"])
	if terr != nil || serr != nil || strconv.Itoa(n+was) != total || last["FileBytes"] != total {
		ts.Fatalf("%d and %d bytes of %s", n, was, total)
	}
}

func cmdB64(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], base64.StdEncoding.EncodeToString([]byte(args[1])))
}

// cmdFileID asks the node's API for the id of a folder, which it walks to as applications do.
func cmdFileID(ts *testscript.TestScript, _ bool, args []string) {
	pem, err := os.ReadFile(ts.Getenv("CERT"))
	ts.Check(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer tr.CloseIdleConnections()
	c := &api.Client{URL: "https://" + ts.Getenv("API"), Authorization: ts.Getenv("ASPERA_SCP_TOKEN"), HTTP: &http.Client{Transport: tr}}
	id := api.RootID
	for el := range strings.SplitSeq(args[1], "/") {
		list, _, err := c.Entries(context.Background(), id, api.EntryQuery{Name: el})
		ts.Check(err)
		if len(list) != 1 {
			ts.Fatalf("there is no %s", el)
		}
		id = list[0].ID
	}
	ts.Setenv(args[0], id)
}
