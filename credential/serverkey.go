package credential

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/npmauth/npmauth/store"
)

// A ServerKey is one random key that all nodes of a registry share, from which the keys for
// several purposes are derived. The first node that needs it creates it in the store; each node
// reads it once and then keeps it. It is safe for concurrent use.
//
// The key is readable for everybody who can read the store, unless store.Seal encrypts it.
type ServerKey struct {
	store store.Store
	key   string
	root  atomic.Pointer[[32]byte]
}

// NewServerKey returns the key with that name in s. Nothing is read before
// [ServerKey.Derive] is called. The name is printable ASCII. Without a store, every Derive is an
// error.
func NewServerKey(s store.Store, name string) *ServerKey {
	return &ServerKey{store: s, key: "serverkey/" + name}
}

// Derive returns the key for a purpose: the same on all nodes and after a restart, and
// independent of the keys for other purposes.
func (k *ServerKey) Derive(ctx context.Context, purpose string) ([32]byte, error) {
	var derived [32]byte
	if k == nil || k.store == nil {
		return derived, errors.New("credential: server key: there is no store")
	}
	root := k.root.Load()
	if root == nil {
		var err error
		if root, err = k.load(ctx); err != nil {
			return derived, fmt.Errorf("credential: server key: %w", err)
		}
		k.root.Store(root)
	}
	out, err := hkdf.Key(sha256.New, root[:], nil, purpose, len(derived))
	if err != nil {
		return derived, fmt.Errorf("credential: server key: %w", err)
	}
	copy(derived[:], out)
	return derived, nil
}

// serverKeyVersion is the first byte of the record.
const serverKeyVersion = 1

func (k *ServerKey) load(ctx context.Context) (*[32]byte, error) {
	root, err := k.read(ctx)
	if root != nil || err != nil {
		return root, err
	}
	value := make([]byte, 1+32)
	value[0] = serverKeyVersion
	rand.Read(value[1:])
	_, err = k.store.Commit(ctx, store.Op{Key: k.key, At: store.Absent, Action: store.Put, Value: value})
	if err != nil && !errors.Is(err, store.ErrConflict) {
		// An unknown outcome too: the next call reads the result.
		return nil, err
	}
	// Read back in every case, so that the key in use is the one that is stored and not the one
	// that this node wrote.
	root, err = k.read(ctx)
	if root == nil && err == nil {
		err = errors.New("it was deleted as soon as it was made")
	}
	return root, err
}

// read returns nil if there is no key yet.
func (k *ServerKey) read(ctx context.Context) (*[32]byte, error) {
	items, err := k.store.Get(ctx, k.key)
	if err != nil {
		return nil, err
	}
	if len(items) != 1 {
		return nil, errors.New("the store answered with another number of items")
	}
	it := items[0]
	if !it.Exists() {
		return nil, nil
	}
	if len(it.Value) != 1+32 || it.Value[0] != serverKeyVersion {
		return nil, errors.New("the stored record is not one of this version")
	}
	return (*[32]byte)(it.Value[1:]), nil
}
