package account

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/kdf"
)

// HasherConfig configures a [Hasher].
type HasherConfig struct {
	// Workers is how many hashes are computed at once. Zero means one fewer
	// than GOMAXPROCS and at least one, which leaves a core for everything
	// else; negative is an error.
	Workers int

	// Queue is how many may wait for a worker. Zero means 64; negative is an error.
	Queue int

	// Wait is how long a caller waits at most, and how long a refused caller waits. Zero means
	// ten seconds; less than 100 ms is an error, because an immediate refusal invites the next
	// attempt.
	Wait time.Duration

	// Params are the costs of new hashes. The zero value means [DefaultParams]. Costs lower
	// than each of OWASP's sets are an error, and so are more than 256 MiB, 16 passes or 16
	// threads.
	Params Params
}

// A Hasher makes and verifies password hashes, a few at a time. Hashing is expensive by design: 64
// at once need 2 GB and slow everything else down hundredfold. So callers wait in a queue that
// alternates between networks ([subject.WithClient]), and a caller that has waited for Wait gets ErrBusy. A
// caller whose context ends while it waits leaves the queue, and its hash is never begun.
//
// Hash before a transaction: a hash inside of one would keep it open for as long. A Hasher is
// safe for concurrent use; a process should have one.
type Hasher struct {
	queue  *queue
	params Params
	nobody hash
}

// NewHasher returns a Hasher, or an error naming the field of cfg that is
// wrong.
func NewHasher(cfg HasherConfig) (*Hasher, error) {
	if cfg.Workers == 0 {
		cfg.Workers = max(1, runtime.GOMAXPROCS(0)-1)
	}
	if cfg.Queue == 0 {
		cfg.Queue = 64
	}
	if cfg.Wait == 0 {
		cfg.Wait = 10 * time.Second
	}
	if cfg.Params == (Params{}) {
		cfg.Params = DefaultParams
	}
	switch {
	case cfg.Workers < 0:
		return nil, errors.New("account: HasherConfig.Workers is negative")
	case cfg.Queue < 0:
		return nil, errors.New("account: HasherConfig.Queue is negative")
	case cfg.Wait < 100*time.Millisecond:
		return nil, errors.New("account: HasherConfig.Wait is below 100 ms")
	case !cfg.Params.strong():
		return nil, errors.New("account: HasherConfig.Params are weaker than OWASP's least")
	case !cfg.Params.bounded():
		return nil, errors.New("account: HasherConfig.Params pass the limits")
	}
	h := &Hasher{queue: newQueue(cfg.Workers, cfg.Queue, cfg.Wait), params: cfg.Params}
	// The hash of an absent user: of the costs in use, compared like any.
	h.nobody = hash{params: cfg.Params, salt: random(saltSize), key: random(keySize)}
	return h, nil
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// Hash returns the argon2id hash of a password in PHC string format, with a random salt. A password
// that is empty or longer than [MaxPassword] is a [*PasswordError]; otherwise the error is
// [ErrBusy] or that of ctx.
func (h *Hasher) Hash(ctx context.Context, secret credential.Secret) (phc string, err error) {
	pw, ok := normalise(secret)
	if !ok {
		return "", errLength
	}
	if err := h.queue.acquire(ctx); err != nil {
		return "", err
	}
	defer h.queue.release()
	return h.hash(pw), nil
}

func (h *Hasher) hash(pw password) string {
	made := hash{params: h.params, salt: random(saltSize)}
	made.key = kdf.Key([]byte(pw.text), made.salt, h.params.Time, h.params.Memory, h.params.Threads, keySize)
	return made.String()
}

// Verify reports whether phc, an argon2id hash in PHC string format or a bcrypt hash, is that
// of the password. Stale means that it is, and should be replaced by a new Hash, because the
// costs have grown or it is bcrypt. With phc "" it takes the same time as for any hash of the
// costs in use, and reports false: use that for a user who does not exist. If hashes are bcrypt,
// which takes another time, use one of the same cost instead and ignore the result.
//
// A password that is empty or longer than [MaxPassword] matches no hash, and nothing is
// computed. bcrypt reads the first 72 bytes of a password, so the rest does not count until
// such a hash is replaced.
//
// The error is [ErrHash] for a phc that is neither, [ErrBusy], or that of ctx.
func (h *Hasher) Verify(ctx context.Context, phc string, secret credential.Secret) (ok, stale bool, err error) {
	v, err := h.verify(ctx, phc, secret, false, nil)
	return v.ok, v.stale, err
}

type verdict struct {
	ok, stale bool
	fresh     string // the new hash, if renew was set and the old one is stale
}

// verify is Verify. If renew is set it also computes the hash that replaces a stale one, in the
// same turn. kinds are those of imported hashes that are stored, see [hash.kind]: it then takes as long for
// each of them, for one of the costs in use, and for phc "".
func (h *Hasher) verify(ctx context.Context, phc string, secret credential.Secret, renew bool, kinds []string) (verdict, error) {
	pw, ok := normalise(secret)
	if !ok {
		return verdict{}, nil
	}
	stored, exists := h.nobody, phc != ""
	if exists {
		var err error
		if stored, err = parseHash(phc); err != nil {
			return verdict{}, err
		}
	}
	others, err := h.others(stored, kinds)
	if err != nil {
		return verdict{}, err
	}
	if err := h.queue.acquire(ctx); err != nil {
		return verdict{}, err
	}
	defer h.queue.release()
	var v verdict
	v.ok = stored.matches(pw) && exists
	v.stale = v.ok && stored.stale(h.params, pw)
	if v.stale && renew {
		v.fresh = h.hash(pw)
	}
	for _, other := range others {
		if v.fresh == "" || other.kind() != h.nobody.kind() {
			other.matches(pw)
		}
	}
	return v, nil
}

// others returns the hashes to compute besides the stored one, so that all of kinds and that of the
// costs in use are computed once.
func (h *Hasher) others(stored hash, kinds []string) (others []hash, err error) {
	if len(kinds) == 0 {
		return nil, nil
	}
	for _, kind := range append(slices.Clone(kinds), h.nobody.kind()) {
		if kind == stored.kind() || slices.ContainsFunc(others, func(o hash) bool { return o.kind() == kind }) {
			continue
		}
		other, err := parseHash(kind)
		if err != nil {
			return nil, err
		}
		others = append(others, other)
	}
	return others, nil
}

// String names the costs in use.
func (p Params) String() string {
	return fmt.Sprintf("argon2id m=%d t=%d p=%d", p.Memory, p.Time, p.Threads)
}
