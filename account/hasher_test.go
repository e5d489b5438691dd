package account_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/credential"
)

func secret(text string) credential.Secret { return credential.NewSecret(text) }

func newHasher(t testing.TB, cfg account.HasherConfig) *account.Hasher {
	t.Helper()
	h, err := account.NewHasher(cfg)
	require.NoError(t, err)
	return h
}

// allocated returns how many bytes fn allocates: argon2id takes its memory from
// the heap, so this tells whether a hash was computed without a clock.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

const (
	oneHash = 19456 << 10 // bytes
	noHash  = 1 << 20
)

func TestHasherConfig(t *testing.T) {
	for name, cfg := range map[string]account.HasherConfig{
		"Workers":       {Workers: -1},
		"Queue":         {Queue: -1},
		"Wait":          {Wait: -1},
		"Wait too":      {Wait: 100*time.Millisecond - 1},
		"Params memory": {Params: account.Params{Memory: 19455, Time: 2, Threads: 1}},
		"Params time":   {Params: account.Params{Memory: 19456, Time: 1, Threads: 1}},
		"Params zero":   {Params: account.Params{Memory: 19456, Time: 2}},
		"Params huge":   {Params: account.Params{Memory: 256<<10 + 1, Time: 2, Threads: 1}},
		"Params long":   {Params: account.Params{Memory: 19456, Time: 17, Threads: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := account.NewHasher(cfg)
			field, _, _ := strings.Cut(name, " ")
			assert.ErrorContains(t, err, "HasherConfig."+field)
		})
	}
	for _, p := range []account.Params{{}, account.DefaultParams, {Memory: 47104, Time: 1, Threads: 1}, {Memory: 7168, Time: 5, Threads: 1}, {Memory: 65536, Time: 3, Threads: 4}} {
		_, err := account.NewHasher(account.HasherConfig{Params: p})
		assert.NoError(t, err, p.String())
	}
}

func TestHashAndVerify(t *testing.T) {
	ctx, h := t.Context(), newHasher(t, account.HasherConfig{})
	phc, err := h.Hash(ctx, secret("correct horse"))
	require.NoError(t, err)
	assert.Regexp(t, `^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`, phc)
	again, err := h.Hash(ctx, secret("correct horse"))
	require.NoError(t, err)
	assert.NotEqual(t, phc, again, "each has its salt")

	for pw, want := range map[string]bool{
		"correct horse": true, "correct horse ": false, "Correct horse": false, "correct": false,
	} {
		ok, stale, err := h.Verify(ctx, phc, secret(pw))
		require.NoError(t, err)
		assert.Equal(t, want, ok, "%q", pw)
		assert.False(t, stale)
	}
}

// The reference implementation's own test vector.
func TestVerifyReferenceHash(t *testing.T) {
	const phc = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	h := newHasher(t, account.HasherConfig{})
	ok, stale, err := h.Verify(t.Context(), phc, secret("password"))
	require.NoError(t, err)
	assert.True(t, ok)
	assert.True(t, stale, "its costs are lower than ours")

	ok, stale, err = h.Verify(t.Context(), phc, secret("differentpassword"))
	require.NoError(t, err)
	assert.False(t, ok)
	assert.False(t, stale, "a wrong password renews nothing")
}

// PW-04, PW-05: which spellings are the same password and which are not.
func TestPasswordsCompareInFormC(t *testing.T) {
	ctx, h := t.Context(), newHasher(t, account.HasherConfig{})
	for _, tt := range []struct {
		set, presented string
		same           bool
	}{
		{"caf\u00e9", "cafe\u0301", true},
		{"cafe\u0301", "caf\u00e9", true},
		{"\uac01", "\u1100\u1161\u11a8", true},
		{"a\u0323\u0307", "a\u0307\u0323", true},
		{"\ufb01", "fi", false},
		{"\uff11", "1", false},
		{"\U0001f468\u200d\U0001f469", "\U0001f468\U0001f469", false},
		{"trailing", "trailing ", false},
		{"\u05d0\u05d1", "\u05d1\u05d0", false},
		{"a\x00b", "a", false},
		{"a\x00b", "a\x00c", false},
		{strings.Repeat("x", 73), strings.Repeat("x", 72) + "y", false},
	} {
		phc, err := h.Hash(ctx, secret(tt.set))
		require.NoError(t, err)
		ok, _, err := h.Verify(ctx, phc, secret(tt.presented))
		require.NoError(t, err)
		assert.Equal(t, tt.same, ok, "%+q %+q", tt.set, tt.presented)
	}
}

