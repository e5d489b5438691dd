package trust

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
)

// A Comparison says in what an ID token differs from what a publisher expects. Without Differences it matches.
type Comparison struct {
	Record      Record
	Differences []Difference
}

// A MismatchError means that an ID token matches no publisher of a package, nor of its scope. It wraps [ErrMismatch]. What it
// has is for the operator's log and for the package's owners, and not for who presents the token.
type MismatchError struct {
	Comparisons []Comparison // of each publisher, oldest first; none if the package has no publisher
}

// Error returns the sentence of [ErrMismatch], and how many publishers there are.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("%v: there are %d", ErrMismatch, len(e.Comparisons))
}

// Unwrap returns [ErrMismatch].
func (e *MismatchError) Unwrap() error { return ErrMismatch }

// use is an ID token that was exchanged for a package. Nothing but its expiry deletes it.
type use struct {
	ID    string `json:"id"`    // see useID
	Until int64  `json:"until"` // microseconds since 1970
}

var uses = store.NewTable("trust-used", 1, func(u *use) string { return u.ID }).
	Expiring(func(u *use) time.Time { return timeOf(u.Until) })

// useID returns the ID of the use of an ID token for a package. A job that publishes several packages may have one ID
// token for all of them, as npm publish --workspaces with NPM_ID_TOKEN does. So it counts once for each.
func useID(id protocol.PackageID, token IDToken) string {
	return digestOf(token.Issuer.URL, token.ID, string(id))
}

// useOfName is useID for a name that has no package. The token counts as used when it has one, too.
func useOfName(name protocol.PackageName, token IDToken) string {
	return digestOf(token.Issuer.URL, token.ID, "", name.String())
}

