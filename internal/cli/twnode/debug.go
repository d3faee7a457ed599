package twnode

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"strings"
	"time"

	"github.com/tradewind-io/tradewind/cluster/node"
	"github.com/tradewind-io/tradewind/cluster/node/metrics"
)

// debugServer shows the counters of a node and profiles of its process over HTTP, to those who reach the address. There is no secret in them,
// but profiles take processor time, so that the address should be one of this machine.
type debugServer struct {
	http http.Server
	done chan error
}

// listenDebug serves on address, where a port alone, or one behind a colon, means the loopback interface.
func listenDebug(address string, n *node.Node, log *slog.Logger) (*debugServer, error) {
	if port := strings.TrimPrefix(address, ":"); !strings.Contains(port, ":") {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--debug: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/vars", func(w http.ResponseWriter, _ *http.Request) { writeVars(w, n) })
	mux.Handle("GET /metrics", metrics.Handler(n))
	mux.HandleFunc("GET /healthz", metrics.Health(n, false))
	mux.HandleFunc("GET /readyz", metrics.Health(n, true))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	d := &debugServer{http: http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}, done: make(chan error, 1)}
	go func() { d.done <- d.http.Serve(l) }()
	log.Info("counters and profiles", "url", "http://"+l.Addr().String()+"/debug/vars")
	return d, nil
}

// vars is the document at /debug/vars.
type vars struct {
	Node    node.Stats       `json:"node"`
	Runtime runtimeVars      `json:"runtime"`
	Memory  runtime.MemStats `json:"memstats"` // under the name that package expvar gives it
}

type runtimeVars struct {
	Goroutines int `json:"goroutines"`
	Processors int `json:"processors"`
}

func writeVars(w http.ResponseWriter, n *node.Node) {
	v := vars{Node: n.Stats(), Runtime: runtimeVars{runtime.NumGoroutine(), runtime.GOMAXPROCS(0)}}
	runtime.ReadMemStats(&v.Memory)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // who asked has gone
}

// close ends what is under way.
func (d *debugServer) close() error {
	err := d.http.Close()
	if serr := <-d.done; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	return err
}
