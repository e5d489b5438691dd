package npmauth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/host/hosttest"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/token"
)

// A taker is a host that takes what is published as one that streams does: it decodes the
// JSON value and commits at its end.
type taker struct {
	got       []byte // all that it was given
	end       error  // of its last read
	calls     int
	committed []protocol.Change
}

func (k *taker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.calls++
	k.got, k.end = nil, nil
	op, _ := host.OperationFrom(r.Context())
	buf := make([]byte, 8<<10)
	for k.end == nil {
		var n int
		n, k.end = r.Body.Read(buf)
		k.got = append(k.got, buf[:n]...)
	}
	if json.NewDecoder(bytes.NewReader(k.got)).Decode(new(any)) != nil {
		http.Error(w, "the host's own words", http.StatusInternalServerError)
		return
	}
	c, err := op.Change()
	if err != nil {
		http.Error(w, "the host's own words", http.StatusInternalServerError)
		return
	}
	k.committed = append(k.committed, c)
	fmt.Fprint(w, `{"ok":true}`)
}

// takenBy has what s lets through go to a taker.
func (s *scene) takenBy() *taker {
	k := new(taker)
	s.handler = s.auth.Wrap(k)
	return k
}

// inPieces is a body that comes in pieces, without a length.
func inPieces(body []byte) io.Reader { return iotest.OneByteReader(bytes.NewReader(body)) }

// What was approved on a page are the bytes whose hash it showed, in whatever order the body has
// them: others that are said to have the same hash do not reach the host's commit, and those that
// say what hash they have are asked for anew.
//
// AU-10.
func TestApprovedBytes(t *testing.T) {
	right, other := hosttest.Tarball(protocol.PackageName{Name: "plain"}, "3.0.0"), []byte("other bytes")
	both := sri(other) + " " + sri(right)
	for name, tt := range map[string]struct{ integrity, shasum, shows string }{
		"integrity and shasum": {"", "", sri(right)},
		"integrity alone":      {"", "-", sri(right)},
		"shasum alone":         {"-", "", "sha1-"},
		"two integrities":      {both, "-", both},
		"a hash nobody knows":  {"sha9-AAAA", "", "sha1-"},
	} {
		for _, first := range []bool{false, true} {
			for _, digits := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, first %v, digits %v", name, first, digits), func(t *testing.T) {
					s := newScene(t)
					took := s.takenBy()
					body := func(tarball, stated []byte) []byte {
						return release{pkg: "plain", version: "3.0.0", first: first, tarball: tarball, stated: stated, integrity: tt.integrity, shasum: tt.shasum}.body()
					}
					put := func(body []byte, otp string) answer {
						return s.try(call{method: "PUT", path: "/plain", body: body}, otp)
					}
					refused := func(a answer) {
						t.Helper()
						assert.Equal(t, 400, a.Code, a.Body.String())
						assert.Equal(t, "bad-publish", a.text("code"))
						assert.Contains(t, a.text("error"), "not the one that the manifest's integrity states")
						assert.Empty(t, took.committed)
					}

					ask := put(body(right, right), "")
					isChallenge(t, ask)
					_, _, page := s.open(ask.text("authUrl"))
					said := saidOn(page)
					assert.Contains(t, said, "Integrity of the tarball:: "+tt.shows)
					proof, typed := s.approved(ask)
					if digits {
						proof = typed
					}
					wrong := bytes.Clone(right)
					wrong[len(wrong)-1] ^= 1
					refused(put(body(wrong, right), proof))
					assert.NotEqual(t, byte('}'), bytes.TrimSpace(took.got)[len(took.got)-1])
					assert.Error(t, json.Unmarshal(took.got, new(any)))
					refused(s.try(call{method: "PUT", path: "/plain", body: inPieces(body(wrong, right))}, proof))
					if tt.integrity != both {
						isChallenge(t, put(body(wrong, wrong), proof))
					}
					isChallenge(t, put(release{pkg: "plain", version: "3.0.0", first: first, tarball: right, integrity: "-", shasum: "-"}.body(), proof))
					require.Empty(t, took.committed)

					a := put(body(right, right), proof)
					require.Equal(t, 200, a.Code, a.Body.String())
					require.Len(t, took.committed, 1)
					took.committed = nil
					refused(put(body(wrong, right), proof)) // nor as a retry
					require.Equal(t, 200, put(body(right, right), proof).Code)
				})
			}
		}
	}
}

// A publish that states no hash says so on its page, and is held to none.
func TestApprovedWithoutAHash(t *testing.T) {
	for _, first := range []bool{false, true} {
		s := newScene(t)
		c := release{pkg: "plain", version: "3.0.0", integrity: "-", shasum: "-", first: first}.call()
		ask := s.try(c, "")
		isChallenge(t, ask)
		_, _, page := s.open(ask.text("authUrl"))
		assert.Contains(t, saidOn(page), "Integrity of the tarball: none")
		proof, _ := s.approved(ask)
		isChallenge(t, s.try(release{pkg: "plain", version: "3.0.0", first: first}.call(), proof)) // one that states some
		require.Equal(t, 200, s.try(c, proof).Code)
		assert.Len(t, s.host.written(), 1)
	}
}

