package postgres_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/npmauth/npmauth/store/postgres"
)

// TestMain makes a database for this run and drops it at the end, or runs what
// another process is to do.
func TestMain(m *testing.M) {
	if schema, dsn, ok := strings.Cut(os.Getenv("NPMAUTH_POSTGRES_TEST"), " "); ok {
		if err := be(schema, dsn); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dsn := cmp.Or(os.Getenv("NPMAUTH_POSTGRES"), "host=127.0.0.1 port=5432 user=postgres dbname=postgres sslmode=disable")
	name := "npmauth_test_" + strings.ToLower(rand.Text())
	err := admin(ctx, dsn, "CREATE DATABASE "+name+" TEMPLATE template0")
	if err != nil {
		postgres.Database.Missing = err.Error()
		return m.Run()
	}
	postgres.Database.DSN = postgres.With(dsn, "dbname", name)
	code := m.Run()
	ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := admin(ctx, dsn, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	return code
}

func admin(ctx context.Context, dsn, query string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, query)
	return err
}
