package main

import (
	"log"
	"net/http"
	"net/netip"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/subject"
	"github.com/npmauth/npmauth/token"
	"github.com/npmauth/npmauth/wire"
)

// A mirror serves private packages to granular tokens: three parts, and no logins.
type mirror struct {
	store  store.Store
	tokens *token.Manager
	rules  *policy.Policy
	files  http.Handler
}

func (m mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := m.allow(r); err != nil {
		answer, known := wire.Answer(err)
		if !known { // an outage, which allows nothing
			answer = wire.Unavailable
		}
		wire.WriteError(w, answer)
		return
	}
	m.files.ServeHTTP(w, r)
}

func (m mirror) allow(r *http.Request) (err error) {
	op, err := protocol.Classify(r.Method, r.URL.EscapedPath())
	if err != nil {
		return err
	}
	bearer, err := wire.Bearer(r.Header)
	if err != nil {
		return err
	}
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	req := policy.Request{
		Operation: op, Addr: from.Addr(), Now: time.Now(),
		Package: policy.Facts{ID: protocol.PackageID(op.Package.String()), Private: true, Rights: policy.RightRead},
	}
	if bearer != "" {
		var account subject.Subject
		req.Credential, account, err = subject.Authenticate(r.Context(), m.store, credential.NewSecret(bearer), req.Addr, m.tokens.Authenticate)
		if err != nil {
			return err
		}
		req.Account = account.Account("")
	}
	if d := m.rules.Decide(req); d.Effect != policy.Allow { // a challenge, too, is no Allow
		return &policy.DeniedError{Operation: op, Decision: d, Anonymous: req.Credential == nil}
	}
	return nil
}

func main() {
	m := mirror{store: store.NewMemory(), rules: policy.NPM(), files: http.FileServer(http.Dir("packages"))}
	var err error
	if m.tokens, err = token.New(token.Config{Store: m.store, Limits: m.rules.Limits}); err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:4873", m))
}
