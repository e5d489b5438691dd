package trust

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// Limits of pending publishers.
const (
	// MaxPending is how many a user may have, of all names together.
	MaxPending = 20
	// maxPendingOfName is how many a name may have, of all users together: an exchange asks whether each of them may
	// create the package.
	maxPendingOfName = 10
	// PendingTTL is how long one is kept in which no package came of it.
	PendingTTL = 30 * 24 * time.Hour
)

// Errors of pending publishers.
var (
	// ErrTooManyPending means that the user has [MaxPending], or that the name has ten or all of its together are
	// too long.
	ErrTooManyPending = errors.New("trust: too many pending publishers")
	// ErrContested means that an ID token matches pending publishers of several users: nobody can tell for whom the
	// package would be.
	ErrContested = errors.New("trust: pending publishers of several users match")
)

// A Pending is a publisher of a package that does not exist. Its user is the first owner of the package that a job
// creates.
type Pending struct {
	Record            // CreatedBy is its user, never ""
	Expires time.Time // the first instant at which it is dead
	// Token is the ID of the token that an ID token was exchanged for last, "" without any. No other token of it is
	// alive.
	Token string
	// Numbers are those of its user when it was added: it is dead when the user's credentials were all revoked since.
	Numbers subject.Numbers
}

// nameRow has the pending publishers of a name, so that one revision says whether they are the same.
type nameRow struct {
	Name    string          `json:"name"`
	Pending []storedPending `json:"pending"` // oldest first
}

// storedPending is a Pending as it is stored. A program refuses a row with an unknown field, since it may be a
// restriction.
type storedPending struct {
	Publisher Publisher       `json:"publisher"`
	Created   int64           `json:"created"` // microseconds since 1970
	By        protocol.UserID `json:"by"`
	Expires   int64           `json:"expires"` // microseconds since 1970
	Token     string          `json:"token,omitempty"`
	Numbers   subject.Numbers `json:"numbers,omitzero"`
}

// userRow counts what a user has pending.
type userRow struct {
	User    protocol.UserID `json:"user"`
	Pending []counted       `json:"pending"`
}

type counted struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Expires int64  `json:"expires"` // microseconds since 1970
}

var (
	pendingOfNames = store.NewTable("trust-pending", 1, func(r *nameRow) string { return r.Name }).Expiring(func(r *nameRow) time.Time {
		last := int64(0)
		for _, p := range r.Pending {
			last = max(last, p.Expires)
		}
		return timeOf(last)
	})
	pendingOfUsers = store.NewTable("trust-pending-user", 1, func(r *userRow) string { return string(r.User) }).Expiring(func(r *userRow) time.Time {
		last := int64(0)
		for _, c := range r.Pending {
			last = max(last, c.Expires)
		}
		return timeOf(last)
	})
)

// PendingKey returns the key of the row that has all pending publishers of a name.
func PendingKey(name protocol.PackageName) string { return pendingOfNames.Key(name.String()) }

// openPending decodes a row of pending publishers. An absent one has none, and one that cannot be decoded is an error.
func openPending(it store.Item) ([]Pending, error) {
	r, err := pendingOfNames.Decode(it)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("trust: pending: %w", err)
	}
	list := make([]Pending, 0, len(r.Pending))
	for _, s := range r.Pending {
		if s.Publisher.ID == "" || s.Publisher.Issuer == "" || s.By == "" || s.Created <= 0 || s.Expires <= 0 {
			return nil, errors.New("trust: pending: one lacks its ID, issuer, user or times")
		}
		if findPending(list, s.Publisher.ID) >= 0 {
			return nil, errors.New("trust: pending: two have one ID")
		}
		list = append(list, Pending{Record{s.Publisher, timeOf(s.Created), s.By, ""}, timeOf(s.Expires), s.Token, s.Numbers})
	}
	return list, nil
}

func findPending(list []Pending, id string) int {
	return slices.IndexFunc(list, func(p Pending) bool { return p.ID == id })
}

func readPending(ctx context.Context, r store.Reader, name protocol.PackageName) ([]Pending, error) {
	items, err := r.Get(ctx, PendingKey(name))
	if err != nil {
		return nil, fmt.Errorf("trust: pending: %w", err)
	}
	return openPending(items[0])
}

