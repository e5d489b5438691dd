package stage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/stage"
	"github.com/npmauth/npmauth/store"
)

var widget = protocol.PackageName{Scope: "acme", Name: "widget"}

// A kit is a Manager whose clock stands still unless it is moved.
type kit struct {
	t      *testing.T
	store  *store.Memory
	now    time.Time
	m      *stage.Manager
	mu     sync.Mutex
	events []audit.Event // guarded by mu
}

func (k *kit) Record(_ context.Context, e audit.Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.events = append(k.events, e)
}

func newKit(t *testing.T, change ...func(*stage.Config)) *kit {
	t.Helper()
	k := &kit{t: t, store: store.NewMemory(), now: time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)}
	cfg := stage.Config{Store: k.store, Now: func() time.Time { return k.now }, Events: audit.NewRecorder(audit.RecorderConfig{Sink: k})}
	for _, f := range change {
		f(&cfg)
	}
	m, err := stage.New(cfg)
	require.NoError(t, err)
	k.m = m
	return k
}

var alice = audit.Actor{User: "u-alice", Credential: "c1"}

// of is a version of widget that alice stages.
func of(version string) stage.Version {
	return stage.Version{
		Package: widget, PackageID: "p-1", Change: protocol.Change{Version: version, Tags: map[string]string{"latest": version}, Integrity: "sha512-AA=="},
		By: stage.Stager{User: "u-alice", Name: "alice", Credential: "c1"},
	}
}

func (k *kit) add(v stage.Version) (added stage.Version, err error) {
	err = store.Transact(k.t.Context(), k.store, func(tx *store.Tx) (err error) {
		added, err = k.m.AddTx(k.t.Context(), tx, alice, v)
		return err
	})
	return added, err
}

func (k *kit) must(v stage.Version) stage.Version {
	k.t.Helper()
	added, err := k.add(v)
	require.NoError(k.t, err)
	return added
}

func (k *kit) approve(id string, user protocol.UserID, needed int) (v stage.Version, done bool, err error) {
	err = store.Transact(k.t.Context(), k.store, func(tx *store.Tx) (err error) {
		v, done, err = k.m.ApproveTx(k.t.Context(), tx, audit.Actor{User: user}, id, stage.Approval{User: user, Name: string(user), Proof: policy.ProofTOTP}, needed, nil)
		return err
	})
	return v, done, err
}

func (k *kit) reject(id string) error {
	return store.Transact(k.t.Context(), k.store, func(tx *store.Tx) error {
		_, err := k.m.RejectTx(k.t.Context(), tx, alice, id, "")
		return err
	})
}

func (k *kit) list(pkg protocol.PackageName) (versions []string) {
	k.t.Helper()
	for after := ""; ; {
		page, next, err := k.m.List(k.t.Context(), nil, pkg, after, 2)
		require.NoError(k.t, err)
		for _, v := range page {
			versions = append(versions, v.Package.String()+"@"+v.Change.Version)
		}
		if after = next; after == "" {
			return versions
		}
	}
}

func TestStage(t *testing.T) {
	k := newKit(t)
	v := k.must(of("1.0.0"))
	assert.Equal(t, k.now.Add(14*24*time.Hour), v.Expires)
	got, err := k.m.Get(t.Context(), nil, v.ID)
	require.NoError(t, err)
	assert.Equal(t, v, got)
	assert.Equal(t, policy.Staged{By: "u-alice"}, got.Staged())

	_, err = k.add(of("1.0.0"))
	assert.ErrorIs(t, err, stage.ErrStaged)
	k.now = k.now.Add(time.Second)
	k.must(of("1.1.0"))
	other := of("1.0.0")
	other.Package, other.PackageID = protocol.PackageName{Name: "plain"}, ""
	k.now = k.now.Add(time.Second)
	k.must(other)
	again := of("1.0.0")
	again.PackageID = "p-2"
	k.now = k.now.Add(time.Second)
	k.must(again)
	assert.Equal(t, []string{"@acme/widget@1.0.0", "@acme/widget@1.1.0", "@acme/widget@1.0.0"}, k.list(widget))
	assert.Equal(t, []string{"@acme/widget@1.0.0", "plain@1.0.0", "@acme/widget@1.1.0", "@acme/widget@1.0.0"}, k.list(protocol.PackageName{}))

	require.NoError(t, k.reject(v.ID))
	assert.ErrorIs(t, k.reject(v.ID), stage.ErrNotFound)
	_, err = k.m.Get(t.Context(), nil, v.ID)
	assert.ErrorIs(t, err, stage.ErrNotFound)
	k.must(of("1.0.0"))
	var types []audit.Type
	for _, e := range k.events {
		types = append(types, e.Type)
	}
	assert.Equal(t, []audit.Type{audit.VersionStaged, audit.VersionStaged, audit.VersionStaged, audit.VersionStaged, audit.VersionRejected, audit.VersionStaged}, types)
	assert.Equal(t, v.ID, k.events[0].Detail["id"])
}

