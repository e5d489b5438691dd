package main

import (
	"bytes"
	"flag"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOptions(t *testing.T) {
	var out bytes.Buffer
	o, err := parseOptions(nil, &out)
	require.NoError(t, err, out.String())
	assert.Equal(t, options{addr: "127.0.0.1:4873", store: localPostgres, defaultStore: true, data: "npm-cluster", nodes: 3}, o)

	o, err = parseOptions([]string{"-store", "etcd://db.example:2379", "-nodes", "5", "-data", "d", "--", "-seed", "alice:a"}, &out)
	require.NoError(t, err, out.String())
	assert.False(t, o.defaultStore)
	assert.Equal(t, []string{
		"-url", "http://127.0.0.1:1/", "-data", "d", "-store", "etcd://db.example:2379", "-trust-proxy", "127.0.0.1", "-seed", "alice:a",
	}, o.flags("http://127.0.0.1:1/"))
}

func TestBase(t *testing.T) {
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4900}
	for addr, want := range map[string]string{
		"localhost:0": "http://localhost:4900/", "127.0.0.1:0": "http://127.0.0.1:4900/", "[::1]:4900": "http://[::1]:4900/",
	} {
		assert.Equal(t, want, options{addr: addr}.base(at))
	}
}

func TestOptionsRefused(t *testing.T) {
	for want, args := range map[string][]string{
		`-addr ":80": must be host:port`: {"-addr", ":80"},
		"-nodes 0: must be 1 to 26":      {"-nodes", "0"},
		"-store memory: each node has":   {"-store", "memory:"},
		"not defined: -seed":             {"-seed", "alice:a"},
	} {
		var out bytes.Buffer
		_, err := parseOptions(args, &out)
		assert.ErrorIs(t, err, errUsage)
		assert.Contains(t, out.String(), want)
	}
	var out bytes.Buffer
	_, err := parseOptions([]string{"-h"}, &out)
	assert.ErrorIs(t, err, flag.ErrHelp)
	assert.Contains(t, out.String(), "PGPASSWORD")
}
