package account_test

import (
	"bufio"
	"context"
	"crypto/sha1" //nolint:gosec // what such services take
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/npmauth/npmauth/account"
	"github.com/npmauth/npmauth/credential"
)

// A breached asks a service that knows passwords from breaches. The service learns five digits of a
// digest, and answers with the rest of all that begin with these.
type breached struct{ url string }

func (b breached) blocked(ctx context.Context, password credential.Secret) (bool, error) {
	sum := sha1.Sum([]byte(password.Reveal())) //nolint:gosec // see above
	digest := strings.ToUpper(hex.EncodeToString(sum[:]))
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+digest[:5], nil)
	if err != nil {
		return false, err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return false, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return false, fmt.Errorf("breach service: %s", res.Status)
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if suffix, _, _ := strings.Cut(lines.Text(), ":"); suffix == digest[5:] {
			return true, nil
		}
	}
	return false, lines.Err()
}

// A password that is known from a breach is refused where it is chosen. While the service is away,
// none is accepted; sign-ins go on.
func ExamplePasswords() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/range/273B3" {
			_, _ = fmt.Fprintln(w, "962D50C35993B50DB95CF4F3FD36E450B37:12")
		}
	}))
	defer service.Close()

	passwords := account.Passwords{Min: 12, Blocked: breached{service.URL + "/range/"}.blocked}
	for _, text := range []string{"Password1234", "breached by the dozen", "a quite unguessed one"} {
		fmt.Println(passwords.Check(context.Background(), credential.NewSecret(text), "jane", "jane@acme.test"))
	}
	// Output:
	// account: unacceptable password: it is one of those that are tried first
	// account: unacceptable password: it is one of those that are tried first
	// <nil>
}
