package state

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"
)

// Audit says who did what to what. The records are a chain: each holds the hash of the one before.
type Audit struct {
	Seq                           int64     // set by the store: 1, 2, ... without gaps
	Time                          time.Time // zero stands for now
	Actor, Action, Object, Tenant string    // at most 255 bytes each
	Doc                           json.RawMessage
	Prev, Hash                    []byte // set by the store, 32 bytes each
}

// AuditFilter chooses records; empty fields choose all.
type AuditFilter struct {
	Tenant, Actor, Action string
	Since                 int64 // only those with a greater Seq
	From, To              time.Time
	Newest                bool // the last comes first
}

// AuditChain is where the chain begins and ends.
type AuditChain struct {
	Cut  int64  // the Seq of the last record that retention cut off; 0 if none was
	Last int64  // the Seq of the last record; 0 if there never was one
	Head []byte // the hash of the last record
}

// AuditError says where the audit log is not what was written. It matches ErrTampered.
type AuditError struct {
	Seq    int64 // of the first record that is wrong or missing
	Reason string
}

func (e *AuditError) Error() string {
	return fmt.Sprintf("%v: record %d: %s", ErrTampered, e.Seq, e.Reason)
}
func (e *AuditError) Unwrap() error { return ErrTampered }

var audits = kind[Audit]{
	name: "audit record", table: "audit", keys: 1,
	cols: []string{"seq", "time", "actor", "action", "object", "tenant", "doc", "prev", "hash"},
	fields: func(a *Audit) []field {
		return []field{
			number{&a.Seq},
			instant{&a.Time},
			text{p: &a.Actor, must: true},
			text{p: &a.Action, must: true},
			text{p: &a.Object},
			text{p: &a.Tenant},
			document{&a.Doc},
			blob{&a.Prev},
			blob{&a.Hash},
		}
	},
}

// chainRow is the one row that says where the chain begins and ends. The record behind the anchor has anchorHash as its Prev.
type chainRow struct {
	id, anchor int64
	anchorHash []byte
	head       int64
	headHash   []byte
}

var chains = kind[chainRow]{
	name: "audit chain", table: "audit_chain", keys: 1,
	cols: []string{"id", "anchor_seq", "anchor_hash", "head_seq", "head_hash"},
	fields: func(c *chainRow) []field {
		return []field{number{&c.id}, number{&c.anchor}, blob{&c.anchorHash}, number{&c.head}, blob{&c.headHash}}
	},
}

// loadChain returns the chain, and whether it has a row yet.
func loadChain(ctx context.Context, q queries) (chainRow, bool, error) {
	none := make([]byte, sha256.Size)
	c := chainRow{id: 1, anchorHash: none, headHash: none}
	err := chains.load(ctx, q, &c)
	if err == ErrNotFound {
		return c, false, nil
	}
	return c, true, err
}

// sum is the hash of a record: over a label and all fields, each with its length in front, so that no two records make the same input.
func (a *Audit) sum() []byte {
	h := sha256.New()
	part := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	part([]byte("tradewind audit 1"))
	part(binary.BigEndian.AppendUint64(nil, uint64(a.Seq)))
	part(binary.BigEndian.AppendUint64(nil, uint64(micros(a.Time))))
	for _, s := range []string{a.Actor, a.Action, a.Object, a.Tenant} {
		part([]byte(s))
	}
	part(a.Doc)
	part(a.Prev)
	return h.Sum(nil)
}