// putPending writes the pending publishers of a name, or deletes the row if there are none.
func putPending(ctx context.Context, tx *store.Tx, name protocol.PackageName, list []Pending) error {
	var err error
	if len(list) == 0 {
		err = pendingOfNames.Delete(ctx, tx, name.String())
	} else {
		next := nameRow{Name: name.String()}
		for _, p := range list {
			next.Pending = append(next.Pending, storedPending{p.Publisher, p.Created.UnixMicro(), p.CreatedBy, p.Expires.UnixMicro(), p.Token, p.Numbers})
		}
		var text []byte
		if text, err = json.Marshal(next); err == nil && len(text) > maxPinned {
			return ErrTooManyPending
		}
		if err == nil {
			_, err = pendingOfNames.Upsert(ctx, tx, name.String(), func(r *nameRow, _ bool) error {
				*r = next
				return nil
			})
		}
	}
	if err != nil {
		return fmt.Errorf("trust: pending: %w", err)
	}
	return nil
}

// unexpired returns those that have not expired.
func (m *Manager) unexpired(list []Pending) []Pending {
	now := m.now()
	return slices.DeleteFunc(list, func(p Pending) bool { return !now.Before(p.Expires) })
}

// CheckPending returns p with its issuer, as [Publisher.Resolve], or an [*InvalidError] if p cannot be pending: it must
// have all IDs that another publisher would take from its first token, since nothing tells whether that is of the right
// job, and it must publish.
func (m *Manager) CheckPending(p Publisher) (Publisher, error) {
	p, issuer, err := p.Resolve(m.issuers)
	if err != nil {
		return Publisher{}, err
	}
	if missing := p.unpinned(issuer); len(missing) > 0 {
		return Publisher{}, invalid("There is no package of that name yet. To have a job create it send the IDs, too, that names may be reused under: claims.%s.", strings.Join(missing, " and claims."))
	}
	if p.Permissions&CreatePackage == 0 {
		return Publisher{}, invalid("There is no package of that name yet. To have a job create it send createPackage in permissions.")
	}
	return p, nil
}

// PendingOf returns what a user has pending for a name, oldest first, read from r: not what has expired, and not what was
// added before the user's credentials were all revoked. A nil r means the Manager's own store.
func (m *Manager) PendingOf(ctx context.Context, r store.Reader, name protocol.PackageName, user protocol.UserID) ([]Pending, error) {
	state, err := readPendingState(ctx, store.ReaderOr(r, m.store), name, user)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(m.unexpired(slices.Clone(state.pending)), func(p Pending) bool { return !state.counts(p) }), nil
}

// CheckPendingTokens is [Manager.Check] for what a user has pending for a name.
func (m *Manager) CheckPendingTokens(ctx context.Context, r store.Reader, name protocol.PackageName, user protocol.UserID, token IDToken) ([]Comparison, error) {
	token, err := m.accept(token)
	if err != nil {
		return nil, err
	}
	list, err := m.PendingOf(ctx, r, name, user)
	if err != nil {
		return nil, err
	}
	return compare(recordsOf(list), token), nil
}

func recordsOf(list []Pending) []Record {
	records := make([]Record, len(list))
	for i, p := range list {
		records[i] = p.Record
	}
	return records
}

