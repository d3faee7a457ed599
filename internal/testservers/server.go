package testservers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// readyIn bounds how long a server may take to answer. Slow machines under load take many times the usual second.
const readyIn = 90 * time.Second

// Options is how a server is started.
type Options struct {
	Addr  string // host:port to listen on; "" = loopback and a free port
	Dir   string // for data and log; must exist
	Cache string // where it is installed; "" = CacheDir
}

// Server is a running server. Its fields do not change. Methods must not be called at the same time.
type Server struct {
	Name      string
	Endpoint  string // host:port, HTTP without TLS
	AccessKey string
	SecretKey string
	Region    string
	KMSKey    string // name of the key for SSE-KMS; "" = none
	Dir       string // data and log
	Log       string // file with what it wrote

	bin  string
	spec *serverSpec
	proc *process // nil when stopped
}

// Start starts a server and returns when it answers. The caller stops it.
func Start(ctx context.Context, name string, o Options) (*Server, error) {
	p, err := find(name)
	if err != nil {
		return nil, err
	}
	if p.server == nil {
		return nil, fmt.Errorf("%s is not a server", name)
	}
	bin, err := Path(o.Cache, name)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	s := &Server{
		Name: name, Endpoint: o.Addr, Dir: dir, Log: filepath.Join(dir, name+".log"),
		AccessKey: p.server.accessKey, SecretKey: p.server.secretKey, Region: p.server.region,
		bin: bin, spec: p.server,
	}
	if p.server.prepare != nil {
		if err := p.server.prepare(dir); err != nil {
			return nil, fmt.Errorf("start %s: %w", name, err)
		}
	}
	if o.Addr != "" {
		return s, s.start(ctx)
	}
	// Between finding a free port and using it somebody else may take it.
	for try := 1; ; try++ {
		if s.Endpoint, err = freeAddr(); err != nil {
			return nil, fmt.Errorf("start %s: %w", name, err)
		}
		err := s.start(ctx)
		if err == nil {
			return s, nil
		}
		if try == 3 || ctx.Err() != nil {
			return nil, err
		}
	}
}

// Restart starts the server again after Stop or Kill, with the same address and data, and returns when it answers.
func (s *Server) Restart(ctx context.Context) error {
	if s.proc != nil {
		return fmt.Errorf("restart %s: it is running", s.Name)
	}
	return s.start(ctx)
}

// Stop asks the server to end, and kills it if it does not in a few seconds. It returns when the server has ended.
func (s *Server) Stop() {
	if s.proc != nil {
		s.proc.stop(5 * time.Second)
		s.proc = nil
	}
}

// Kill ends the server at once, as a crash would, and returns when it has ended.
func (s *Server) Kill() {
	if s.proc != nil {
		s.proc.kill()
		s.proc = nil
	}
}

// URL returns the endpoint with its scheme.
func (s *Server) URL() string { return "http://" + s.Endpoint }

func (s *Server) start(ctx context.Context) error {
	args, env, err := s.spec.command(s)
	if err != nil {
		return fmt.Errorf("start %s: %w", s.Name, err)
	}
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", s.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(s.bin, args...)
	cmd.Dir = s.Dir
	cmd.Stdout, cmd.Stderr = log, log
	// Nothing of the caller's environment: a proxy, a region or credentials in it would change what is tested.
	cmd.Env = append(env, "HOME="+s.Dir, "PATH="+os.DevNull, "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1")
	proc, err := startProcess(cmd)
	if err != nil {
		return fmt.Errorf("start %s: %w", s.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, readyIn)
	defer cancel()
	if err := s.awaitReady(ctx, proc); err != nil {
		proc.kill()
		return fmt.Errorf("start %s: %w; its last words: %q", s.Name, err, tail(s.Log, 500))
	}
	s.proc = proc
	return nil
}

// awaitReady asks for the health page until it is there. A server has no other way to tell.
func (s *Server) awaitReady(ctx context.Context, proc *process) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := getOK(ctx, client, s.URL()+s.spec.health)
		if err == nil {
			return nil
		}
		select {
		case <-proc.ended:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

func getOK(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("health page answers %s", resp.Status)
	}
	return nil
}

// freeAddr returns an address of loopback that nobody listens on.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func splitAddr(addr string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(addr)
	if err != nil {
		return "", "", fmt.Errorf("address %q: %w", addr, err)
	}
	return host, port, nil
}

// tail returns the last n bytes of a file, or why there are none.
func tail(name string, n int) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-n):])
}