// AppendAudit adds a record to the end of the chain and returns it as it is kept. In an Update it stands or falls with what it tells of. Errors:
// ErrInvalid.
func (o ops) AppendAudit(ctx context.Context, a Audit) (Audit, error) {
	var made Audit
	err := o.write(ctx, func(q queries) error {
		c, there, err := loadChain(ctx, q)
		if err != nil {
			return err
		}
		made = a
		made.Seq, made.Prev, made.Hash = c.head+1, c.headHash, nil
		if made.Time.IsZero() {
			made.Time = o.now()
		}
		if err := audits.check(&made); err != nil {
			return err
		}
		made.Hash = made.sum()
		if err := audits.insert(ctx, q, []Audit{made}); err != nil {
			return err
		}
		if !there {
			c.head, c.headHash = made.Seq, made.Hash
			return chains.insert(ctx, q, []chainRow{c})
		}
		_, err = q.exec(ctx, "UPDATE audit_chain SET head_seq = ?, head_hash = ? WHERE id = 1", made.Seq, made.Hash)
		return err
	})
	if err != nil {
		return a, &Error{Op: "append", Kind: audits.name, Err: err}
	}
	return made, nil
}

// Audits returns a page of records in their order, and the cursor of the next page.
func (o ops) Audits(ctx context.Context, f AuditFilter, p Page) ([]Audit, string, error) {
	var w where
	w.is("tenant", f.Tenant)
	w.is("actor", f.Actor)
	w.is("action", f.Action)
	w.between("time", f.From, f.To)
	if f.Since > 0 {
		w.add("seq > ?", f.Since)
	}
	return list(ctx, o, &audits, w, newest(f.Newest, "seq"), p)
}

// AuditChain returns where the chain begins and ends. Who keeps it elsewhere can tell later that the log was not rewritten.
func (o ops) AuditChain(ctx context.Context) (AuditChain, error) {
	var c chainRow
	err := o.read(ctx, func(q queries) (err error) {
		c, _, err = loadChain(ctx, q)
		return err
	})
	return AuditChain{Cut: c.anchor, Last: c.head, Head: c.headHash}, err
}

// VerifyAudit reads the whole chain and returns where it begins and ends. An [AuditError] names the first record that was changed, put
// in or taken away, those at the end included.
//
// The chain has no secret. Who can write the file can compute all hashes anew, and only a head that was kept elsewhere shows that.
func (s *Store) VerifyAudit(ctx context.Context) (AuditChain, error) {
	var c AuditChain
	err := s.View(ctx, func(tx *Tx) (err error) {
		if c, err = tx.AuditChain(ctx); err != nil {
			return err
		}
		return tx.read(ctx, func(q queries) error {
			row, _, err := loadChain(ctx, q)
			if err != nil {
				return err
			}
			return verifyChain(ctx, tx, row)
		})
	})
	return c, err
}

func verifyChain(ctx context.Context, tx *Tx, c chainRow) error {
	l := link{c.anchor, c.anchorHash}
	cursor := ""
	for {
		as, next, err := tx.Audits(ctx, AuditFilter{}, Page{After: cursor, Limit: maxLimit})
		if err != nil {
			return err
		}
		for i := range as {
			if err := l.follow(&as[i]); err != nil {
				return err
			}
			if l.seq > c.head {
				return &AuditError{l.seq, fmt.Sprintf("it is behind record %d, which should be the last", c.head)}
			}
		}
		if next == "" {
			break
		}
		cursor = next
	}
	switch {
	case l.seq < c.head:
		return &AuditError{l.seq + 1, fmt.Sprintf("it and all up to record %d, which should be the last, are missing", c.head)}
	case !bytes.Equal(l.hash, c.headHash):
		return &AuditError{l.seq, "it is not the record that was written last"}
	}
	return nil
}

// link is a place in the chain: the last record that was looked at.
type link struct {
	seq  int64
	hash []byte
}

// follow goes on to the record, which must be the next one and unchanged.
func (l *link) follow(a *Audit) error {
	switch {
	case a.Seq <= l.seq:
		return &AuditError{a.Seq, fmt.Sprintf("it was cut off, up to record %d, and is there again", l.seq)}
	case a.Seq != l.seq+1:
		return &AuditError{l.seq + 1, "it is missing"}
	case !bytes.Equal(a.Hash, a.sum()):
		return &AuditError{a.Seq, "it is not what was written"}
	case !bytes.Equal(a.Prev, l.hash):
		return &AuditError{a.Seq, "it does not follow the record before"}
	}
	l.seq, l.hash = a.Seq, a.Hash
	return nil
}