// PW-03: nothing is computed for a password that is too long or empty.
func TestPasswordLength(t *testing.T) {
	ctx, h := t.Context(), newHasher(t, account.HasherConfig{})
	longest := strings.Repeat("x", account.MaxPassword)
	phc, err := h.Hash(ctx, secret(longest))
	require.NoError(t, err)
	ok, _, err := h.Verify(ctx, phc, secret(longest))
	require.NoError(t, err)
	assert.True(t, ok, "1024 bytes count to the last")
	ok, _, err = h.Verify(ctx, phc, secret(longest[1:]+"y"))
	require.NoError(t, err)
	assert.False(t, ok)

	for name, pw := range map[string]string{
		"empty":              "",
		"1025":               longest + "x",
		"1 MiB":              strings.Repeat("x", 1<<20),
		"1 MiB of marks":     strings.Repeat("\u0301", 1<<19),
		"longer in its form": strings.Repeat("\ufb2c", 340), // three bytes each, six in form C
	} {
		t.Run(name, func(t *testing.T) {
			pw := secret(pw)
			assert.Less(t, allocated(func() {
				for _, phc := range []string{phc, ""} {
					ok, _, err := h.Verify(ctx, phc, pw)
					assert.NoError(t, err)
					assert.False(t, ok)
				}
				_, err := h.Hash(ctx, pw)
				assert.ErrorIs(t, err, account.ErrPassword)
			}), uint64(noHash))
		})
	}
}

