package twnode

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/admin"
	"github.com/tradewind-io/tradewind/internal/cli"
)

const supportHelp = `Write what helps others to find out why a node does not do what it should into FILE, a .tar.gz: versions, counters, what
the process is doing, settings, keys, accounts and users without their secrets, the newest 1,000 transfers
and records of the audit log, and the end of the log, if it is in a file (--config, --log).

There is no secret of the node in it, no password, no token and no content. There are names: of keys, people, hosts
and files. Look at it before you send it.`

// Bounds of a bundle.
const (
	supportTransfers = 1000
	supportAudit     = 1000
	supportLog       = 4 << 20 // bytes from the end of each log file
)

func supportCommand(p cli.Process) *cobra.Command {
	f := &manager{stateFlag: stateFlag{env: p.Env}}
	var config string
	var logs []string
	c := &cobra.Command{
		Use: "support-bundle FILE", Short: "Collect what helps to find a fault, without secrets", Long: supportHelp + "\n" + manageHelp, Args: oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			return f.do(c.Context(), func(n *admin.Client) error {
				return writeNew(args[0], func(w io.Writer) error {
					b := newBundle(w)
					b.collect(c.Context(), n, p.Env)
					b.files(config, logs)
					for _, m := range b.missing {
						fmt.Fprintf(c.ErrOrStderr(), "twnode: not in the bundle: %s\n", m)
					}
					return b.close()
				})
			})
		},
	}
	f.stateFlag.declare(c.Flags())
	c.Flags().StringVar(&config, "config", "", "`file` of settings to add")
	c.Flags().StringArrayVar(&logs, "log", nil, "log `file` whose end is added; may be given several times")
	return c
}

// bundle is a .tar.gz that is being written. What cannot be had is named in it, and is no reason to go without the rest.
type bundle struct {
	zip     *gzip.Writer
	tar     *tar.Writer
	made    time.Time
	missing []string
	err     error // of writing
}

func newBundle(w io.Writer) *bundle {
	z := gzip.NewWriter(w)
	return &bundle{zip: z, tar: tar.NewWriter(z), made: time.Now()}
}

func (b *bundle) add(name string, data []byte) {
	if b.err != nil {
		return
	}
	b.err = b.tar.WriteHeader(&tar.Header{Name: "tradewind-support/" + name, Mode: 0o600, Size: int64(len(data)), ModTime: b.made})
	if b.err == nil {
		_, b.err = b.tar.Write(data)
	}
}

func (b *bundle) lack(name string, err error) {
	b.missing = append(b.missing, fmt.Sprintf("%s: %v", name, err))
}

// have adds v as JSON, or names it as missing.
func have[T any](b *bundle, name string, get func() (T, error)) {
	v, err := get()
	if err != nil {
		b.lack(name, err)
		return
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		b.lack(name, err)
		return
	}
	b.add(name, append(text, '\n'))
}