// AddPendingTx adds, in the caller's commit, a publisher for a name that has no package, which the caller has asked the
// host for and whether the user may create it. It belongs to the user of by, for whom a job creates the package, and
// expires after [PendingTTL]. What is wrong with p is an [*InvalidError]: see [Manager.CheckPending]. A user has no two of
// one name that expect the same: that is [ErrDuplicate]. What other users have pending for the name does not matter,
// unless that is as much as a name may have: see [ErrTooManyPending].
func (m *Manager) AddPendingTx(ctx context.Context, tx *store.Tx, by audit.Actor, name protocol.PackageName, p Publisher) (Pending, error) {
	if err := name.Validate(); err != nil {
		return Pending{}, fmt.Errorf("trust: the name of a package: %w", err)
	}
	if by.User == "" {
		return Pending{}, errors.New("trust: a pending publisher belongs to a user")
	}
	if p.ID != "" {
		return Pending{}, invalid("id is given by the registry.")
	}
	p, err := m.CheckPending(p)
	if err != nil {
		return Pending{}, err
	}
	if p, err = identified(p); err != nil {
		return Pending{}, err
	}
	issuer, _ := m.issuer(p.Issuer)
	all, err := readPending(ctx, tx, name)
	if err != nil {
		return Pending{}, err
	}
	of, err := subject.Get(ctx, tx, by.User)
	if err != nil {
		return Pending{}, fmt.Errorf("trust: pending: %w", err)
	}
	all = m.unexpired(all)
	for _, other := range all {
		if other.CreatedBy == by.User && other.Numbers == numbersOf(of) && same(other.Publisher, p, issuer) {
			return Pending{}, ErrDuplicate
		}
	}
	if len(all) >= maxPendingOfName {
		return Pending{}, ErrTooManyPending
	}
	now := m.instant()
	added := Pending{Record: Record{Publisher: p, Created: now, CreatedBy: by.User}, Expires: now.Add(PendingTTL), Numbers: numbersOf(of)}
	if err := m.count(ctx, tx, name, added); err != nil {
		return Pending{}, err
	}
	if err := putPending(ctx, tx, name, append(all, added)); err != nil {
		return Pending{}, err
	}
	return added, m.tellPending(ctx, tx, by, audit.TrustAdded, name, added)
}

// numbersOf returns the numbers that say whether all credentials of a user were revoked since.
func numbersOf(of subject.Subject) subject.Numbers { return of.Numbers(kindOfTokens) }

// count adds to what its user has pending. Those that are gone with their package, without a commit of the user's, do not
// count: an ID is never used again, so that one which is absent outside of the commit is absent in it, too.
func (m *Manager) count(ctx context.Context, tx *store.Tx, name protocol.PackageName, added Pending) error {
	_, err := pendingOfUsers.Upsert(ctx, tx, string(added.CreatedBy), func(r *userRow, _ bool) error {
		r.User = added.CreatedBy
		r.Pending = slices.DeleteFunc(r.Pending, func(c counted) bool { return !m.now().Before(timeOf(c.Expires)) })
		if len(r.Pending) >= MaxPending {
			if err := m.forgetGone(ctx, r); err != nil {
				return err
			}
		}
		if len(r.Pending) >= MaxPending {
			return ErrTooManyPending
		}
		r.Pending = append(r.Pending, counted{added.ID, name.String(), added.Expires.UnixMicro()})
		return nil
	})
	if err != nil && !errors.Is(err, ErrTooManyPending) {
		return fmt.Errorf("trust: pending: %w", err)
	}
	return err
}

