package session

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/npmauth/npmauth/credential"
)

// A pageContent is the content of a page ID: the flow that it decides, and the client that
// began it.
type pageContent struct {
	flow    credential.Digest // of the poll ID
	started time.Time         // in whole seconds
	client  Client
}

// maxPageID is more than the length of the longest page ID.
const maxPageID = 512

// sealPage returns a as a page ID. It is encrypted, since a URL is seen by more than its
// reader, and authenticated, since it is the only trace of a flow until somebody decides. Its
// characters are those of base64url: npm passes URLs through encodeURI on their way to the
// browser.
func (k *flowKeys) sealPage(a pageContent) string {
	addr := a.client.Addr.AsSlice() // nothing, 4 or 16 bytes
	b := make([]byte, 0, len(a.flow)+4+1+len(addr)+len(a.client.UserAgent))
	b = append(b, a.flow[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(a.started.Unix()))
	b = append(b, byte(len(addr)))
	b = append(b, addr...)
	b = append(b, a.client.UserAgent...)

	aead, err := chacha20poly1305.NewX(k.page[:])
	if err != nil {
		panic(err) // a key of another length than 32
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(b)+aead.Overhead())
	rand.Read(nonce)
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nonce, nonce, b, nil))
}

// openPage returns the content of a page ID, and false for an ID that no node made.
func (k *flowKeys) openPage(id string) (a pageContent, ok bool) {
	if len(id) > maxPageID || strings.ContainsAny(id, "\r\n") { // base64 skips line breaks
		return pageContent{}, false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || len(sealed) < chacha20poly1305.NonceSizeX {
		return pageContent{}, false
	}
	aead, err := chacha20poly1305.NewX(k.page[:])
	if err != nil {
		panic(err)
	}
	nonce, sealed := sealed[:aead.NonceSize()], sealed[aead.NonceSize():]
	b, err := aead.Open(nil, nonce, sealed, nil)
	if err != nil || len(b) < len(a.flow)+4+1 {
		return pageContent{}, false
	}
	b = b[copy(a.flow[:], b):]
	a.started = time.Unix(int64(binary.BigEndian.Uint32(b)), 0).UTC()
	n := int(b[4])
	if b = b[5:]; len(b) < n {
		return pageContent{}, false
	}
	if n > 0 {
		if a.client.Addr, ok = netip.AddrFromSlice(b[:n]); !ok {
			return pageContent{}, false
		}
	}
	a.client.UserAgent = string(b[n:])
	return a, true
}
