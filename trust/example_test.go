package trust_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/trust"
)

// A person sets up a publisher with npm trust github, and jobs present their tokens.
func Example() {
	issuers := []trust.Issuer{{Kind: trust.KindGitHub, URL: trust.GitHubURL}}

	// npm trust github @acme/widget --repo acme/widget --file release.yml --env prod --allow-stage-publish
	p, err := trust.ParsePublisher([]byte(`[{"type":"github","claims":{"repository":"acme/widget",
		"workflow_ref":{"file":"release.yml"},"environment":"prod"},"permissions":["createStagedPackage"]}]`))
	if err != nil {
		panic(err)
	}
	p, issuer, err := p.Resolve(issuers)
	if err != nil {
		panic(err)
	}

	// What a TokenVerifier returns of a job's token, with the claims that matter here.
	claims, err := trust.ParseClaims([]byte(`{"repository":"acme/widget","repository_id":"731","repository_owner_id":"42",
		"workflow_ref":"acme/widget/.github/workflows/release.yml@refs/heads/main","event_name":"push","environment":"prod",
		"job_workflow_ref":"acme/widget/.github/workflows/release.yml@refs/heads/main"}`))
	if err != nil {
		panic(err)
	}
	token := trust.IDToken{Issuer: issuer, ID: "a1b2", Claims: claims}
	fmt.Println("differences:", len(trust.Match(p, token)))

	// The first job says which repository it is, of all that will ever have this name.
	pins := trust.Pins(p, token)
	fmt.Println("pins:", pins)
	if p, err = p.WithPins(pins); err != nil {
		panic(err)
	}

	claims["repository_id"] = json.RawMessage(`"999"`)
	claims["event_name"] = json.RawMessage(`"pull_request_target"`)
	delete(claims, "environment")
	for _, d := range trust.Match(p, token) {
		fmt.Println(d)
	}
	// Output:
	// differences: 0
	// pins: [{repository_id 731} {repository_owner_id 42}]
	// repository_id is different: "999", expected "731"
	// environment is missing, expected "prod"
	// event_name is refused: "pull_request_target", expected "push, release, workflow_dispatch, schedule, repository_dispatch"
}

// The operator names what the publishers of an own CI system consist of, here of a Forgejo.
func ExampleIssuer_custom() {
	forgejo := trust.Issuer{Kind: trust.KindCustom, URL: "https://forge.acme.test/api/actions", Claims: []trust.Claim{
		{Name: "repository", Fold: true},
		{Name: "workflow"},
		{Name: "environment", Optional: true},
		{Name: "repository_id", Pin: true},
		{Name: "event_name", OneOf: []string{"push", "release", "workflow_dispatch"}},
	}}
	if err := trust.ValidateIssuers([]trust.Issuer{forgejo}); err != nil {
		panic(err)
	}
	p, err := trust.ParsePublisher([]byte(`[{"type":"custom","claims":{"repository":"acme/widget"},"permissions":["createPackage"]}]`))
	if err != nil {
		panic(err)
	}
	_, _, err = p.Resolve([]trust.Issuer{forgejo})
	fmt.Println(err)

	p.Claims["workflow"] = "release.yml"
	p, issuer, err := p.Resolve([]trust.Issuer{forgejo})
	fmt.Println(p.Issuer, err)
	claims, err := trust.ParseClaims([]byte(`{"repository":"Acme/Widget","workflow":"release.yml","repository_id":"7","event_name":"pull_request"}`))
	if err != nil {
		panic(err)
	}
	for _, d := range trust.Match(p, trust.IDToken{Issuer: issuer, Claims: claims}) {
		fmt.Println(d)
	}
	// Output:
	// claims.workflow is required.
	// https://forge.acme.test/api/actions <nil>
	// event_name is refused: "pull_request", expected "push, release, workflow_dispatch"
}

// An owner adds a publisher, and a job exchanges its ID token for one that publishes the package, until the publisher is
// removed.
func ExampleManager() {
	ctx, st := context.Background(), store.NewMemory()
	gitHub := trust.Issuer{Kind: trust.KindGitHub, URL: trust.GitHubURL}
	m, err := trust.NewManager(trust.ManagerConfig{Store: st, Issuers: []trust.Issuer{gitHub}})
	if err != nil {
		panic(err)
	}
	pkg := trust.Package{ID: "42", Name: protocol.PackageName{Scope: "acme", Name: "widget"}}
	owner := audit.Actor{User: "alice"}

	// npm trust github @acme/widget --repo acme/widget --file release.yml --allow-publish
	p, err := trust.ParsePublisher([]byte(`[{"type":"github","claims":{"repository":"acme/widget",
		"workflow_ref":{"file":"release.yml"}},"permissions":["createPackage"]}]`))
	if err != nil {
		panic(err)
	}
	var added trust.Record
	err = store.Transact(ctx, st, func(tx *store.Tx) (err error) {
		added, err = m.AddTx(ctx, tx, owner, pkg, p)
		return err
	})
	if err != nil {
		panic(err)
	}

	// npm publish, in a job whose ID token a TokenVerifier has accepted.
	claims, err := trust.ParseClaims([]byte(`{"repository":"acme/widget","repository_id":"731","repository_owner_id":"42",
		"workflow_ref":"acme/widget/.github/workflows/release.yml@refs/heads/main","event_name":"push",
		"job_workflow_ref":"acme/widget/.github/workflows/release.yml@refs/heads/main"}`))
	if err != nil {
		panic(err)
	}
	id := trust.IDToken{Issuer: gitHub, ID: "a1b2", Until: time.Now().Add(5 * time.Minute), Claims: claims}
	exchange := func() (secret credential.Secret, token trust.Token, err error) {
		err = store.Transact(ctx, st, func(tx *store.Tx) (err error) {
			secret, token, err = m.ExchangeTx(ctx, tx, audit.Actor{}, pkg, id)
			return err
		})
		return secret, token, err
	}
	secret, token, err := exchange()
	if err != nil {
		panic(err)
	}
	fmt.Println(token.Name, token.Credential().Grants)
	_, _, err = exchange()
	fmt.Println(errors.Is(err, trust.ErrUsed))

	// The check of what the job presents then.
	alive := func() bool {
		digest, ok := credential.Parse(secret.Reveal())
		if !ok {
			return false
		}
		items, err := st.Get(ctx, trust.TokenKey(digest))
		if err != nil {
			panic(err)
		}
		token, err := trust.OpenToken(items[0], digest)
		if err != nil {
			return false
		}
		if items, err = st.Get(ctx, trust.StateKeys(token.PackageID)...); err != nil {
			panic(err)
		}
		state, err := trust.DecodeState(token.PackageID, items)
		if err != nil {
			panic(err)
		}
		return state.Alive(token) && time.Now().Before(token.Expires)
	}
	fmt.Println(alive())
	if err := store.Transact(ctx, st, func(tx *store.Tx) error { return m.RemoveTx(ctx, tx, owner, pkg, added.ID) }); err != nil {
		panic(err)
	}
	fmt.Println(alive())
	// Output:
	// github acme/widget release.yml [read-write (publish+stage) on package @acme/widget]
	// true
	// true
	// false
}