// The hash of a large body is known at its end, and what comes before that is all that the host
// is given of another one.
func TestApprovedBytesOfALargeBody(t *testing.T) {
	size := 6 << 20
	if raceEnabled {
		size = 1 << 20 // which takes the detector a second
	}
	right := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	for _, first := range []bool{false, true} {
		s := newScene(t)
		took := s.takenBy()
		put := func(tarball []byte, otp string) answer {
			body := release{pkg: "plain", version: "3.0.0", first: first, tarball: tarball, stated: right}.body()
			return s.try(call{method: "PUT", path: "/plain", body: struct{ io.Reader }{bytes.NewReader(body)}}, otp)
		}
		proof, _ := s.approved(put(right, ""))
		assert.Zero(t, took.calls)
		wrong := bytes.Clone(right)
		wrong[len(wrong)-1] = '!'
		a := put(wrong, proof)
		assert.Equal(t, 400, a.Code, a.Body.String())
		assert.NotErrorIs(t, took.end, io.EOF)
		assert.Greater(t, len(took.got), size)
		assert.Greater(t, strings.Count(string(took.got), "{"), strings.Count(string(took.got), "}"), "it read no closing brace")
		require.Empty(t, took.committed)
		require.Equal(t, 200, put(right, proof).Code)
		require.Len(t, took.committed, 1)
	}
}

// A company's rule may ask for a factor because of what a publish would do, which is not known
// before its end. What was approved then is held to its page all the same.
func TestApprovedBytesWhereARuleAsksLate(t *testing.T) {
	late := policy.NPM().With(policy.Rule{
		ID: "latest-needs-factor", Doc: "What everybody installs takes a factor.", Sentence: "The tag latest takes a one-time password.",
		Actions: []protocol.Action{protocol.Publish},
		Judge: func(r *policy.Request) policy.Verdict {
			if r.Change != nil && r.Change.Tags["latest"] != "" && !r.Proven() {
				return policy.NeedProof
			}
			return policy.Silent
		},
	})
	for _, first := range []bool{false, true} {
		s := newScene(t, func(cfg *npmauth.Config) { cfg.Policy = late })
		took := s.takenBy()
		s.session, _ = s.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
		right, wrong := []byte("the right bytes"), []byte("the wrong bytes")
		put := func(tarball []byte, otp string) answer {
			return s.try(release{pkg: "plain", version: "3.0.0", first: first, tarball: tarball, stated: right}.call(), otp)
		}
		require.Equal(t, 200, s.try(release{pkg: "plain", version: "3.0.0", tags: []string{"next"}}.call(), "").Code)
		took.committed = nil
		proof, typed := s.approved(put(right, ""))
		for _, value := range []string{proof, typed} {
			a := put(wrong, value)
			assert.Equal(t, 400, a.Code, a.Body.String())
			assert.Equal(t, "bad-publish", a.text("code"))
			require.Empty(t, took.committed)
		}
		require.Equal(t, 200, put(right, proof).Code)
		require.Len(t, took.committed, 1)
	}
}

// A publish that takes a factor and brings none is read to its end for nobody: what is wrong with
// it is said then, and its page says all of it.
func TestPublishIsReadBeforeItIsChallenged(t *testing.T) {
	noLatest := policy.NPM().With(policy.Rule{
		ID: "no-latest", Doc: "Nobody publishes the tag latest.", Sentence: "The tag latest is set by hand.", Actions: []protocol.Action{protocol.Publish},
		Judge: func(r *policy.Request) policy.Verdict {
			if r.Change != nil && r.Change.Tags["latest"] != "" {
				return policy.Forbid
			}
			return policy.Silent
		},
	})
	for _, first := range []bool{false, true} {
		s := newScene(t, func(cfg *npmauth.Config) { cfg.Policy = noLatest })
		took := s.takenBy()
		was := s.rows()
		whole := release{pkg: "plain", version: "3.0.0", tags: []string{"next"}, first: first}.body()
		put := func(body []byte, otp string) answer {
			return s.try(call{method: "PUT", path: "/plain", body: inPieces(body)}, otp)
		}

		ask := put(whole, "")
		isChallenge(t, ask)
		require.NotEmpty(t, ask.text("authUrl"))
		_, _, page := s.open(ask.text("authUrl"))
		for _, line := range []string{"Publishes version: 3.0.0", "Sets a dist-tag: next to 3.0.0", "Integrity of the tarball:: sha512-"} {
			assert.Contains(t, saidOn(page), line)
		}
		pages := len(s.pages())
		for says, body := range map[string][]byte{
			"unexpected end":                                     whole[:len(whole)-1],
			"data after the end":                                 append(bytes.Clone(whole), 'x'),
			"a dist-tag must name the published version":         bytes.Replace(whole, []byte(`"next":"3.0.0"`), []byte(`"next":"2.0.0"`), 1),
			"version's manifest is about another version":        bytes.Replace(whole, []byte(`"version":"3.0.0"`), []byte(`"version":"3.0.1"`), 1),
			"the body is about another package than the address": bytes.Replace(whole, []byte(`"name":"plain","readme"`), []byte(`"name":"other","readme"`), 1),
			"the body has attachments besides the tarball":       bytes.Replace(whole, []byte(`"plain-3.0.0.tgz":{`), []byte(`"a":{"data":""},"b":{"data":""},"plain-3.0.0.tgz":{`), 1),
			"a publish cannot change who maintains":              bytes.Replace(whole, []byte(`"_id":"plain"`), []byte(`"_id":"plain","maintainers":[{"name":"mallory"}]`), 1),
			"only a plain publish is accepted here":              bytes.Replace(whole, []byte(`"_id":"plain"`), []byte(`"_id":"plain","users":{}`), 1),
			"dist.integrity is not Subresource Integrity text":   bytes.Replace(whole, []byte(`"integrity":"sha512-`), []byte(`"integrity":"sha512_`), 1),
		} {
			require.NotEqual(t, whole, body, says)
			a := put(body, "")
			assert.Contains(t, []int{400, 403}, a.Code, "%s: %s", says, a.Body)
			assert.Contains(t, a.text("error"), says)
			assert.Empty(t, a.Header()["Www-Authenticate"])
		}

		latest := release{pkg: "plain", version: "3.0.0", first: first}.body()
		assert.Len(t, s.pages(), pages)
		a := put(latest, "")
		assert.Equal(t, 403, a.Code, a.Body.String())
		assert.Equal(t, "no-latest", a.text("code"))
		assert.Empty(t, a.Header()["Www-Authenticate"])
		assert.Len(t, s.pages(), pages, "no page was made for any of them")
		assert.Zero(t, took.calls)

		code := s.code("alice")
		a = put(latest, code)
		assert.Equal(t, 403, a.Code, a.Body.String())
		assert.Equal(t, "no-latest", a.text("code"))
		require.Empty(t, took.committed)
		require.Empty(t, s.changed(was))
		require.Equal(t, 200, put(whole, code).Code, "the code was not spent on what is refused")
		require.Len(t, took.committed, 1)
	}
}

