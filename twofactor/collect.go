package twofactor

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/store"
)

// repeatFor is how long after its first collection the proof is returned to a repeated poll:
// npm repeats a poll whose answer was lost after 10 seconds.
const repeatFor = 30 * time.Second

// A State is the state of a challenge for the client that polls. The zero value is [Over].
type State uint8

// The states.
const (
	Over    State = iota // unknown, denied, expired, used or collected a while ago
	Pending              // neither approved nor denied yet
	Done                 // approved; the Poll has the proof
)

// A Poll is the answer to one poll of a client that waits for the approval of a challenge.
type Poll struct {
	State State

	// Proof, with Done, is what the client presents with its operation.
	Proof credential.Secret

	// RetryAfter, with Pending, is when to poll next, in seconds: 1, 2 after ten seconds, 5
	// after a minute. npm polls every 2 ms without it.
	RetryAfter int
}

// Collect answers a poll from addr. It needs no credential, since the proof is valid for the
// challenged credential only. For thirty seconds the same poll ID gets the same proof, which is
// derived from the poll ID and never stored.
func (m *Manager) Collect(ctx context.Context, pollID string, addr netip.Addr) (Poll, error) {
	if len(pollID) != idSize {
		return Poll{}, nil
	}
	now := m.now()
	c, err := found(byPoll.Get(ctx, m.store, digest(pollID).String()))
	if err != nil {
		return Poll{}, fmt.Errorf("twofactor: collect: %w", err)
	}
	switch {
	case c == nil || !now.Before(c.Expires) || len(c.Items) == 0: // no items: a row of the first release
		return Poll{}, nil
	case c.State == waiting:
		return Poll{State: Pending, RetryAfter: pace(now.Sub(c.Started))}, nil
	}
	id, salt := c.ID, make([]byte, sha256.Size)
	rand.Read(salt)
	var proof credential.Secret
	err = store.Transact(ctx, m.store, func(tx *store.Tx) (err error) {
		proof = credential.Secret{}
		c, err = found(challenges.Get(ctx, tx, id))
		if err != nil || c == nil || c.State != approved || !now.Before(c.Expires) {
			return err
		}
		if len(c.Salt) > 0 {
			// The absolute value, so that a clock that was set back does not return an old
			// proof.
			if now.Sub(c.Collected).Abs() < repeatFor {
				proof, err = c.proof(pollID, c.Salt)
			}
			return err
		}
		if proof, err = c.proof(pollID, salt); err != nil {
			return err
		}
		c, err = challenges.Update(ctx, tx, id, func(c *challenge) error {
			c.Salt, c.Collected, c.Proof = salt, now, credential.Sum(proof)
			return nil
		})
		if err != nil {
			return err
		}
		return m.events.Commit(ctx, tx, c.event(now, audit.Collected, audit.Actor{Addr: addr}))
	})
	if err != nil {
		return Poll{}, fmt.Errorf("twofactor: collect: %w", err)
	}
	if proof.IsZero() {
		return Poll{}, nil
	}
	return Poll{State: Done, Proof: proof}, nil
}

// proof derives the proof. It needs both the poll ID and the salt in the store.
func (c *challenge) proof(pollID string, salt []byte) (credential.Secret, error) {
	stream, err := hkdf.Key(sha256.New, []byte(pollID), salt, "npmauth challenge proof", 128)
	if err != nil {
		return credential.Secret{}, err
	}
	if c.ByKey {
		return credential.Derive(prefixKeyProof, bytes.NewReader(stream))
	}
	return credential.Derive(prefixProof, bytes.NewReader(stream))
}

func pace(age time.Duration) int {
	switch {
	case age < 10*time.Second:
		return 1
	case age < time.Minute:
		return 2
	default:
		return 5
	}
}
