package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	virtual "github.com/descope/virtualwebauthn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/twofactor/webauthn"
)

// factorList is what an account's page reads.
type factorList struct {
	Objects      []struct{ ID, Type, Name string }
	Registration json.RawMessage
}

func (p *process) factors(bearer string) (list factorList) {
	p.t.Helper()
	require.Equal(p.t, http.StatusOK, p.do(http.MethodGet, "-/auth/v1/factors", bearer, "", &list))
	return list
}

// addKey gives alice a key, an authenticator in software, and returns her recovery codes.
func (p *process) addKey(bearer, name string) []string {
	p.t.Helper()
	options, err := virtual.ParseAttestationOptions(string(p.factors(bearer).Registration))
	require.NoError(p.t, err)
	require.Equal(p.t, "localhost", options.RelyingPartyID)
	// RSA: of an EC key whose coordinate begins with a zero virtualwebauthn leaves that out.
	auth, key := virtual.NewAuthenticator(), virtual.NewCredential(virtual.KeyTypeRSA)
	rp := virtual.RelyingParty{ID: "localhost", Name: "npm", Origin: strings.TrimSuffix(p.base, "/")}
	body, err := json.Marshal(map[string]any{
		"type": "key", "name": name, "password": "a-long-password",
		"response": json.RawMessage(virtual.CreateAttestationResponse(rp, auth, key, *options)),
	})
	require.NoError(p.t, err)
	var made struct{ Recovery []string }
	require.Equal(p.t, http.StatusCreated, p.do(http.MethodPost, "-/auth/v1/factors", bearer, string(body), &made))
	return made.Recovery
}

// At a name accounts have security keys, which the operator removes with the rest of the second factor.
func TestKeys(t *testing.T) {
	dir := t.TempDir()
	p, o := start(t, dir, "-addr", "localhost:0"), newOperator(t, dir)
	session := p.login()
	require.Empty(t, p.factors(session).Objects)
	codes := p.addKey(session, "blue")
	require.Len(t, codes, 5)
	o.secrets = append(codes, session)
	list := p.factors(session)
	require.Len(t, list.Objects, 1)
	assert.Equal(t, []string{"key", "blue"}, []string{list.Objects[0].Type, list.Objects[0].Name})
	status, _ := p.signIn("a-long-password")
	assert.Equal(t, http.StatusUnauthorized, status, "the password is not enough any more")

	show := o.rows("users", "show", "alice")[0]
	assert.Equal(t, []any{"auth-and-writes", false, []any{"blue"}, false}, []any{show["second_factor"], show["app"], show["security_keys"], show["keys_only"]})
	o.typed(0, "", "reset-factor", "alice")
	p.ends(session)
	show = o.rows("users", "show", "alice")[0]
	assert.Equal(t, []any{"off", []any{}, 0.0}, []any{show["second_factor"], show["security_keys"], show["recovery_codes"]})
	session = p.login()
	assert.Empty(t, p.factors(session).Objects)
	p.addKey(session, "green")
	assert.Len(t, p.factors(session).Objects, 1, "the old one does not come back")
}

// At an IP address no key is offered or added. One of the time when the registry had a name does not
// count, keeps its account from having no second factor, and is removed by the operator.
func TestKeysAtAnIPAddress(t *testing.T) {
	dir := t.TempDir()
	named := start(t, dir, "-addr", "localhost:0")
	named.addKey(named.login(), "blue")
	named.end()

	p, o := start(t, dir), newOperator(t, dir)
	status, _ := p.signIn("a-long-password")
	assert.Equal(t, http.StatusUnauthorized, status)
	assert.Equal(t, []any{"blue"}, o.rows("users", "show", "alice")[0]["security_keys"])
	o.typed(0, "", "reset-factor", "alice")

	session := p.login()
	assert.Empty(t, p.factors(session).Registration)
	var refused struct{ Error string }
	assert.Equal(t, http.StatusForbidden, p.do(http.MethodPost, "-/auth/v1/factors", session, `{"type":"key","name":"blue","password":"a-long-password","response":{}}`, &refused))
	assert.Contains(t, refused.Error, "This registry has no security keys.")
}

// The number of docs/tokens.md is that of the code.
func TestKeyLimitIsDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "tokens.md"))
	require.NoError(t, err)
	assert.Contains(t, string(text), fmt.Sprintf("An account has %d keys at most.", webauthn.MaxKeys))
}

// With -no-apps nobody enrols an app, and a key takes its place.
func TestNoApps(t *testing.T) {
	p := start(t, t.TempDir(), "-addr", "localhost:0", "-no-apps")
	session := p.login()
	var refused struct{ Error string }
	assert.Equal(t, http.StatusForbidden, p.do(http.MethodPost, "-/npm/v1/user", session, `{"tfa":{"password":"a-long-password","mode":"auth-and-writes"}}`, &refused))
	assert.Contains(t, refused.Error, "no more authenticator apps")
	assert.Len(t, p.addKey(session, "blue"), 5)
}