func digestOf(parts ...string) string {
	var text []byte
	for _, part := range parts {
		text = binary.BigEndian.AppendUint64(text, uint64(len(part)))
		text = append(text, part...)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// accept returns a token that a verifier has accepted, with its issuer as it is configured here. A token that no
// Manager should have been given is ErrInvalidToken.
func (m *Manager) accept(token IDToken) (IDToken, error) {
	issuer, ok := m.issuer(token.Issuer.URL)
	switch {
	case !ok || issuer.Kind != token.Issuer.Kind:
		return IDToken{}, fmt.Errorf("%w: its issuer is not configured", ErrInvalidToken)
	case token.ID == "":
		return IDToken{}, fmt.Errorf("%w: it has no ID", ErrInvalidToken)
	case !m.now().Before(token.Until):
		return IDToken{}, fmt.Errorf("%w: it has expired", ErrInvalidToken)
	}
	token.Issuer = issuer
	return token, nil
}

// Check compares an ID token with each publisher of a package and of its scope, oldest first, and writes nothing: it says to
// owners why an exchange fails. It reads from r, and a nil r means the Manager's own store. A token that is not valid any more, or
// whose issuer is not configured, is [ErrInvalidToken].
func (m *Manager) Check(ctx context.Context, r store.Reader, pkg Package, token IDToken) ([]Comparison, error) {
	token, err := m.accept(token)
	if err != nil {
		return nil, err
	}
	records, err := m.PublishersFor(ctx, r, pkg)
	if err != nil {
		return nil, err
	}
	return compare(records, token), nil
}

func compare(records []Record, token IDToken) []Comparison {
	list := make([]Comparison, len(records))
	for i, r := range records {
		list[i] = Comparison{r, Match(r.Publisher, token)}
	}
	return list
}

// Used reports whether an ID token was exchanged for a package, or for its name before there was one: without an ID it
// is of the name alone. It reads from r, and a nil r means the Manager's own store. The use is remembered for as long as the
// token is valid, and at least an hour longer.
func (m *Manager) Used(ctx context.Context, r store.Reader, pkg Package, token IDToken) (bool, error) {
	if err := pkg.Name.Validate(); err != nil {
		return false, fmt.Errorf("trust: Package.Name: %w", err)
	}
	keys := []string{uses.Key(useOfName(pkg.Name, token))}
	if pkg.ID != "" {
		keys = append(keys, uses.Key(useID(pkg.ID, token)))
	}
	items, err := store.ReaderOr(r, m.store).Get(ctx, keys...)
	if err != nil {
		return false, fmt.Errorf("trust: used: %w", err)
	}
	return usedAny(items)
}

// usedAny reports whether a row of a use is among the items.
func usedAny(items []store.Item) (bool, error) {
	for _, it := range items {
		if before, err := used(it); err != nil || before {
			return before, err
		}
	}
	return false, nil
}

// used reports whether a row of a use is there. Its time does not matter: until it is deleted it counts.
func used(it store.Item) (bool, error) {
	switch _, err := uses.Decode(it); {
	case err == nil:
		return true, nil
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	default:
		return false, fmt.Errorf("trust: used: %w", err)
	}
}

// ExchangeTx exchanges, in the caller's commit, a verified ID token for a token of the package, and returns the secret
// of that, which cannot be shown a second time. The token may do what the publisher permits that matches the ID
// token: of several, those of its scope among them, the one that permits most, then the oldest. Each that matches takes the
// IDs that it does not have yet: see [Pins].
//
// If none matches, it is a [*MismatchError]. An ID token counts once for each package, by issuer and ID: after that it
// is [ErrUsed]. One that is not valid any more, or whose issuer is not configured, is [ErrInvalidToken]. An exchange
// that fails writes nothing, so that a token is not used up by a publisher that is not there yet.
//
// Each run of a transaction draws a new secret: only the secret that the last run returned is the token's, and only
// once the commit has happened. It takes six of the ops of a Commit, of a package without scope five, and those of the event.
func (m *Manager) ExchangeTx(ctx context.Context, tx *store.Tx, by audit.Actor, pkg Package, id IDToken) (credential.Secret, Token, error) {
	secret, t, err := m.exchange(ctx, tx, by, pkg, id)
	if err != nil {
		return credential.Secret{}, Token{}, err
	}
	return secret, t, nil
}

func (m *Manager) exchange(ctx context.Context, tx *store.Tx, by audit.Actor, pkg Package, id IDToken) (secret credential.Secret, t Token, err error) {
	if err := pkg.validate(); err != nil {
		return secret, t, err
	}
	if id, err = m.accept(id); err != nil {
		return secret, t, err
	}
	u := &use{useID(pkg.ID, id), id.Until.UnixMicro()}
	keys := append(StateKeys(pkg.ID), uses.Key(u.ID), uses.Key(useOfName(pkg.Name, id)))
	for _, t := range pkg.targets()[1:] {
		keys = append(keys, t.key())
	}
	items, err := tx.Get(ctx, keys...)
	if err != nil {
		return secret, t, fmt.Errorf("trust: exchange: %w", err)
	}
	everyone, err := subject.EveryoneNumber(items[1])
	if err != nil {
		return secret, t, fmt.Errorf("trust: exchange: %w", err)
	}
	records, err := readFor(ctx, tx, pkg)
	if err != nil {
		return secret, t, err
	}
	list := compare(records, id)
	best := choose(list)
	if best < 0 {
		return secret, t, &MismatchError{list}
	}
	switch before, err := usedAny(items[2:4]); {
	case err != nil:
		return secret, t, err
	case before:
		return secret, t, ErrUsed
	}
	if err := savePins(ctx, tx, pkg, list, id); err != nil {
		return secret, t, err
	}
	if err := uses.Insert(ctx, tx, u); err != nil {
		return secret, t, fmt.Errorf("trust: exchange: %w", err)
	}
	secret, t = m.newToken(pkg, list[best].Record.Publisher, id)
	t.Scope, t.Everyone = list[best].Record.Scope, everyone
	if err := tokens.Insert(ctx, tx, recordOf(t)); err != nil {
		return secret, t, fmt.Errorf("trust: exchange: %w", err)
	}
	return secret, t, m.tell(ctx, tx, by, exchanged(t))
}

// newToken returns a token of a publisher for the job of an ID token, with its secret.
func (m *Manager) newToken(pkg Package, p Publisher, id IDToken) (credential.Secret, Token) {
	secret, now := credential.New(credential.PrefixToken), m.instant()
	digest := credential.Sum(secret)
	return secret, Token{
		ID: digest.Prefix().String(), Digest: digest, Name: p.title(id.Issuer), Package: pkg.Name, PackageID: pkg.ID, Publisher: p.ID, Kind: p.Kind, Issuer: p.Issuer,
		Permissions: p.Permissions, Run: RunOf(id), Created: now, Expires: now.Add(m.ttl),
	}
}

// choose returns the index of the publisher that matches and permits most, or -1.
func choose(list []Comparison) int {
	best := -1
	for i, c := range list {
		if len(c.Differences) > 0 {
			continue
		}
		if best < 0 || wider(c.Record.Permissions, list[best].Record.Permissions) > 0 {
			best = i
		}
	}
	return best
}

// wider compares permissions by the number of their verbs. Of as many, one that may publish comes before one that may
// only stage.
func wider(p, q Permissions) int {
	a, _ := p.Verbs() // of a publisher that matches they are valid
	b, _ := q.Verbs()
	return cmp.Or(
		cmp.Compare(bits.OnesCount8(uint8(a)), bits.OnesCount8(uint8(b))),
		cmp.Compare(p&CreatePackage, q&CreatePackage),
	)
}

// savePins writes the IDs that the publishers which match take from token, if there are any, each where it is. All of them
// take theirs, not only the one that is chosen: otherwise another one, which comes to be chosen later, would take them of
// whoever has the name then.
func savePins(ctx context.Context, tx *store.Tx, pkg Package, list []Comparison, token IDToken) error {
	for _, target := range pkg.targets() {
		var records []Record
		pinned := false
		for _, c := range list {
			if c.Record.Scope != target.scope().Name {
				continue
			}
			r := c.Record
			if pins := Pins(r.Publisher, token); len(pins) > 0 {
				p, err := r.WithPins(pins)
				if err != nil {
					return err
				}
				r.Publisher, pinned = p, true
			}
			records = append(records, r)
		}
		if !pinned {
			continue
		}
		if err := target.put(ctx, tx, records, maxPinned); err != nil {
			return err
		}
	}
	return nil
}

// exchanged returns the event of an exchange: for which package, of which publisher and for which job.
func exchanged(t Token) audit.Event {
	detail := maps.Clone(t.Run)
	maps.Copy(detail, map[string]string{
		"type": t.Kind.String(), "issuer": t.Issuer, "publisher": t.Publisher, "package_id": string(t.PackageID), "expires": t.Expires.Format(time.RFC3339),
	})
	if t.Scope != "" {
		detail["scope"] = t.Scope
	}
	return audit.Event{Type: audit.TrustExchanged, Credential: t.ID, Package: t.Package, Grants: t.Credential().Grants, Detail: detail}
}
