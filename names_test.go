package npmauth_test

import (
	"encoding/json"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

// noNames are what nothing can be called.
var noNames = []string{
	"", " ", ".", "..", "../../etc/cron.d/x", "a/b", `a\b`, "a\x00b", "a\nb", "a\u202eb", "a\u200bb", "a b", "a ", " a", "@", "@/a", "@@a", "a%2fb", "a%00",
	"a:b", strings.Repeat("a", 215), "a\u2028b", "a\ufeff", "\ue000", "/", "-/", "a?b/c", "a\x7fb",
}

// What a body calls somebody or something has the form of a name, or is refused before a page is
// made of it and before anything is spent: the host never sees it.
//
// AU-13.
func TestNamesInBodies(t *testing.T) {
	quoted := func(name string) string {
		text, err := json.Marshal(name)
		require.NoError(t, err)
		return string(text)
	}
	in := func(method, path, body string) func(string) call {
		return func(name string) call {
			return call{method: method, path: path, body: strings.ReplaceAll(body, "NAME", quoted(name))}
		}
	}
	inPublish := func(old string) func(string) call {
		return func(name string) call {
			body := string(release{pkg: "plain", version: "3.0.0"}.body())
			if !strings.Contains(body, old) {
				panic(old)
			}
			now := strings.NewReplacer(`"3.0.0"`, quoted(name), `"latest"`, quoted(name), `"plain-3.0.0.tgz"`, quoted(name), `[]`, `[{"name":`+quoted(name)+`}]`).Replace(old)
			return call{method: "PUT", path: "/plain", body: strings.ReplaceAll(body, old, now)}
		}
	}
	for where, tt := range map[string]struct {
		call func(name string) call
		more []string // that are no names here, beside noNames
		fine []string // that are names here
	}{
		"member of an organization":      {in("PUT", "/-/org/acme/user", `{"user":NAME,"role":"admin"}`), nil, []string{"carol", "@carol", "a@acme.test"}},
		"member who is removed":          {in("DELETE", "/-/org/acme/user", `{"user":NAME}`), nil, []string{"carol"}},
		"team":                           {in("PUT", "/-/org/acme/team", `{"name":NAME}`), []string{"a@b", ".a", "-a", "_a", "é"}, []string{"devs"}},
		"team, as Yarn 1 has it":         {in("PUT", "/-/org/acme/team", `{"team":NAME}`), []string{"a@b", ".a", "-a", "_a", "é"}, []string{"devs"}},
		"member of a team":               {in("PUT", "/-/team/acme/devs/user", `{"user":NAME}`), nil, []string{"carol"}},
		"member who is taken off a team": {in("DELETE", "/-/team/acme/devs/user", `{"user":NAME}`), nil, []string{"carol"}},
		"package of a team":              {in("PUT", "/-/team/acme/devs/package", `{"package":NAME,"permissions":"read-only"}`), []string{"@acme", "@acme/../x", "node_modules", "@acme%2fx", "é"}, []string{"plain", "second"}},
		"package taken from a team":      {in("DELETE", "/-/team/acme/devs/package", `{"package":NAME}`), []string{"@acme", "é"}, []string{"plain"}},
		"owner":                          {in("PUT", "/-/package/plain/owners", `{"user":NAME}`), nil, []string{"carol"}},
		"owner in a document":            {in("PUT", "/plain/-rev/7-a", `{"_id":"plain","_rev":"7-a","maintainers":[{"name":"alice"},{"name":NAME}]}`), []string{"@a"}, []string{"carol"}},
		"owner in a whole document": {func(name string) call {
			return docOf("plain", func(d map[string]any) {
				d["maintainers"] = []map[string]string{{"name": "alice"}, {"name": "bob"}, {"name": name}}
			})
		}, []string{"@a"}, []string{"carol"}},
		"version of a dist-tag":             {in("PUT", "/-/package/plain/dist-tags/next", `NAME`), []string{"1", "1.0", "v1.0.0", "1.0.0 ", "01.0.0", "latest", "1.0.0/..", "^1.0.0"}, []string{"1.0.0", "1.0.0-beta.1+x"}},
		"version of a dist-tag, older path": {in("PUT", "/plain/next", `NAME`), []string{"1", "latest"}, []string{"1.0.0"}},
		"version in a document": {func(name string) call {
			return docOf("plain", func(d map[string]any) {
				d["versions"].(map[string]any)[name] = map[string]any{"deprecated": "no"}
			})
		}, []string{"9.9.9"}, nil},
		"dist-tag in a document": {func(name string) call {
			return docOf("plain", func(d map[string]any) {
				delete(d["versions"].(map[string]any), "2.0.0")
				d["dist-tags"].(map[string]any)[name] = "1.0.0"
			})
		}, []string{"next"}, nil},
		"version that is published": {inPublish(`"versions":{"3.0.0"`), []string{"1", "3.0.1", "v3.0.0", "3.0.0 "}, []string{"3.0.0"}},
		"dist-tag of a publish":     {inPublish(`{"latest"`), []string{"1.0.0", "v1", "-x", "é", "a@b"}, []string{"latest", "next"}},
		"what a dist-tag of a publish names": {func(name string) call {
			body := string(release{pkg: "plain", version: "3.0.0"}.body())
			return call{method: "PUT", path: "/plain", body: strings.Replace(body, `"latest":"3.0.0"`, `"latest":`+quoted(name), 1)}
		}, []string{"1.0.0"}, []string{"3.0.0"}},
		"attachment": {inPublish(`"_attachments":{"plain-3.0.0.tgz"`), []string{"second-3.0.0.tgz", "plain-3.0.1.tgz", "../plain-3.0.0.tgz", "plain-3.0.0.tgz\x00"}, []string{"plain-3.0.0.tgz"}},
		"maintainer of a publish": {func(name string) call {
			body := string(release{pkg: "plain", version: "3.0.0"}.body())
			return call{method: "PUT", path: "/plain", body: strings.Replace(body, `{"_id"`, `{"maintainers":[{"name":`+quoted(name)+`}],"_id"`, 1)}
		}, []string{"bob", "Alice"}, []string{"alice"}},
	} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			was := s.rows()
			code := s.code("alice")
			for _, name := range slices.Concat(noNames, tt.more) {
				for _, otp := range []string{"", code} {
					a := s.try(tt.call(name), otp)
					require.Equal(t, 400, a.Code, "%q: %s", name, a.Body)
					if len(name) > 2 && strings.ContainsAny(name, "\x00/%\u202e") {
						assert.NotContains(t, a.text("error"), name)
					}
				}
			}
			require.Empty(t, s.changed(was))
			require.Empty(t, s.pages())
			for i, name := range tt.fine {
				isChallenge(t, s.try(tt.call(name), ""))
				if i == 0 {
					require.Equal(t, 200, s.try(tt.call(name), code).Code, name)
				}
			}
		})
	}
}

