package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/wire"
)

// tokenFields are the fields that a request for a token may have.
var tokenFields = []string{
	"password", "name", "token_name", "description", "token_description", "packages", "packages_all", "scopes", "orgs",
	"packages_and_scopes_permission", "orgs_permission", "expires", "expiry", "cidr_whitelist", "cidr", "bypass_2fa", "readonly",
}

// A plainRequest is a request for a token as somebody reads it who only looks at what is
// there, field by field.
type plainRequest map[string]any

// names are the entries of a list, of which npm joins some by commas.
func (q plainRequest) names(fields ...string) (names []string) {
	for _, field := range fields {
		list, _ := q[field].([]any)
		for _, entry := range list {
			for _, name := range strings.Split(entry.(string), ",") {
				names = append(names, strings.Trim(name, " "))
			}
		}
	}
	return names
}

// all reports whether everything is asked for: in so many words, or as npm 10 and older
// ask, who name nothing and say only whether the token is to read.
func (q plainRequest) all() bool {
	_, older := q["readonly"].(bool)
	return q["packages_all"] == true ||
		older && q["packages_and_scopes_permission"] == nil && len(q.names("packages", "scopes", "orgs")) == 0
}

// writes reports whether writing to packages is asked for.
func (q plainRequest) writes() bool {
	switch q["packages_and_scopes_permission"] {
	case "read-write", "read-write-stage-only":
		return q["readonly"] != true
	case nil:
		return q["readonly"] == false
	}
	return false
}

// isBadRequest reports whether err is of what the client has sent.
func isBadRequest(err error) bool {
	var own *wire.Error
	var spec *token.SpecError
	var malformed *strictjson.Error
	return errors.As(err, &own) && own.Status == http.StatusBadRequest || errors.As(err, &spec) || errors.As(err, &malformed)
}

