package webauthn

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	npm "github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/twofactor"
)

// A kind is what a challenge is for, besides its purpose.
type kind string

const (
	registering kind = "register"
	asserting   kind = "assert"
	signingIn   kind = "sign in"
)

// Sizes of the parts of a challenge, in bytes.
const (
	nonceSize = 16
	timeSize  = 8
)

// challenge returns a new one.
func (m *Manager) challenge(ctx context.Context, k kind, user npm.UserID, purpose string) ([]byte, error) {
	text := make([]byte, nonceSize, nonceSize+timeSize+sha256.Size)
	rand.Read(text)
	text = binary.BigEndian.AppendUint64(text, uint64(m.now().Unix()))
	mac, err := m.mac(ctx, k, user, purpose, text)
	return append(text, mac...), err
}

func (m *Manager) mac(ctx context.Context, k kind, user npm.UserID, purpose string, text []byte) ([]byte, error) {
	key, err := m.serverKey.Derive(ctx, "webauthn: challenge")
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key[:])
	for _, part := range []string{string(k), string(user), purpose, string(text)} {
		fmt.Fprintf(mac, "%d:%s", len(part), part)
	}
	return mac.Sum(nil), nil
}

// spend checks that the challenge, as the browser sends it back, was made for this and is still good,
// and uses it up in the commit. After any error nothing may be committed.
func (m *Manager) spend(ctx context.Context, tx *store.Tx, k kind, user npm.UserID, purpose, challenge string) error {
	text, err := decode(challenge)
	if err != nil {
		return err
	}
	mac, err := m.mac(ctx, k, user, purpose, text[:nonceSize+timeSize])
	if err != nil {
		return err
	}
	if !hmac.Equal(mac, text[nonceSize+timeSize:]) {
		return twofactor.ErrWrong
	}
	made := time.Unix(int64(binary.BigEndian.Uint64(text[nonceSize:])), 0).UTC()
	if age := m.now().Sub(made); age < -time.Minute || age >= ttl {
		return twofactor.ErrWrong
	}
	err = spents.Insert(ctx, tx, &spent{ID: spentID(text), Until: made.Add(ttl + time.Minute)})
	if errors.Is(err, store.ErrExists) {
		return twofactor.ErrWrong
	}
	return err
}

// decode returns the bytes of a challenge, as the browser sends it back.
func decode(challenge string) ([]byte, error) {
	text, err := base64.RawURLEncoding.DecodeString(challenge)
	if err != nil || len(text) != nonceSize+timeSize+sha256.Size {
		return nil, twofactor.ErrWrong
	}
	return text, nil
}

// spentID returns the ID of the row that says that a challenge was used.
func spentID(challenge []byte) string { return hex.EncodeToString(challenge[:nonceSize]) }

// handle returns the opaque value by which keys know a user.
func (m *Manager) handle(ctx context.Context, user npm.UserID) ([]byte, error) {
	key, err := m.serverKey.Derive(ctx, "webauthn: user handle")
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(user))
	return mac.Sum(nil), nil
}
