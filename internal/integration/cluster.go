package integration

import (
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A Cluster is examples/cluster as a process of its own, with three registries that
// it runs: to a client, one registry.
type Cluster struct{ *Registry }

// StartCluster runs a cluster on a store, named as -store does, until the test
// ends. args are flags of its registries.
func StartCluster(t testing.TB, at string, args ...string) Cluster {
	t.Helper()
	flags := append([]string{"-registry", registryProgram, "-store", at, "--"}, args...)
	return Cluster{start(t, 1, clusterProgram, flags)[0]}
}

var nodeLine = regexp.MustCompile(`(?m)^  ([a-z])  (http://\S+)  pid (\d+)$`)

// Nodes returns the addresses of its nodes, by their names.
func (c Cluster) Nodes() map[string]string {
	c.t.Helper()
	nodes := make(map[string]string)
	for _, line := range c.lines() {
		nodes[line[1]] = line[2]
	}
	return nodes
}

// KillNode ends a node that has run from the beginning, as a power cut does.
func (c Cluster) KillNode(name string) {
	c.t.Helper()
	for _, line := range c.lines() {
		if line[1] == name {
			pid, err := strconv.Atoi(line[3])
			require.NoError(c.t, err)
			require.NoError(c.t, syscall.Kill(pid, syscall.SIGKILL))
			return
		}
	}
	c.t.Fatalf("there is no node %s", name)
}

// lines returns what the cluster printed of each node.
func (c Cluster) lines() [][]string {
	c.t.Helper()
	var lines [][]string
	require.Eventually(c.t, func() bool {
		lines = nodeLine.FindAllStringSubmatch(c.Greeting(), -1)
		return len(lines) == 3
	}, patience, 10*time.Millisecond)
	return lines
}
