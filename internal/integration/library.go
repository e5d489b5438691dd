package integration

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/store/etcd"
	"github.com/npmauth/npmauth/store/postgres"
	"github.com/npmauth/npmauth/store/sqlite"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/trust"
	"github.com/npmauth/npmauth/twofactor"
)

// OpenStore opens the store that -store would name so, and returns what closes it.
func OpenStore(at string) (store.Store, func() error, error) {
	kind, rest, _ := strings.Cut(at, ":")
	switch kind {
	case "sqlite":
		s, err := sqlite.Open(rest)
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	case "postgres":
		s, err := postgres.Open(context.Background(), at, postgres.Config{})
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	case "etcd":
		var members []string
		for member := range strings.SplitSeq(strings.TrimPrefix(rest, "//"), ",") {
			members = append(members, "http://"+member)
		}
		s, err := etcd.Open(context.Background(), etcd.Config{Endpoints: members})
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	default:
		return nil, nil, fmt.Errorf("no engine %q", kind)
	}
}

// A Library is npmauth on a store as a program has it that embeds it: a node, but
// for HTTP. Its host has everyone whose name is asked for, with one password that
// costs nothing to check, and no packages.
type Library struct {
	*npmauth.Auth
	Store store.Store
	trust *trust.Manager
	Close func() error
}

// sealKey is the key that the nodes of a test share.
var sealKey = store.Key{1: 'k', 2: 'e', 3: 'y'}

// OpenLibrary opens a node on the store that -store would name so.
func OpenLibrary(at string) (*Library, error) {
	engine, closeEngine, err := OpenStore(at)
	if err != nil {
		return nil, err
	}
	st := store.Seal(engine, sealKey)
	auth, err := npmauth.New(npmauth.Config{
		BaseURL: "https://registry.example/", Store: st, Packages: nothing{}, Users: everyone{},
		Fresh: -1, // what is asked about is what is stored
	})
	if err != nil {
		return nil, errors.Join(err, closeEngine())
	}
	publishers, err := trust.NewManager(trust.ManagerConfig{Store: st, Issuers: []trust.Issuer{ciSystem}})
	if err != nil {
		return nil, errors.Join(err, closeEngine())
	}
	return &Library{Auth: auth, Store: st, trust: publishers, Close: closeEngine}, nil
}

type nothing struct{}

func (nothing) Facts(context.Context, protocol.PackageName, protocol.UserID) (policy.Facts, error) {
	return policy.Facts{}, nil
}

type everyone struct{}

func (everyone) Lookup(_ context.Context, name string) (host.User, error) {
	return host.User{ID: protocol.UserID(name), Name: name}, nil
}

func (everyone) User(_ context.Context, id protocol.UserID) (host.User, error) {
	return host.User{ID: id, Name: string(id)}, nil
}

func (everyone) CheckPassword(_ context.Context, _ protocol.UserID, pw credential.Secret) (bool, error) {
	return pw.Equal(credential.NewSecret(Password)), nil
}

// here is where the clients of a Library are.
var here = session.Client{Addr: netip.MustParseAddr("192.0.2.1"), UserAgent: "npm"}

// signIn signs user in with a second factor, if otp is not "".
func (l *Library) signIn(ctx context.Context, user protocol.UserID, otp string) (session.Session, error) {
	_, s, err := l.Sessions().SignIn(ctx, proofOf(user, otp))
	return s, err
}

func proofOf(user protocol.UserID, otp string) session.SignIn {
	in := session.SignIn{Name: string(user), Password: credential.NewSecret(Password), Client: here, Via: "test"}
	if otp != "" {
		in.OTP = credential.NewSecret(otp)
	}
	return in
}

// A Factor is the second factor of a user.
type Factor struct {
	User     protocol.UserID
	Secret   string   // of the app
	Recovery []string // codes
	Step     int64    // the last one that was spent
}

// Enrol gives user a second factor. The code of the step before the present one is
// spent on it, so that the one of the present and the one after it are left.
func (l *Library) Enrol(ctx context.Context, user protocol.UserID) (*Factor, error) {
	uri, err := l.Factors().Enrol(ctx, audit.Actor{}, user, string(user), protocol.AuthAndWrites)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(uri.Reveal())
	if err != nil {
		return nil, err
	}
	f := &Factor{User: user, Secret: u.Query().Get("secret"), Step: time.Now().Unix()/period - 2}
	codes, err := l.Factors().Confirm(ctx, audit.Actor{}, user, credential.NewSecret(f.Next()))
	for _, c := range codes {
		f.Recovery = append(f.Recovery, c.Reveal())
	}
	return f, err
}

// Next returns the code of the next step.
func (f *Factor) Next() string {
	f.Step++
	code, err := totp.GenerateCode(f.Secret, time.Unix(f.Step*period, 0))
	if err != nil {
		panic(err) // the secret was made by npmauth
	}
	return code
}

// ci is what every token of the tests is made for.
func ci(user protocol.UserID) token.Spec {
	return token.Spec{User: user, Name: "ci", Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadOnly}}}
}

// A Shot is something that can be done once, whoever tries: it wins, or it is too
// late.
type Shot struct {
	Kind  string          // totp, recovery, approval, challenge or exchange
	User  protocol.UserID // of an exchange, nobody: the name of the package
	Value string          // what is presented; of an approval, the page, and of an exchange, the jti of the ID token
	Other string          // of a challenge, the value that the second process presents
}

