package postgres_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/postgres"
	"github.com/npmauth/npmauth/store/storetest"
)

func open(t testing.TB, dsn, schema string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.With(dsn, "pool_max_conns", "6"), postgres.Config{Schema: schema})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

func conforms(t *testing.T, dsn string) {
	var opened sync.Map // the schemas of the stores that are open
	storetest.Run(t, storetest.Config{
		Open: func(t *testing.T) store.Store {
			schema := postgres.NewSchema()
			s := open(t, dsn, schema)
			opened.Store(store.Store(s), schema)
			return s
		},
		Reopen: func(t *testing.T, s store.Store) store.Store {
			schema, ok := opened.Load(s)
			require.True(t, ok)
			return open(t, dsn, schema.(string))
		},
	})
}

func TestStore(t *testing.T) { conforms(t, postgres.DSN(t)) }