// tellTale are what no event may hold, in any field: what people say, addresses, and whatever
// proves something. What is of the form of a code is none where it is a part of something else.
var tellTale = regexp.MustCompile(strings.Join([]string{
	`do not`, `aaaaaaaa`, `the same message`, `words of old`, `Alice [AB]\.`, `@[a-z]+\.test`, password, newPassword, `for CI`, `a secret`,
	`npm[so]?_[A-Za-z0-9]{30}`, `"[0-9]{6}"`, `[0-9]{16}`, `otpauth`, `[0-9a-f]{64}`,
}, "|"))

// Whatever is asked for, done, challenged or refused: events and the rows of the log have names and
// numbers, and nothing that somebody said or has to keep to themselves.
//
// AU-45.
func TestEventsHoldNoTexts(t *testing.T) {
	var logged strings.Builder
	s := newScene(t, func(cfg *npmauth.Config) {
		log, err := audit.NewLog(audit.LogConfig{Store: cfg.Store, Now: cfg.Now})
		require.NoError(t, err)
		cfg.AuditLog = log
		cfg.Logger = slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	was := s.rows()
	var told []string
	tell := func() {
		s.events.mu.Lock()
		for _, e := range s.events.all {
			text, err := json.Marshal(e)
			require.NoError(t, err)
			told = append(told, string(text))
			slog.New(slog.NewJSONHandler(&logged, nil)).Info("event", "event", e)
		}
		s.events.all = nil
		s.events.mu.Unlock()
		for key, it := range s.rows() {
			if strings.HasPrefix(key, "audit") {
				told = append(told, key, string(it.Value))
			}
		}
	}
	of := map[protocol.Action]bool{}
	some := sample(3)
	for i, b := range some {
		if b.name == disablesFactor {
			continue
		}
		otp := ""
		if i%3 == 0 {
			otp, _ = s.approved(s.try(b.call(s), ""))
		} else {
			otp = s.code("alice")
		}
		a := s.try(b.call(s), otp)
		require.Less(t, a.Code, 300, "%s: %s", b.name, a.Body)
		of[b.action] = true
		tell()
		was = s.restore(was)
	}
	assert.Greater(t, len(of), 12)

	// What is refused, for what it is and for what it says.
	reader, _ := s.token("alice", token.Spec{Grants: grantAll(protocol.ReadOnly)})
	s.person("bob")
	bob := s.login("bob")
	whole := string(release{pkg: "plain", version: "3.0.0"}.body())
	s.events.all = nil
	refused := 0
	for _, b := range some {
		for _, bearer := range []string{reader, bob} {
			c := b.call(s)
			c.bearer = bearer
			if s.do(c).Code >= 400 {
				refused++
			}
		}
	}
	assert.Greater(t, refused, len(some))
	for _, body := range []string{
		strings.Replace(whole, `"latest":"3.0.0"`, `"latest":"a secret of alice@acme.test"`, 1),
		strings.Replace(whole, `"access":null`, `"access":"a secret"`, 1),
		whole + "a secret",
	} {
		bypass, _ := s.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
		require.Equal(t, 400, s.do(call{method: "PUT", path: "/plain", body: body, bearer: bypass}).Code)
		require.Equal(t, 400, s.try(call{method: "PUT", path: "/plain", body: body}, s.code("alice")).Code)
	}
	for _, c := range []call{
		setUser(`{"fullname":"` + strings.Repeat("Alice A.", 100) + `"}`), setUser(`{"email":"alice@acme.test a secret"}`),
		setUser(`{"password":{"old":"a secret","new":"` + newPassword + `"}}`), setUser(`{"password":{"old":"` + password + `","new":"alice"}}`),
		setUser(`{"tfa":{"mode":"disable","password":"a secret"}}`),
		deprecates("plain", map[string]string{"2.0.0": strings.Repeat("a", 5000)}),
	} {
		require.GreaterOrEqual(t, s.try(c, s.code("alice")).Code, 400)
		require.GreaterOrEqual(t, s.try(c, "000000").Code, 400)
		if whoami(s.world, s.session) != 200 {
			was = s.restore(was)
		}
	}
	tell()
	assert.Greater(t, len(told), 4*len(some))
	rows := 0
	for _, text := range told {
		assert.Empty(t, tellTale.FindString(text), text)
		if strings.HasPrefix(text, "{") && strings.Contains(text, `"event"`) {
			rows++
		}
	}
	assert.Greater(t, rows, len(some), "of the log")
	assert.Empty(t, tellTale.FindAllString(logged.String(), -1), "what is logged")
}