// what a challenge's proof is for: something that leaves no grant, so that the same
// value is nothing the second time.
var once = twofactor.Use{Credential: "session-1", Action: protocol.CreateToken, Change: new(protocol.Change).Digest(protocol.Operation{Action: protocol.CreateToken})}

// Kinds are the kinds of a [Shot].
var Kinds = []string{"totp", "recovery", "approval", "challenge", "exchange"}

// ciSystem issues the ID tokens of exchanges, each of which is for the jobs of its subject: a package's name.
var ciSystem = trust.Issuer{Kind: trust.KindOIDC, URL: "https://ci.registry.example"}

// packageOf is the package whose trusted publisher has the subject.
func packageOf(subject protocol.UserID) trust.Package {
	return trust.Package{ID: protocol.PackageID(subject), Name: protocol.PackageName{Name: string(subject)}}
}

// exchange exchanges the ID token with this jti for a token of the package of the shot.
func (l *Library) exchange(ctx context.Context, s Shot) error {
	claims, err := trust.ParseClaims([]byte(`{"sub":"` + string(s.User) + `"}`))
	if err != nil {
		return err
	}
	now := time.Now()
	id := trust.IDToken{Issuer: ciSystem, ID: s.Value, Issued: now, Expires: now.Add(time.Hour), Until: now.Add(time.Hour), Claims: claims}
	return store.Transact(ctx, l.Store, func(tx *store.Tx) error {
		_, _, err := l.trust.ExchangeTx(ctx, tx, audit.Actor{}, packageOf(s.User), id)
		return err
	})
}

// Load makes one shot of every kind. The names of their users begin with name.
func (l *Library) Load(ctx context.Context, name string) ([]Shot, error) {
	factor, err := l.Enrol(ctx, protocol.UserID(name+"-factor"))
	if err != nil {
		return nil, err
	}
	// Another account: of one, twenty passwords at most are being checked for places that it does not know.
	lost, err := l.Enrol(ctx, protocol.UserID(name+"-lost"))
	if err != nil {
		return nil, err
	}
	login, err := l.Sessions().Start(ctx, here)
	if err != nil {
		return nil, err
	}
	asked, err := l.Enrol(ctx, protocol.UserID(name+"-asked"))
	if err != nil {
		return nil, err
	}
	c, err := l.Factors().Challenge(ctx, twofactor.NewChallenge{User: asked.User, Name: string(asked.User), Credential: once.Credential, Action: once.Action,
		Items: []twofactor.Item{{Change: once.Change}}})
	if err != nil {
		return nil, err
	}
	typed, err := l.Factors().Approve(ctx, twofactor.Approval{PageID: c.PageID, User: asked.User, Value: credential.NewSecret(asked.Next())})
	if err != nil {
		return nil, err
	}
	poll, err := l.Factors().Collect(ctx, c.PollID, here.Addr)
	if err != nil {
		return nil, err
	}
	ci := protocol.UserID(name + "-ci")
	_, err = l.trust.Add(ctx, audit.Actor{}, packageOf(ci), trust.Publisher{
		Kind: ciSystem.Kind, Issuer: ciSystem.URL, Claims: map[string]string{"sub": string(ci)}, Permissions: trust.CreatePackage,
	})
	if err != nil {
		return nil, err
	}
	return []Shot{
		{Kind: "totp", User: factor.User, Value: factor.Next()},
		{Kind: "recovery", User: lost.User, Value: lost.Recovery[0]},
		{Kind: "approval", User: protocol.UserID(name + "-plain"), Value: login.PageID},
		{Kind: "challenge", User: asked.User, Value: typed.Reveal(), Other: poll.Proof.Reveal()},
		{Kind: "exchange", User: ci, Value: "jti"},
	}, nil
}

// Fire takes a shot. It returns false if somebody else was first, or got in the way
// too often. Any other error means that nobody can tell.
func (l *Library) Fire(ctx context.Context, s Shot) (won bool, err error) {
	switch s.Kind {
	case "totp", "recovery":
		_, err = l.signIn(ctx, s.User, s.Value)
	case "approval":
		err = l.Sessions().Approve(ctx, s.Value, proofOf(s.User, ""))
	case "challenge":
		_, err = l.Factors().Prove(ctx, s.User, once, credential.NewSecret(s.Value))
	case "exchange":
		err = l.exchange(ctx, s)
	default:
		err = fmt.Errorf("no shot %q", s.Kind)
	}
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, store.ErrUnknown):
		return false, err
	case errors.Is(err, session.ErrFactorRequired), errors.Is(err, session.ErrDecided),
		errors.Is(err, twofactor.ErrWrong), errors.Is(err, trust.ErrUsed), errors.Is(err, store.ErrConflict):
		return false, nil
	}
	return false, err
}

// Spent returns what is wrong with a shot that several callers took until each of
// them had an answer: it must have been taken, once.
func (l *Library) Spent(ctx context.Context, s Shot) string {
	if s.Kind == "approval" {
		if r, err := l.Sessions().Page(ctx, s.Value); err != nil || r.State != session.Done {
			return fmt.Sprintf("the login is %s, %v", r.State, err)
		}
		return ""
	}
	if won, err := l.Fire(ctx, s); won || err != nil {
		return fmt.Sprintf("it was there to be spent: %v", err)
	}
	if s.Kind == "challenge" || s.Kind == "exchange" {
		return ""
	}
	// The shot has opened a session.
	list, _, err := l.Sessions().List(ctx, s.User, "", store.MaxLimit)
	if err != nil || len(list) != 1 {
		return fmt.Sprintf("%d sessions, %v", len(list), err)
	}
	return ""
}
