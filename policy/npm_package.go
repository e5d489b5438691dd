package policy

// packageRules refuse by the package: what of it may be seen, what the grants say
// and what the user may do now. Those on grants look at names only, so that they
// tell nothing about packages that are hidden.
func packageRules() []Rule {
	// granted reports whether r's credential is judged by a list of grants.
	granted := func(r *Request) bool {
		return r.Kind() == KindToken || r.Kind() == KindPublisher || r.Kind() == KindForeign
	}
	reading := map[Action]bool{}
	for _, a := range packageReads {
		reading[a] = true
	}
	return []Rule{{
		ID:       "unread-body",
		Doc:      "PUT /<pkg> is six operations. Only the body tells which, so it must be told apart before anybody decides; what was not is denied.",
		Sentence: "This registry takes new versions of a package here and no other change to it.",
		Actions:  []Action{WritePackument},
		Judge:    func(*Request) Verdict { return Forbid },
	}, {
		ID:       "hidden-package",
		Doc:      "A package that is private to others and one that does not exist get one answer, from here and not from the host. Publishing under a free name is judged by may-not-create, and the anonymous are asked to sign in before they hear anything about a write.",
		Sentence: "There is no such package or you may not see it.",
		Remedy:   "Check the name and run npm whoami to see who you are.",
		Conceal:  true,
		Actions:  join(packageReads, packageWrites),
		Judge: func(r *Request) Verdict {
			return forbid(!r.Rights().Has(RightRead) && !r.Creates() && (reading[r.Operation.Action] || !r.Anonymous()))
		},
	}, {
		ID:       "no-grant",
		Doc:      "No grant covers the package. An empty list covers none, a scope covers itself and not the scopes that begin like it, an org covers none of its packages.",
		Sentence: "This token is not for this package.",
		Remedy:   "Create a token that names this package or its scope.",
		Actions:  packageWrites,
		Judge:    func(r *Request) Verdict { return forbid(r.reach()&reaches == 0 && granted(r)) },
	}, {
		ID:       "read-only-token",
		Doc:      "The grants that cover the package only read. A grant to write that covers another one adds nothing.",
		Sentence: "This token can only read this package.",
		Remedy:   "Create a token with read-write permission.",
		Actions:  packageWrites,
		Judge: func(r *Request) Verdict {
			return forbid(r.reach()&(reaches|reachWrite|reachStage) == reaches && granted(r))
		},
	}, {
		ID:       "stage-only-token",
		Doc:      "A stage-only grant never publishes, with or without a second factor and even if it bypasses one.",
		Sentence: "This token can stage versions of this package but not publish them.",
		Remedy:   "Use npm stage publish and have a maintainer approve it.",
		Actions:  packageWrites,
		Judge:    func(r *Request) Verdict { return forbid(r.reach()&(reachWrite|reachStage) == reachStage && granted(r)) },
	}, {
		ID:       "create-needs-scope",
		Doc:      "A grant on one package does not create it: see [Request.MayCreate].",
		Sentence: "This token is for packages that exist and cannot create a new one.",
		Remedy:   "Publish the first version with npm login or with a token for the whole scope.",
		Actions:  []Action{Publish},
		Judge: func(r *Request) Verdict {
			return forbid(r.Creates() && granted(r) && r.reach()&reachWrite != 0 && r.reach()&reachCreate == 0)
		},
	}, {
		ID:       "may-not-create",
		Doc:      "The host does not let this user take the name. A name that a hidden package has gets the same answer.",
		Sentence: "You may not publish a package under this name.",
		Remedy:   "Choose another name or ask the owner of the scope.",
		Actions:  []Action{Publish},
		Judge:    func(r *Request) Verdict { return forbid(r.Creates() && !r.Anonymous() && !r.Package.MayCreate) },
	}, {
		ID:       "may-not-write",
		Doc:      "Live rights: whoever was removed from a package writes no more with what they kept.",
		Sentence: "You have no permission to write to this package.",
		Remedy:   "Ask a maintainer of the package to add you.",
		Actions:  packageWrites,
		Judge: func(r *Request) Verdict {
			return forbid(!r.Package.Rights.Has(RightWrite) && r.Package.ID != "" && !r.Anonymous())
		},
	}, {
		ID:       "package-disallows-tokens",
		Doc:      "mfa=publish: a second factor and no tokens, for every write to the package. Trusted publishers are not tokens. A setting that is not known counts as this one.",
		Sentence: "This package does not allow writing with tokens.",
		Remedy:   "Run npm login and publish with your second factor or set up a trusted publisher.",
		Actions:  packageWrites,
		Judge: func(r *Request) Verdict {
			return forbid(r.Settings.Publish != FactorOrBypass && (r.Kind() == KindToken || r.Kind() == KindForeign))
		},
	}}
}
