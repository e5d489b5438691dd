package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

type sub struct {
	s      Store
	prefix string
}

// Sub returns a Store that keeps its keys below prefix in s, for a host that shares its engine.
// The longest key is then [MaxKey] less the prefix. The prefix should end with a separator,
// must not be the beginning of another prefix in use, and must be printable ASCII: otherwise
// every call fails.
//
// Sub separates names, not rights: a program that has s can read and change everything. Wrap it
// as Seal(Sub(s, prefix), key), so that the prefix may change; a value sealed the other way
// round is bound to the whole name.
func Sub(s Store, prefix string) Store {
	return &sub{s, prefix}
}

// Unwrap returns the Store that this one is a part of.
func (s *sub) Unwrap() Store { return s.s }

func (s *sub) Get(ctx context.Context, keys ...string) ([]Item, error) {
	if err := ValidateKeys(keys...); err != nil {
		return nil, err
	}
	long := make([]string, len(keys))
	for i, k := range keys {
		long[i] = s.prefix + k
	}
	items, err := s.s.Get(ctx, long...)
	if err != nil {
		return nil, err
	}
	return items, s.cut(items)
}

func (s *sub) List(ctx context.Context, prefix, after string, limit int) ([]Item, error) {
	if err := ValidateList(prefix, after, limit); err != nil {
		return nil, err
	}
	// After the prefix alone, which may be a key of the host's.
	items, err := s.s.List(ctx, s.prefix+prefix, s.prefix+after, limit)
	if err != nil {
		return nil, err
	}
	return items, s.cut(items)
}

// cut removes the prefix from the keys.
func (s *sub) cut(items []Item) error {
	for i := range items {
		key, ok := strings.CutPrefix(items[i].Key, s.prefix)
		if !ok {
			return fmt.Errorf("store: an item from outside the prefix %q", s.prefix)
		}
		items[i].Key = key
	}
	return nil
}

func (s *sub) Commit(ctx context.Context, ops ...Op) (Revision, error) {
	if err := Validate(ops...); err != nil {
		return 0, err
	}
	ops = slices.Clone(ops)
	for i := range ops {
		ops[i].Key = s.prefix + ops[i].Key
	}
	return s.s.Commit(ctx, ops...)
}
