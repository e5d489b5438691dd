package session

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/npmauth/npmauth/credential"
)

// flowKeys are the keys that all nodes share, so that a web login that one node started, and
// that is stored nowhere, can go on with any other node.
type flowKeys struct {
	page  [32]byte // seals page IDs
	poll  [32]byte // authenticates poll IDs
	check [32]byte // makes check codes
}

func (m *Manager) flowKeys(ctx context.Context) (k flowKeys, err error) {
	for _, key := range []struct {
		to      *[32]byte
		purpose string
	}{
		{&k.page, "session: page id 1"},
		{&k.poll, "session: poll id 1"},
		{&k.check, "session: check code 1"},
	} {
		if *key.to, err = m.serverKey.Derive(ctx, key.purpose); err != nil {
			return flowKeys{}, fmt.Errorf("session: web login: %w", err)
		}
	}
	return k, nil
}

// checkCode returns the code that both the page and the terminal show of a flow, as
// "BCDF-GHJK". A person who is tricked into opening a stranger's login sees a code that their
// own terminal did not print. Everybody who has the page can read it, so it proves nothing to
// the registry.
func (k *flowKeys) checkCode(flow credential.Digest) string {
	mac := hmac.New(sha256.New, k.check[:])
	mac.Write(flow[:])
	return credential.CheckCode(credential.Digest(mac.Sum(nil)))
}