func (b *bundle) collect(ctx context.Context, n *admin.Client, env cli.Env) {
	b.add("version.txt", []byte(cli.VersionText("twnode")+fmt.Sprintf("%s %s/%s, %d processors\nmade %s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), b.made.UTC().Format(time.RFC3339))))
	b.add("environment.txt", []byte(strings.Join(variableNames(env), "\n")+"\n"))
	have(b, "status.json", func() (admin.Status, error) { return n.Status(ctx) })
	have(b, "info.json", func() (api.Info, error) { return n.Info(ctx) })
	have(b, "access_keys.json", func() ([]api.AccessKey, error) {
		list, err := n.AccessKeys(ctx)
		for i := range list {
			list[i].Configuration = knownConfiguration(list[i].Configuration)
		}
		return list, err
	})
	have(b, "accounts.json", func() ([]admin.Account, error) { return n.Accounts(ctx) })
	have(b, "users.json", func() ([]admin.User, error) { return n.Users(ctx) })
	have(b, "transfers.json", func() ([]api.Transfer, error) {
		list, _, err := n.Transfers(ctx, api.TransferQuery{Count: supportTransfers})
		for i := range list {
			list[i].Spec.Tags, list[i].Spec.Cookie = nil, "" // clients put what they like into these, credentials of a storage among it
		}
		return list, err
	})
	have(b, "audit_verify.json", func() (api.AuditChain, error) { return n.VerifyAudit(ctx) })
	have(b, "audit.json", func() ([]api.AuditRecord, error) { return newestAudit(ctx, n) })
	if text, err := n.Goroutines(ctx); err != nil {
		b.lack("goroutines.txt", err)
	} else {
		b.add("goroutines.txt", text)
	}
}

// knownConfiguration is what has an effect of the configuration of a key: into the rest clients put what they like.
func knownConfiguration(b json.RawMessage) json.RawMessage {
	var c struct {
		Transfer struct {
			Policy     string `json:"policy,omitempty"`
			TargetRate int64  `json:"target_rate_kbps,omitempty"`
			RateCap    int64  `json:"target_rate_cap_kbps,omitempty"`
		} `json:"transfer"`
		Server struct {
			Allow []string `json:"allow,omitempty"`
			Deny  []string `json:"deny,omitempty"`
		} `json:"server"`
	}
	if len(b) == 0 || json.Unmarshal(b, &c) != nil {
		return nil
	}
	known, err := json.Marshal(c)
	if err != nil {
		return nil
	}
	return known
}

// newestAudit returns the end of the log.
func newestAudit(ctx context.Context, n *admin.Client) ([]api.AuditRecord, error) {
	chain, err := n.VerifyAudit(ctx)
	if err != nil {
		return nil, err
	}
	all, after := []api.AuditRecord{}, ""
	if first := chain.Last - supportAudit; first > 0 {
		after = fmt.Sprint(first)
	}
	for {
		list, next, err := n.Audit(ctx, after)
		if err != nil || len(list) == 0 || len(all) > 2*supportAudit {
			return all, err
		}
		all, after = append(all, list...), next
	}
}

// variableNames are those that settings and credentials are taken from, without what is in them.
func variableNames(env cli.Env) (names []string) {
	for _, pair := range env {
		name, _, _ := strings.Cut(pair, "=")
		for _, prefix := range []string{"TWNODE_", "TRADEWIND_", "ASPERA_", "AWS_", "GOMAXPROCS", "GOMEMLIMIT", "GODEBUG", "NOTIFY_SOCKET"} {
			if strings.HasPrefix(name, prefix) {
				names = append(names, name)
				break
			}
		}
	}
	slices.Sort(names)
	return names
}

// files adds the file of settings, without URIs' credentials, and the ends of logs.
func (b *bundle) files(config string, logs []string) {
	if config != "" {
		if data, err := readEnd(config, maxConfigFile); err != nil {
			b.lack("settings", err)
		} else {
			b.add("settings.yaml", []byte(withoutUserinfo(string(data))))
		}
	}
	for i, name := range logs {
		data, err := readEnd(name, supportLog)
		if err != nil {
			b.lack(name, err)
			continue
		}
		b.add(fmt.Sprintf("log-%d-%s", i, filepath.Base(name)), data)
	}
}

// withoutUserinfo takes what stands between :// and @ out of a text: a store's URI has no place for credentials, and somebody may have put some there.
func withoutUserinfo(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		head, rest, ok := strings.Cut(line, "://")
		if !ok {
			continue
		}
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			lines[i] = head + "://[redacted]" + rest[at:]
		}
	}
	return strings.Join(lines, "\n")
}

// readEnd returns the last most bytes of a file.
func readEnd(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if skip := fi.Size() - most; skip > 0 {
		if _, err := f.Seek(skip, io.SeekStart); err != nil {
			return nil, err
		}
	}
	return io.ReadAll(io.LimitReader(f, most))
}

func (b *bundle) close() error {
	if len(b.missing) > 0 {
		b.add("missing.txt", []byte(strings.Join(b.missing, "\n")+"\n"))
	}
	return errors.Join(b.err, b.tar.Close(), b.zip.Close())
}
