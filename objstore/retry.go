package objstore

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// The pauses between tries: they double, each is between half and one and a half times its nominal length.
const (
	firstPause = 200 * time.Millisecond
	maxPause   = 30 * time.Second
)

// retrier decides whether and when a request is made again. It is a value of one call and owns no timer.
type retrier struct {
	timeout time.Duration // from the first failure on; below 0: never again
	pauses  *backoff.ExponentialBackOff
	failed  time.Time // first failure since the last progress; zero if none
}

func newRetrier(timeout time.Duration) *retrier {
	return &retrier{timeout: timeout, pauses: backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstPause), backoff.WithMaxInterval(maxPause),
		backoff.WithMultiplier(2), backoff.WithRandomizationFactor(0.5), backoff.WithMaxElapsedTime(0))}
}

// next says how long to wait after err before the next try, and whether there is one.
func (r *retrier) next(ctx context.Context, now time.Time, err error) (pause time.Duration, again bool) {
	if r.timeout < 0 || !temporary(ctx, err) {
		return 0, false
	}
	if r.failed.IsZero() {
		r.failed = now
	}
	pause = r.pauses.NextBackOff()
	var e *Error
	if errors.As(err, &e) {
		pause = max(pause, e.After)
	}
	return pause, now.Sub(r.failed)+pause <= r.timeout
}

// progress says that the request got further, so that patience begins anew.
func (r *retrier) progress() {
	if !r.failed.IsZero() {
		r.failed = time.Time{}
		r.pauses.Reset()
	}
}

// again waits until what failed with err is to be tried again. If it is not, it returns the error that remains.
func (b *Bucket) again(ctx context.Context, r *retrier, op, key string, err error) error {
	pause, ok := r.next(ctx, time.Now(), err)
	if !ok {
		return failure(ctx, op, key, err)
	}
	b.cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "store request is tried again", slog.String("op", op), slog.String("kind", KindOf(err).String()), slog.Duration("pause", pause))
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return failure(ctx, op, key, err)
	case <-b.closed:
		return failure(ctx, op, key, &Error{Kind: Closed})
	}
}

// retry makes a request, each try under the limiter, until it succeeds or is not worth another try.
func (b *Bucket) retry(ctx context.Context, op, key string, f func(ctx context.Context) error) error {
	r := newRetrier(b.cfg.RetryTimeout)
	for {
		err := b.once(ctx, f)
		if err == nil {
			return nil
		}
		if err := b.again(ctx, r, op, key, err); err != nil {
			return err
		}
	}
}

// once makes a request under the limiter.
func (b *Bucket) once(ctx context.Context, f func(ctx context.Context) error) error {
	turn, err := b.limiter.acquire(ctx)
	if err != nil {
		return err
	}
	err = f(ctx)
	b.limiter.release(turn, err)
	return err
}

// failure makes err the one *Error that a call returns. Where the context has ended and err is no better reason, that is
// the cause.
func failure(ctx context.Context, op, key string, err error) error {
	if kind := KindOf(err); ctx.Err() != nil && (kind == Other || kind.Temporary()) {
		err = context.Cause(ctx)
	}
	e, ok := err.(*Error) // not errors.As: what was wrapped around it must not be lost
	if !ok {
		return &Error{Op: op, Key: key, Kind: KindOf(err), Err: err}
	}
	if e.Op != "" && (e.Key != "" || key == "") {
		return e
	}
	named := *e
	if named.Op == "" {
		named.Op = op
	}
	if named.Key == "" {
		named.Key = key
	}
	return &named
}
