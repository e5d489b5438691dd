package twofactor

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/npmauth/npmauth/credential"
)

// keys make the parts of store keys that depend on a value somebody types. Whoever
// reads a database sees the keys of a sealed store as well, and a plain digest over
// the million values of a code, or over sixteen digits, says which one it was.
type keys struct {
	reuse [32]byte // names records of reuse
	typed [32]byte // finds a challenge by its typed code
}

// keys reads the server's key once and derives from it after that.
func (m *Manager) keys(ctx context.Context) (k keys, err error) {
	for _, key := range []struct {
		to      *[32]byte
		purpose string
	}{
		{&k.reuse, "twofactor: grant 1"},
		{&k.typed, "twofactor: typed code 1"},
	} {
		if *key.to, err = m.serverKey.Derive(ctx, key.purpose); err != nil {
			return keys{}, fmt.Errorf("twofactor: %w", err)
		}
	}
	return k, nil
}

// mac returns a name for parts that only who has the key can tell, and that no other
// list of parts has.
func mac(key [32]byte, parts ...string) credential.Digest {
	h := hmac.New(sha256.New, key[:])
	write(h, parts)
	return credential.Digest(h.Sum(nil))
}
