package wire_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/wire"
)

func TestDecode(t *testing.T) {
	decode := func(body io.Reader, header ...string) (string, error) {
		r := httptest.NewRequest(http.MethodPost, "/", body)
		r.Header.Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		var v struct {
			Name string `json:"name"`
		}
		err := wire.Decode(r, &v)
		return v.Name, err
	}
	name, err := decode(strings.NewReader(`{"name":"jane"}`), "Content-Type", "application/json; charset=utf-8")
	require.NoError(t, err)
	assert.Equal(t, "jane", name)

	fits := `{"name":"` + strings.Repeat("x", wire.MaxBody-11) + `"}`
	require.Len(t, fits, wire.MaxBody)
	_, err = decode(io.MultiReader(strings.NewReader(fits))) // of unknown length
	require.NoError(t, err)
	for name, body := range map[string]io.Reader{"stated": strings.NewReader(fits + " "), "of unknown length": io.MultiReader(strings.NewReader(fits + " "))} {
		_, err := decode(body)
		assert.ErrorIs(t, err, wire.TooLarge, name)
	}
	for _, body := range []string{"", `{"name":"jane","role":"admin"}`, `{"Name":"jane"}`, `{"name":"a","name":"b"}`, `{"name":1}`, `{} {}`} {
		_, err := decode(strings.NewReader(body))
		var answer *wire.Error
		require.ErrorAs(t, err, &answer, "%q", body)
		assert.Equal(t, http.StatusBadRequest, answer.Status, "%q", body)
	}
	_, err = decode(strings.NewReader(`{}`), "Content-Encoding", "gzip")
	assert.ErrorIs(t, err, wire.Compressed)
	var answer *wire.Error
	_, err = decode(strings.NewReader(`name=jane`), "Content-Type", "application/x-www-form-urlencoded")
	require.ErrorAs(t, err, &answer)
	assert.Equal(t, http.StatusUnsupportedMediaType, answer.Status)
}

// reading is what a body of JSON may take that is decoded into a struct, with the request around it.
var reading = fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 32 << 10, PerByte: 128}, Work: fuzzbound.Limit{Base: 64, PerByte: 1}}

func post(body []byte) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

// What is read of any body is valid, and what is refused is the sender's fault.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"tfa":{"mode":"auth-only","password":"p"}}`, `{"tfa":["123456"],"password":null}`, `{"tfa":null,"email":"a@b.c","fullname":null,"homepage":"","github":"x"}`,
		`{"password":{"old":"a","new":"b"}}`, `{"cidr_whitelist":["::/0"]}`, `{"password":"p","grace":24,"expires":90}`, `{"grace":-1}`, `"1.0.0"`, `"latest"`,
		`{"access":"restricted"}`, `{"publish_requires_tfa":true,"automation_token_overrides_tfa":true}`, `{"user":"@bob","role":"developer"}`, `{"user":"bob"}`,
		`{"name":"core","description":"x"}`, `{"team":"core"}`, `{"package":"@acme/widget","permissions":"read-write"}`,
	} {
		for kind := range 3 + len(changes)*2 {
			f.Add(byte(kind), []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		fuzzbound.Check(t, body, reading, func(body []byte) int { return readBody(t, kind, body) })
	})
}

// changes are the actions whose bodies ReadChange reads.
var changes = []protocol.Action{protocol.SetAccess, protocol.WriteOwners, protocol.WriteOrg, protocol.SetOrgFactor, protocol.WriteTeamMember, protocol.WriteTeam, protocol.GrantTeam}

// readBody reads body as one of its kind, and returns how much there is of the result.
func readBody(t *testing.T, kind byte, body []byte) (size int) {
	fault := func(err error) bool {
		if err != nil {
			require.True(t, isBadRequest(err), "%v", err)
		}
		return err != nil
	}
	switch n := int(kind) % (3 + len(changes)*2); n {
	case 0:
		var q wire.ProfileRequest
		if fault(wire.Decode(post(body), &q)) {
			return 0
		}
		factor, err := q.TwoFactor()
		if !fault(err) && factor != nil {
			require.True(t, factor.Confirms || factor.Mode == protocol.TwoFactorOff || factor.Mode == protocol.AuthOnly || factor.Mode == protocol.AuthAndWrites)
			size += len(factor.Code.Reveal()) + len(factor.Password.Reveal())
		}
		d, err := q.Details()
		fault(err)
		for _, text := range []*string{d.Email, d.FullName, d.Homepage, d.Freenode, d.Twitter, d.GitHub} {
			if text != nil {
				size += len(*text)
			}
		}
	case 1:
		var q wire.RotateRequest
		if fault(wire.Decode(post(body), &q)) {
			return 0
		}
		grace, days, err := q.Rotation()
		if !fault(err) {
			require.GreaterOrEqual(t, grace, -time.Hour) // which package token refuses
			require.GreaterOrEqual(t, days, 0)
		}
	case 2:
		c, err := wire.ReadDistTag(body, protocol.Operation{Tag: "next"})
		if !fault(err) {
			require.True(t, protocol.ValidVersion(c.Version))
			size = len(c.Version)
		}
	default:
		method := []string{http.MethodPut, http.MethodDelete}[n%2]
		op, c := protocol.Operation{Action: changes[(n-3)/2], User: "bob"}, protocol.Change{}
		if fault(wire.ReadChange(method, body, &op, &c)) {
			return 0
		}
		for _, user := range append(c.AddedOwners, c.Member) {
			require.True(t, user == "" || protocol.ValidUser(user), "%q", user)
		}
		require.True(t, c.Team == "" || protocol.ValidOrg(c.Team))
		require.Contains(t, []string{"", "public", "restricted"}, c.Access)
		require.Equal(t, op.Action == protocol.GrantTeam, op.Package.Validate() == nil)
		size = len(c.Team) + len(c.Member)
	}
	return size
}
