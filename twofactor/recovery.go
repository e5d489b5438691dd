package twofactor

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"slices"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/store"
)

// recoverySize is in bytes, written in hex: npm's prompt accepts 64 hex digits or a number.
const recoverySize = 32

func newRecoveryCodes(n int) (codes []credential.Secret, digests []credential.Digest) {
	for range n {
		var b [recoverySize]byte
		rand.Read(b[:])
		c := credential.NewSecret(hex.EncodeToString(b[:]))
		codes, digests = append(codes, c), append(digests, credential.Sum(c))
	}
	return codes, digests
}

// recoveryIndex returns which of the factor's recovery codes the code is, -1 if none.
func recoveryIndex(f *factor, code credential.Secret) int {
	d := credential.Sum(code)
	at := -1
	for i, r := range f.Recovery {
		if subtle.ConstantTimeCompare(r[:], d[:]) == 1 {
			at = i
		}
	}
	return at
}

// spendRecovery removes a recovery code from f: the commit that does so is the only one in
// which the code works.
func spendRecovery(ctx context.Context, tx *store.Tx, f *factor, code credential.Secret) error {
	at := recoveryIndex(f, code)
	if at < 0 {
		// A spent code and an unknown one get the same answer: no record of it is kept.
		return wrong(reasonWrong)
	}
	_, err := factors.Update(ctx, tx, string(f.User), func(f *factor) error {
		f.Recovery = slices.Delete(f.Recovery, at, at+1)
		return nil
	})
	return err
}
