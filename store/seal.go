package store

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// ErrSeal means that a value was not sealed with a key that the program has, or not for its key
// in the store, or has been changed since.
var ErrSeal = errors.New("store: value cannot be unsealed")

// A Key encrypts values: 32 bytes from a random source, kept apart from the database and its
// backups. It prints as [redacted].
type Key [chacha20poly1305.KeySize]byte

// Format implements [fmt.Formatter] without the key.
func (Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// LogValue implements [slog.LogValuer] without the key.
func (Key) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText implements [encoding.TextMarshaler] without the key.
func (Key) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// A sealed value is the version, a random nonce of 24 bytes and the ciphertext
// with its tag of 16.
const (
	sealVersion  = 1
	sealHeader   = 1 + chacha20poly1305.NonceSizeX
	sealOverhead = sealHeader + chacha20poly1305.Overhead
)

// Sealed values must fit into what Validate allows.
const _ = uint(Overhead - sealOverhead)

type sealed struct {
	s    Store
	keys []cipher.AEAD // the first one seals, all of them open
}

// Seal returns a Store whose values are encrypted and authenticated with XChaCha20-Poly1305
// before they are written to s, each bound to its key in the store. A value that was not sealed
// so is refused with an error that wraps [ErrSeal]: it never counts as absent or empty.
//
// To rotate, pass the new key first and the older ones after it: values are read with any and
// written with the first. [Reseal] rewrites the rest; after that the older keys can be removed.
// If several nodes share a store, first give each of them the new key after the old one, so
// that it can read values that other nodes seal with it already; a node without the new key
// cannot read those.
//
// It protects the content of values against readers of the database, its replicas or backups,
// and against exchanging or editing values. It does not protect
//   - the keys, which hold digests, ids and names, nor how many there are;
//   - the sizes of values, when and in what order they change, what is written
//     together, and when they expire, which a writer of the database can also change;
//   - their presence: a writer of the database can delete values, put back
//     an old one where it was, or put back the whole of it;
//   - one store from another that has the same key, also below another [Sub]:
//     values can be carried over under the same name. Give each its own.
//
// A store that was used without a seal cannot be sealed in place, because a program that also
// accepted plain values would accept anyone's. [Copy] it into a sealed store that is empty; for a
// store of npmauth's, call CopyFrom of package subject, which calls Copy.
//
// Seal panics if a key is all zero, which means that it was never set.
func Seal(s Store, key Key, older ...Key) Store {
	sealer := &sealed{s: s}
	for _, k := range append([]Key{key}, older...) {
		if k == (Key{}) {
			panic("store: Seal with an all-zero key")
		}
		aead, err := chacha20poly1305.NewX(k[:])
		if err != nil {
			panic("store: " + err.Error()) // only for a key of another size
		}
		sealer.keys = append(sealer.keys, aead)
	}
	return sealer
}

// Unwrap returns the Store with the sealed values.
func (s *sealed) Unwrap() Store { return s.s }

func (s *sealed) Get(ctx context.Context, keys ...string) ([]Item, error) {
	items, err := s.s.Get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	if len(items) != len(keys) {
		return nil, fmt.Errorf("store: a get of %d keys returned %d items", len(keys), len(items))
	}
	for i := range items {
		items[i].Key = keys[i] // the value must be bound to the requested key
		if _, err := s.open(&items[i]); err != nil {
			return nil, err
		}
	}
	return items, nil
}

func (s *sealed) List(ctx context.Context, prefix, after string, limit int) ([]Item, error) {
	items, err := s.s.List(ctx, prefix, after, limit)
	if err != nil {
		return nil, err
	}
	for i := range items {
		if _, err := s.open(&items[i]); err != nil {
			return nil, err
		}
	}
	return items, nil
}

func (s *sealed) Commit(ctx context.Context, ops ...Op) (Revision, error) {
	if err := Validate(ops...); err != nil {
		return 0, err
	}
	ops = slices.Clone(ops)
	for i := range ops {
		if ops[i].Action != Put {
			continue
		}
		if len(ops[i].Value) > MaxValue {
			return 0, fmt.Errorf("%w: op %d: value of %d bytes, the limit is %d", ErrInvalid, i, len(ops[i].Value), MaxValue)
		}
		ops[i].Value = s.seal(ops[i].Key, ops[i].Value)
	}
	return s.s.Commit(ctx, ops...)
}

func (s *sealed) seal(key string, value []byte) []byte {
	out := make([]byte, sealHeader, sealOverhead+len(value))
	out[0] = sealVersion
	// Random nonces of 24 bytes do not repeat in any number of writes.
	_, _ = rand.Read(out[1:]) // never fails, see crypto/rand
	return s.keys[0].Seal(out, out[1:], value, []byte(key))
}

// open decrypts it.Value, and returns which key it was sealed with.
func (s *sealed) open(it *Item) (int, error) {
	if !it.Exists() {
		it.Value = nil
		return 0, nil
	}
	if len(it.Value) >= sealOverhead && it.Value[0] == sealVersion {
		nonce, text := it.Value[1:sealHeader], it.Value[sealHeader:]
		for i, k := range s.keys {
			if value, err := k.Open(nil, nonce, text, []byte(it.Key)); err == nil {
				it.Value = value
				return i, nil
			}
		}
	}
	return 0, fmt.Errorf("%w: it was changed, or sealed with another key", ErrSeal)
}

// Reseal rewrites every value of s that was sealed with an older key. s is a store made by
// [Seal] or a wrapper of one; all values of the sealed store are rewritten, also those outside
// a [Sub]. It may be interrupted and repeated, and run while s is in use.
//
// When it returns nil, and no node has sealed with an older key since before it began, only
// backups need the older keys. A value that none of the keys opens stays as it is and does not
// prevent the others from being rewritten; the error then wraps [ErrSeal] and names the first
// one.
//
// A value does not change, but has a new revision, as after any write: [Watch] reports it, and
// so does an [Observe] below the seal. An Observe above it does not; what a cache there has is
// still right, and a write at its older revision is a conflict.
func Reseal(ctx context.Context, s Store) error {
	sealer, ok := As[*sealed](s)
	if !ok {
		return fmt.Errorf("%w: the store has no seal", ErrInvalid)
	}
	var bad error
	for after := ""; ; {
		items, err := sealer.s.List(ctx, "", after, MaxLimit)
		if err != nil {
			return fmt.Errorf("store: reseal: %w", err)
		}
		for _, it := range items {
			after = it.Key
			switch err := sealer.reseal(ctx, it); {
			case errors.Is(err, ErrSeal):
				if bad == nil {
					bad = fmt.Errorf("store: reseal: %q and perhaps others: %w", it.Key, err)
				}
			case err != nil:
				return fmt.Errorf("store: reseal: %w", err)
			}
		}
		if len(items) < MaxLimit {
			return bad
		}
	}
}

// reseal rewrites it unless it is sealed with the first key. A conflict means that it was
// written meanwhile, perhaps with an older key.
func (s *sealed) reseal(ctx context.Context, it Item) error {
	for {
		used, err := s.open(&it)
		if err != nil || used == 0 {
			return err
		}
		_, err = s.Commit(ctx, Op{Key: it.Key, At: it.Revision, Action: Put, Value: it.Value, Expires: it.Expires})
		if !conflict(err) {
			return err
		}
		if it, err = getOne(ctx, s.s, it.Key); err != nil {
			return err
		}
	}
}
