package state

import (
	"context"
	"database/sql"
	"sync"
)

// Which statements are kept compiled: compiling a read of a row or a page takes as long as running it. Those with many arguments come in as many shapes as there are numbers of arguments.
const (
	maxPrepared     = 128
	maxPreparedArgs = 8
)

// prepared keeps the statements of a database compiled, each for every connection that has run it. It may be used by several goroutines at once. Statements go with the database, when that is closed.
type prepared struct {
	*sql.DB
	mu    sync.Mutex // guards stmts
	stmts map[string]*sql.Stmt
}

func newPrepared(db *sql.DB) *prepared { return &prepared{DB: db, stmts: map[string]*sql.Stmt{}} }

// QueryContext is that of the database.
func (p *prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := p.stmt(ctx, query, len(args))
	if err != nil {
		return nil, err
	}
	if s == nil {
		return p.DB.QueryContext(ctx, query, args...)
	}
	return s.QueryContext(ctx, args...)
}

// stmt returns a compiled statement, nil for one that is not kept.
func (p *prepared) stmt(ctx context.Context, query string, args int) (*sql.Stmt, error) {
	if args > maxPreparedArgs {
		return nil, nil
	}
	p.mu.Lock()
	s, full := p.stmts[query], len(p.stmts) >= maxPrepared
	p.mu.Unlock()
	if s != nil || full {
		return s, nil
	}
	s, err := p.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	other := p.stmts[query]
	if other == nil {
		p.stmts[query] = s
	}
	p.mu.Unlock()
	if other != nil { // somebody was faster
		return other, s.Close()
	}
	return s, nil
}
