package account

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// A User is a person in a [Directory], or a service account.
type User struct {
	ID      protocol.UserID
	Name    string // never changes, and is never given to another ID
	Email   string // "" if the operator gave none
	Created time.Time
	Updated time.Time
	Profile Profile
	// Service is true for a service account, and never changes. Administrators are the people
	// who create its tokens.
	Service        bool
	Administrators []protocol.UserID
}

// A Profile is what users say about themselves with npm profile set. Each field has at most 256
// characters, none of them a control character.
type Profile struct {
	FullName string `json:"fullname,omitempty"`
	Homepage string `json:"homepage,omitempty"`
	Freenode string `json:"freenode,omitempty"`
	Twitter  string `json:"twitter,omitempty"`
	GitHub   string `json:"github,omitempty"`
}

const (
	maxProfileField = 256 // characters
	maxEmail        = 254 // bytes, as RFC 5321 allows between < and >
)

// MaxAdministrators is how many administrators a service account may have.
const MaxAdministrators = 50

// ValidEmail returns nil if text is an e-mail address and nothing else, of at most 254
// bytes, or [ErrEmail].
func ValidEmail(text string) error {
	addr, err := mail.ParseAddress(text)
	if err != nil || addr.Address != text || len(text) > maxEmail {
		return ErrEmail
	}
	return nil
}

// Validate returns nil if a user can have the profile, or an error that wraps [ErrProfile]
// and says why not.
func (p Profile) Validate() error {
	for _, f := range []string{p.FullName, p.Homepage, p.Freenode, p.Twitter, p.GitHub} {
		if !utf8.ValidString(f) || utf8.RuneCountInString(f) > maxProfileField {
			return fmt.Errorf("%w: a field has at most %d characters", ErrProfile, maxProfileField)
		}
		for _, r := range f {
			if unicode.IsControl(r) {
				return fmt.Errorf("%w: control characters are not allowed", ErrProfile)
			}
		}
	}
	return nil
}

// person is a User as it is stored. An older program, which does not know the field Service,
// refuses the record of a service account, and reads that of a person.
type person struct {
	ID             string            `json:"id"`
	Name           string            `json:"name"`
	Email          string            `json:"email,omitempty"`
	Created        time.Time         `json:"created"`
	Updated        time.Time         `json:"updated"`
	Profile        Profile           `json:"profile,omitzero"`
	Service        bool              `json:"service,omitempty"`
	Administrators []protocol.UserID `json:"administrators,omitempty"`
}

func (p *person) user() User {
	return User{
		ID: protocol.UserID(p.ID), Name: p.Name, Email: p.Email, Created: p.Created, Updated: p.Updated, Profile: p.Profile,
		Service: p.Service, Administrators: slices.Clone(p.Administrators),
	}
}

// A secret row has a user's password hash, apart from the user's public record. A service
// account has none.
type secretRow struct {
	ID      string    `json:"id"`
	Hash    string    `json:"hash"`
	Changed time.Time `json:"changed"`
	// Imported is the kind of a hash that was imported, and that takes another time to compute.
	Imported string `json:"imported,omitempty"`
}

// imports counts the password hashes that were imported and are still stored, by their kind. As
// long as there are some, each check of a password computes one of every kind: otherwise
// strangers learn by the time it takes which names somebody has.
type imports struct {
	ID    string         `json:"id"`
	Kinds map[string]int `json:"kinds"`
}

// importsID is that of the one row.
const importsID = "passwords"

var (
	people       = store.NewTable("user", 1, func(p *person) string { return p.ID })
	peopleByName = people.Unique("name", func(p *person) string { return p.Name })
	passwords    = store.NewTable("password", 1, func(s *secretRow) string { return s.ID })
	imported     = store.NewTable("password-imports", 1, func(i *imports) string { return i.ID })
)

// nobody is an ID that is read in place of that of an account that does not exist: a stranger who
// counts or times the requests of the store learns nothing.
const nobody = "nobody"

