package stores

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/pipe"
)

// Stdio is the scheme of standard input and output.
const Stdio = "stdio"

// The names that the streams have as files.
const (
	stdinName  = "stdin"
	stdoutName = "stdout"
)

// Local opens the local side of a transfer; its methods fit transfer.Config.Open.
type Local struct {
	Schemes objstore.Schemes
	Config  objstore.Config
	Stdin   io.Reader
	Stdout  io.Writer
}

// Sources opens the place that all of the URIs name, to read from.
func (l *Local) Sources(ctx context.Context, uris []string) (transfer.Store, []string, error) {
	if u, err := objstore.ParseURI(uris[0]); err == nil && u.Scheme == Stdio {
		if len(uris) > 1 {
			return nil, nil, usage("standard input is one source; it goes with no other")
		}
		return transfer.NewStreamStore(l.Stdin, stdinName), []string{stdinName}, nil
	}
	return l.open(ctx, uris)
}

// Destination opens the place that the one URI names, to write to.
func (l *Local) Destination(ctx context.Context, uris []string) (transfer.Store, []string, error) {
	if u, err := objstore.ParseURI(uris[0]); err == nil && u.Scheme == Stdio {
		b := objstore.NewBucket(pipe.New(l.Stdout, 1), objstore.Config{PartSize: streamPart, Pool: objstore.NewPool(streamMemory)})
		return transfer.NewBucketStore(b, "", 0, b.Close), []string{stdoutName}, nil
	}
	return l.open(ctx, uris)
}

// Parts of standard output are small: the first byte should not wait for many others.
const (
	streamPart   = 2 << 20
	streamMemory = 128 << 20
)

// Locate says which place a URI is in, by an id that is the same for all that are in it, and which key in it the URI names.
func (l *Local) Locate(ctx context.Context, uri string) (id, key string, err error) {
	b, key, err := l.Schemes.OpenBucket(ctx, uri, l.Config)
	if err != nil {
		return "", "", err
	}
	if err := b.Close(); err != nil {
		return "", "", err
	}
	id, err = placeOf(uri, key)
	return id, key, err
}

func (l *Local) open(ctx context.Context, uris []string) (transfer.Store, []string, error) {
	b, key, err := l.Schemes.OpenBucket(ctx, uris[0], l.Config)
	if err != nil {
		return nil, nil, err
	}
	place, err := placeOf(uris[0], key)
	names := []string{key}
	for _, uri := range uris[1:] {
		if err != nil {
			break
		}
		var other *objstore.Bucket
		var at string
		if other, key, err = l.Schemes.OpenBucket(ctx, uri, l.Config); err != nil {
			break
		}
		if err = other.Close(); err != nil {
			break
		}
		if at, err = placeOf(uri, key); err == nil && at != place {
			err = usage("%s and %s are in different places; all sources must be in one", uris[0], uri)
		}
		names = append(names, key)
	}
	if err != nil {
		_ = b.Close()
		return nil, nil, err
	}
	return transfer.NewBucketStore(b, "", 0, b.Close), names, nil
}

// placeOf is what is left of a URI without the key in it.
func placeOf(uri, key string) (string, error) {
	u, err := objstore.ParseURI(uri)
	u.Path = strings.TrimSuffix(u.Path, key)
	return u.String(), err
}

func usage(format string, args ...any) error {
	return &transfer.Error{Code: transfer.CodeUsage, Err: fmt.Errorf(format, args...)}
}
