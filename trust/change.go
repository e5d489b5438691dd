package trust

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/store"
)

// AddTx adds a publisher to a package or a scope, in the caller's commit, and returns it with its ID, a random UUID, and its
// issuer: see [Publisher.Resolve]. What is wrong with p is an [*InvalidError]. A package has no two publishers
// that expect the same, whatever they permit and whatever they have pinned, nor has a scope: that is [ErrDuplicate]. Those to
// which different numeric IDs were given, or were pinned, are not the same. [ErrTooMany] means that the package or scope has
// as many as it may have. A package and its scope do not count together.
//
// What an organization had set up for its scope is removed when another one that has its name adds a publisher.
func (m *Manager) AddTx(ctx context.Context, tx *store.Tx, by audit.Actor, to Target, p Publisher) (Record, error) {
	if err := validate(to); err != nil {
		return Record{}, err
	}
	if p.ID != "" {
		return Record{}, invalid("id is given by the registry.")
	}
	p, issuer, err := p.Resolve(m.issuers)
	if err != nil {
		return Record{}, err
	}
	if p, err = identified(p); err != nil {
		return Record{}, err
	}
	scope := to.scope()
	if scope.Name != "" {
		if err := m.endFormer(ctx, tx, by, scope); err != nil {
			return Record{}, err
		}
	}
	records, err := read(ctx, tx, to)
	if err != nil {
		return Record{}, err
	}
	if err := m.room(records, p, issuer); err != nil {
		return Record{}, err
	}
	added := Record{p, m.instant(), by.User, scope.Name}
	if err := m.change(ctx, tx, by, to, append(records, added), maxRow, ofPublisher(audit.TrustAdded, p)); err != nil {
		return Record{}, err
	}
	return added, nil
}

// identified returns p with a new ID, unless it is too long to be kept.
func identified(p Publisher) (Publisher, error) {
	p.ID = credential.NewID()
	if text, err := json.Marshal(p); err != nil || len(text) > maxPublisher {
		return Publisher{}, invalid("The trusted publisher is too long.")
	}
	return p, nil
}

// room returns an error unless a package or a scope with these publishers may have p, too.
func (m *Manager) room(records []Record, p Publisher, issuer Issuer) error {
	for _, r := range records {
		if same(r.Publisher, p, issuer) {
			return ErrDuplicate
		}
	}
	if len(records) >= m.publishers {
		return ErrTooMany
	}
	return nil
}

// RemoveTx removes, in the caller's commit, the publisher of a package or a scope with this ID. The tokens that ID tokens were
// exchanged for are dead from then on: see [State.Alive]. [ErrNotFound] means that there is none with this ID, also where a
// package's scope has it.
func (m *Manager) RemoveTx(ctx context.Context, tx *store.Tx, by audit.Actor, from Target, id string) error {
	if err := validate(from); err != nil {
		return err
	}
	records, err := read(ctx, tx, from)
	if err != nil {
		return err
	}
	i := find(records, id)
	if i < 0 {
		return ErrNotFound
	}
	removed := records[i].Publisher
	return m.change(ctx, tx, by, from, slices.Delete(records, i, i+1), maxPinned, ofPublisher(audit.TrustRemoved, removed))
}

// RemoveAllTx removes, in the caller's commit, all publishers of a package, as when it is deleted, and returns how
// many. Those of its scope stay: see [Manager.RemoveScopeTx]. Without any it does nothing. The reason is a word for the
// event, "" for none.
func (m *Manager) RemoveAllTx(ctx context.Context, tx *store.Tx, by audit.Actor, pkg Package, reason string) (int, error) {
	if err := pkg.validate(); err != nil {
		return 0, err
	}
	records, err := read(ctx, tx, pkg)
	if err != nil {
		return 0, err
	}
	return m.removeAll(ctx, tx, by, pkg, records, reason)
}

func (m *Manager) removeAll(ctx context.Context, tx *store.Tx, by audit.Actor, from Target, records []Record, reason string) (int, error) {
	if len(records) == 0 {
		return 0, nil
	}
	e := audit.Event{Type: audit.TrustRemoved, Detail: map[string]string{"publishers": strconv.Itoa(len(records))}}
	if reason != "" {
		e.Reasons = []string{reason}
	}
	if err := m.change(ctx, tx, by, from, nil, maxPinned, e); err != nil {
		return 0, err
	}
	return len(records), nil
}

// change writes the publishers of a package or a scope, up to most bytes, and the event of what was changed.
func (m *Manager) change(ctx context.Context, tx *store.Tx, by audit.Actor, of Target, records []Record, most int, e audit.Event) error {
	if err := of.put(ctx, tx, records, most); err != nil {
		return err
	}
	e.User, e.Credential = by.User, by.Credential
	of.tell(&e)
	return m.tell(ctx, tx, by, e)
}

// ofPublisher returns an event about a publisher.
func ofPublisher(t audit.Type, p Publisher) audit.Event {
	detail := p.Fields()
	detail["publisher"] = p.ID
	return audit.Event{Type: t, Detail: detail}
}

// same reports whether two publishers expect the same. IDs that one of them does not have do not tell them apart: it
// may take those of the other from its first token.
func same(p, q Publisher, issuer Issuer) bool {
	p, ids := p.canonical(issuer)
	q, others := q.canonical(issuer)
	for claim, id := range ids {
		if other, ok := others[claim]; ok && id != other {
			return false
		}
	}
	return reflect.DeepEqual(p, q)
}

// canonical returns what p expects in one form, without what it permits, and apart from it the IDs that it has. The
// result is for comparing only.
func (p Publisher) canonical(issuer Issuer) (Publisher, map[string]string) {
	p = p.clone()
	p.ID, p.Permissions = "", 0
	ids := map[string]string{}
	for _, id := range p.ids() {
		if *id.value != "" {
			ids[id.claim] = *id.value
		}
		*id.value = ""
	}
	switch {
	case p.GitHub != nil:
		g := p.GitHub
		g.Repository, g.Environment = fold(g.Repository), fold(g.Environment)
		g.AllowEvents = gitHubEvents.sorted(g.AllowEvents)
		if repository, rest, ok := strings.Cut(g.ReusableWorkflow, workflows); ok {
			g.ReusableWorkflow = fold(repository) + workflows + rest
		}
	case p.GitLab != nil:
		p.GitLab.ProjectPath = fold(p.GitLab.ProjectPath)
		p.GitLab.AllowEvents = gitLabEvents.sorted(p.GitLab.AllowEvents)
	case p.CircleCI != nil:
		slices.Sort(p.CircleCI.ContextIDs)
	}
	for _, c := range issuer.claims() {
		value, named := p.Claims[c.Name]
		switch {
		case !named:
		case c.Pin:
			if c.Fold {
				value = fold(value)
			}
			ids[c.Name] = value
			delete(p.Claims, c.Name)
		case c.Fold:
			p.Claims[c.Name] = fold(value)
		}
	}
	return p, ids
}

// sorted returns the events that match of a publisher that lists own.
func (e events) sorted(own []string) []string {
	return slices.Sorted(slices.Values(e.allowed(own)))
}
