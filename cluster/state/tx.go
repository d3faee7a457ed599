package state

import (
	"context"
	"time"
)

// Tx is a transaction that [Store.Update] or [Store.View] runs. It has all operations on records that a Store has, and is used by one
// goroutine, while the function that was given it runs.
type Tx struct {
	ops
}

func newTx(q queries, writes bool, now func() time.Time) *Tx {
	within := func(_ context.Context, fn func(q queries) error) error { return fn(q) }
	refuse := func(context.Context, func(q queries) error) error { return ErrReadOnly }
	if !writes {
		return &Tx{ops{read: within, write: refuse, now: now}}
	}
	return &Tx{ops{read: within, write: within, now: now}}
}

// Update runs fn in one transaction: all that it wrote is durable when Update returns nil, and none of it is there otherwise. No other writer
// comes between. When others kept the database locked, fn is run again, so it should do nothing but work on tx. An error of fn
// is returned as it is.
//
// When the database refuses a statement, as with ErrExists, ErrReference or ErrFull, the transaction is lost: nothing of it is
// committed, and Update returns that error even if fn does not.
//
// Inside fn, use tx. A method of the Store that writes would wait for this very transaction to end.
func (s *Store) Update(ctx context.Context, fn func(tx *Tx) error) error {
	return s.transact(ctx, s.writer, &s.d.update, func(q queries) error {
		return fn(newTx(q, true, s.now))
	})
}

// View runs fn in one transaction that only reads: all that it reads is of the same moment. Writers go on meanwhile, and what they write
// cannot be folded into the database before fn returns, so that long views make the write-ahead log grow. Like that of Update, fn may be run again.
func (s *Store) View(ctx context.Context, fn func(tx *Tx) error) error {
	return s.transact(ctx, s.reader, &s.d.view, func(q queries) error {
		return fn(newTx(q, false, s.now))
	})
}
