package npmauth

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
)

// A LegacyUse is an account whose owner logs in with a password at the CouchDB login, which
// [Config.Legacy] configures and ends.
type LegacyUse struct {
	User  protocol.UserID
	Name  string
	Email string // "" where the host knows none

	// Clients are those that did, the one used last first: at most 8, of which the one that was
	// not used for longest makes room for another.
	Clients []LegacyClient
}

// A LegacyClient is a client with which one account logs in so.
type LegacyClient struct {
	// Client is how it calls itself: product and version alone, such as npm/8.19.4. Yarn 2 to 4
	// call themselves got. "" is one that did not say.
	Client string

	First time.Time // login that was noted
	Last  time.Time
	Count int // of logins that were noted: after one, those of the next hour are not
}

// LegacyUse yields the accounts that logged in with a password at the CouchDB login in the last 180
// days, in the order of their IDs: those who will notice when it ends. It asks [host.Users] for
// each, and leaves out who is not there any more. After an error there is nothing more.
//
// A login is noted in its own commit, at most once an hour for each account and client, and
// forgotten after 180 days.
func (a *Auth) LegacyUse(ctx context.Context) iter.Seq2[LegacyUse, error] {
	return func(yield func(LegacyUse, error) bool) {
		for u, err := range a.authz.LegacyUses(ctx) {
			use := LegacyUse{User: u.User}
			var user host.User
			if err == nil {
				user, err = a.authz.Users.User(ctx, u.User)
			}
			if errors.Is(err, host.ErrNoUser) {
				continue
			}
			if err != nil {
				yield(LegacyUse{}, fmt.Errorf("npmauth: legacy use: %w", err))
				return
			}
			use.Name, use.Email = user.Name, user.Email
			for _, c := range u.Clients {
				use.Clients = append(use.Clients, LegacyClient(c))
			}
			if !yield(use, nil) {
				return
			}
		}
	}
}

// LegacyMail returns the text of an e-mail to the owner of an account that uses the CouchDB login:
// with which clients, what is announced in [Config.Legacy], and what to do instead. It is plain
// text with line feeds, and has no secret.
func (a *Auth) LegacyMail(use LegacyUse) string {
	base := a.authz.Base.String()
	w := new(strings.Builder)
	called := strings.Join(strings.Fields(use.Name), " ") // a host's name may have line ends, and adds none to a text that people trust
	fmt.Fprintf(w, "Hello %s,\n\nthese programs log in to %s with your password, the old way:\n\n", called, base)
	for _, c := range use.Clients {
		name := c.Client
		switch name {
		case "":
			name = "a program that does not say its name"
		case "got":
			name = "Yarn 2 or newer" // which calls itself as the library that it is made with
		}
		fmt.Fprintf(w, "  %s, last on %s\n", name, c.Last.UTC().Format(time.DateOnly))
	}
	schedule := a.api.LegacySchedule()
	if schedule == "" {
		schedule = "It will end."
	}
	fmt.Fprintf(w, "\n%s\n\nAt a terminal, log in with a browser instead:\n\n", schedule)
	fmt.Fprintf(w, "  npm login --auth-type=web --registry=%s   (npm 9 or newer)\n", base)
	fmt.Fprintf(w, "  pnpm login --registry=%s   (pnpm 11 or newer)\n", base)
	fmt.Fprintf(w, "  yarn npm login --web-login   (Yarn 4)\n")
	fmt.Fprintf(w, "\nIn CI, and for Yarn 1 to 3, which cannot open a browser, make a token and give it to the program in place of the password:\n\n")
	fmt.Fprintf(w, "  npm token create --name=ci --packages-all --packages-and-scopes-permission=read-write --bypass-2fa --expires=30 --registry=%s\n", base)
	fmt.Fprintf(w, "\nYour account, your password and your packages stay as they are.\n")
	if a.legacyDocs != "" {
		fmt.Fprintf(w, "More about it: %s\n", a.legacyDocs)
	}
	return w.String()
}
