package account

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/npmauth/npmauth/internal/kdf"
)

// Params are the costs of argon2id. The zero value means DefaultParams.
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// DefaultParams are the lowest costs that OWASP's password storage cheat sheet recommends for
// argon2id with two passes: 19 MiB, about 20 ms.
var DefaultParams = Params{Memory: 19456, Time: 2, Threads: 1}

// Limits of a stored hash. A row that was tampered with must not make the process allocate or
// compute without bound.
const (
	maxMemory     = 256 << 10 // KiB
	maxTime       = 16
	maxThreads    = 16
	maxBcryptCost = 15 // about 1.5 s
	maxHashText   = 256
)

const (
	saltSize = 16
	keySize  = 32
)

// strong reports whether p is at least as costly as one of the sets that OWASP considers equal.
func (p Params) strong() bool {
	for _, least := range []Params{{47104, 1, 1}, {19456, 2, 1}, {12288, 3, 1}, {9216, 4, 1}, {7168, 5, 1}} {
		if p.Memory >= least.Memory && p.Time >= least.Time && p.Threads >= 1 {
			return true
		}
	}
	return false
}

func (p Params) bounded() bool {
	return 1 <= p.Time && p.Time <= maxTime && 1 <= p.Threads && p.Threads <= maxThreads &&
		8*uint32(p.Threads) <= p.Memory && p.Memory <= maxMemory
}

// A hash is a decoded password hash.
type hash struct {
	bcrypt    []byte // whole; else argon2id:
	params    Params
	salt, key []byte
}

// parseHash reads an argon2id hash in PHC string format, version 19, or a bcrypt hash as
// htpasswd and other registries have it. Any other text, any other spelling of the same, and
// costs above the limits are ErrHash.
func parseHash(text string) (hash, error) {
	if len(text) > maxHashText {
		return hash{}, fmt.Errorf("%w: too long", ErrHash)
	}
	if strings.HasPrefix(text, "$argon2id$") {
		return parseArgon2(text)
	}
	for _, prefix := range []string{"$2a$", "$2b$", "$2y$"} {
		if strings.HasPrefix(text, prefix) {
			cost, err := bcrypt.Cost([]byte(text))
			if err != nil || cost > maxBcryptCost || len(text) != 60 {
				return hash{}, fmt.Errorf("%w: malformed bcrypt", ErrHash)
			}
			return hash{bcrypt: []byte(text)}, nil
		}
	}
	return hash{}, fmt.Errorf("%w: neither argon2id nor bcrypt", ErrHash)
}

func parseArgon2(text string) (hash, error) {
	malformed := fmt.Errorf("%w: malformed argon2id", ErrHash)
	parts := strings.Split(text, "$") // "", argon2id, v, costs, salt, key
	if len(parts) != 6 {
		return hash{}, malformed
	}
	var h hash
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return hash{}, malformed
	}
	for i, to := range []func(uint64){
		func(n uint64) { h.params.Memory = uint32(n) },
		func(n uint64) { h.params.Time = uint32(n) },
		func(n uint64) { h.params.Threads = uint8(n) },
	} {
		digits, ok := strings.CutPrefix(costs[i], string("mtp"[i])+"=")
		n, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil {
			return hash{}, malformed
		}
		to(n)
	}
	if !h.params.bounded() {
		return hash{}, fmt.Errorf("%w: its costs pass the limits", ErrHash)
	}
	var errSalt, errKey error
	h.salt, errSalt = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	h.key, errKey = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if errSalt != nil || errKey != nil ||
		len(h.salt) < 8 || 48 < len(h.salt) || len(h.key) < 16 || 64 < len(h.key) {
		return hash{}, malformed
	}
	if h.String() != text { // another version, signs, leading zeros
		return hash{}, malformed
	}
	return h, nil
}

// String returns the hash in the form that parseHash reads.
func (h hash) String() string {
	if h.bcrypt != nil {
		return string(h.bcrypt)
	}
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.params.Memory, h.params.Time, h.params.Threads, b64.EncodeToString(h.salt), b64.EncodeToString(h.key))
}

// matches computes the hash of the password and compares.
func (h hash) matches(pw password) bool {
	if h.bcrypt == nil {
		key := kdf.Key([]byte(pw.text), h.salt, h.params.Time, h.params.Memory, h.params.Threads, uint32(len(h.key)))
		return subtle.ConstantTimeCompare(key, h.key) == 1
	}
	// bcrypt repeats its input with a NUL in between, so two different passwords with a NUL can
	// be equal.
	if strings.Contains(pw.text, "\x00") {
		return false
	}
	// The system that the hash comes from did not normalise.
	if bcrypt.CompareHashAndPassword(h.bcrypt, []byte(pw.raw)) == nil {
		return true
	}
	return pw.raw != pw.text && bcrypt.CompareHashAndPassword(h.bcrypt, []byte(pw.text)) == nil
}

// stale reports whether a password that matched should be hashed anew.
func (h hash) stale(want Params, pw password) bool {
	if h.bcrypt != nil {
		// bcrypt reads 72 bytes. The rest of a longer password was never verified, and must not
		// become part of the password from now on.
		return len(pw.raw) <= 72
	}
	return h.params.Memory < want.Memory || h.params.Time < want.Time || h.params.Threads != want.Threads ||
		len(h.salt) < saltSize || len(h.key) < keySize
}

// kind returns a hash that takes as long to compute as h and that no password has, in the form that
// parseHash reads: two hashes of equal costs have the same.
func (h hash) kind() string {
	if h.bcrypt != nil {
		cost, _ := bcrypt.Cost(h.bcrypt) // parseHash has found one
		return fmt.Sprintf("$2a$%02d$%s", cost, strings.Repeat(".", 53))
	}
	return hash{params: h.params, salt: make([]byte, saltSize), key: make([]byte, keySize)}.String()
}