// countImport changes the number of stored hashes of that kind, if it is not "".
func countImport(ctx context.Context, tx *store.Tx, kind string, by int) error {
	if kind == "" {
		return nil
	}
	_, err := imported.Upsert(ctx, tx, importsID, func(i *imports, _ bool) error {
		i.ID = importsID
		if i.Kinds == nil {
			i.Kinds = map[string]int{}
		}
		if i.Kinds[kind] += by; i.Kinds[kind] <= 0 {
			delete(i.Kinds, kind)
		}
		return nil
	})
	return err
}

// PersonKey returns the key of the record of this user, for a caller that reads it together
// with other rows.
func PersonKey(id protocol.UserID) string { return people.Key(string(id)) }

// PersonOf returns the user whose record in a [Directory] has this key. ok is false for other
// keys.
func PersonOf(key string) (id protocol.UserID, ok bool) {
	text, ok := people.ID(key)
	return protocol.UserID(text), ok
}

// DirectoryConfig configures a [Directory].
type DirectoryConfig struct {
	// Store keeps the users. Required.
	Store store.Store

	// Hasher computes the password hashes. Required.
	Hasher *Hasher

	// Now returns the current time. Nil means time.Now.
	Now func() time.Time

	// Passwords says which new passwords are acceptable.
	Passwords Passwords

	// Reserved are names that Create refuses besides those that [ValidName] refuses. Nil means
	// [DefaultReserved]; an empty list, none.
	Reserved []string

	// Taken reports whether the host uses a name for something else, such as an organization:
	// Create then refuses it with [ErrNameTaken]. Nil means that no name is.
	Taken func(ctx context.Context, name string) (bool, error)

	// Events records each account that is created, and each change of a password, of a
	// profile and of administrators, in the commit that makes it. Nil records nothing.
	Events *audit.Recorder
}

// A Directory is a table of users with names and passwords, for a host that has none. It cannot
// delete a user: a name belongs for ever to the ID that had it first, so that no other user gets
// its packages or tokens with the name. Disable the account instead, with subject.Manager.Disable.
// It is safe for concurrent use.
//
// Methods that change something take the actor: the zero [audit.Actor] is the operator.
type Directory struct {
	store     store.Store
	hasher    *Hasher
	now       func() time.Time
	passwords Passwords
	reserved  []string
	taken     func(context.Context, string) (bool, error)
	events    *audit.Recorder
}

