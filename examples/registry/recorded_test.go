package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A recorder keeps the statements that a database runs.
type recorder struct {
	driver driver.Driver
	dsn    string

	mu         sync.Mutex
	statements []string // guarded by mu
}

// record has the statements of d recorded from now on.
func record(t *testing.T, d *database) *recorder {
	t.Helper()
	var path string
	require.NoError(t, d.db.QueryRow(`SELECT file FROM pragma_database_list WHERE name = 'main'`).Scan(&path))
	rec := &recorder{driver: d.db.Driver(), dsn: dataSource(path)}
	was := d.db
	d.db = sql.OpenDB(rec)
	t.Cleanup(func() { assert.NoError(t, was.Close()) })
	return rec
}

// take returns the statements since the last call.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.statements
	r.statements = nil
	return was
}

func (r *recorder) add(statement string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.statements = append(r.statements, statement)
}

// Connect implements [driver.Connector].
func (r *recorder) Connect(context.Context) (driver.Conn, error) {
	c, err := r.driver.Open(r.dsn)
	if err != nil {
		return nil, err
	}
	return recordedConn{c, r}, nil
}

// Driver implements [driver.Connector].
func (r *recorder) Driver() driver.Driver { return r.driver }

// A recordedConn records what database/sql has a connection of SQLite do.
type recordedConn struct {
	driver.Conn
	to *recorder
}

func (c recordedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.to.add(query)
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c recordedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.to.add(query)
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c recordedConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.to.add(query)
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

func (c recordedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	c.to.add("BEGIN")
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
}
