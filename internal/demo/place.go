package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/tradewind-io/tradewind/internal/lab"
	"github.com/tradewind-io/tradewind/internal/testservers"
)

// place is where the node of the demonstration keeps what arrives: a folder, or a folder of its own in an object store.
type place struct {
	l       *lab.Lab
	docroot string
	store   bool
}

func placeOf(l *lab.Lab, folder, store string) *place {
	if store == "" {
		return &place{l: l, docroot: folder}
	}
	return &place{l: l, docroot: lab.JoinURI(store, fmt.Sprintf("tradewind-demo-%08x", rand.Uint32())), store: true}
}

// fetch returns where what arrived at name can be read: the place itself, or a copy read back from the store.
func (p *place) fetch(ctx context.Context, name string) (string, error) {
	if !p.store {
		return filepath.Join(p.docroot, filepath.FromSlash(name)), nil
	}
	back := filepath.Join(p.l.Dir, "back")
	if err := p.l.Twcp(ctx, "-q", "-d", lab.JoinURI(p.docroot, name), back).Run(); err != nil {
		return "", fmt.Errorf("read %s back from the store: %w", name, err)
	}
	return filepath.Join(back, filepath.Base(name)), nil
}

// remove takes the demonstration's folder out of the store.
func (p *place) remove(ctx context.Context) {
	if !p.store {
		return
	}
	if err := p.l.Twcp(ctx, "rm", "-r", "-f", p.docroot).Run(); err != nil {
		fmt.Fprintln(os.Stderr, "demo: not removed from the store:", p.docroot)
	}
}

// startMinIO starts a server with a bucket in dir, and returns the URI of that.
func startMinIO(ctx context.Context, dir string) (*testservers.Server, string, error) {
	s, err := testservers.Start(ctx, testservers.MinIOName, testservers.Options{Dir: dir})
	if err != nil {
		return nil, "", err
	}
	const bucket = "demo-bucket"
	if err := s.NewBucket(ctx, bucket); err != nil {
		s.Stop()
		return nil, "", err
	}
	return s, fmt.Sprintf("s3://%s/%s?insecure=true&profile=minio&part-size=16M", s.Endpoint, bucket), nil
}
