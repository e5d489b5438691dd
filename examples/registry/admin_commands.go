package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/npmauth/npmauth"
	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/twofactor"
)

var adminCommands = []adminCommand{
	{"users list", "", "list the accounts", plain(usersList)},
	{"users show", "NAME", "show all of an account but its secrets", plain(usersShow)},
	{"disable", "NAME", "refuse all of an account's credentials and logins until it is enabled", plain(disable)},
	{"enable", "NAME", "undo disable: what was not revoked meanwhile works again", plain(enable)},
	{"reset-factor", "NAME", "remove the second factor of an account, and end its sessions: a recovery of it", plain(resetFactor)},
	{"reset-password", "NAME", "read a new password from standard input, and end the sessions: a recovery of the account", plain(resetPassword)},
	{"high-impact", "NAME", "say that many depend on an account: for 72 hours after a recovery it only reads", highImpact},
	{"sessions list", "[NAME]", "list the sessions of an account, or all", plain(sessionsList)},
	{"sessions end", "NAME [ID]", "end a session of an account, or all of them and its logins under way", plain(sessionsEnd)},
	{"tokens list", "[NAME]", "list the granular tokens of an account, or all", plain(tokensList)},
	{"tokens show", "ID", "show a token; - reads the token itself from standard input", plain(tokensShow)},
	{"tokens revoke", "ID", "revoke a token; - reads the token itself from standard input", plain(tokensRevoke)},
	{"reach", "PACKAGE", "list who, and which tokens, could have changed a package", reachPackage},
	{"audit", "", "list what was changed, newest first", auditList},
	{"legacy", "", "list who logs in with a password at the CouchDB login, and with what", plain(legacyList)},
	{"revoke", "", "revoke all tokens and sessions for which every given flag holds", revoke},
	{"revoke-everything", "", "revoke every credential of everybody: after a backup was restored, or the database has leaked", revokeEverything},
}

// plain makes prepare of a command without flags.
func plain(run func(context.Context, *console, []string) error) func(*flag.FlagSet) func(context.Context, *console, []string) error {
	return func(*flag.FlagSet) func(context.Context, *console, []string) error { return run }
}

func usersList(ctx context.Context, c *console, _ []string) error {
	c.head("name", "id", "email", "created", "service", "disabled", "second_factor")
	for after := protocol.UserID(""); ; {
		page, next, err := c.People().List(ctx, after, store.MaxLimit)
		if err != nil {
			return err
		}
		for _, u := range page {
			sub, err := c.Subjects().Get(ctx, u.ID)
			if err != nil {
				return err
			}
			c.add(u.Name, u.ID, u.Email, u.Created, u.Service, sub.Disabled, sub.TwoFactor.String())
		}
		if after = next; next == "" {
			return nil
		}
	}
}

func usersShow(ctx context.Context, c *console, args []string) error {
	u, err := c.user(ctx, args[0])
	if err != nil {
		return err
	}
	sub, err := c.Subjects().Get(ctx, u.ID)
	if err != nil {
		return err
	}
	factor, err := c.Factors().Status(ctx, nil, u.ID)
	if err != nil {
		return err
	}
	var keys []string
	list, err := c.Factors().KeyList(ctx, nil, u.ID)
	if err != nil {
		return err
	}
	for _, k := range list {
		keys = append(keys, k.Name)
	}
	administrators, err := c.facts.people.list(ctx, u.Administrators)
	if err != nil {
		return err
	}
	tokens, err := count(c.Tokens().Of(ctx, u.ID))
	if err != nil {
		return err
	}
	sessions, err := count(c.Sessions().Unrevoked(ctx, u.ID))
	if err != nil {
		return err
	}
	c.one([]field{
		{"name", u.Name}, {"id", u.ID}, {"email", u.Email}, {"created", u.Created}, {"service", u.Service}, {"administrators", administrators},
		{"disabled", sub.Disabled}, {"ranges", ranges(sub.CIDRs)}, {"high_impact", sub.HighImpact}, {"recovered", sub.Recovered},
		{"second_factor", sub.TwoFactor.String()}, {"app", factor.App}, {"security_keys", keys}, {"keys_only", sub.KeysOnly},
		{"factor_locked", factor.Locked}, {"recovery_codes", factor.RecoveryLeft},
		{"tokens", tokens}, {"sessions", sessions},
	})
	return nil
}