// PW-06: a row that was tampered with is an error, and costs nothing.
func TestTamperedHash(t *testing.T) {
	ctx, h := t.Context(), newHasher(t, account.HasherConfig{})
	const good = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	replace := func(old, new string) string {
		require.Contains(t, good, old)
		return strings.Replace(good, old, new, 1)
	}
	for name, phc := range map[string]string{
		"memory":             replace("m=256", "m=4194304"),
		"memory overflows":   replace("m=256", "m=4294967552"),
		"no memory":          replace("m=256", "m=7"),
		"time":               replace("t=2", "t=999"),
		"no time":            replace("t=2", "t=0"),
		"threads":            replace("p=1", "p=255"),
		"threads overflow":   replace("p=1", "p=257"),
		"no threads":         replace("p=1", "p=0"),
		"sign":               replace("m=256", "m=+256"),
		"leading zero":       replace("m=256", "m=0256"),
		"order":              replace("m=256,t=2", "t=2,m=256"),
		"missing cost":       replace(",p=1", ""),
		"one more cost":      replace(",p=1", ",p=1,x=1"),
		"version":            replace("v=19", "v=16"),
		"no version":         replace("v=19$", ""),
		"argon2i":            replace("argon2id", "argon2i"),
		"argon2d":            replace("argon2id", "argon2d"),
		"no salt":            replace("c29tZXNhbHQ", ""),
		"short salt":         replace("c29tZXNhbHQ", "c29tZXNhbA"),
		"short key":          replace("nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "nf65EOgL"),
		"no key":             replace("nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", ""),
		"padding":            good + "=",
		"URL alphabet":       replace("R/u", "R_u"),
		"loose last bits":    replace("Gi/4", "Gi/5"),
		"newline":            good + "\n",
		"one more part":      good + "$",
		"long":               good + strings.Repeat("A", 1000),
		"plain text":         "password",
		"MD5 of htpasswd":    "$apr1$abcdefgh$PEkjlQlLN9ZW7ZIwMtdHT1",
		"SHA-1 of htpasswd":  "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
		"crypt of htpasswd":  "rqXexS6ZhobKA",
		"scrypt":             "$scrypt$ln=17,r=8,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"bcrypt cost":        "$2a$16$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"bcrypt cost 31":     "$2a$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"bcrypt short":       "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe",
		"bcrypt of a defect": "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
	} {
		t.Run(name, func(t *testing.T) {
			assert.Less(t, allocated(func() {
				ok, _, err := h.Verify(ctx, phc, secret("password"))
				assert.ErrorIs(t, err, account.ErrHash)
				assert.False(t, ok)
				if err != nil {
					assert.NotContains(t, err.Error(), "c29tZXNhbHQ", "a hash is not printed")
				}
			}), uint64(noHash))
		})
	}
}

// PW-07: hashes of bcrypt are verified by its rules and replaced.
func TestVerifyBcrypt(t *testing.T) {
	ctx, h := t.Context(), newHasher(t, account.HasherConfig{})
	check := func(hash, pw string) (ok, stale bool) {
		t.Helper()
		ok, stale, err := h.Verify(ctx, hash, secret(pw))
		require.NoError(t, err)
		return ok, stale
	}
	for _, minor := range []string{"2a", "2b", "2y"} { // a vector of crypt_blowfish
		ok, stale := check("$"+minor+"$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U")
		assert.True(t, ok, minor)
		assert.True(t, stale, minor)
	}
	made := func(pw string) string {
		hash, err := bcrypt.GenerateFromPassword([]byte(pw), bcrypt.MinCost)
		require.NoError(t, err)
		return string(hash)
	}

	long := strings.Repeat("x", 72)
	ok, stale := check(made(long), long)
	assert.True(t, ok)
	assert.True(t, stale)
	ok, stale = check(made(long), long+"whatever")
	assert.True(t, ok, "bcrypt does not look further")
	assert.False(t, stale, "what was never proven is not made part of it")

	ok, _ = check(made("cafe\u0301"), "cafe\u0301")
	assert.True(t, ok, "hashed before anyone normalised")
	ok, _ = check(made("caf\u00e9"), "cafe\u0301")
	assert.True(t, ok)

	// To bcrypt, "a" and "a\x00a" are one key.
	require.NoError(t, bcrypt.CompareHashAndPassword([]byte(made("a")), []byte("a\x00a")))
	ok, _ = check(made("a"), "a\x00a")
	assert.False(t, ok)
	ok, _ = check(made("a"), "b")
	assert.False(t, ok)
}

func TestStale(t *testing.T) {
	ctx := t.Context()
	pw := secret("correct horse")
	made := map[string]string{}
	sets := map[string]account.Params{
		"default": {}, "less memory": {Memory: 12288, Time: 3, Threads: 1}, "more": {Memory: 20480, Time: 2, Threads: 1},
		"more threads": {Memory: 19456, Time: 2, Threads: 2},
	}
	for name, p := range sets {
		var err error
		made[name], err = newHasher(t, account.HasherConfig{Params: p}).Hash(ctx, pw)
		require.NoError(t, err)
	}
	for _, tt := range []struct {
		now, was string
		want     bool
	}{
		{"default", "default", false},
		{"default", "less memory", true},
		{"less memory", "default", true}, // fewer passes
		{"default", "more", false},
		{"more", "default", true},
		{"more threads", "default", true},
		{"default", "more threads", true},
	} {
		ok, stale, err := newHasher(t, account.HasherConfig{Params: sets[tt.now]}).Verify(ctx, made[tt.was], pw)
		require.NoError(t, err)
		assert.True(t, ok)
		assert.Equal(t, tt.want, stale, "%s to %s", tt.was, tt.now)
	}
}

// EN-02: an unknown user costs a hash of the same costs.
func TestNobodyCostsTheSame(t *testing.T) {
	ctx, h := t.Context(), newHasher(t, account.HasherConfig{})
	phc, err := h.Hash(ctx, secret("correct horse"))
	require.NoError(t, err)
	for name, phc := range map[string]string{"known": phc, "unknown": ""} {
		n := allocated(func() {
			ok, _, err := h.Verify(ctx, phc, secret("wrong horse"))
			assert.NoError(t, err)
			assert.False(t, ok)
		})
		assert.GreaterOrEqual(t, n, uint64(oneHash), name)
		assert.Less(t, n, uint64(oneHash+noHash), name)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
	f.Add("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW")
	f.Add("")
	h := newHasher(f, account.HasherConfig{})
	f.Fuzz(func(t *testing.T, phc string) {
		if strings.HasPrefix(phc, "$2") {
			return // cost 15 is allowed and takes seconds
		}
		ok, stale, err := h.Verify(t.Context(), phc, secret("some password"))
		if err != nil {
			require.ErrorIs(t, err, account.ErrHash)
		}
		require.False(t, ok && err != nil)
		require.False(t, stale && !ok)
	})
}