// One person counts once, and it takes as many as are needed.
func TestApprove(t *testing.T) {
	k := newKit(t)
	v := k.must(of("1.0.0"))
	for _, step := range []struct {
		user protocol.UserID
		n    int
		done bool
	}{{"u-bob", 1, false}, {"u-bob", 1, false}, {"u-carol", 2, true}, {"u-carol", 2, true}, {"u-dave", 2, true}} {
		got, done, err := k.approve(v.ID, step.user, 2)
		require.NoError(t, err)
		assert.Len(t, got.Approvals, step.n)
		assert.Equal(t, step.done, done)
	}
	got, err := k.m.Get(t.Context(), nil, v.ID)
	require.NoError(t, err)
	assert.Equal(t, []protocol.UserID{"u-bob", "u-carol"}, got.Staged().Approvals)
	assert.Equal(t, policy.ProofTOTP, got.Approvals[0].Proof)
	_, done, err := k.approve(k.must(of("1.1.0")).ID, "u-bob", 0)
	require.NoError(t, err)
	assert.True(t, done, "no number is one")
	_, _, err = k.approve(stage.NewID(), "u-bob", 1)
	assert.ErrorIs(t, err, stage.ErrNotFound)
	_, _, err = k.approve(v.ID, "", 1)
	assert.Error(t, err)

	published := func() error {
		return store.Transact(t.Context(), k.store, func(tx *store.Tx) error { return k.m.PublishedTx(t.Context(), tx, v.ID) })
	}
	require.NoError(t, published())
	require.NoError(t, published(), "sent again")
	_, err = k.m.Get(t.Context(), nil, v.ID)
	assert.ErrorIs(t, err, stage.ErrNotFound)
}

// What has expired is not there any more, also before it is swept, and its version can be staged anew.
func TestExpiry(t *testing.T) {
	k := newKit(t, func(cfg *stage.Config) { cfg.TTL, cfg.Versions = time.Hour, 1 })
	v := k.must(of("1.0.0"))
	_, err := k.add(of("1.1.0"))
	assert.ErrorIs(t, err, stage.ErrTooMany)
	k.now = v.Expires.Add(-1)
	_, err = k.m.Get(t.Context(), nil, v.ID)
	require.NoError(t, err)
	k.now = v.Expires
	_, err = k.m.Get(t.Context(), nil, v.ID)
	assert.ErrorIs(t, err, stage.ErrNotFound)
	assert.Empty(t, k.list(widget))
	_, _, err = k.approve(v.ID, "u-bob", 1)
	assert.ErrorIs(t, err, stage.ErrNotFound)
	assert.ErrorIs(t, k.reject(v.ID), stage.ErrNotFound)
	again := k.must(of("1.0.0"))
	assert.NotEqual(t, v.ID, again.ID)
	assert.Equal(t, []string{"@acme/widget@1.0.0"}, k.list(widget))
	require.NoError(t, k.reject(again.ID))
	k.must(of("1.1.0"))
}

// What has ended leaves nothing behind: no count of a package that has nothing staged, whose name anybody may have chosen.
func TestNothingStays(t *testing.T) {
	k := newKit(t, func(cfg *stage.Config) { cfg.Versions = 2 })
	first, second := k.must(of("1.0.0")), k.must(of("1.1.0"))
	require.NoError(t, k.reject(first.ID))
	third := k.must(of("1.2.0"))
	_, err := k.add(of("1.3.0"))
	require.ErrorIs(t, err, stage.ErrTooMany, "one that was rejected counts no more, and the others do")
	require.NoError(t, k.reject(second.ID))
	require.NoError(t, store.Transact(t.Context(), k.store, func(tx *store.Tx) error { return k.m.PublishedTx(t.Context(), tx, third.ID) }))
	left, err := k.store.List(t.Context(), "stage", "", store.MaxLimit)
	require.NoError(t, err)
	assert.Empty(t, left)
}

// There is no end of names that no package has: what a user stages for them counts together, and for nobody else.
func TestFreeNamesCountTogether(t *testing.T) {
	k := newKit(t, func(cfg *stage.Config) { cfg.Versions = 2 })
	free := func(name, user string) stage.Version {
		v := of("1.0.0")
		v.Package, v.PackageID, v.By.User = protocol.PackageName{Name: name}, "", protocol.UserID(user)
		return v
	}
	first := k.must(free("a", "u-alice"))
	k.must(free("b", "u-alice"))
	_, err := k.add(free("c", "u-alice"))
	require.ErrorIs(t, err, stage.ErrTooMany)
	k.must(free("c", "u-bob"))
	k.must(free("a", "u-bob"))
	k.must(of("1.0.0"))
	require.NoError(t, k.reject(first.ID))
	k.must(free("c", "u-alice"))
	_, err = k.add(free("c", "u-alice"))
	require.ErrorIs(t, err, stage.ErrStaged)
}

