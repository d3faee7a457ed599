package fileids

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/cluster/state"
)

// Config sets up Files, which copies it. All but Log is required.
type Config struct {
	// State keeps ids, permissions and events.
	State *state.Store
	// Places opens what grants are bound to.
	Places nodeapi.Places
	// Keys is where access keys are kept.
	Keys accesskey.Store
	// Changed is called after permissions were changed or withdrawn, or others hold for something, since it was moved; nil does nothing.
	Changed func()
	// Log gets a line for what went wrong on this side; nil is silent.
	Log *slog.Logger
}

// Files serves files by their ids, and permissions. Its methods may be called by several goroutines at once.
type Files struct {
	cfg   Config
	turns turns
	lists *nodeapi.Listings
}

// New returns Files. There is nothing to close.
func New(cfg Config) (*Files, error) {
	if cfg.State == nil || cfg.Places == nil || cfg.Keys == nil {
		return nil, errors.New("fileids: State, Places and Keys are required")
	}
	if cfg.Changed == nil {
		cfg.Changed = func() {}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Files{cfg: cfg, lists: nodeapi.NewListings()}, nil
}

// Routes returns the calls by pattern, for nodeapi.Config.Extensions. Errors that are not *api.Error are the node's own fault.
func (f *Files) Routes() map[string]func(http.ResponseWriter, *http.Request, accesskey.Grant) error {
	return map[string]func(http.ResponseWriter, *http.Request, accesskey.Grant) error{
		"GET /files/{id}":          f.asked(f.serveEntry),
		"PUT /files/{id}":          f.asked(f.serveRename),
		"DELETE /files/{id}":       f.asked(f.serveDelete),
		"GET /files/{id}/files":    f.asked(f.serveList),
		"POST /files/{id}/files":   f.asked(f.serveCreate),
		"GET /files/{id}/content":  f.asked(f.serveContent),
		"GET /permissions":         f.managed(f.servePermissions),
		"POST /permissions":        f.managed(f.serveGive),
		"GET /permissions/{id}":    f.managed(f.servePermission),
		"PUT /permissions/{id}":    f.managed(f.serveChange),
		"DELETE /permissions/{id}": f.managed(f.serveTake),
	}
}

// timeOf is a time as answers show it.
func timeOf(t time.Time, form string) string { return t.UTC().Format(form) }