// NewDirectory returns a Directory, or an error naming the field of cfg that is
// wrong.
func NewDirectory(cfg DirectoryConfig) (*Directory, error) {
	if cfg.Reserved == nil {
		cfg.Reserved = DefaultReserved
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	switch {
	case cfg.Store == nil:
		return nil, errors.New("account: DirectoryConfig.Store is required")
	case cfg.Hasher == nil:
		return nil, errors.New("account: DirectoryConfig.Hasher is required")
	}
	passwords, err := cfg.Passwords.validate()
	if err != nil {
		return nil, err
	}
	return &Directory{
		store:     cfg.Store,
		hasher:    cfg.Hasher,
		now:       cfg.Now,
		passwords: passwords,
		reserved:  slices.Clone(cfg.Reserved),
		taken:     cfg.Taken,
		events:    cfg.Events,
	}, nil
}

// Uses reports whether s is the store of d itself. A store that wraps the store of d is another
// store.
func (d *Directory) Uses(s store.Store) bool {
	return s != nil && reflect.ValueOf(s).Comparable() && reflect.ValueOf(d.store).Comparable() && d.store == s
}

// Within returns a copy of d for a program that wraps the store of d: s takes the place of that
// store, and must have the same rows; nil leaves the store as it is. If d has no events or no taken, the copy gets those given
// here; see [DirectoryConfig]. d itself does not change.
func (d *Directory) Within(s store.Store, events *audit.Recorder, taken func(ctx context.Context, name string) (bool, error)) *Directory {
	inner := *d
	if s != nil {
		inner.store = s
	}
	if inner.events == nil {
		inner.events = events
	}
	if inner.taken == nil {
		inner.taken = taken
	}
	return &inner
}

// NewUser is what [Directory.Create] creates a user from.
type NewUser struct {
	Name  string // see [ValidName]
	Email string // may be empty; not verified

	// Password is the user's password, unless Hash is set.
	Password credential.Secret

	// AnyPassword allows a password that is short or common: for an operator's own first user,
	// never for a password from a request.
	AnyPassword bool

	// Hash imports a password of which only the hash is known: argon2id in PHC string format,
	// or bcrypt as in an htpasswd file.
	Hash string

	// Service creates a service account: without a password, and with Administrators, who
	// create its tokens. See [Directory.SetAdministrators].
	Service        bool
	Administrators []protocol.UserID
}

// Create adds a user with an ID of their own. If several callers create the same name at once,
// one gets it and the others get [ErrNameTaken]. The other errors are [ErrName], [ErrEmail],
// [ErrPassword], [ErrHash], [ErrBusy], [ErrService], [ErrAdministrators] and the store's.
func (d *Directory) Create(ctx context.Context, by audit.Actor, nu NewUser) (User, error) {
	c, err := d.PrepareCreate(ctx, nu)
	if err != nil {
		return User{}, err
	}
	var user User
	err = store.Transact(ctx, d.store, func(tx *store.Tx) error {
		user, err = c.Apply(ctx, tx, by)
		return err
	})
	if errors.Is(err, ErrNameTaken) {
		return User{}, ErrNameTaken
	}
	if err != nil {
		return User{}, fmt.Errorf("account: create: %w", err)
	}
	return user, nil
}

// A Creation is a user to be added. [Directory.PrepareCreate] makes it and does the slow part,
// and [Creation.Apply] adds the user in a commit.
type Creation struct {
	d        *Directory
	p        person
	phc      string
	imported string // the kind of phc, if it is another than new ones have
}

// PrepareCreate is [Directory.Create] up to the change itself, for a caller that changes more
// in the same commit. It changes nothing.
func (d *Directory) PrepareCreate(ctx context.Context, nu NewUser) (*Creation, error) {
	if err := ValidName(nu.Name); err != nil {
		return nil, err
	}
	if slices.Contains(d.reserved, nu.Name) {
		return nil, fmt.Errorf("%w: %q is reserved", ErrName, nu.Name)
	}
	if nu.Email != "" {
		if err := ValidEmail(nu.Email); err != nil {
			return nil, err
		}
	}
	if nu.Service {
		if !nu.Password.IsZero() || nu.Hash != "" || nu.AnyPassword {
			return nil, fmt.Errorf("%w: a service account has no password", ErrService)
		}
		if err := d.checkAdministrators(ctx, nu.Administrators); err != nil {
			return nil, err
		}
	} else if nu.Administrators != nil {
		return nil, fmt.Errorf("%w: a person has no administrators", ErrService)
	}
	if !nu.Service && nu.Hash == "" && !nu.AnyPassword {
		if err := d.passwords.Check(ctx, nu.Password, nu.Name, nu.Email); err != nil {
			return nil, err
		}
	}
	// Checked first: a taken name should not cost a hash.
	switch _, err := d.Lookup(ctx, nu.Name); {
	case err == nil:
		return nil, ErrNameTaken
	case !errors.Is(err, ErrNoUser):
		return nil, err
	}
	if d.taken != nil {
		switch taken, err := d.taken(ctx, nu.Name); {
		case err != nil:
			return nil, fmt.Errorf("account: create: %w", err)
		case taken:
			return nil, ErrNameTaken
		}
	}
	var phc string
	if !nu.Service {
		var err error
		if phc, err = d.firstHash(ctx, nu); err != nil {
			return nil, err
		}
	}

	now := d.instant()
	kind := ""
	if h, err := parseHash(phc); nu.Hash != "" && err == nil && h.kind() != d.hasher.nobody.kind() {
		kind = h.kind()
	}
	return &Creation{d: d, phc: phc, imported: kind, p: person{
		ID: credential.NewID(), Name: nu.Name, Email: nu.Email, Created: now, Updated: now,
		Service: nu.Service, Administrators: slices.Clone(nu.Administrators),
	}}, nil
}

// errNotPrepared is the error of a zero Creation or PasswordChange.
var errNotPrepared = errors.New("account: only the methods of a Directory prepare a change")

var errNoEdit = errors.New("account: an edit without a function")

// Apply adds the user in the caller's commit. If the name was taken since, it returns
// [ErrNameTaken], for the function of [store.Transact] to return.
func (c *Creation) Apply(ctx context.Context, tx *store.Tx, by audit.Actor) (User, error) {
	if c == nil || c.d == nil {
		return User{}, errNotPrepared
	}
	p := c.p
	err := people.Insert(ctx, tx, &p)
	e := audit.Event{Time: p.Created, Type: audit.SignUp, Outcome: audit.Done, User: protocol.UserID(p.ID)}
	if p.Service {
		e.Detail = map[string]string{"service": "true"}
	} else if err == nil {
		err = passwords.Insert(ctx, tx, &secretRow{ID: p.ID, Hash: c.phc, Changed: p.Created, Imported: c.imported})
		if err == nil {
			err = countImport(ctx, tx, c.imported, 1)
		}
	}
	switch {
	case errors.Is(err, store.ErrExists):
		return User{}, ErrNameTaken // the ID is new, so the name is taken
	case err != nil:
		return User{}, err
	}
	return p.user(), c.d.events.Commit(ctx, tx, e.From(by))
}

func (d *Directory) firstHash(ctx context.Context, nu NewUser) (string, error) {
	if nu.Hash == "" {
		return d.hasher.Hash(ctx, nu.Password)
	}
	if !nu.Password.IsZero() {
		return "", fmt.Errorf("%w: there is a password beside it", ErrHash)
	}
	h, err := parseHash(nu.Hash)
	if err != nil {
		return "", err
	}
	return h.String(), nil
}

// instant returns the time as a store keeps it.
func (d *Directory) instant() time.Time { return d.now().UTC().Truncate(time.Microsecond) }

// ByName returns the user of this name, or [ErrNoUser], also for text that is no valid name.
func (d *Directory) ByName(ctx context.Context, name string) (User, error) {
	if ValidName(name) != nil {
		return User{}, ErrNoUser
	}
	p, err := peopleByName.Get(ctx, d.store, name)
	if errors.Is(err, store.ErrNotFound) {
		// The second request of a name that somebody has.
		if _, other := people.Get(ctx, d.store, nobody); !errors.Is(other, store.ErrNotFound) {
			err = other
		}
	}
	return found(p, err)
}

// List returns users, service accounts among them, in the order of their IDs, which says nothing
// about them: at most limit, 1 to [store.MaxLimit], whose ID comes after the given one; "" begins
// with the first. next is the cursor of the next page, "" at the end.
func (d *Directory) List(ctx context.Context, after protocol.UserID, limit int) (page []User, next protocol.UserID, err error) {
	rows, err := people.List(ctx, d.store, string(after), limit)
	if err != nil {
		return nil, "", fmt.Errorf("account: list: %w", err)
	}
	for _, p := range rows {
		page = append(page, p.user())
	}
	if len(page) == limit {
		next = page[limit-1].ID
	}
	return page, next, nil
}

// ByID returns the user with this ID, or [ErrNoUser].
func (d *Directory) ByID(ctx context.Context, id protocol.UserID) (User, error) {
	return d.ByIDFrom(ctx, nil, id)
}

// ByIDFrom is [Directory.ByID] reading from r. A nil r means the Directory's own store.
func (d *Directory) ByIDFrom(ctx context.Context, r store.Reader, id protocol.UserID) (User, error) {
	if id == "" {
		return User{}, ErrNoUser
	}
	p, err := people.Get(ctx, store.ReaderOr(r, d.store), string(id))
	return found(p, err)
}

func found(p *person, err error) (User, error) {
	if errors.Is(err, store.ErrNotFound) {
		return User{}, ErrNoUser
	}
	if err != nil {
		return User{}, fmt.Errorf("account: user: %w", err)
	}
	return p.user(), nil
}

// ReplaceProfile replaces the profile of a user.
func (d *Directory) ReplaceProfile(ctx context.Context, by audit.Actor, id protocol.UserID, profile Profile) (User, error) {
	_, after, err := d.Update(ctx, by, id, func(_ *string, p *Profile) error {
		*p = profile
		return nil
	})
	return after, err
}

// Update is [Directory.Edit] in a commit of its own.
func (d *Directory) Update(ctx context.Context, by audit.Actor, id protocol.UserID, fn func(email *string, profile *Profile) error) (before, after User, err error) {
	err = store.Transact(ctx, d.store, func(tx *store.Tx) (err error) {
		before, after, err = d.Edit(ctx, tx, by, id, fn)
		return err
	})
	return before, after, err
}

// Edit lets fn change the e-mail address and the profile of a user in the caller's commit, and
// returns the user before and after. fn gets the present values and may run more than once; its
// error is returned as it is. An e-mail address that fn changes must be valid and not empty:
// [ErrEmail]. The other errors are [ErrProfile], [ErrNoUser] and the store's. If the e-mail
// address changes, [subject.Recover] is part of the same commit.
func (d *Directory) Edit(ctx context.Context, tx *store.Tx, by audit.Actor, id protocol.UserID, fn func(email *string, profile *Profile) error) (before, after User, err error) {
	if fn == nil {
		return User{}, User{}, errNoEdit
	}
	now := d.instant()
	p, err := people.Update(ctx, tx, string(id), func(p *person) error {
		before = p.user()
		if err := fn(&p.Email, &p.Profile); err != nil {
			return editError{err}
		}
		if p.Email != before.Email {
			if err := ValidEmail(p.Email); err != nil {
				return editError{err}
			}
		}
		if err := p.Profile.Validate(); err != nil {
			return editError{err}
		}
		if p.Email != before.Email || p.Profile != before.Profile {
			p.Updated = now
		}
		return nil
	})
	if refused, ok := errors.AsType[editError](err); ok {
		return User{}, User{}, refused.error
	}
	if after, err = found(p, err); err != nil {
		return User{}, User{}, err
	}
	changed := before.changes(after)
	if len(changed) == 0 {
		return before, after, nil
	}
	if before.Email != after.Email {
		if err := subject.Recover(ctx, tx, id, now); err != nil {
			return User{}, User{}, err
		}
	}
	// Names only: no event has the text of a profile, or an e-mail address.
	return before, after, d.events.Commit(ctx, tx, audit.Event{
		Time: now, Type: audit.Profile, Outcome: audit.Done, User: id, Detail: map[string]string{"changed": strings.Join(changed, " ")},
	}.From(by))
}

// changes returns the names of the fields that an edit changed, as npm profile has them.
func (u User) changes(v User) (names []string) {
	for _, f := range []struct{ name, was, is string }{
		{"email", u.Email, v.Email}, {"fullname", u.Profile.FullName, v.Profile.FullName}, {"homepage", u.Profile.Homepage, v.Profile.Homepage},
		{"freenode", u.Profile.Freenode, v.Profile.Freenode}, {"twitter", u.Profile.Twitter, v.Profile.Twitter}, {"github", u.Profile.GitHub, v.Profile.GitHub},
	} {
		if f.was != f.is {
			names = append(names, f.name)
		}
	}
	return names
}

// editError carries an error of Edit's fn out of the update unchanged.
type editError struct{ error }

// CheckPassword reports whether the password is that of the user. For "", an unknown ID and a
// service account it takes as long and reports false. It replaces a hash of older costs, or of
// bcrypt. It does not check whether the account is disabled. The password may have changed by
// the time it returns: see "Signing in".
func (d *Directory) CheckPassword(ctx context.Context, id protocol.UserID, pw credential.Secret) (bool, error) {
	_, v, err := d.check(ctx, id, pw, true)
	return v.ok, err
}

// check verifies the password against the stored row, which it returns.
func (d *Directory) check(ctx context.Context, id protocol.UserID, pw credential.Secret, renew bool) (secretRow, verdict, error) {
	var row secretRow
	if id == "" || len(passwords.Key(string(id))) > store.MaxKey {
		id = nobody
	}
	items, err := d.store.Get(ctx, passwords.Key(string(id)), imported.Key(importsID))
	if err != nil {
		return row, verdict{}, fmt.Errorf("account: password: %w", err)
	}
	switch r, err := passwords.Decode(items[0]); {
	case err == nil && r.Hash == "":
		return row, verdict{}, fmt.Errorf("%w: the stored one is empty", ErrHash)
	case err == nil:
		row = *r
	case !errors.Is(err, store.ErrNotFound):
		return row, verdict{}, fmt.Errorf("account: password: %w", err)
	}
	var kinds []string
	switch i, err := imported.Decode(items[1]); {
	case err == nil:
		kinds = slices.Sorted(maps.Keys(i.Kinds))
	case !errors.Is(err, store.ErrNotFound):
		return row, verdict{}, fmt.Errorf("account: password: %w", err)
	}
	v, err := d.hasher.verify(ctx, row.Hash, pw, renew, kinds)
	if err != nil {
		return row, verdict{}, err
	}
	if v.fresh != "" {
		// If this fails the next sign-in tries it; a password that was changed meanwhile stays
		// as it is.
		_ = d.replace(ctx, row, v.fresh)
	}
	return row, v, nil
}

// replace stores another hash of the same password in place of the hash in row, if that is
// still stored. The password does not change, so no session ends.
func (d *Directory) replace(ctx context.Context, row secretRow, phc string) error {
	return store.Transact(ctx, d.store, func(tx *store.Tx) error {
		_, err := passwords.Update(ctx, tx, row.ID, func(r *secretRow) error {
			if r.Hash != row.Hash {
				return ErrWrongPassword
			}
			r.Hash, r.Changed, r.Imported = phc, d.instant(), ""
			return nil
		})
		if err != nil {
			return err
		}
		return countImport(ctx, tx, row.Imported, -1)
	})
}

// A PasswordChange is a new password of a user. [Directory.PrepareChange] or
// [Directory.PrepareReset] makes it and does the slow part, and [PasswordChange.Apply] changes
// the password in a commit.
type PasswordChange struct {
	d   *Directory
	row secretRow // the old one
	any bool      // the old password does not matter
	phc string
}

// Apply changes the password in the caller's commit, and ends all sessions of the user: the
// caller rewrites one that must survive in the same commit, see [subject.Revoke]. If the old
// password is no longer the one that was checked, it returns [ErrWrongPassword].
func (c *PasswordChange) Apply(ctx context.Context, tx *store.Tx, by audit.Actor) error {
	if c == nil || c.d == nil {
		return errNotPrepared
	}
	now, id := c.d.instant(), protocol.UserID(c.row.ID)
	var was secretRow
	_, err := passwords.Upsert(ctx, tx, c.row.ID, func(r *secretRow, _ bool) error {
		if !c.any && r.Hash != c.row.Hash {
			return ErrWrongPassword
		}
		was = *r
		*r = secretRow{ID: c.row.ID, Hash: c.phc, Changed: now}
		return nil
	})
	if err != nil {
		return err
	}
	if err := countImport(ctx, tx, was.Imported, -1); err != nil {
		return err
	}
	if _, err := subject.Revoke(ctx, tx, id, subject.Sessions, now); err != nil {
		return err
	}
	if c.any && by.User != id {
		if err := subject.Recover(ctx, tx, id, now); err != nil {
			return err
		}
		e := audit.Event{Time: now, Type: audit.AccountRecovered, Outcome: audit.Done, User: id, Reasons: []string{"password"}}
		if err := c.d.events.Commit(ctx, tx, e.From(by)); err != nil {
			return err
		}
	}
	return c.d.events.Commit(ctx, tx, audit.Event{Time: now, Type: audit.Password, Outcome: audit.Done, User: id}.From(by))
}

// Commit is Apply in a commit of its own.
func (c *PasswordChange) Commit(ctx context.Context, by audit.Actor) error {
	if c == nil || c.d == nil {
		return errNotPrepared
	}
	err := store.Transact(ctx, c.d.store, func(tx *store.Tx) error { return c.Apply(ctx, tx, by) })
	if err == nil || errors.Is(err, ErrWrongPassword) {
		return err
	}
	return fmt.Errorf("account: password: %w", err)
}

// SetPassword changes the user's password from old to a new one. If old is not the password, or
// no longer when the change is committed, it returns [ErrWrongPassword]: of two changes of one
// password, one happens. It ends the sessions of the user. Tokens stay valid; end them with
// [subject.Manager.RevokeTokens].
//
// After an error that wraps [store.ErrUnknown] either of the two may be the password.
func (d *Directory) SetPassword(ctx context.Context, by audit.Actor, id protocol.UserID, old, new credential.Secret) error {
	c, err := d.PrepareChange(ctx, id, old, new)
	if err != nil {
		return err
	}
	return c.Commit(ctx, by)
}

// PrepareChange is [Directory.SetPassword] up to the change itself, for a caller that changes
// more in the same commit. It changes nothing.
func (d *Directory) PrepareChange(ctx context.Context, id protocol.UserID, old, new credential.Secret) (*PasswordChange, error) {
	// Only a caller who knows the old password learns whether the new one is acceptable.
	row, v, err := d.check(ctx, id, old, false)
	if err != nil {
		return nil, err
	}
	if !v.ok {
		return nil, ErrWrongPassword
	}
	phc, err := d.newHash(ctx, id, new)
	if err != nil {
		return nil, err
	}
	return &PasswordChange{d: d, row: row, phc: phc}, nil
}

// ResetPassword gives the user a new password without the old one, and ends their sessions: for
// an operator, or after the user was authenticated by other means. It does not remove the
// second factor. A service account has no password: [ErrService].
//
// If by is not the user, somebody else vouched for them, such as an operator: that is a recovery of
// the account, and [subject.Recover] is part of the commit.
func (d *Directory) ResetPassword(ctx context.Context, by audit.Actor, id protocol.UserID, new credential.Secret) error {
	c, err := d.PrepareReset(ctx, id, new)
	if err != nil {
		return err
	}
	return c.Commit(ctx, by)
}

// PrepareReset is [Directory.ResetPassword] up to the change itself.
func (d *Directory) PrepareReset(ctx context.Context, id protocol.UserID, new credential.Secret) (*PasswordChange, error) {
	phc, err := d.newHash(ctx, id, new)
	if err != nil {
		return nil, err
	}
	return &PasswordChange{d: d, row: secretRow{ID: string(id)}, any: true, phc: phc}, nil
}

// CheckStrength returns nil if the user could choose the password now, for all that [Passwords] says
// but Blocked, which may be a service that is away: it is for a warning at a sign-in. Otherwise the
// error is a [*PasswordError], [ErrNoUser] or the store's. It computes no hash.
func (d *Directory) CheckStrength(ctx context.Context, id protocol.UserID, pw credential.Secret) error {
	user, err := d.ByID(ctx, id)
	if err != nil {
		return err
	}
	rules := d.passwords
	rules.Blocked = nil
	return rules.Check(ctx, pw, user.Name, user.Email)
}

func (d *Directory) newHash(ctx context.Context, id protocol.UserID, pw credential.Secret) (string, error) {
	user, err := d.ByID(ctx, id)
	if err != nil {
		return "", err
	}
	if user.Service {
		return "", fmt.Errorf("%w: a service account has no password", ErrService)
	}
	if err := d.passwords.Check(ctx, pw, user.Name, user.Email); err != nil {
		return "", err
	}
	return d.hasher.Hash(ctx, pw)
}
