package main

import (
	"context"
	"crypto/sha256"
	"maps"
	"net/http"
	"slices"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/twofactor/webauthn"
	"github.com/npmauth/npmauth/web"
)

// adopt puts npmauth in front of the app. Its people keep their names and passwords, and its
// API tokens still read. signIn takes the place of the passwords, unless it is nil.
func adopt(a *app, baseURL string, st store.Store, signIn *web.SignIn) (*npmauth.Auth, error) {
	hasher, err := account.NewHasher(account.HasherConfig{})
	if err != nil {
		return nil, err
	}
	return npmauth.New(npmauth.Config{
		BaseURL:    baseURL,
		Store:      st,
		Users:      users{a, hasher},
		Packages:   packages{a},
		Foreign:    a.foreign,
		SignIn:     signIn,
		Name:       "The shelf",
		Look:       look,
		Keys:       webauthn.Keys, // where baseURL has a domain name
		OpenSignUp: signIn == nil, // whoever reaches the shelf is in the company's network
		Public: func(r *http.Request) bool { // what the app has besides packages
			return r.URL.Path == "/" || r.URL.Path == "/healthz"
		},
		ForeignUntil: a.tokensUntil,
	})
}

// look is the app's: its green, in light and in dark, and its logo.
var look = web.Look{
	Style: `:root { --accent: #0a5c4a; --accent-ink: #ffffff; --warn-line: #9a6a00; }
@media (prefers-color-scheme: dark) { :root { --accent: #7fd6bf; --accent-ink: #06231c; --warn-line: #e2b23c; } }
main { border-radius: 0; }
`,
	Logo: []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8" width="32" height="32"><path fill="#0a7d63" d="M0 0h8v8H0z"/>` +
		`<path fill="#ffffff" d="M1 2h6v1H1zM1 5h6v1H1z"/></svg>`),
	LogoType: "image/svg+xml",
}

// migrate tells npmauth once what there was before it: how each package could be published, and
// which API tokens were taken back. It is run again if it was interrupted, and before people
// change anything.
func migrate(ctx context.Context, a *app, auth *npmauth.Auth) error {
	a.mu.Lock()
	settings := map[protocol.PackageID]policy.Settings{}
	for _, p := range a.packages {
		settings[packageID(p)] = policy.Settings{Publish: publishModes[p.releases]}
	}
	var revoked []token.Revoked
	for digest, at := range a.ended {
		revoked = append(revoked, token.Revoked{Digest: digest, At: at})
	}
	a.mu.Unlock()

	if err := auth.ImportPackages(ctx, maps.All(settings)); err != nil {
		return err
	}
	_, err := auth.Tokens().ImportRevoked(ctx, audit.Actor{}, slices.Values(revoked))
	return err
}

// publishModes are what the app's words mean for npm. A word that it does not have is the
// default: a second factor, or a token that bypasses it.
var publishModes = map[string]protocol.PublishMode{
	"any": protocol.NoFactor, "person": protocol.FactorOnly, "pipeline": protocol.FactorOrBypass,
}

// Users implements [host.Users] by the app's table of people.
type users struct {
	*app
	hasher *account.Hasher // verifies bcrypt, and limits how many logins hash at once
}

// Lookup implements [host.Users].
func (u users) Lookup(_ context.Context, name string) (host.User, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, p := range u.people {
		if i > 0 && p.name == name {
			return u.user(i), nil
		}
	}
	return host.User{}, host.ErrNoUser
}

// User implements [host.Users].
func (u users) User(_ context.Context, id protocol.UserID) (host.User, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, err := u.person(id); err != nil {
		return host.User{}, err
	}
	n, err := personNumber(id)
	return u.user(n), err
}

// person returns the row of id. The caller has locked mu.
func (u users) person(id protocol.UserID) (*person, error) {
	n, err := personNumber(id)
	if err != nil || n < 1 || n >= len(u.people) {
		return nil, host.ErrNoUser
	}
	return &u.people[n], nil
}

// user returns person n. The caller has locked mu.
func (u users) user(n int) host.User {
	p := u.people[n]
	return host.User{ID: personID(n), Name: p.name, Email: p.email, Disabled: p.left}
}

// CheckPassword implements [host.Users]. The hash of an unknown user is "", for which Verify takes
// as long as for a new hash. An older one of bcrypt takes another time until it is replaced.
func (u users) CheckPassword(ctx context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
	ok, _, err := u.hasher.Verify(ctx, u.hashOf(id), pw)
	return ok, err
}

// setPassword is called by the app's own page when a person has chosen a new password. Only the
// call at its end is new: it makes npmauth end the sessions of the old password.
func (u users) setPassword(ctx context.Context, auth *npmauth.Auth, id protocol.UserID, pw credential.Secret) error {
	hash, err := u.hasher.Hash(ctx, pw)
	if err != nil {
		return err
	}
	if err := u.storeHash(id, hash); err != nil {
		return err
	}
	return auth.PasswordChanged(ctx, id)
}