func (m *Manager) forgetGone(ctx context.Context, r *userRow) error {
	var keys []string
	for _, c := range r.Pending {
		if key := pendingOfNames.Key(c.Name); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	items, err := m.store.Get(ctx, keys...)
	if err != nil {
		return err
	}
	var there []Pending
	for _, it := range items {
		list, err := openPending(it)
		if err != nil {
			return err
		}
		there = append(there, list...)
	}
	r.Pending = slices.DeleteFunc(r.Pending, func(c counted) bool { return findPending(there, c.ID) < 0 })
	return nil
}

// uncount takes one of a user's away.
func uncount(ctx context.Context, tx *store.Tx, p Pending) error {
	var left []counted
	r, err := pendingOfUsers.Get(ctx, tx, string(p.CreatedBy))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err == nil:
		left = slices.DeleteFunc(r.Pending, func(c counted) bool { return c.ID == p.ID })
	}
	switch {
	case err != nil:
	case len(left) == 0:
		err = pendingOfUsers.Delete(ctx, tx, string(p.CreatedBy))
	default:
		_, err = pendingOfUsers.Update(ctx, tx, string(p.CreatedBy), func(r *userRow) error {
			r.Pending = left
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("trust: pending: %w", err)
	}
	return nil
}

// RemovePendingTx removes, in the caller's commit, what the user of by has pending for a name under this ID. The token
// that an ID token was exchanged for is dead from then on. [ErrNotFound] means that the user has none with this ID.
func (m *Manager) RemovePendingTx(ctx context.Context, tx *store.Tx, by audit.Actor, name protocol.PackageName, id string) error {
	list, err := readPending(ctx, tx, name)
	if err != nil {
		return err
	}
	i := findPending(list, id)
	if i < 0 || by.User == "" || list[i].CreatedBy != by.User {
		return ErrNotFound
	}
	removed := list[i]
	if err := uncount(ctx, tx, removed); err != nil {
		return err
	}
	if err := putPending(ctx, tx, name, slices.Delete(list, i, i+1)); err != nil {
		return err
	}
	return m.tellPending(ctx, tx, by, audit.TrustRemoved, name, removed)
}

// tellPending records what became of a pending publisher, which its user is shown.
func (m *Manager) tellPending(ctx context.Context, tx *store.Tx, by audit.Actor, t audit.Type, name protocol.PackageName, p Pending) error {
	e := ofPublisher(t, p.Publisher)
	e.User, e.Credential, e.Package = p.CreatedBy, by.Credential, name
	e.Detail["pending"] = "true"
	return m.tell(ctx, tx, by, e)
}

// ExchangePendingTx is [Manager.ExchangeTx] for a name that has no package, which the caller has asked the host for: it
// exchanges, in the caller's commit, a verified ID token for a token that creates the package and does nothing else. Only
// one token of a pending publisher is alive: that of the last exchange.
//
// A pending publisher counts while its user is not disabled, their credentials were not all revoked since it was added,
// and may says that they may create the package now. May reads in tx what is in the store, and may be called several
// times. Where those of several users match it is [ErrContested], so that nobody can have a job of somebody else create a
// package for them.
func (m *Manager) ExchangePendingTx(ctx context.Context, tx *store.Tx, by audit.Actor, name protocol.PackageName, id IDToken, may func(ctx context.Context, user protocol.UserID) (bool, error)) (secret credential.Secret, t Token, err error) {
	if err := name.Validate(); err != nil {
		return credential.Secret{}, Token{}, fmt.Errorf("trust: the name of a package: %w", err)
	}
	id, err = m.accept(id)
	if err != nil {
		return credential.Secret{}, Token{}, err
	}
	u := &use{useOfName(name, id), id.Until.UnixMicro()}
	items, err := tx.Get(ctx, PendingKey(name), uses.Key(u.ID))
	if err != nil {
		return credential.Secret{}, Token{}, fmt.Errorf("trust: exchange: %w", err)
	}
	all, err := openPending(items[0])
	if err != nil {
		return credential.Secret{}, Token{}, err
	}
	all = m.unexpired(all)
	compared := compare(recordsOf(all), id)
	best, err := m.chooseOwner(ctx, tx, name, all, compared, id, may)
	if err != nil {
		return credential.Secret{}, Token{}, err
	}
	switch before, err := used(items[1]); {
	case err != nil:
		return credential.Secret{}, Token{}, err
	case before:
		return credential.Secret{}, Token{}, ErrUsed
	}
	if err := uses.Insert(ctx, tx, u); err != nil {
		return credential.Secret{}, Token{}, fmt.Errorf("trust: exchange: %w", err)
	}
	p := &all[best]
	secret, t = m.newToken(Package{Name: name}, p.Publisher, id)
	t.Owner = p.CreatedBy
	if p.Expires.Before(t.Expires) {
		t.Expires = p.Expires
	}
	p.Token = t.ID
	if err := putPending(ctx, tx, name, all); err != nil {
		return credential.Secret{}, Token{}, err
	}
	if err := tokens.Insert(ctx, tx, recordOf(t)); err != nil {
		return credential.Secret{}, Token{}, fmt.Errorf("trust: exchange: %w", err)
	}
	e := exchanged(t)
	e.User, e.Detail["pending"] = p.CreatedBy, "true"
	delete(e.Detail, "package_id")
	if err := m.tell(ctx, tx, by, e); err != nil {
		return credential.Secret{}, Token{}, err
	}
	return secret, t, nil
}

// chooseOwner returns the index of the pending publisher that matches, of the only user who has any that does.
func (m *Manager) chooseOwner(ctx context.Context, tx *store.Tx, name protocol.PackageName, all []Pending, compared []Comparison, id IDToken, may func(context.Context, protocol.UserID) (bool, error)) (int, error) {
	var owner protocol.UserID
	known, mine := map[protocol.UserID]State{}, make([]Comparison, len(all))
	for i, c := range compared {
		user := all[i].CreatedBy
		mine[i] = Comparison{c.Record, []Difference{{Claim: "user", Reason: Refused, Expected: "one who may create the package, with all IDs"}}}
		if len(c.Differences) > 0 || len(c.Record.unpinned(id.Issuer)) > 0 { // the operator may pin more claims since
			continue
		}
		state, ok := known[user]
		if !ok {
			var err error
			if state, err = readPendingState(ctx, tx, name, user); err != nil {
				return -1, err
			}
			allowed, err := may(ctx, user)
			if err != nil {
				return -1, err
			}
			if !allowed {
				state = State{}
			}
			known[user] = state
		}
		if !state.counts(all[i]) {
			continue
		}
		if owner != "" && owner != user {
			return -1, ErrContested
		}
		owner, mine[i] = user, c
	}
	if best := choose(mine); best >= 0 {
		return best, nil
	}
	return -1, &MismatchError{mismatches(compared, mine)}
}

// mismatches returns why each does not match: of what does, why it does not count.
func mismatches(compared, mine []Comparison) []Comparison {
	for i := range compared {
		if len(compared[i].Differences) == 0 {
			compared[i] = mine[i]
		}
	}
	return compared
}

// BindTx says, in the caller's commit, that a name has a package now, of that ID. What was pending for the name is gone
// from then on. If made is a token whose pending publisher is there, and whose user is not disabled or has not revoked
// all, then that is a publisher of the package, under the ID that it had: the caller knows that a request with made created
// the package, and nothing else does. The zero Token binds none.
//
// It returns the publisher, and the zero Record if none was bound, also where the package has one that expects the
// same. Without anything pending it writes nothing.
func (m *Manager) BindTx(ctx context.Context, tx *store.Tx, by audit.Actor, pkg Package, made Token) (Record, error) {
	if err := pkg.validate(); err != nil {
		return Record{}, err
	}
	all, err := readPending(ctx, tx, pkg.Name)
	if err != nil || len(all) == 0 {
		return Record{}, err
	}
	others, bound := len(all), Record{}
	if i := findPending(all, made.Publisher); i >= 0 && made.Owner != "" && made.PackageID == "" && made.Package == pkg.Name {
		p := all[i]
		others--
		state, err := readPendingState(ctx, tx, pkg.Name, made.Owner)
		if err != nil {
			return Record{}, err
		}
		if state.counts(p) {
			if bound, err = m.bind(ctx, tx, by, pkg, p); err != nil {
				return Record{}, err
			}
		}
		if err := uncount(ctx, tx, p); err != nil {
			return Record{}, err
		}
	}
	if err := putPending(ctx, tx, pkg.Name, nil); err != nil {
		return Record{}, err
	}
	if others == 0 {
		return bound, nil
	}
	// Whose they were is for nobody to read, and least for who made the package.
	return bound, m.tell(ctx, tx, audit.Actor{}, audit.Event{
		Type: audit.TrustRemoved, Package: pkg.Name, Reasons: []string{"package-created"},
		Detail: map[string]string{"pending": "true", "publishers": strconv.Itoa(others), "package_id": string(pkg.ID)},
	})
}

func (m *Manager) bind(ctx context.Context, tx *store.Tx, by audit.Actor, pkg Package, p Pending) (Record, error) {
	records, err := read(ctx, tx, pkg)
	if err != nil {
		return Record{}, err
	}
	issuer, _ := m.issuer(p.Issuer)
	if fits := m.room(records, p.Publisher, issuer) == nil; !fits { // the owner has added it meanwhile, or too many
		return Record{}, nil
	}
	if err := pkg.put(ctx, tx, append(records, p.Record), maxPinned); err != nil {
		return Record{}, err
	}
	e := ofPublisher(audit.TrustBound, p.Publisher)
	e.User, e.Credential, e.Package = p.CreatedBy, by.Credential, pkg.Name
	e.Detail["package_id"] = string(pkg.ID)
	return p.Record, m.tell(ctx, tx, by, e)
}

// readPendingState reads the State of what a user has pending for a name.
func readPendingState(ctx context.Context, r store.Reader, name protocol.PackageName, user protocol.UserID) (State, error) {
	items, err := r.Get(ctx, PendingKeys(name, user)...)
	if err != nil {
		return State{}, fmt.Errorf("trust: pending: %w", err)
	}
	return DecodePending(name, user, items)
}