// letters is an endless base64 text.
type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'A'
	}
	return len(p), nil
}

type counted struct {
	io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// Who publishes a further version says nothing of the visibility: another than the package has is
// refused, whatever comes along and before anything of it is spent, and the same is not handed over. Of
// a new package it is.
//
// AU-12.
func TestPublishChangesNoVisibility(t *testing.T) {
	for _, first := range []bool{false, true} {
		for _, private := range []bool{false, true} {
			s := newScene(t)
			took := s.takenBy()
			s.host.change(func(p *hosted) { p.private = private })
			is, other := "public", "restricted"
			if private {
				is, other = other, is
			}
			bypass, _ := s.token("alice", token.Spec{Grants: grantAll(protocol.ReadWrite), Bypass: true})
			put := func(pkg, access, otp string) answer {
				return s.try(release{pkg: pkg, version: "3.0.0", access: access, first: first}.call(), otp)
			}
			proof, typed := s.approved(put("plain", is, ""))
			code := s.code("alice")
			pages := len(s.pages())
			for _, value := range []string{"", proof, typed, code} {
				a := put("plain", other, value)
				assert.Equal(t, 403, a.Code, a.Body.String())
				assert.Equal(t, "visibility", a.text("code"))
				assert.Contains(t, a.text("error"), "The package is "+is)
				assert.Empty(t, a.Header()["Www-Authenticate"])
			}
			c := release{pkg: "plain", version: "3.0.0", access: other, first: first}.call()
			c.bearer = bypass
			assert.Equal(t, 403, s.do(c).Code)
			assert.Len(t, s.pages(), pages)
			require.Empty(t, took.committed)
			require.Equal(t, 200, put("plain", is, proof).Code)
			require.Equal(t, 200, put("plain", "", code).Code)
			for _, access := range []string{"", "public", "restricted"} {
				require.Equal(t, 200, put("@acme/new", access, code).Code)
			}
			var handed []string
			for _, c := range took.committed {
				handed = append(handed, c.Access)
			}
			assert.Equal(t, []string{"", "", "", "public", "restricted"}, handed)
		}
	}
}

// The visibility of a package that changes while a publish is on its way is the one that counts.
func TestVisibilityChangesWhilePublishing(t *testing.T) {
	s := newScene(t)
	took := s.takenBy()
	proof, _ := s.approved(s.try(release{pkg: "plain", version: "3.0.0", access: "public"}.call(), ""))
	c := release{pkg: "plain", version: "3.0.0", access: "public"}.call()
	all, ok := c.body.([]byte)
	require.True(t, ok)
	r := httptest.NewRequest("PUT", "/plain", io.MultiReader(bytes.NewReader(all[:len(all)-1]), readerFunc(func(p []byte) (int, error) {
		s.host.change(func(p *hosted) { p.private = true })
		return copy(p, "}"), io.EOF
	})))
	r.Header.Set("Authorization", "Bearer "+s.session)
	r.Header.Set("Npm-Otp", proof)
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, r)
	assert.Equal(t, 403, rec.Code)
	assert.Contains(t, rec.Body.String(), "The package is restricted")
	assert.Empty(t, took.committed)
}
