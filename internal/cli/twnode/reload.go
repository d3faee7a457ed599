package twnode

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/tradewind-io/tradewind/cluster/node"
	"github.com/tradewind-io/tradewind/cluster/node/admin"
	"github.com/tradewind-io/tradewind/fasp/vlink"
	"github.com/tradewind-io/tradewind/internal/cli"
)

// liveSettings are those that hold at once.
var liveSettings = []string{"max_rate", "vlinks", "min_free", "max_sessions", "compression", "drain_timeout", "log_level"}

// reloader reads the settings of a node again when it is told to.
type reloader struct {
	again  func() (settings, error)
	node   *node.Node
	log    *nodeLog
	notify func(state string) error // tells the service manager

	mu    sync.Mutex // guards what follows; held while settings are taken over
	now   settings
	links []vlink.Link
	// serving is from ready to stopping; before and after that a node that reloads must not pass for one that is ready.
	serving bool
}

// run reloads with every signal until ctx ends.
func (r *reloader) run(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			_, _ = r.reload(ctx) // which has logged what is wrong
		}
	}
}

// reload takes over what has changed and returns the names of settings that have and wait for the next start.
func (r *reloader) reload(ctx context.Context) (later []string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() {
		if err != nil {
			r.log.Error("the settings stay as they were", "error", err)
		}
	}()
	if r.serving {
		r.tell(daemon.SdNotifyReloading)
		defer r.tell(daemon.SdNotifyReady)
	}
	if err := r.log.reopen(); err != nil {
		return nil, fmt.Errorf("log-file: %w", err)
	}
	s, err := r.again()
	if err != nil {
		return nil, err
	}
	cfg, err := s.nodeConfig()
	if err != nil {
		return nil, err
	}
	level, err := cli.ParseLevel(s.LogLevel)
	if err != nil {
		return nil, err
	}
	if err := r.node.Reconfigure(ctx, cfg); err != nil {
		return nil, err
	}
	changes := linkChanges(r.links, cfg.VLinks)
	for _, c := range changes {
		r.log.Info("vlink "+c.what, "vlink", linkName(c.link.Name), "out", capText(c.link.Caps.Out), "in", capText(c.link.Caps.In), "weight", c.link.Weight, "windows", len(c.link.Schedule))
	}
	changed := changedSettings(r.now, s)
	later = slices.DeleteFunc(slices.Clone(changed), func(name string) bool { return slices.Contains(liveSettings, name) })
	r.log.Info("settings read again", "changed", strings.Join(changed, ","), "vlinks", len(cfg.VLinks), "vlinks_changed", len(changes))
	if len(later) > 0 {
		r.log.Warn("settings have changed that wait for a restart", "settings", strings.Join(later, ","))
	}
	r.log.level.Set(level)
	r.links = cfg.VLinks
	r.now.takeLive(s)
	warnStranded(ctx, r.node, r.log.Logger)
	return later, nil
}

// changedSettings names what is different, as the file has it.
func changedSettings(a, b settings) (names []string) {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		if !x.Field(i).Equal(y.Field(i)) {
			names = append(names, x.Type().Field(i).Tag.Get("mapstructure"))
		}
	}
	return names
}

// takeLive takes over what holds at once. What waits stays different from what the node runs with, and is told of again.
func (s *settings) takeLive(from settings) {
	to, src := reflect.ValueOf(s).Elem(), reflect.ValueOf(from)
	for i := range to.NumField() {
		if slices.Contains(liveSettings, to.Type().Field(i).Tag.Get("mapstructure")) {
			to.Field(i).Set(src.Field(i))
		}
	}
}

// ready tells the service manager that the node serves.
func (r *reloader) ready() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serving = true
	r.tell(daemon.SdNotifyReady)
}

// stopping tells it that the node takes no more sessions.
func (r *reloader) stopping() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serving = false
	r.tell(daemon.SdNotifyStopping)
}

// tell says something to the service manager, if there is one.
func (r *reloader) tell(state string) {
	if err := r.notify(state); err != nil {
		r.log.Warn("the service manager was not told", "state", state, "error", err)
	}
}

// notifier returns how to tell the service manager, which is nothing without one.
func notifier(env cli.Env) func(string) error {
	if env.Get("NOTIFY_SOCKET") == "" {
		return func(string) error { return nil }
	}
	return func(state string) error {
		_, err := daemon.SdNotify(false, state)
		return err
	}
}

// warnStranded tells of keys that no session can be had with.
func warnStranded(ctx context.Context, n *node.Node, log *slog.Logger) {
	ids, err := n.Stranded(ctx)
	if err != nil {
		log.Error("access keys could not be read", "error", err)
		return
	}
	if len(ids) > 0 {
		log.Warn("access keys name a vlink that is not configured, and are refused", "keys", strings.Join(ids, ","))
	}
}

const reloadHelp = `Have a node that runs read its settings again, as SIGHUP does, and say what waits for a restart. With a
mistake in a file nothing changes, and the mistake is told here.`

func reloadCommand(p cli.Process) *cobra.Command {
	f := &manager{stateFlag: stateFlag{env: p.Env}}
	c := &cobra.Command{
		Use: "reload", Short: "Have a node read its settings again", Long: reloadHelp + "\n" + manageHelp, Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.do(c.Context(), func(n *admin.Client) error {
				got, err := n.Reload(c.Context())
				if err != nil {
					return err
				}
				return f.print(c.OutOrStdout(), got, func(w io.Writer) error {
					if len(got.Later) == 0 {
						_, err := fmt.Fprintln(w, "settings read again")
						return err
					}
					_, err := fmt.Fprintf(w, "after a restart: %s\n", strings.Join(got.Later, " "))
					return err
				})
			})
		},
	}
	f.declare(c.Flags())
	return c
}