func (u users) storeHash(id protocol.UserID, hash string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	p, err := u.person(id)
	if err != nil {
		return err
	}
	p.hash = hash
	return nil
}

func (u users) hashOf(id protocol.UserID) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	p, err := u.person(id)
	if err != nil {
		return ""
	}
	return p.hash
}

// SignUp implements [host.SignUp], for npmauth's page and npm adduser: it does what the app's own
// page does with its form.
func (u users) SignUp(ctx context.Context, n host.NewUser) (protocol.UserID, error) {
	switch {
	case account.ValidName(n.Name) != nil:
		return "", account.ErrName
	case account.ValidEmail(n.Email) != nil:
		return "", account.ErrEmail
	}
	hash, err := u.newHash(ctx, n.Password)
	if err != nil {
		return "", err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, p := range u.people { // "nobody" among them
		if p.name == n.Name {
			return "", host.ErrNameTaken
		}
	}
	u.people = append(u.people, person{name: n.Name, email: n.Email, hash: hash})
	return personID(len(u.people) - 1), nil
}

// Profile implements [host.Profiles]. The app has a name and an e-mail address of people.
func (u users) Profile(_ context.Context, id protocol.UserID) (host.Profile, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	p, err := u.person(id)
	if err != nil {
		return host.Profile{}, err
	}
	return host.Profile{Email: p.email, EmailVerified: p.verified, FullName: p.fullName}, nil
}

// SetProfile implements [host.Profiles]. It refuses fields that the app has no column for,
// before a second factor is needed.
func (u users) SetProfile(_ context.Context, id protocol.UserID, was, is host.Profile) (host.Write, error) {
	kept := host.Profile{Email: is.Email, EmailVerified: is.EmailVerified, FullName: is.FullName}
	if kept != is {
		return nil, errNoColumn
	}
	return func(context.Context) error {
		u.mu.Lock()
		defer u.mu.Unlock()
		p, err := u.person(id)
		if err != nil {
			return err
		}
		if p.email != was.Email || p.fullName != was.FullName {
			return errMoved
		}
		p.email, p.verified, p.fullName = is.Email, is.EmailVerified, is.FullName
		return nil
	}, nil
}

// ChangePassword implements [host.Passwords]. The hashes are computed here, where it may take
// time; the write only compares and stores. Of two changes of one password the later finds
// another hash.
func (u users) ChangePassword(ctx context.Context, id protocol.UserID, old, new credential.Secret) (host.Write, error) {
	was := u.hashOf(id)
	switch ok, _, err := u.hasher.Verify(ctx, was, old); {
	case err != nil:
		return nil, err
	case !ok:
		return nil, host.ErrWrongPassword
	}
	hash, err := u.newHash(ctx, new)
	if err != nil {
		return nil, err
	}
	return func(context.Context) error {
		u.mu.Lock()
		defer u.mu.Unlock()
		p, err := u.person(id)
		if err != nil {
			return err
		}
		if p.hash != was {
			return host.ErrWrongPassword
		}
		p.hash = hash
		return nil
	}, nil
}

// newHash checks and hashes a new password by the app's rules.
func (u users) newHash(ctx context.Context, pw credential.Secret) (string, error) {
	if len(pw.Reveal()) < 12 {
		return "", &account.PasswordError{Why: "it has fewer than 12 characters"}
	}
	return u.hasher.Hash(ctx, pw)
}

// Packages implements [host.Packages] by the app's table of packages: the company's own, which
// its people read and their creator writes.
type packages struct{ *app }

// Facts implements [host.Packages].
func (p packages) Facts(_ context.Context, name protocol.PackageName, user protocol.UserID) (policy.Facts, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pkg := p.packages[name.String()]
	if pkg == nil {
		return policy.Facts{MayCreate: user != ""}, nil
	}
	facts := policy.Facts{ID: packageID(pkg), Private: true}
	if user != "" {
		facts.Rights = policy.RightRead
	}
	if user == personID(pkg.owner) {
		facts.Rights |= policy.RightWrite | policy.RightAdmin
	}
	return facts, nil
}

// foreign authenticates the app's older API tokens, which can read everything that their person
// can.
func (a *app) foreign(_ context.Context, bearer credential.Secret) (host.ForeignToken, error) {
	digest := sha256.Sum256([]byte(bearer.Reveal()))
	a.mu.Lock()
	defer a.mu.Unlock()
	n, ok := a.tokens[digest]
	if !ok {
		return host.ForeignToken{}, host.ErrInvalidToken
	}
	return host.ForeignToken{
		ID:     "api-token-of-" + a.people[n].name,
		User:   personID(n),
		Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadOnly}},
	}, nil
}

var (
	_ host.Users     = users{}
	_ host.SignUp    = users{}
	_ host.Profiles  = users{}
	_ host.Passwords = users{}
	_ host.Packages  = packages{}
	_ http.Handler   = (*app)(nil)
)
