package twofactor_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/twofactor"
)

func TestNewNamesTheFieldThatIsWrong(t *testing.T) {
	good := twofactor.Config{Store: store.NewMemory()}
	_, err := twofactor.New(good)
	require.NoError(t, err)
	for field, change := range map[string]func(*twofactor.Config){
		"Config.Store":     func(c *twofactor.Config) { c.Store = nil },
		"Config.HardLimit": func(c *twofactor.Config) { c.HardLimit = 101 },
		"Config.SoftLimit": func(c *twofactor.Config) { c.SoftLimit, c.HardLimit = 11, 10 },
	} {
		cfg := good
		change(&cfg)
		_, err := twofactor.New(cfg)
		assert.ErrorContains(t, err, field)
	}
	for _, change := range []func(*twofactor.Config){
		func(c *twofactor.Config) { c.HardLimit = -1 },
		func(c *twofactor.Config) { c.SoftLimit = -1 },
	} {
		cfg := good
		change(&cfg)
		_, err := twofactor.New(cfg)
		assert.Error(t, err)
	}
}

// The client gets no reason of a refusal.
func TestErrorsSayNothing(t *testing.T) {
	k := newKit(t)
	_, err := k.Begin(t.Context(), alice, login, secretOf("12345"))
	assert.EqualError(t, err, "twofactor: wrong code")
}
