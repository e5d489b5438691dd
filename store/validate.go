package store

import (
	"fmt"
	"strings"
)

// The limits of the contract. A backend enforces them with [Validate],
// [ValidateKeys] and [ValidateList], so that what one backend accepts every
// backend accepts.
const (
	MaxKey   = 512      // bytes of a key
	MaxValue = 64 << 10 // bytes of a value, before [Seal]
	MaxOps   = 64       // ops of a Commit
	MaxKeys  = 100      // keys of a Get
	MaxLimit = 100      // items of a List page

	// Overhead is how many bytes longer than MaxValue a value may be when it reaches a backend:
	// for wrappers such as [Seal].
	Overhead = 64
)

// Validate returns an error that wraps [ErrInvalid] unless ops may be the arguments of a
// Commit: 1 to [MaxOps] ops, each with a key of its own that [ValidateKeys] accepts, a known
// action, and a revision that is [Absent], [Any] or positive. Only a Put may have a Value (up
// to [MaxValue] + [Overhead] bytes) or Expires: another op with one has lost its action. A
// Check at Any would check nothing and is refused too.
func Validate(ops ...Op) error {
	if len(ops) == 0 || len(ops) > MaxOps {
		return fmt.Errorf("%w: a commit has 1 to %d ops, not %d", ErrInvalid, MaxOps, len(ops))
	}
	for i := range ops {
		op := &ops[i]
		if err := validKey(op.Key); err != nil {
			return fmt.Errorf("%w: op %d: %s", ErrInvalid, i, err)
		}
		if op.At < Any {
			return fmt.Errorf("%w: op %d: revision %d", ErrInvalid, i, op.At)
		}
		switch op.Action {
		case Put:
			if len(op.Value) > MaxValue+Overhead {
				return fmt.Errorf("%w: op %d: value of %d bytes, the limit is %d", ErrInvalid, i, len(op.Value), MaxValue)
			}
		case Check, Delete:
			if op.Value != nil || !op.Expires.IsZero() {
				return fmt.Errorf("%w: op %d: only a put has a value or an expiry", ErrInvalid, i)
			}
			if op.Action == Check && op.At == Any {
				return fmt.Errorf("%w: op %d: a check of any revision checks nothing", ErrInvalid, i)
			}
		default:
			return fmt.Errorf("%w: op %d: action %d", ErrInvalid, i, op.Action)
		}
		for j := range i {
			if ops[j].Key == op.Key {
				return fmt.Errorf("%w: ops %d and %d have the same key", ErrInvalid, j, i)
			}
		}
	}
	return nil
}

// ValidateKeys returns an error that wraps [ErrInvalid] unless keys may be the arguments of a
// Get: 1 to [MaxKeys] keys, each of 1 to [MaxKey] bytes of printable ASCII (0x20 to 0x7e). A
// key may be repeated.
func ValidateKeys(keys ...string) error {
	if len(keys) == 0 || len(keys) > MaxKeys {
		return fmt.Errorf("%w: a get has 1 to %d keys, not %d", ErrInvalid, MaxKeys, len(keys))
	}
	for i, k := range keys {
		if err := validKey(k); err != nil {
			return fmt.Errorf("%w: key %d: %s", ErrInvalid, i, err)
		}
	}
	return nil
}

// ValidateList returns an error that wraps [ErrInvalid] unless its arguments may be those of a
// List: prefix and after are empty or could be keys, and limit is 1 to [MaxLimit].
func ValidateList(prefix, after string, limit int) error {
	if limit < 1 || limit > MaxLimit {
		return fmt.Errorf("%w: a list has a limit of 1 to %d, not %d", ErrInvalid, MaxLimit, limit)
	}
	if prefix != "" {
		if err := validKey(prefix); err != nil {
			return fmt.Errorf("%w: prefix: %s", ErrInvalid, err)
		}
	}
	if after != "" {
		if err := validKey(after); err != nil {
			return fmt.Errorf("%w: after: %s", ErrInvalid, err)
		}
	}
	return nil
}

// keyError says what is wrong with a key. It does not quote the key, which may contain what a
// person typed.
type keyError string

func (e keyError) Error() string { return string(e) }

func validKey(k string) error {
	if k == "" {
		return keyError("empty key")
	}
	if len(k) > MaxKey {
		return keyError(fmt.Sprintf("key of %d bytes, the limit is %d", len(k), MaxKey))
	}
	if strings.IndexFunc(k, func(r rune) bool { return r < 0x20 || r > 0x7e }) >= 0 {
		return keyError("key is not printable ASCII")
	}
	return nil
}
