package etcd_test

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/npmauth/npmauth/store/etcd"
)

func TestOpenRefuses(t *testing.T) {
	some := []string{"http://127.0.0.1:1"}
	for name, tt := range map[string]struct {
		cfg  etcd.Config
		want string
	}{
		"no endpoints":              {etcd.Config{}, "Endpoints"},
		"an endpoint without TLS's": {etcd.Config{Endpoints: []string{"etcd-1.example:2379"}}, "Endpoints"},
		"a socket":                  {etcd.Config{Endpoints: []string{"unix:///run/etcd.sock"}}, "Endpoints"},
		"http and https":            {etcd.Config{Endpoints: []string{"http://etcd-1.example:2379", "https://etcd-2.example:2379"}}, "Endpoints"},
		"TLS over http":             {etcd.Config{Endpoints: some, TLS: &tls.Config{}}, "TLS"},
		"no password":               {etcd.Config{Endpoints: some, Username: "npmauth"}, "Password"},
		"no user":                   {etcd.Config{Endpoints: some, Password: "secret"}, "Username"},
		"negative timeout":          {etcd.Config{Endpoints: some, Timeout: -1}, "Timeout"},
		"prefix without slash":      {etcd.Config{Endpoints: some, Prefix: "npmauth"}, "Prefix"},
		"prefix not ASCII":          {etcd.Config{Endpoints: some, Prefix: "ü/"}, "Prefix"},
		"prefix with NUL":           {etcd.Config{Endpoints: some, Prefix: "a\x00/"}, "Prefix"},
		"prefix too long":           {etcd.Config{Endpoints: some, Prefix: strings.Repeat("x", 128) + "/"}, "Prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := etcd.Open(t.Context(), tt.cfg)
			assert.ErrorContains(t, err, tt.want)
			assert.NotContains(t, err.Error(), "secret")
		})
	}
}

// Open fails if there is no cluster, within the context or the timeout, with and without a
// password.
func TestOpenFails(t *testing.T) {
	for name, cfg := range map[string]etcd.Config{
		"plain": {Endpoints: []string{"http://127.0.0.1:1"}}, "password": {Endpoints: []string{"http://127.0.0.1:1"}, Username: "a", Password: "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := etcd.Open(ctx, cfg)
			assert.ErrorIs(t, err, context.DeadlineExceeded, "context")

			ctx, cancel = context.WithCancel(t.Context())
			cancel()
			_, err = etcd.Open(ctx, cfg)
			assert.ErrorIs(t, err, context.Canceled)

			cfg.Timeout = 50 * time.Millisecond
			_, err = etcd.Open(t.Context(), cfg)
			assert.ErrorIs(t, err, context.DeadlineExceeded, "timeout")
		})
	}
}

func TestNewRefuses(t *testing.T) {
	_, err := etcd.New(clientv3.NewCtxClient(t.Context()), "")
	assert.Error(t, err, "no connection")
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://127.0.0.1:1"}})
	require.NoError(t, err)
	defer client.Close()
	_, err = etcd.New(client, "npmauth")
	assert.ErrorContains(t, err, "Prefix")
}
