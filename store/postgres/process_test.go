package postgres_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/postgres"
)

const increments = 50

// be is the task of another process: it adds to the counter.
func be(schema, dsn string) error {
	ctx := context.Background()
	s, err := postgres.Open(ctx, dsn, postgres.Config{Schema: schema})
	if err != nil {
		return err
	}
	return errors.Join(add(ctx, s), s.Close())
}

// add adds to the counter, each time at the revision it read.
func add(ctx context.Context, s store.Store) error {
	for range increments {
		for {
			items, err := s.Get(ctx, "count")
			if err != nil {
				return err
			}
			n := 0
			if items[0].Exists() {
				if n, err = strconv.Atoi(string(items[0].Value)); err != nil {
					return err
				}
			}
			_, err = s.Commit(ctx, put("count", strconv.Itoa(n+1), items[0].Revision))
			if err == nil {
				break
			}
			if !errors.Is(err, store.ErrConflict) {
				return err
			}
		}
	}
	return nil
}

// Processes that change one row at once lose nothing, and all of them may find an empty
// database (ST-10).
func TestProcesses(t *testing.T) {
	dsn, schema := postgres.DSN(t), postgres.NewSchema()
	self, err := os.Executable()
	require.NoError(t, err)
	var others []*exec.Cmd
	for range 2 {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), "NPMAUTH_POSTGRES_TEST="+schema+" "+dsn)
		cmd.Stderr = os.Stderr
		require.NoError(t, cmd.Start())
		others = append(others, cmd)
	}
	s := open(t, dsn, schema)
	assert.NoError(t, add(t.Context(), s))
	for _, cmd := range others {
		assert.NoError(t, cmd.Wait())
	}
	assert.Equal(t, strconv.Itoa(3*increments), string(get(t, s, "count").Value))
}

// ST-10
func TestOpenAtOnce(t *testing.T) {
	dsn, schema := postgres.DSN(t), postgres.NewSchema()
	var done sync.WaitGroup
	for i := range 8 {
		done.Go(func() {
			s, err := postgres.Open(t.Context(), postgres.With(dsn, "pool_max_conns", "1"), postgres.Config{Schema: schema})
			if !assert.NoError(t, err) {
				return
			}
			_, err = s.Commit(t.Context(), put(strconv.Itoa(i), "x", store.Absent))
			assert.NoError(t, err)
			assert.NoError(t, s.Close())
		})
	}
	done.Wait()
	items, err := open(t, dsn, schema).List(t.Context(), "", "", 100)
	require.NoError(t, err)
	assert.Len(t, items, 8)
}