// A name, a version and a user are each as long as they may be.
func TestLongest(t *testing.T) {
	k := newKit(t)
	v := of("1.0.0-" + strings.Repeat("a", 250))
	v.Package, v.PackageID, v.By.User = protocol.PackageName{Scope: strings.Repeat("b", 100), Name: strings.Repeat("c", 112)}, "", protocol.UserID(strings.Repeat("d", 214))
	v = k.must(v)
	require.NoError(t, k.reject(v.ID))
}

// Of several who stage one version at once, one does; of several who approve, each counts.
func TestAtOnce(t *testing.T) {
	k := newKit(t)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { _, errs[i] = k.add(of("1.0.0")) })
	}
	wg.Wait()
	staged := 0
	for _, err := range errs {
		if err == nil {
			staged++
		} else {
			require.True(t, errors.Is(err, stage.ErrStaged) || errors.Is(err, store.ErrConflict), "%v", err)
		}
	}
	assert.Equal(t, 1, staged)
	page, _, err := k.m.List(t.Context(), nil, widget, "", 10)
	require.NoError(t, err)
	for i := range 4 {
		wg.Go(func() { _, _, _ = k.approve(page[0].ID, protocol.UserID(fmt.Sprint("u-", i)), 9) })
	}
	wg.Wait()
	got, err := k.m.Get(t.Context(), nil, page[0].ID)
	require.NoError(t, err)
	assert.Len(t, got.Approvals, 4)
}

// A version by a trusted publisher has no user.
func TestByPublisher(t *testing.T) {
	k := newKit(t)
	v := of("1.0.0")
	v.By = stage.Stager{Publisher: "x", Type: "github", Issuer: "https://ci.acme.test", Run: map[string]string{"ref": "refs/heads/main"}}
	v = k.must(v)
	got, err := k.m.Get(t.Context(), nil, v.ID)
	require.NoError(t, err)
	assert.Equal(t, v.By, got.By)
	assert.Empty(t, got.Staged().By)
	assert.Equal(t, "x", k.events[0].Detail["publisher"])
}

func TestIncomplete(t *testing.T) {
	k := newKit(t)
	for name, change := range map[string]func(*stage.Version){
		"no package": func(v *stage.Version) { v.Package = protocol.PackageName{} },
		"no version": func(v *stage.Version) { v.Change.Version = "" },
		"no stager":  func(v *stage.Version) { v.By = stage.Stager{} },
		"no UUID":    func(v *stage.Version) { v.ID = "x" },
	} {
		v := of("1.0.0")
		change(&v)
		_, err := k.add(v)
		assert.Error(t, err, name)
	}
	assert.Empty(t, k.list(protocol.PackageName{}))
	assert.Empty(t, stage.Key("x"))
	v := k.must(of("1.0.0"))
	it, err := k.store.Get(t.Context(), stage.Key(v.ID))
	require.NoError(t, err)
	assert.True(t, it[0].Exists())
	_, err = k.store.Commit(t.Context(), store.Op{Key: it[0].Key, At: it[0].Revision, Action: store.Put, Value: []byte(`{"v":1,"data":{}}`)})
	require.NoError(t, err)
	_, err = k.m.Get(t.Context(), nil, v.ID)
	require.Error(t, err)
	assert.NotErrorIs(t, err, stage.ErrNotFound, "what cannot be read is not absent")
}

func TestConfig(t *testing.T) {
	for name, cfg := range map[string]stage.Config{
		"Store": {}, "TTL": {Store: store.NewMemory(), TTL: time.Second}, "TTL must": {Store: store.NewMemory(), TTL: 91 * 24 * time.Hour},
		"Versions": {Store: store.NewMemory(), Versions: -1}, "Versions must": {Store: store.NewMemory(), Versions: 1001},
	} {
		_, err := stage.New(cfg)
		assert.ErrorContains(t, err, name)
	}
	_, err := stage.New(stage.Config{Store: store.NewMemory()})
	assert.NoError(t, err)
}

func Example() {
	st := store.NewMemory()
	m, err := stage.New(stage.Config{Store: st})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	v := stage.Version{
		Package: protocol.PackageName{Scope: "acme", Name: "widget"}, PackageID: "p-1",
		Change: protocol.Change{Version: "1.0.0"}, By: stage.Stager{User: "u-alice", Name: "alice"},
	}
	err = store.Transact(ctx, st, func(tx *store.Tx) (err error) {
		v, err = m.AddTx(ctx, tx, audit.Actor{User: "u-alice"}, v)
		return err
	})
	fmt.Println(err)
	err = store.Transact(ctx, st, func(tx *store.Tx) error {
		_, done, err := m.ApproveTx(ctx, tx, audit.Actor{User: "u-bob"}, v.ID, stage.Approval{User: "u-bob", Name: "bob", Proof: policy.ProofTOTP}, 1, nil)
		fmt.Println("to be published:", done)
		return err
	})
	fmt.Println(err)
	// Output:
	// <nil>
	// to be published: true
	// <nil>
}
