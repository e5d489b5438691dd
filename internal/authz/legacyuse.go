package authz

import (
	"context"
	"errors"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/session"
	"github.com/npmauth/npmauth/store"
)

const (
	legacyUseEvery = time.Hour            // between two writes for one client of an account
	legacyUseKept  = 180 * 24 * time.Hour // after the last of them
	maxLegacyUses  = 8                    // clients of one account; the one unused for longest makes room
	maxProduct     = 64                   // bytes
)

// A LegacyUse is an account that logged in with a password at the CouchDB login, and with which
// clients.
type LegacyUse struct {
	User    protocol.UserID `json:"user"`
	Clients []LegacyClient  `json:"clients"` // the one used last comes first
}

// A LegacyClient is a client of one account.
type LegacyClient struct {
	Client string    `json:"client"` // product and version; "" if it did not say
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
	Count  int       `json:"count"` // of logins, those within an hour of one that counted aside
}

var legacyUses = store.NewTable("legacy-use", 1, func(u *LegacyUse) string { return string(u.User) }).
	Expiring(func(u *LegacyUse) time.Time { return u.Clients[0].Last.Add(legacyUseKept) })

// noteLegacyUse writes, in the commit of a CouchDB login, that the account has used it.
func (a *Authorizer) noteLegacyUse(ctx context.Context, tx *store.Tx, id protocol.UserID, by session.Client) error {
	now, client := a.Now().UTC().Truncate(time.Second), product(by.UserAgent)
	was, err := legacyUses.Get(ctx, tx, string(id))
	switch {
	case errors.Is(err, store.ErrNotFound):
		was = &LegacyUse{}
	case err != nil:
		return err
	}
	at := slices.IndexFunc(was.Clients, func(c LegacyClient) bool { return c.Client == client })
	if at >= 0 && now.Sub(was.Clients[at].Last).Abs() < legacyUseEvery {
		return nil
	}
	_, err = legacyUses.Upsert(ctx, tx, string(id), func(u *LegacyUse, _ bool) error {
		c := LegacyClient{Client: client, First: now}
		if at >= 0 {
			c = u.Clients[at]
			u.Clients = slices.Delete(u.Clients, at, at+1)
		}
		c.Last, c.Count = now, c.Count+1
		u.User, u.Clients = id, slices.Insert(u.Clients[:min(len(u.Clients), maxLegacyUses-1)], 0, c)
		return nil
	})
	return err
}

// products are what a user agent may begin with to be noted: it is put before people, in an e-mail
// that they trust, and must not be an address.
var products = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*(/v?[0-9][0-9A-Za-z.+-]*)?$`)

// product returns the product that a user agent begins with, and its version.
func product(agent string) string {
	agent, _, _ = strings.Cut(agent, " ")
	if len(agent) > maxProduct || !products.MatchString(agent) {
		return ""
	}
	return agent
}

// LegacyUses yields the accounts that used the CouchDB login lately, in the order of their IDs. After
// an error there is nothing more.
func (a *Authorizer) LegacyUses(ctx context.Context) iter.Seq2[LegacyUse, error] {
	return func(yield func(LegacyUse, error) bool) {
		for after := ""; ; {
			page, err := legacyUses.List(ctx, a.Store, after, store.MaxLimit)
			if err != nil {
				yield(LegacyUse{}, err)
				return
			}
			oldest := a.Now().Add(-legacyUseKept)
			for _, u := range page {
				after = string(u.User)
				u.Clients = slices.DeleteFunc(u.Clients, func(c LegacyClient) bool { return !c.Last.After(oldest) })
				if len(u.Clients) > 0 && !yield(*u, nil) {
					return
				}
			}
			if len(page) < store.MaxLimit {
				return
			}
		}
	}
}