// Whatever the body of a request for a token is, the token that it makes can do no more
// than the plainest reading of it says, and a body that holds anything else makes none.
func FuzzTokenRequest(f *testing.F) {
	for _, seed := range []string{
		`{"password":"p","name":"ci","packages_all":true,"expires":30,"cidr_whitelist":["10.0.0.0/8,2001:db8::/32"]}`,
		`{"packages":["plain,@acme/widget"," other"],"scopes":["@acme","b"],"packages_and_scopes_permission":"read-write","bypass_2fa":true,"expiry":90}`,
		`{"orgs":["acme"],"orgs_permission":"read-write","readonly":null,"description":"x"}`, `{"readonly":true,"cidr_whitelist":[]}`, `{"readonly":false}`,
		`{"packages_all":true,"packages_and_scopes_permission":"read-write-stage-only","expires":"2026-03-09"}`, `{"packages_all":true,"expires":"2026-03-09T12:00:00.5+02:00"}`,
		`{"packages":["plain"],"readonly":false,"bypass_2fa":false}`, `{"packages":["plain"],"packages_all":false,"bypass_2fa":false,"token_name":"x","token_description":"y","cidr":["::/0"]}`,
		`{"packages_all":true,"packages_and_scopes_permission":"no-access","orgs":["a"]}`, `{"packages":[],"scopes":[],"orgs":[]}`, `{"packages":["*"]}`,
		`{"packages_all":true,"readonly":true,"readonly":false}`, `{"packages_all":true,"Readonly":false}`, `{"packages_all":true,"expires":1e1}`, `{"packages_all":true,"expires":91}`,
	} {
		f.Add([]byte(seed))
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	read := func(t *testing.T, data []byte) (token.Token, error) {
		var body wire.TokenRequest
		if err := strictjson.Unmarshal(data, &body); err != nil {
			return token.Token{}, err
		}
		asked, err := body.Spec()
		if err != nil {
			return token.Token{}, err
		}
		spec := token.Spec{
			User: "alice", Name: asked.Name, Description: asked.Description, Grants: asked.Grants, Bypass: asked.Bypass, CIDRs: asked.CIDRs,
			Days: asked.Days, Until: asked.Until,
		}
		m, err := token.New(token.Config{Store: store.NewMemory(), Now: func() time.Time { return now }})
		require.NoError(t, err)
		_, tok, err := m.Create(t.Context(), audit.Actor{}, spec)
		return tok, err
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzbound.Check(t, data, reading, func(data []byte) int {
			var q wire.TokenRequest
			if wire.Decode(post(data), &q) != nil {
				return 0
			}
			spec, _ := q.Spec()
			return len(spec.Name) + len(spec.Description) + len(spec.Grants) + len(spec.CIDRs)
		})
		tok, err := read(t, data)
		if err != nil {
			require.True(t, isBadRequest(err), "%v", err)
			require.Zero(t, tok)
			return
		}
		q := plainRequest{}
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		require.NoError(t, d.Decode(&q))
		for field := range q {
			require.Contains(t, tokenFields, field)
		}

		packages, scopes, orgs := q.names("packages"), q.names("scopes"), q.names("orgs")
		writes := false
		for _, g := range tok.Grants {
			switch g.Target {
			case protocol.AllPackages:
				require.True(t, q.all(), "everything, unasked")
			case protocol.OnePackage:
				require.Contains(t, packages, g.Package.String())
			case protocol.OneScope:
				require.True(t, slices.Contains(scopes, g.Scope) || slices.Contains(scopes, "@"+g.Scope), "@%s, unasked", g.Scope)
			case protocol.OneOrg:
				require.True(t, slices.Contains(orgs, g.Scope) || slices.Contains(orgs, "@"+g.Scope), "org %s, unasked", g.Scope)
			default:
				t.Fatalf("a grant on %v", g.Target)
			}
			switch {
			case g.Permission == protocol.ReadOnly:
			case g.Target == protocol.OneOrg:
				require.Equal(t, protocol.ReadWrite, g.Permission)
				require.Equal(t, "read-write", q["orgs_permission"])
				writes = true
			default:
				require.Contains(t, []protocol.Permission{protocol.ReadWrite, protocol.StageOnly}, g.Permission)
				require.Equal(t, g.Permission == protocol.StageOnly, q["packages_and_scopes_permission"] == "read-write-stage-only")
				require.True(t, q.writes(), "writes, unasked")
				writes = true
			}
		}
		require.NotEmpty(t, tok.Grants)
		require.False(t, writes && q["readonly"] == true)
		require.Equal(t, writes, !tok.ReadOnly())
		require.Equal(t, q["bypass_2fa"] == true, tok.Bypass)
		require.Len(t, tok.CIDRs, len(q.names("cidr_whitelist", "cidr")), "a range was dropped")

		life := tok.Expires.Sub(now)
		require.Positive(t, life)
		if writes {
			require.LessOrEqual(t, life, 90*token.Day)
		}
		require.LessOrEqual(t, life, policy.MaxTokenTTL)
		for _, field := range []string{"expires", "expiry"} {
			switch v := q[field].(type) {
			case nil:
			case json.Number:
				days, err := v.Int64()
				require.NoError(t, err)
				require.Equal(t, time.Duration(days)*token.Day, life)
			case string:
				at, err := time.Parse(time.RFC3339, v)
				if err != nil {
					at, err = time.Parse(time.DateOnly, v)
				}
				require.NoError(t, err)
				require.False(t, tok.Expires.After(at), "later than asked for")
				require.Less(t, at.Sub(tok.Expires), time.Microsecond)
			default:
				t.Fatalf("%s is a %T", field, v)
			}
		}

		// Nothing that is not known is passed over.
		end := bytes.LastIndexByte(data, '}')
		for _, more := range []string{`,"nobody_knows":1}`, `,"packages_all ":true}`, `,"Packages":[]}`, `,"everything":null}`} {
			_, err := read(t, append(bytes.Clone(data[:end]), more...))
			require.Error(t, err, more)
			require.True(t, isBadRequest(err), "%v", err)
		}
	})
}

// IP-09: a range is read as it is written, or not at all.
func TestTokenRequestRanges(t *testing.T) {
	read := func(ranges ...string) ([]netip.Prefix, error) {
		all := true
		spec, err := wire.TokenRequest{PackagesAll: &all, CIDR: ranges}.Spec()
		return spec.CIDRs, err
	}
	got, err := read("10.0.0.0/8", "2001:db8::/32")
	require.NoError(t, err)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}, got)
	got, err = read()
	require.NoError(t, err)
	require.Empty(t, got)
	for _, text := range []string{"", "10.0.0.1", "10.0.0.0/08", "010.0.0.0/8", "10.0.0.0/33", "10/8", "fe80::%eth0/64", "*", "x"} {
		_, err := read("10.0.0.0/8", text)
		require.True(t, isBadRequest(err), text)
	}
}

// AU-40: npm prints "with IP whitelist:" of a list, also of an empty one.
func TestTokenFieldsWithoutRanges(t *testing.T) {
	plain := wire.Token{}.Fields()
	ranged := wire.Token{TokenSpec: protocol.TokenSpec{CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}.Fields()
	for _, field := range []string{"cidr_whitelist", "cidr"} {
		data, err := json.Marshal(plain[field])
		require.NoError(t, err)
		assert.Equal(t, "null", string(data), field)
		assert.Equal(t, []string{"192.0.2.0/24"}, ranged[field])
	}
}