// A field is a column of a row that is printed by itself.
type field struct {
	name  string
	value any
}

// one prints a row, for people below each other.
func (t *table) one(fields []field) {
	var names []string
	var values []any
	for _, f := range fields {
		if !t.json {
			t.add(strings.ReplaceAll(f.name, "_", " ")+":", f.value)
		}
		names, values = append(names, f.name), append(values, f.value)
	}
	if t.json {
		t.head(names...)
		t.add(values...)
	}
}

// count returns how many elements a sequence has.
func count[T any](all iter.Seq2[T, error]) (n int, err error) {
	for _, err := range all {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

func ranges(of []netip.Prefix) (texts []string) {
	for _, p := range of {
		texts = append(texts, p.String())
	}
	return texts
}

// toUser does something to an account, and says so.
func toUser(ctx context.Context, c *console, name, done string, do func(protocol.UserID) error) error {
	u, err := c.user(ctx, name)
	if err != nil {
		return err
	}
	if err := again(do(u.ID)); err != nil {
		return err
	}
	c.one([]field{{"user", u.Name}, {"done", done}})
	return nil
}

// again adds to an error of an unknown outcome what to do. All that the commands do may be repeated.
func again(err error) error {
	if errors.Is(err, store.ErrUnknown) {
		return fmt.Errorf("it may be done or not, run it again: %w", err)
	}
	return err
}

func disable(ctx context.Context, c *console, args []string) error {
	return toUser(ctx, c, args[0], "disabled", func(id protocol.UserID) error { return c.Subjects().Disable(ctx, audit.Actor{}, id) })
}

func enable(ctx context.Context, c *console, args []string) error {
	return toUser(ctx, c, args[0], "enabled", func(id protocol.UserID) error { return c.Subjects().Enable(ctx, audit.Actor{}, id) })
}

func resetFactor(ctx context.Context, c *console, args []string) error {
	return toUser(ctx, c, args[0], "second factor removed, sessions ended", func(id protocol.UserID) error {
		err := c.ResetTwoFactor(ctx, id)
		if errors.Is(err, twofactor.ErrNoFactor) {
			return errors.New("the account has no second factor")
		}
		return err
	})
}

func highImpact(flags *flag.FlagSet) func(context.Context, *console, []string) error {
	off := flags.Bool("off", false, "say that few do, which also ends the 72 hours")
	return func(ctx context.Context, c *console, args []string) error {
		done := "high impact"
		if *off {
			done = "no high impact"
		}
		return toUser(ctx, c, args[0], done, func(id protocol.UserID) error {
			return c.Subjects().SetHighImpact(ctx, audit.Actor{}, id, !*off)
		})
	}
}

func resetPassword(ctx context.Context, c *console, args []string) error {
	password, err := c.secret()
	if err != nil {
		return err
	}
	return toUser(ctx, c, args[0], "password changed, sessions ended", func(id protocol.UserID) error {
		return c.People().ResetPassword(ctx, audit.Actor{}, id, password)
	})
}

// secret reads a line: an argument would be in the shell's history, and in what ps shows.
func (c *console) secret() (credential.Secret, error) {
	line, err := bufio.NewReader(io.LimitReader(c.in, 4096)).ReadString('\n')
	line = strings.TrimRight(line, "\r\n")
	if err != nil && !errors.Is(err, io.EOF) {
		return credential.Secret{}, err
	}
	if line == "" {
		return credential.Secret{}, fmt.Errorf("%w: standard input is empty", errArgs)
	}
	return credential.NewSecret(line), nil
}

func sessionsList(ctx context.Context, c *console, args []string) error {
	of, err := c.optional(ctx, args)
	if err != nil {
		return err
	}
	c.head("user", "id", "created", "expires", "address", "agent", "via")
	for s, err := range c.Sessions().Unrevoked(ctx, of) {
		if err != nil {
			return err
		}
		addr := ""
		if s.Addr.IsValid() {
			addr = s.Addr.String()
		}
		c.add(s.Name, s.ID, s.Created, s.Expires, addr, s.UserAgent, s.Via)
	}
	return nil
}

// optional returns the account that args name, "" if they name none.
func (c *console) optional(ctx context.Context, args []string) (protocol.UserID, error) {
	if len(args) == 0 {
		return "", nil
	}
	u, err := c.user(ctx, args[0])
	return u.ID, err
}

func sessionsEnd(ctx context.Context, c *console, args []string) error {
	if len(args) == 1 {
		return toUser(ctx, c, args[0], "sessions ended", func(id protocol.UserID) error { return c.Subjects().EndSessions(ctx, audit.Actor{}, id) })
	}
	return toUser(ctx, c, args[0], "session ended", func(id protocol.UserID) error {
		return c.Sessions().End(ctx, audit.Actor{}, id, args[1], "operator")
	})
}

func tokensList(ctx context.Context, c *console, args []string) error {
	of, err := c.optional(ctx, args)
	if err != nil {
		return err
	}
	all := c.Tokens().Unrevoked(ctx)
	if of != "" {
		all = c.Tokens().Of(ctx, of)
	}
	c.head("user", "id", "name", "created", "expires", "last_used", "bypass", "ranges", "grants")
	page := make([]token.Token, 0, store.MaxKeys)
	show := func() error {
		if len(page) == 0 {
			return nil
		}
		ids := make([]string, len(page))
		for i, t := range page {
			ids[i] = t.ID
		}
		used, err := c.Tokens().Used(ctx, ids...)
		if err != nil {
			return err
		}
		for _, t := range page {
			name, err := c.name(ctx, t.User)
			if err != nil {
				return err
			}
			c.add(name, t.ID, t.Name, t.Created, t.Expires, used[t.ID], t.Bypass, ranges(t.CIDRs), t.Grants)
		}
		page = page[:0]
		return nil
	}
	for t, err := range all {
		if err != nil {
			return err
		}
		if page = append(page, t); len(page) == cap(page) {
			if err := show(); err != nil {
				return err
			}
		}
	}
	return show()
}

// find returns the token with that ID or, for "-", the one that standard input has.
func (c *console) find(ctx context.Context, id string) (token.Token, error) {
	if id == "-" {
		secret, err := c.secret()
		if err != nil {
			return token.Token{}, err
		}
		id = token.IDOf(credential.Sum(secret))
	}
	t, err := c.Tokens().ByID(ctx, id)
	if errors.Is(err, token.ErrNotFound) {
		err = errors.New("there is no such token, or it has ended")
	}
	return t, err
}

func tokensShow(ctx context.Context, c *console, args []string) error {
	t, err := c.find(ctx, args[0])
	if err != nil {
		return err
	}
	name, err := c.name(ctx, t.User)
	if err != nil {
		return err
	}
	used, err := c.Tokens().Used(ctx, t.ID)
	if err != nil {
		return err
	}
	c.one([]field{
		{"id", t.ID}, {"user", name}, {"name", t.Name}, {"description", t.Description}, {"created", t.Created}, {"created_by", t.CreatedBy},
		{"expires", t.Expires}, {"last_used", used[t.ID]}, {"bypass", t.Bypass}, {"ranges", ranges(t.CIDRs)}, {"grants", t.Grants},
		{"replaces", t.Replaces}, {"replaced_by", t.ReplacedBy},
	})
	return nil
}

func tokensRevoke(ctx context.Context, c *console, args []string) error {
	t, err := c.find(ctx, args[0])
	if err != nil {
		return err
	}
	name, err := c.name(ctx, t.User)
	if err != nil {
		return err
	}
	if err := again(c.Tokens().End(ctx, audit.Actor{}, t.ID, "operator")); err != nil {
		return err
	}
	c.one([]field{{"user", name}, {"id", t.ID}, {"done", "revoked"}})
	return nil
}

func reachPackage(flags *flag.FlagSet) func(context.Context, *console, []string) error {
	want := right{policy.RightWrite}
	flags.Var(&want, "right", "`right` that they have: read, write or admin")
	return func(ctx context.Context, c *console, args []string) error {
		pkg, err := protocol.ParsePackageName(args[0])
		if err != nil {
			return fmt.Errorf("%w: %w", errArgs, err)
		}
		is, err := c.facts.Facts(ctx, pkg, "")
		if err != nil {
			return err
		}
		if is.ID == "" {
			return fmt.Errorf("there is no package %v", pkg)
		}
		c.head("kind", "user", "id", "name", "expires", "bypass", "rights")
		if err := usersReaching(ctx, c, pkg, want.Rights); err != nil {
			return err
		}
		for t, err := range c.TokensReaching(ctx, pkg, want.Rights) {
			if err != nil {
				return err
			}
			name, err := c.name(ctx, t.User)
			if err != nil {
				return err
			}
			c.add("token", name, t.ID, t.Name, t.Expires, t.Bypass, t.Grants)
		}
		return nil
	}
}

// usersReaching lists the people and service accounts who have the rights now, as this registry's
// own tables say.
func usersReaching(ctx context.Context, c *console, pkg protocol.PackageName, want policy.Rights) error {
	for after := protocol.UserID(""); ; {
		page, next, err := c.People().List(ctx, after, store.MaxLimit)
		if err != nil {
			return err
		}
		for _, u := range page {
			is, err := c.facts.Facts(ctx, pkg, u.ID)
			if err != nil {
				return err
			}
			if is.Rights.Has(want) {
				c.add("user", u.Name, u.ID, "", time.Time{}, false, is.Rights.String())
			}
		}
		if after = next; next == "" {
			return nil
		}
	}
}

func auditList(flags *flag.FlagSet) func(context.Context, *console, []string) error {
	of := flags.String("user", "", "of the account `name` alone")
	kind := flags.String("type", "", "of this `type` alone, such as token.created, or those that begin with token.")
	var since moment
	flags.Var(&since, "since", "not older than this `time`, or how long ago, such as 72h")
	limit := flags.Int("limit", 1000, "at most this `number`")
	return func(ctx context.Context, c *console, _ []string) error {
		if *limit < 1 {
			return fmt.Errorf("%w: -limit must be 1 or more", errArgs)
		}
		list := c.events.List
		if *of != "" {
			u, err := c.user(ctx, *of)
			if err != nil {
				return err
			}
			list = func(ctx context.Context, after string, limit int) ([]audit.Entry, string, error) {
				return c.events.ListUser(ctx, u.ID, after, limit)
			}
		}
		c.head("time", "type", "outcome", "user", "by", "credential", "address", "detail")
		for after, n := "", 0; ; {
			page, next, err := list(ctx, after, store.MaxLimit)
			if err != nil {
				return err
			}
			for _, e := range page {
				if e.Time.Before(since.Time) { // the rest is older
					return nil
				}
				family := strings.HasSuffix(*kind, ".") && strings.HasPrefix(string(e.Type), *kind)
				if *kind != "" && string(e.Type) != *kind && !family {
					continue
				}
				if err := c.event(ctx, e); err != nil {
					return err
				}
				if n++; n == *limit {
					c.say("There may be more: see -limit.")
					return nil
				}
			}
			if after = next; next == "" {
				return nil
			}
		}
	}
}

// event prints an event. By nobody, it is the operator's, or npmauth's own.
func (c *console) event(ctx context.Context, e audit.Entry) error {
	user, err := c.name(ctx, e.User)
	if err != nil {
		return err
	}
	by, err := c.name(ctx, e.By)
	if err != nil {
		return err
	}
	addr := ""
	if e.Addr.IsValid() {
		addr = e.Addr.String()
	}
	detail := slices.Clone(e.Reasons)
	if e.Package != (protocol.PackageName{}) {
		detail = append(detail, "package="+e.Package.String())
	}
	for _, name := range slices.Sorted(maps.Keys(e.Detail)) {
		detail = append(detail, name+"="+e.Detail[name])
	}
	for _, g := range e.Grants {
		detail = append(detail, g.String())
	}
	c.add(e.Time, e.Type, e.Outcome.String(), user, by, e.Credential, addr, detail)
	return nil
}

func legacyList(ctx context.Context, c *console, _ []string) error {
	c.head("user", "email", "client", "first", "last", "logins")
	for use, err := range c.LegacyUse(ctx) {
		if err != nil {
			return err
		}
		for _, with := range use.Clients {
			c.add(use.Name, use.Email, with.Client, with.First, with.Last, with.Count)
		}
	}
	return nil
}

func revoke(flags *flag.FlagSet) func(context.Context, *console, []string) error {
	var class npmauth.CredentialClass
	var before moment
	var want right
	dry := flags.Bool("dry-run", false, "list and count them, and revoke nothing")
	of := flags.String("user", "", "of the account `name`")
	flags.BoolVar(&class.Bypass, "bypass", false, "that publish without a second factor")
	flags.Var(&before, "before", "created before this `time`, or longer ago, such as 72h")
	scope := flags.String("scope", "", "with a grant for this `scope`, for something in it, or for all packages")
	pkg := flags.String("package", "", "that may change this `package`")
	flags.Var(&want, "right", "with -package, `right` that they have: read, write or admin (default write)")
	kind := flags.String("kind", "", "of this `kind` alone: token, session or publisher")
	return func(ctx context.Context, c *console, _ []string) (err error) {
		if *of != "" {
			u, err := c.user(ctx, *of)
			if err != nil {
				return err
			}
			class.User = u.ID
		}
		if *pkg != "" {
			if class.Package, err = protocol.ParsePackageName(*pkg); err != nil {
				return fmt.Errorf("%w: %w", errArgs, err)
			}
		}
		switch *kind {
		case "":
		case "token":
			class.Kind = policy.KindToken
		case "session":
			class.Kind = policy.KindSession
		case "publisher":
			class.Kind = policy.KindPublisher
		default:
			return fmt.Errorf("%w: -kind must be token, session or publisher", errArgs)
		}
		class.Before, class.Rights, class.Scope = before.Time, want.Rights, strings.TrimPrefix(*scope, "@")
		return c.revoke(ctx, class, *dry)
	}
}

func (c *console) revoke(ctx context.Context, class npmauth.CredentialClass, dry bool) error {
	c.head("kind", "user", "id", "name", "created", "expires", "bypass")
	n := 0
	show := func(cred *policy.Credential) {
		name, err := c.name(ctx, cred.User)
		if err != nil {
			name = string(cred.User) // it is revoked all the same, and is to be seen here
		}
		c.add(cred.Kind.String(), name, cred.ID, cred.Name, cred.Created, cred.Expires, cred.Bypass)
		n++
	}
	if !dry {
		_, err := c.RevokeClass(ctx, class, show)
		if err == nil {
			c.say("Credentials that were revoked: %d", n)
		}
		return err
	}
	for cred, err := range c.CredentialsOf(ctx, class) {
		if err != nil {
			return err
		}
		show(cred)
	}
	c.say("Credentials that would be revoked: %d", n)
	return nil
}

func revokeEverything(flags *flag.FlagSet) func(context.Context, *console, []string) error {
	yes := flags.Bool("yes", false, "everybody logs in again, and every token is made anew")
	return func(ctx context.Context, c *console, _ []string) error {
		if !*yes {
			return fmt.Errorf("%w: everybody has to log in again, and every token to be made anew; -yes does it", errArgs)
		}
		if err := again(c.Restored(ctx)); err != nil {
			return err
		}
		c.one([]field{{"done", "every credential revoked"}})
		return nil
	}
}
